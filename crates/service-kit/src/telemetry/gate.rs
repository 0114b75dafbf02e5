//! Decides which lines are logged, each by itself.
//!
//! `tracing-subscriber`'s filters of a single layer leave their decision as a mark on the thread for the
//! event that follows. A question without an event (`tracing::enabled!`, which librdkafka's wrapper asks
//! whenever a client is made) leaves its mark too, and the next line of the thread, whatever it says,
//! is filtered out in its stead: as a rule the one that says why the process ends.
//!
//! Invariant: nothing is remembered from one decision to the next.

use tracing::metadata::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::{Context, Filter, Layer};
use tracing_subscriber::registry::LookupSpan;

/// The outermost layer: it answers questions for all of them.
pub(super) struct Gate<L> {
    pub(super) filter: EnvFilter,
    pub(super) lines: L,
    /// Other layers may want what is not logged.
    pub(super) others: bool,
}

impl<L> Gate<L> {
    fn lets_through<S>(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        Filter::<S>::enabled(&self.filter, metadata, context)
    }
}

/// Neither an event nor a span: somebody asks whether it would be worth making one.
pub(super) fn is_question(metadata: &Metadata<'_>) -> bool {
    !metadata.is_event() && !metadata.is_span()
}

impl<S, L> Layer<S> for Gate<L>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    L: Layer<S>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let interest = Filter::<S>::callsite_enabled(&self.filter, metadata);
        if interest.is_never() && self.others {
            return Interest::sometimes();
        }
        interest
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        // What is not logged may be traced: it is stopped below, where only this layer stops it.
        (self.others && !is_question(metadata)) || self.lets_through(metadata, &context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Filter::<S>::max_level_hint(&self.filter)
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if self.lets_through(event.metadata(), &context) {
            self.lines.on_event(event, context);
        }
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        Filter::<S>::on_new_span(&self.filter, attributes, id, context.clone());
        self.lines.on_new_span(attributes, id, context);
    }

    fn on_record(&self, span: &Id, values: &Record<'_>, context: Context<'_, S>) {
        Filter::<S>::on_record(&self.filter, span, values, context.clone());
        self.lines.on_record(span, values, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        Filter::<S>::on_enter(&self.filter, id, context.clone());
        self.lines.on_enter(id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        Filter::<S>::on_exit(&self.filter, id, context.clone());
        self.lines.on_exit(id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        Filter::<S>::on_close(&self.filter, id.clone(), context.clone());
        self.lines.on_close(id, context);
    }
}
