//! Metrics as typed constants, and the registry that turns them into counters to add to.
//!
//! Invariant: label values come from closed sets or bounded ones, so that the number of series is bounded.
//! Everything is resolved at registration: counting is one atomic addition, without hashing or allocation.
//!
//! ```
//! use service_kit::metrics::{Counter, Counters, Gauge, Gauges, Registry, Unit};
//!
//! service_kit::labels! {
//!     /// How a record left the pipeline.
//!     pub enum Ending as "ending" { Stored = "stored", DeadLettered = "dead_lettered" }
//! }
//! const RECORDS: Counter<Ending> = Counter::new(
//!     "barograph_records_total", Unit::Records, "Records that left the pipeline, by how they ended.");
//! const OPEN: Gauge = Gauge::new("barograph_open_batches", Unit::Batches, "Batches that are being filled.");
//!
//! struct Metrics { records: Counters<Ending>, open: Gauges }
//!
//! let registry = Registry::new();
//! let metrics = Metrics { records: registry.counter(&RECORDS), open: registry.gauge(&OPEN) };
//! metrics.records.at(Ending::Stored).inc_by(3);
//! metrics.open.set(1.0);
//! assert!(registry.encode().contains(r#"barograph_records_total{ending="stored"} 3"#));
//! ```

mod definition;
mod describe;
mod family;
mod label;
mod registry;

pub use definition::{Counter, Gauge, Histogram, Unit};
pub use describe::{Description, Kind, markdown};
pub use family::{CounterFamily, Family, GaugeFamily, OTHER};
pub use label::{Label, Labels};
pub use registry::{Children, Counters, Gauges, Histograms, Registry};
