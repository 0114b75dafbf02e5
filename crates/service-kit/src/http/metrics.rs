//! What the HTTP servers count.

use crate::metrics::{Counter, Counters, Gauge, Gauges, Registry, Unit};

crate::labels! {
    /// Whose server it is.
    pub enum Listener as "listener" { Admin = "admin", Clients = "clients" }
}

crate::labels! {
    /// Why a connection or a request was refused: all places are taken, all of its address are, or its
    /// host is none of ours.
    pub enum Refused as "reason" { Full = "full", Address = "address", Host = "host" }
}

crate::labels! {
    /// Why a connection was cut off: it took nothing in time, or too many bytes waited for it.
    pub enum Dropped as "reason" { Stalled = "stalled", Unsent = "unsent" }
}

pub const CONNECTIONS: Gauge<Listener> = Gauge::new(
    "barograph_http_connections",
    Unit::Connections,
    "Connections that are open.",
);
pub const REFUSED: Counter<Refused> = Counter::new(
    "barograph_http_refused_total",
    Unit::Count,
    "Connections and requests that were refused.",
);
pub const DROPPED: Counter<Dropped> = Counter::new(
    "barograph_http_dropped_total",
    Unit::Connections,
    "Connections that were cut off because of what waited for them.",
);

#[derive(Clone)]
pub(super) struct Metrics {
    pub(super) connections: Gauges<Listener>,
    pub(super) refused: Counters<Refused>,
    pub(super) dropped: Counters<Dropped>,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            connections: registry.gauge(&CONNECTIONS),
            refused: registry.counter(&REFUSED),
            dropped: registry.counter(&DROPPED),
        }
    }
}

/// Puts them into the registry without a server.
pub fn register(registry: &Registry) {
    Metrics::new(registry);
}
