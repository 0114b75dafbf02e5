//! What the gateway counts.

use service_kit::Registry;
use service_kit::metrics::{Counter, Counters, Gauge, Gauges, Histogram, Histograms, Unit};

service_kit::labels! {
    /// How a client is connected.
    pub enum Transport as "transport" { WebSocket = "websocket", Sse = "sse" }
}

service_kit::labels! {
    /// What became of a record of the topic.
    pub enum Record as "record" {
        Kept = "kept",
        /// Of a `schema_version` that is not known here, and passed on as it came.
        KeptNewer = "kept_newer_schema",
        Duplicate = "duplicate",
        /// Of such a version, and without something that this one needs: left out.
        Newer = "newer_schema",
        Unreadable = "unreadable",
        /// A batch that the client library cannot decode.
        Undecodable = "undecodable",
    }
}

pub const CLIENTS: Gauge<Transport> = Gauge::new(
    "barograph_gateway_clients",
    Unit::Connections,
    "Clients that are connected.",
);
pub const REFUSED: Counter<Transport> = Counter::new(
    "barograph_gateway_clients_refused_total",
    Unit::Connections,
    "Clients that were refused because GATEWAY_MAX_CLIENTS were connected.",
);
pub const FRAMES: Counter<Transport> = Counter::new(
    "barograph_gateway_frames_sent_total",
    Unit::Messages,
    "Frames that were handed to a connection.",
);
pub const BYTES: Counter<Transport> = Counter::new(
    "barograph_gateway_sent_bytes_total",
    Unit::Bytes,
    "Text of these frames.",
);
pub const LAGGED: Counter = Counter::new(
    "barograph_gateway_lagged_total",
    Unit::Count,
    "Times that a client was told that it did not read fast enough.",
);
pub const MISSED: Counter = Counter::new(
    "barograph_gateway_missed_anomalies_total",
    Unit::Anomalies,
    "Anomalies that were left out for clients which did not read fast enough.",
);
pub const RECORDS: Counter<Record> = Counter::new(
    "barograph_gateway_anomalies_read_total",
    Unit::Anomalies,
    "Records read from the topic of anomalies, by what became of them.",
);
pub const DUE: Gauge = Gauge::new(
    "barograph_gateway_due_anomalies",
    Unit::Anomalies,
    "Offsets of the topic of anomalies that were there at the last look and had not been read.",
);
pub const DELIVERY: Histogram = Histogram::new(
    "barograph_gateway_delivery_seconds",
    Unit::Seconds,
    "From published_at to the frame being handed to a connection, for clients that are not catching up.",
    Histogram::<()>::SECONDS,
);
pub const KEPT: Gauge = Gauge::new(
    "barograph_gateway_kept_anomalies",
    Unit::Anomalies,
    "Versions of anomalies in memory.",
);
pub const KEPT_BYTES: Gauge = Gauge::new(
    "barograph_gateway_kept_bytes",
    Unit::Bytes,
    "What these take.",
);

#[derive(Clone)]
pub struct Metrics {
    pub clients: Gauges<Transport>,
    pub refused: Counters<Transport>,
    pub frames: Counters<Transport>,
    pub bytes: Counters<Transport>,
    pub lagged: Counters,
    pub missed: Counters,
    pub records: Counters<Record>,
    pub due: Gauges,
    pub delivery: Histograms,
    pub kept: Gauges,
    pub kept_bytes: Gauges,
}

impl Metrics {
    pub fn new(registry: &Registry) -> Self {
        Self {
            clients: registry.gauge(&CLIENTS),
            refused: registry.counter(&REFUSED),
            frames: registry.counter(&FRAMES),
            bytes: registry.counter(&BYTES),
            lagged: registry.counter(&LAGGED),
            missed: registry.counter(&MISSED),
            records: registry.counter(&RECORDS),
            due: registry.gauge(&DUE),
            delivery: registry.histogram(&DELIVERY),
            kept: registry.gauge(&KEPT),
            kept_bytes: registry.gauge(&KEPT_BYTES),
        }
    }
}
