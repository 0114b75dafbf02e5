//! What the pipeline needs from the outside. Adapters implement these; a simulation does too.

use std::{future::Future, time::Duration};

use crate::{Assignment, Block, Intent, NextOffset};

/// What to do about an error. No caller ever guesses from a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Try again, later.
    Transient,
    /// The data is at fault: trying again gives the same answer.
    Rejected,
    /// Nothing here can go on.
    Fatal,
}

#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    pub kind: Kind,
    /// The request may have taken effect although no answer came.
    pub uncertain: bool,
    pub message: String,
}

/// The store of rows.
pub trait RowStore<R>: Send + Sync + 'static {
    /// Inserts the block as one, deduplicated by its token.
    fn insert(&self, block: &Block<R>) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Rows of the block's range that are stored.
    fn count(&self, block: &Block<R>) -> impl Future<Output = Result<u64, StoreError>> + Send;
    /// Inserts those rows of the block that are missing, under a token of their own.
    fn repair(&self, block: &Block<R>) -> impl Future<Output = Result<u64, StoreError>> + Send;
}

#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The partition is not ours any more: stop, commit nothing.
    #[error("partition {} is no longer assigned to this consumer", .0.partition)]
    Fenced(Assignment),
    #[error("commit failed: {0}")]
    Transient(String),
}

/// The consumer group's committed offsets.
pub trait Commits: Send + Sync + 'static {
    /// Commits synchronously, with the intent as metadata. The check of the assignment's epoch and
    /// the commit, until the broker's answer, exclude a rebalance.
    fn commit(
        &self,
        at: Assignment,
        next: NextOffset,
        intent: Option<Intent>,
    ) -> impl Future<Output = Result<(), CommitError>> + Send;
}

/// Wall-clock waiting, so that a simulation can skip it.
pub trait Clock: Send + Sync + 'static {
    fn sleep(&self, how_long: Duration) -> impl Future<Output = ()> + Send;
}

/// The real one.
#[derive(Debug, Clone, Copy)]
pub struct WallClock;

impl Clock for WallClock {
    async fn sleep(&self, how_long: Duration) {
        tokio::time::sleep(how_long).await;
    }
}
