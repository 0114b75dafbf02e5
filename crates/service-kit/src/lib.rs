//! What every service needs around its work: options, telemetry, metrics, life cycle, admin endpoints.
//!
//! Invariant: nothing here knows Kafka or ClickHouse; their options are plain values for adapters to read.
//!
//! A service reads `options` first, registers its metrics in a `Registry`, and hands its body to `run`.

pub mod admin;
pub mod http;
pub mod lifecycle;
pub mod metrics;
pub mod options;
pub mod telemetry;

pub use lifecycle::{Exit, HasExit, Latch, Readiness, Service, Tasks, exit_codes, run};
pub use metrics::Registry;
pub use telemetry::Telemetry;
