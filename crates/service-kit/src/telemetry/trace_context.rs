//! Carries a trace across process borders as W3C `traceparent` text.
//! Invariant: a text that is no `traceparent` changes nothing, as the standard asks.

use contracts::TraceParent;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Makes whoever sent `traceparent` the parent of the span. Before the span is entered.
pub fn link_parent(span: &Span, traceparent: &str) {
    if let Some(parent) = remote(traceparent) {
        // Refused when tracing is off, or the span was entered: it has no parent to lose then.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

/// Links the span to whoever sent `traceparent`: a batch belongs to many traces and is nobody's child.
pub fn add_link(span: &Span, traceparent: &str) {
    if let Some(sender) = remote(traceparent) {
        span.add_link(sender);
    }
}

/// The current span, to be sent along. `None` when tracing is off or there is no span.
pub fn current_traceparent() -> Option<String> {
    let context = Span::current().context();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| {
        let parent = TraceParent {
            trace_id: u128::from_be_bytes(span.trace_id().to_bytes()),
            span_id: u64::from_be_bytes(span.span_id().to_bytes()),
            sampled: span.is_sampled(),
        };
        parent.to_string()
    })
}

fn remote(traceparent: &str) -> Option<SpanContext> {
    let parent = TraceParent::parse(traceparent)?;
    let flags = if parent.sampled {
        TraceFlags::SAMPLED
    } else {
        TraceFlags::default()
    };
    Some(SpanContext::new(
        TraceId::from_bytes(parent.trace_id.to_be_bytes()),
        SpanId::from_bytes(parent.span_id.to_be_bytes()),
        flags,
        true,
        TraceState::default(),
    ))
}
