//! Takes one partition's blocks through intent, insert and completion, one at a time.
//!
//! Invariants:
//! - at most one block of a partition is between intent and acknowledgement;
//! - once its intent is committed, a block's range never changes;
//! - a block whose insert had no clear answer is counted before anything else happens;
//! - the writer ends as soon as it is fenced, and commits nothing afterwards.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

use crate::{
    Assignment, Block, Intent, NextOffset, PartitionLedger,
    backoff::Backoff,
    ports::{Clock, CommitError, Commits, Kind, RowStore, StoreError},
};

/// Why a writer ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    #[error(transparent)]
    Fenced(CommitError),
    /// The store will not take this block, and nothing here can change that.
    #[error("partition {partition}: block [{first}, {end}) cannot be stored: {source}", partition = at.partition)]
    Store {
        at: Assignment,
        first: crate::Offset,
        end: NextOffset,
        source: StoreError,
    },
    #[error("partition {partition}: a message was not acknowledged: {reason}", partition = at.partition)]
    Unacknowledged { at: Assignment, reason: String },
}

/// What a finished block tells the intake: its budget is free again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    pub at: Assignment,
    pub rows: u64,
    pub bytes: usize,
    pub next: NextOffset,
}

/// Counts of what happened, for metrics.
pub trait WriterMetrics: Send + Sync + 'static {
    fn stored(&self, rows: u64, bytes: usize, took: Duration);
    fn retried(&self, error: &StoreError);
    fn settled(&self, already_there: bool);
    fn commit_retried(&self);
}

pub struct Writer<S, C, K, M> {
    pub at: Assignment,
    pub store: Arc<S>,
    pub commits: Arc<C>,
    pub clock: Arc<K>,
    pub metrics: Arc<M>,
    pub resume: NextOffset,
}

impl<S, C: Commits, K: Clock, M: WriterMetrics> Writer<S, C, K, M> {
    /// Runs until the channel closes, then commits the end without an intent.
    pub async fn run<R: Send + Sync + 'static>(
        self,
        mut blocks: mpsc::Receiver<Block<R>>,
        finished: mpsc::UnboundedSender<Finished>,
    ) -> Result<(), Ended>
    where
        S: RowStore<R>,
    {
        let mut ledger = PartitionLedger::resuming_at(self.resume);
        let mut committed = self.resume;
        loop {
            let block = if let Ok(block) = blocks.try_recv() {
                block
            } else {
                // Nothing waits: say that no block is open, so that a restart has nothing to settle.
                if ledger.committable() != committed {
                    committed = ledger.committable();
                    self.commit(committed, None).await?;
                }
                match blocks.recv().await {
                    Some(block) => block,
                    None => return Ok(()),
                }
            };
            ledger.observe(block.first, block.end);
            // The committed offset is where the block begins: a hole before it (compaction) counts as done.
            self.commit(
                NextOffset::resume_at(block.first),
                Some(Intent { end: block.end }),
            )
            .await?;
            let note = Finished {
                at: self.at,
                rows: block.row_count,
                bytes: block.bytes,
                next: block.end,
            };
            self.store(block)
                .await
                .map(|first| ledger.complete(first))?;
            // The intake may be gone already; then nobody waits for the budget.
            let _gone = finished.send(note);
        }
    }

    async fn store<R: Send + Sync + 'static>(
        &self,
        mut block: Block<R>,
    ) -> Result<crate::Offset, Ended>
    where
        S: RowStore<R>,
    {
        let started = tokio::time::Instant::now();
        let mut backoff = Backoff::new(
            Duration::from_millis(100),
            Duration::from_secs(10),
            block.first.raw() as u64,
        );
        let mut uncertain = block.uncertain;
        // A block of dead letters alone has nothing to insert.
        let mut stored = block.row_count == 0;
        while !stored {
            match self.attempt(&block, uncertain).await {
                Ok(()) => stored = true,
                Err(error) if error.kind == Kind::Transient => {
                    uncertain |= error.uncertain;
                    self.metrics.retried(&error);
                    tracing::warn!(partition = %self.at.partition, first = %block.first, error = %error, "insert failed, trying again");
                    self.clock.sleep(backoff.delay()).await;
                }
                Err(source) => {
                    return Err(Ended::Store {
                        at: self.at,
                        first: block.first,
                        end: block.end,
                        source,
                    });
                }
            }
        }
        for acknowledgement in block.acknowledgements.drain(..) {
            let reason = match acknowledgement.await {
                Ok(Ok(())) => continue,
                Ok(Err(reason)) => reason,
                Err(_) => "the producer stopped".to_owned(),
            };
            return Err(Ended::Unacknowledged {
                at: self.at,
                reason,
            });
        }
        self.metrics
            .stored(block.row_count, block.bytes, started.elapsed());
        Ok(block.first)
    }

    /// One try. When unsure, the count decides: the token alone may have outlived its part.
    async fn attempt<R: Send + Sync + 'static>(
        &self,
        block: &Block<R>,
        uncertain: bool,
    ) -> Result<(), StoreError>
    where
        S: RowStore<R>,
    {
        if uncertain {
            let there = self.store.count(block).await?;
            self.metrics.settled(there == block.row_count);
            if there == block.row_count {
                return Ok(());
            }
        }
        self.store.insert(block).await?;
        if !uncertain {
            return Ok(());
        }
        if self.store.count(block).await? == block.row_count {
            return Ok(());
        }
        self.store.repair(block).await.map(|_rows| ())
    }

    async fn commit(&self, next: NextOffset, intent: Option<Intent>) -> Result<(), Ended> {
        let mut backoff = Backoff::new(
            Duration::from_millis(50),
            Duration::from_secs(2),
            next.raw() as u64,
        );
        loop {
            match self.commits.commit(self.at, next, intent).await {
                Ok(()) => return Ok(()),
                Err(fenced @ CommitError::Fenced(_)) => return Err(Ended::Fenced(fenced)),
                Err(CommitError::Transient(reason)) => {
                    self.metrics.commit_retried();
                    tracing::warn!(partition = %self.at.partition, reason, "commit failed, trying again");
                    self.clock.sleep(backoff.delay()).await;
                }
            }
        }
    }
}
