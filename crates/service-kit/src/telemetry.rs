//! Logs on standard error, and traces over OTLP where a receiver is named.
//!
//! Invariant: without `OTEL_EXPORTER_OTLP_ENDPOINT` there is no exporter, no thread and no connection.
//! A receiver that is away costs spans, never work: the queue is bounded, and so is the flush.

mod export;
mod gate;
mod trace_context;

use std::io::IsTerminal;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use strangers::logs::{JsonLines, Sampled, fields};
use tracing::metadata::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{EnvFilter, FilterFn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

pub use trace_context::{add_link, current_traceparent, link_parent};

use self::export::Exporter;
use self::gate::{Gate, is_question};
use crate::options::{LogFormat, ServiceOptions};

/// How long the last spans may take on their way out.
const FLUSH_BUDGET: Duration = Duration::from_secs(1);

/// Logs and traces of a process, from `start` to `shutdown`.
pub struct Telemetry {
    exporter: Option<Exporter>,
}

impl Telemetry {
    /// Starts logging, and tracing if there is a receiver.
    ///
    /// A process logs through the first one; a second start leaves the logs as they are.
    pub fn start(service_name: &'static str, options: &ServiceOptions) -> Self {
        let endpoint = options.otel_exporter_otlp_endpoint.as_ref();
        let (exporter, failure) = match endpoint.map(|url| Exporter::start(service_name, url)) {
            None => (None, None),
            Some(Ok(exporter)) => (Some(exporter), None),
            Some(Err(error)) => (None, Some(error)),
        };
        let traces = exporter.as_ref().map(|exporter| {
            let tracer = exporter.provider().tracer(service_name);
            tracing_opentelemetry::layer()
                .with_tracer(tracer)
                .with_filter(FilterFn::new(is_traced).with_max_level_hint(LevelFilter::INFO))
        });
        let others = traces.is_some();
        // The gate is the last one: it answers for all of them.
        let subscriber = tracing_subscriber::registry().with(traces);
        let subscriber = subscriber.with(Gate {
            filter: EnvFilter::builder().parse_lossy(options.log_level.as_str()),
            lines: lines(options.log_format),
            others,
        });
        // Without the bridge from the `log` crate: a line of it that is filtered out would leave its mark
        // on the thread, and the next line, whatever it says, would be filtered out with it.
        // Already set: somebody who embeds the service logs in their own way.
        let _ = tracing::subscriber::set_global_default(subscriber);
        if let Some(error) = failure {
            tracing::warn!(%error, "OTEL_EXPORTER_OTLP_ENDPOINT: traces cannot be sent, going on without");
        }
        Self { exporter }
    }

    /// Whether spans are sent anywhere.
    pub fn exports(&self) -> bool {
        self.exporter.is_some()
    }

    /// Sends the last spans, for a second at most.
    pub fn shutdown(mut self) {
        self.flush();
    }

    fn flush(&mut self) {
        if let Some(exporter) = self.exporter.take() {
            exporter.shutdown(FLUSH_BUDGET);
        }
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.flush();
    }
}

fn lines<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let layer = tracing_subscriber::fmt::layer();
    let lines = tracing_subscriber::fmt::format();
    match format {
        LogFormat::Text => layer
            .fmt_fields(fields())
            .event_format(Sampled::text(lines))
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr)
            .boxed(),
        LogFormat::Json => layer
            .json()
            .event_format(Sampled::json(lines.json().flatten_event(true)))
            .with_writer(JsonLines(std::io::stderr))
            .boxed(),
    }
}

/// Spans of `info` and above, whatever is logged; but the exporter's connection must not trace itself.
fn is_traced(metadata: &Metadata<'_>) -> bool {
    const OF_THE_EXPORTER: [&str; 5] = ["h2", "hyper", "opentelemetry", "tonic", "tower"];
    let target = metadata.target();
    let part_of_exporter = OF_THE_EXPORTER.iter().any(|name| target.starts_with(name));
    // A question without an event must leave no mark (see `gate`).
    is_question(metadata) || *metadata.level() <= Level::INFO && !part_of_exporter
}
