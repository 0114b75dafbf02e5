//! The processor's metrics.

use std::time::Duration;

use pipeline::{ports::StoreError, writer::WriterMetrics};
use service_kit::metrics::{
    Counter, Counters, Family, Gauge, GaugeFamily, Gauges, Histogram, Histograms, Registry, Unit,
};

service_kit::labels! {
    pub enum Ending as "ending" { Stored = "stored", DeadLettered = "dead_lettered" }
}
service_kit::labels! {
    pub enum Why as "reason" {
        Empty = "empty",
        NotUtf8 = "not_utf8",
        BrokenJson = "broken_json",
        NoMessage = "no_message",
        RejectedRow = "rejected_row",
    }
}
service_kit::labels! {
    pub enum Oddity as "oddity" { Late = "late", NoTimestamp = "no_timestamp", Clamped = "clamped", NoService = "no_service", NoKey = "no_key" }
}
service_kit::labels! {
    pub enum Found as "kind" {
        ErrorBurst = "error_burst",
        ErrorRateSpike = "error_rate_spike",
        RateSpike = "rate_spike",
        RateDrop = "rate_drop",
    }
}
service_kit::labels! {
    pub enum Settled as "outcome" { AlreadyThere = "already_there", Inserted = "inserted" }
}

pub const RECORDS: Counter<Ending> = Counter::new(
    "barograph_records_total",
    Unit::Records,
    "Records that left the pipeline, by how they ended.",
);
pub const DEAD_LETTERS: Counter<Why> = Counter::new(
    "barograph_dead_letters_total",
    Unit::Records,
    "Records that could not be read, by reason.",
);
pub const ODDITIES: Counter<Oddity> = Counter::new(
    "barograph_odd_records_total",
    Unit::Records,
    "Stored records with something odd about them.",
);
pub const ANOMALIES: Counter<Found> = Counter::new(
    "barograph_anomalies_opened_total",
    Unit::Anomalies,
    "Episodes opened, by kind.",
);
pub const INSERTS: Histogram = Histogram::new(
    "barograph_block_store_seconds",
    Unit::Seconds,
    "Time from a block's intent to its acknowledgement.",
    Histogram::<()>::SECONDS,
);
pub const RETRIES: Counter = Counter::new(
    "barograph_insert_retries_total",
    Unit::Count,
    "Inserts that failed and were tried again.",
);
pub const SETTLED: Counter<Settled> = Counter::new(
    "barograph_blocks_settled_total",
    Unit::Batches,
    "Blocks of unknown outcome that were settled by a count, by what it found.",
);
pub const COMMIT_RETRIES: Counter = Counter::new(
    "barograph_commit_retries_total",
    Unit::Count,
    "Commits that failed and were tried again.",
);
pub const IN_FLIGHT: Gauge = Gauge::new(
    "barograph_in_flight_bytes",
    Unit::Bytes,
    "Bytes of rows on their way to the store.",
);
pub const LAG: GaugeFamily = GaugeFamily::new(
    "barograph_lag_records",
    Unit::Records,
    "Records between the end of a partition and what was read of it.",
    "partition",
    1024,
);
pub const SERVICES: GaugeFamily = GaugeFamily::new(
    "barograph_services",
    Unit::Count,
    "Services known, by partition.",
    "partition",
    1024,
);
pub const EVICTED: Counter = Counter::new(
    "barograph_services_evicted_total",
    Unit::Count,
    "Services forgotten because there were more than the bound.",
);
pub const GAPS: Counter = Counter::new(
    "barograph_gap_records_total",
    Unit::Records,
    "Records that were deleted from the topic before they were read.",
);
pub const PAUSED: Gauge = Gauge::new(
    "barograph_partitions_paused",
    Unit::Partitions,
    "Partitions that are not read because the store is behind.",
);

#[derive(Clone)]
pub struct Metrics {
    pub records: Counters<Ending>,
    pub dead_letters: Counters<Why>,
    pub oddities: Counters<Oddity>,
    pub anomalies: Counters<Found>,
    inserts: Histograms,
    retries: Counters,
    settled: Counters<Settled>,
    commit_retries: Counters,
    pub in_flight: Gauges,
    pub lag: Family<prometheus::Gauge>,
    pub services: Family<prometheus::Gauge>,
    pub evicted: Counters,
    pub gaps: Counters,
    pub paused: Gauges,
}

impl Metrics {
    pub fn new(registry: &Registry) -> Self {
        Self {
            records: registry.counter(&RECORDS),
            dead_letters: registry.counter(&DEAD_LETTERS),
            oddities: registry.counter(&ODDITIES),
            anomalies: registry.counter(&ANOMALIES),
            inserts: registry.histogram(&INSERTS),
            retries: registry.counter(&RETRIES),
            settled: registry.counter(&SETTLED),
            commit_retries: registry.counter(&COMMIT_RETRIES),
            in_flight: registry.gauge(&IN_FLIGHT),
            lag: registry.gauge_family(&LAG),
            services: registry.gauge_family(&SERVICES),
            evicted: registry.counter(&EVICTED),
            gaps: registry.counter(&GAPS),
            paused: registry.gauge(&PAUSED),
        }
    }
}

impl WriterMetrics for Metrics {
    fn stored(&self, rows: u64, _bytes: usize, took: Duration) {
        self.records.at(Ending::Stored).inc_by(rows);
        self.inserts.observe(took.as_secs_f64());
    }

    fn retried(&self, _error: &StoreError) {
        self.retries.inc();
    }

    fn settled(&self, already_there: bool) {
        self.settled
            .at(if already_there {
                Settled::AlreadyThere
            } else {
                Settled::Inserted
            })
            .inc();
    }

    fn commit_retried(&self) {
        self.commit_retries.inc();
    }
}
