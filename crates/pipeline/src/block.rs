//! A run of one partition's records, gathered until it is worth an insert.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::{Assignment, Incarnation, NextOffset, Offset};

/// When a block is closed, whichever comes first.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub rows: usize,
    pub bytes: usize,
    pub age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rows: 100_000,
            bytes: 32 << 20,
            age: Duration::from_millis(500),
        }
    }
}

/// Resolves when the broker has acknowledged a message; an error means that the producer gave up.
pub type Acknowledgement = oneshot::Receiver<Result<(), String>>;

/// A closed block: `[first, end)` of one partition, its rows, and what else must be durable before
/// the block is complete.
#[derive(Debug)]
pub struct Block<R> {
    pub assignment: Assignment,
    pub incarnation: Incarnation,
    pub first: Offset,
    pub end: NextOffset,
    /// Rows to store: one per record that was not dead-lettered.
    pub rows: R,
    pub row_count: u64,
    pub bytes: usize,
    /// Dead letters and anomalies of these records.
    pub acknowledgements: Vec<Acknowledgement>,
    /// An earlier owner may have inserted it already: count before inserting.
    pub uncertain: bool,
}

impl<R> Block<R> {
    /// What ClickHouse deduplicates by. The same records give the same token, whoever sends them.
    pub fn token(&self) -> String {
        format!(
            "{}-{}-{}-{}",
            self.incarnation, self.assignment.partition, self.first, self.end
        )
    }
}
