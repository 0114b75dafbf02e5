//! How a service starts, stops, and answers for what happened.
//!
//! Invariant: a shutdown, whatever began it, ends within the budget and with one documented exit code.

mod exit;
mod guard;
mod partitions;
mod readiness;
mod run;
#[cfg(test)]
mod run_tests;
mod tasks;

pub use exit::{Exit, HasExit, exit_codes};
pub use partitions::{PartitionReport, Partitions};
pub use readiness::{Latch, LatchReport, Readiness, ReadinessReport};
pub use run::{Service, run};
pub use tasks::{SHUTDOWNS_COMPLETED, SHUTDOWNS_STARTED, Tasks};
