//! What the generator counts.
//! Invariant: one catalog; every definition is registered by `Metrics::new`.

use service_kit::metrics::{Counter, Counters, Gauge, Gauges, Registry, Unit};

service_kit::labels! {
    /// How a record ended.
    pub enum Ending as "ending" {
        Acknowledged = "acknowledged",
        Failed = "failed",
    }
}

pub const RECORDS: Counter<Ending> = Counter::new(
    "barograph_generator_records_total",
    Unit::Records,
    "Records handed to Kafka, by how they ended.",
);
pub const BYTES: Counter = Counter::new(
    "barograph_generator_bytes_total",
    Unit::Bytes,
    "Bytes of the values that Kafka acknowledged.",
);
pub const INJECTED: Counter = Counter::new(
    "barograph_generator_injected_total",
    Unit::Count,
    "Anomalies that were injected and labelled.",
);
pub const BEHIND: Gauge = Gauge::new(
    "barograph_generator_behind_seconds",
    Unit::Seconds,
    "How far live event time is behind the wall clock.",
);
pub const WAITS: Counter = Counter::new(
    "barograph_generator_queue_full_total",
    Unit::Count,
    "Times that the generator had to wait because the queue to Kafka was full.",
);

/// The metrics of a run.
#[derive(Clone)]
pub struct Metrics {
    pub records: Counters<Ending>,
    pub bytes: Counters,
    pub injected: Counters,
    pub behind: Gauges,
    pub waits: Counters,
}

impl Metrics {
    pub fn new(registry: &Registry) -> Self {
        Self {
            records: registry.counter(&RECORDS),
            bytes: registry.counter(&BYTES),
            injected: registry.counter(&INJECTED),
            behind: registry.gauge(&BEHIND),
            waits: registry.counter(&WAITS),
        }
    }
}
