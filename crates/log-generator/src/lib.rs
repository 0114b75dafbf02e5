//! Simulates the logs of a fleet of services, and injects labelled anomalies.
//!
//! `Fleet` (who there is) and `Schedule` (what goes wrong when) make a `Simulation`, which hands
//! out records tick by tick in event time; `Labels` says what was injected.
//! Invariant: the same seed, start and schedule give the same bytes in the same order, on any
//! machine and with any number of threads. Nothing outside `service` reads a clock or does I/O.

mod batch;
mod catalog;
mod fleet;
mod injection;
mod json;
mod labels;
mod people;
mod random;
mod schedule;
pub mod service;
mod shard;
mod simulation;
mod spec;
mod template;
mod tick;
mod time_text;
mod trace;
mod traffic;
mod voice;
mod workers;

pub use batch::{Record, TickRecords};
pub use fleet::{BadFleet, Fleet, MOST_RATE, MOST_SERVICES, Service, Settings};
pub use injection::Injection;
pub use labels::Labels;
pub use schedule::{Refused, Schedule};
pub use simulation::{Simulation, Ticked};
pub use spec::{BadSpec, Spec, duration_ms};
pub use tick::{TICK_MS, Tick};
pub use workers::WorkerError;
