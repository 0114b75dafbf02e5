//! Where records go.
//! Invariant: what a sink accepted it counts, once, as acknowledged or as failed.

use std::time::Duration;

use contracts::truth::Truth;

use super::run::RunError;
use crate::batch::Record;

/// What became of the records so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) acknowledged: u64,
    pub(super) failed: u64,
    /// Of the values that were acknowledged.
    pub(super) bytes: u64,
}

/// Takes records and labels.
pub(super) trait Sink {
    /// Returns once records can be taken. `Ok(false)`: it was stopped before that.
    fn wait_until_ready(&mut self, stop: &dyn Fn() -> bool) -> Result<bool, RunError>;

    /// Takes a record, or waits until it can. `Ok(false)`: it was stopped, the record is not taken.
    fn send(
        &mut self,
        key: &str,
        record: &Record<'_>,
        stop: &dyn Fn() -> bool,
    ) -> Result<bool, RunError>;

    fn label(&mut self, truth: &Truth, stop: &dyn Fn() -> bool) -> Result<(), RunError>;

    /// Waits for what is on its way, up to `limit`. Returns how much still is.
    fn flush(&mut self, limit: Duration) -> u64;

    fn totals(&self) -> Totals;
}

/// Takes everything and keeps nothing.
#[derive(Debug, Default)]
pub(super) struct Nowhere {
    totals: Totals,
}

impl Sink for Nowhere {
    fn wait_until_ready(&mut self, _: &dyn Fn() -> bool) -> Result<bool, RunError> {
        Ok(true)
    }

    fn send(
        &mut self,
        _: &str,
        record: &Record<'_>,
        _: &dyn Fn() -> bool,
    ) -> Result<bool, RunError> {
        self.totals.acknowledged += 1;
        self.totals.bytes += record.value.len() as u64;
        Ok(true)
    }

    fn label(&mut self, _: &Truth, _: &dyn Fn() -> bool) -> Result<(), RunError> {
        Ok(())
    }

    fn flush(&mut self, _: Duration) -> u64 {
        0
    }

    fn totals(&self) -> Totals {
        self.totals
    }
}
