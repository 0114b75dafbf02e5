//! Takes one partition's batches through intent, insert and completion, one at a time.
//!
//! Invariants:
//! - at most one batch of a partition is between intent and acknowledgement;
//! - once its intent is committed, a batch's range never changes, unless the store rejects its data,
//!   and neither does its day;
//! - what a batch's rows refer to is stored before anything is asked or said about the rows;
//! - a batch whose insert had no clear answer is counted before anything else happens;
//! - nothing is sent to the store when the last proof that the partition is ours is older than the
//!   lease;
//! - what became of an offset is kept as a line of the account before anything past it is committed,
//!   or travels with what is committed;
//! - a snapshot is kept only by who has just proved to own the partition;
//! - the writer ends as soon as it is fenced, and commits nothing afterwards.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

use crate::{
    Account, Batch, DayOf, Days, Intent, Line, Mark, NextOffset, Offset, Rows, TaskId, Work,
    backoff::Backoff,
    batch::{Acknowledgement, Last},
    fence::Fenced,
    ports::{
        Accounts, Clock, CommitError, Commits, DeadLetters, Kind, Patience, RowStore, Snapshots,
        Standing, StoreError,
    },
    snapshot::Keep,
};

/// A line that nothing closes is kept after that long: what is in no line has to be read again when
/// somebody sets the group's offset.
const LONGEST_OPEN: Duration = Duration::from_secs(60);

/// Repairs after which rows that are still missing are taken for removed by the store itself: its
/// retention may be shorter than the age of the records, and must not hold the partition up for ever.
const MOST_REPAIRS: u32 = 8;

/// Why a writer ended before its work did.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    #[error(transparent)]
    Fenced(#[from] Fenced),
    /// The store will not take this batch, and nothing here can change that.
    #[error("partition {partition}: batch [{first}, {end}) cannot be stored: {source}", partition = id.assignment.partition)]
    Store {
        id: TaskId,
        first: Offset,
        end: NextOffset,
        source: StoreError,
    },
    #[error("partition {partition}: a message was not acknowledged: {reason}", partition = id.assignment.partition)]
    Unacknowledged { id: TaskId, reason: String },
}

/// What a finished batch tells the consumer loop: its budget is free again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    pub id: TaskId,
    pub bytes: usize,
}

/// Counts of what happened, for metrics.
pub trait WriterMetrics: Send + Sync + 'static {
    fn stored(&self, rows: u64, took: Duration);
    fn retried(&self, error: &StoreError);
    fn settled(&self, already_there: bool);
    fn repaired(&self, rows: u64);
    fn vanished(&self, rows: u64);
    fn rejected(&self);
    /// A row that the store rejects became a dead letter.
    fn set_aside(&self);
    fn renewed(&self);
    fn commit_retried(&self);
    fn snapshot(&self, bytes: usize, is_whole: bool, kept: bool);
    /// What keeps the writer from getting on, or that nothing does any more.
    fn troubled(&self, id: TaskId, why: Option<&str>);
}

/// How far the work on a partition has come.
#[derive(Debug)]
pub struct Ledger {
    /// Everything before it is complete.
    pub resume: NextOffset,
    /// What stands committed, as far as it is ours and true.
    pub committed: Option<Mark>,
    /// What stood committed when the partition was taken, or what would say the same: whoever can commit it
    /// has the partition.
    pub found: Mark,
    /// What became of the offsets before it that are in no line.
    pub account: Account,
    /// The last record that was taken.
    pub last: Option<Last>,
}

pub struct Writer<S, C, D, K, M> {
    pub id: TaskId,
    pub store: Arc<S>,
    pub commits: Arc<C>,
    pub dead_letters: Arc<D>,
    pub clock: Arc<K>,
    pub metrics: Arc<M>,
    pub ledger: Ledger,
    /// How long the broker's answer to an intent is taken for proof that the partition is ours.
    /// Far below what the store's deduplication window holds.
    pub lease: Duration,
}

/// How a batch's way ended.
enum Outcome {
    Stored,
    Rejected(StoreError),
}

impl<S: Snapshots + Accounts, C: Commits, D: DeadLetters, K: Clock, M: WriterMetrics>
    Writer<S, C, D, K, M>
{
    /// Runs until the channel closes, then commits the end without an intent.
    pub async fn run<R: Rows>(
        mut self,
        mut work: mpsc::Receiver<Work<R>>,
        finished: mpsc::UnboundedSender<Finished>,
    ) -> Result<(), Ended>
    where
        S: RowStore<R>,
    {
        let outcome = self.work(&mut work, &finished).await;
        self.store.stands(self.id, None);
        outcome
    }

    async fn work<R: Rows>(
        &mut self,
        work: &mut mpsc::Receiver<Work<R>>,
        finished: &mpsc::UnboundedSender<Finished>,
    ) -> Result<(), Ended>
    where
        S: RowStore<R>,
    {
        let mut kept = self.clock.now();
        self.ledger.account.start(self.clock.today());
        self.tell(false);
        if !self.ledger.account.closed().is_empty() {
            // What was found may be long past, and the partition somebody else's.
            self.send(self.ledger.found).await?;
        }
        self.keep_account().await?;
        loop {
            let next = if let Ok(next) = work.try_recv() {
                next
            } else {
                // Nothing waits: say that no batch is open, so that a restart has nothing to settle.
                // An announced batch that is still to come begins where this stands.
                if self.ledger.committed.map(|mark| mark.next) != Some(self.ledger.resume) {
                    self.commit(self.ledger.resume, self.ledger.last, None)
                        .await?;
                }
                if let Some(next) = work.recv().await {
                    next
                } else {
                    self.part().await;
                    return Ok(());
                }
            };
            match next {
                Work::Batch(batch) => {
                    let bytes = batch.bytes;
                    self.finish(batch).await?;
                    if self.clock.now().saturating_sub(kept) >= LONGEST_OPEN {
                        kept = self.clock.now();
                        self.ledger.account.close();
                        self.keep_account().await?;
                    }
                    // The consumer loop may be gone already; then nobody waits for the budget.
                    let _gone = finished.send(Finished { id: self.id, bytes });
                }
                Work::Snapshot(mut keep) => {
                    self.acknowledged(&mut keep.acknowledgements).await?;
                    // Also a proof that the partition is ours: whoever has lost it without knowing may
                    // have missed records that nobody will miss in the store.
                    self.commit(self.ledger.resume, self.ledger.last, None)
                        .await?;
                    self.keep(keep).await;
                }
            }
        }
    }

    async fn keep(&self, keep: Keep) {
        let Keep {
            snapshot,
            fold,
            lost,
            ..
        } = keep;
        let (bytes, is_whole) = (snapshot.bytes.len(), snapshot.since.is_none());
        let last = (snapshot.next, snapshot.id);
        let kept = self.store.keep(self.id, snapshot).await;
        self.metrics.snapshot(bytes, is_whole, kept.is_ok());
        match kept {
            Ok(()) if fold => self.store.fold(self.id, last, lost),
            Ok(()) => {}
            Err(error) => {
                lost.note();
                tracing::warn!(partition = %self.id.assignment.partition, %error, "the detectors' state was not kept; the next one will be tried");
            }
        }
    }

    /// Stores the batch; pieces of it where the store rejects the whole.
    async fn finish<R: Rows>(&mut self, batch: Batch<R>) -> Result<(), Ended>
    where
        S: RowStore<R>,
    {
        let days = batch.day.decide(self.clock.today(), batch.since);
        let mut pieces = vec![Batch {
            day: DayOf::Intent(days.own),
            ..batch
        }];
        while let Some(mut piece) = pieces.pop() {
            let started = self.clock.now();
            self.tell(true);
            match self.store(&piece, days).await? {
                Outcome::Stored => {
                    self.acknowledged(&mut piece.acknowledgements).await?;
                    self.complete(&piece, days, false).await?;
                    self.metrics
                        .stored(piece.row_count(), self.clock.now().saturating_sub(started));
                }
                Outcome::Rejected(error) => {
                    self.metrics.rejected();
                    tracing::warn!(partition = %self.id.assignment.partition, first = %piece.first, end = %piece.end, rows = piece.row_count(), %error, "the store rejects rows");
                    if piece.row_count() > 1 {
                        let (first, second) = piece.halve();
                        pieces.extend([second, first]);
                    } else {
                        self.set_aside(piece.rows.offset_of(0), &error).await;
                        self.acknowledged(&mut piece.acknowledgements).await?;
                        self.complete(&piece, days, true).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Everything of the piece is durable.
    async fn complete<R: Rows>(
        &mut self,
        piece: &Batch<R>,
        days: Days,
        set_aside: bool,
    ) -> Result<(), Ended>
    where
        S: RowStore<R>,
    {
        self.ledger.account.add(piece, days.own, set_aside);
        self.ledger.resume = piece.end;
        self.ledger.last = piece.last.or(self.ledger.last);
        self.keep_account().await?;
        self.tell(false);
        Ok(())
    }

    /// The end of an orderly way: what is kept now need not be read again, whoever sets offsets. What
    /// is committed says the same, so that nothing is lost where this fails.
    async fn part(&mut self) {
        self.ledger.account.close();
        let lines = self.ledger.account.closed();
        if lines.is_empty() {
            return;
        }
        self.tell(true);
        if let Err(error) = self.store.keep_account(self.id, lines).await {
            tracing::debug!(%error, "the account's last line is only committed");
        }
    }

    /// Keeps what is closed.
    async fn keep_account(&mut self) -> Result<(), Ended> {
        let mut backoff = Backoff::new(
            Duration::from_millis(100),
            Duration::from_secs(10),
            self.ledger.resume.raw() as u64,
        );
        let Some((first, end)) = ends(self.ledger.account.closed()) else {
            return Ok(());
        };
        // Sent, a line may be kept long before that is known: whoever compares must not count it as open too.
        self.tell(true);
        let mut patience = Patience::default();
        while let Err(error) = self
            .store
            .keep_account(self.id, self.ledger.account.closed())
            .await
        {
            if !patience.bears(error.kind) {
                return Err(Ended::Store {
                    id: self.id,
                    first,
                    end,
                    source: error,
                });
            }
            self.metrics.retried(&error);
            tracing::warn!(partition = %self.id.assignment.partition, %first, %error, "the account was not kept, trying again");
            self.clock.sleep(backoff.delay()).await;
            // Whoever has lost the partition meanwhile ends here.
            if let Some(mark) = self.ledger.committed {
                self.send(mark).await?;
            }
        }
        self.ledger.account.kept();
        self.tell(false);
        Ok(())
    }

    fn tell(&self, under_way: bool) {
        let standing = Standing {
            done: self.ledger.resume,
            open: self.ledger.account.open().copied(),
            under_way,
        };
        self.store.stands(self.id, Some(standing));
    }

    /// Intent and insert, until it is known how the insert ended.
    async fn store<R: Rows>(&mut self, batch: &Batch<R>, days: Days) -> Result<Outcome, Ended>
    where
        S: RowStore<R>,
    {
        let intent = Intent {
            end: batch.end,
            day: Some(days.own),
        };
        let first = NextOffset::resume_at(batch.first);
        // The batch's own last record tells too whether the log is still the one it was read from.
        let last = batch.last.or(self.ledger.last);
        let mut proof = self.commit(first, last, Some(intent)).await?;
        let mut backoff = Backoff::new(
            Duration::from_millis(100),
            Duration::from_secs(10),
            batch.first.raw() as u64,
        );
        let mut uncertain = batch.uncertain;
        let mut prepared = false;
        let mut patience = Patience::default();
        loop {
            if self.clock.now().saturating_sub(proof) >= self.lease {
                self.metrics.renewed();
                proof = self.commit(first, last, Some(intent)).await?;
            }
            let tried = if prepared {
                self.attempt(batch, days, uncertain).await
            } else {
                self.store.prepare(batch).await.map_err(of_preparation)
            };
            let error = match tried {
                // A batch of dead letters alone has nothing to insert.
                Ok(()) if prepared || batch.row_count() == 0 => {
                    self.metrics.troubled(self.id, None);
                    return Ok(Outcome::Stored);
                }
                Ok(()) => {
                    prepared = true;
                    continue;
                }
                Err(error) => error,
            };
            match error.kind {
                Kind::Transient | Kind::Unknown if patience.bears(error.kind) => {
                    uncertain |= error.uncertain;
                    self.metrics.retried(&error);
                    self.metrics.troubled(self.id, Some(&error.message));
                    tracing::warn!(partition = %self.id.assignment.partition, first = %batch.first, %error, "insert failed, trying again");
                    self.clock.sleep(backoff.delay()).await;
                }
                // What was tried before it was rejected may have landed.
                Kind::Rejected if uncertain => match self.store.count(batch, days).await {
                    Ok(there) if there == batch.row_count() => return Ok(Outcome::Stored),
                    Ok(_) => return Ok(Outcome::Rejected(error)),
                    Err(_) => self.clock.sleep(backoff.delay()).await,
                },
                Kind::Rejected => return Ok(Outcome::Rejected(error)),
                Kind::Fatal | Kind::Transient | Kind::Unknown => {
                    return Err(Ended::Store {
                        id: self.id,
                        first: batch.first,
                        end: batch.end,
                        source: error,
                    });
                }
            }
        }
    }

    /// One try. When unsure, the count decides: the token alone may have outlived its part.
    async fn attempt<R: Rows>(
        &self,
        batch: &Batch<R>,
        days: Days,
        uncertain: bool,
    ) -> Result<(), StoreError>
    where
        S: RowStore<R>,
    {
        if uncertain {
            let there = self.store.count(batch, days).await?;
            let already_there = there == batch.row_count();
            self.metrics.settled(already_there);
            tracing::info!(partition = %self.id.assignment.partition, first = %batch.first, end = %batch.end, there, already_there, "batch settled by count");
            if already_there {
                return Ok(());
            }
            // Rows of another batch's range: the whole one would double them.
            if there > 0 {
                return self.make_whole(batch, days, there).await;
            }
        }
        self.store.insert(batch, days).await?;
        if !uncertain {
            return Ok(());
        }
        let there = self.store.count(batch, days).await?;
        self.make_whole(batch, days, there).await
    }

    /// Inserts what is missing, row by row.
    async fn make_whole<R: Rows>(
        &self,
        batch: &Batch<R>,
        days: Days,
        mut there: u64,
    ) -> Result<(), StoreError>
    where
        S: RowStore<R>,
    {
        // The token outlived its part, and so may a repair's.
        for round in 0..MOST_REPAIRS {
            if there == batch.row_count() {
                return Ok(());
            }
            self.metrics
                .repaired(self.store.repair(batch, days, round).await?);
            there = self.store.count(batch, days).await?;
        }
        let vanished = batch.row_count().saturating_sub(there);
        if vanished > 0 {
            self.metrics.vanished(vanished);
            tracing::error!(partition = %self.id.assignment.partition, first = %batch.first, end = %batch.end, rows = vanished,
                "rows are gone as soon as they are inserted: are they older than the store keeps rows?");
        }
        Ok(())
    }

    async fn acknowledged(&self, messages: &mut Vec<Acknowledgement>) -> Result<(), Ended> {
        for acknowledgement in messages.drain(..) {
            let reason = match acknowledgement.await {
                Ok(Ok(())) => continue,
                Ok(Err(reason)) => reason,
                Err(_) => "the producer stopped".to_owned(),
            };
            return Err(Ended::Unacknowledged {
                id: self.id,
                reason,
            });
        }
        Ok(())
    }

    async fn set_aside(&self, offset: Offset, error: &StoreError) {
        let mut backoff = Backoff::new(
            Duration::from_millis(100),
            Duration::from_secs(10),
            offset.raw() as u64,
        );
        while let Err(reason) = self
            .dead_letters
            .set_aside(self.id, offset, &error.message)
            .await
        {
            tracing::warn!(partition = %self.id.assignment.partition, %offset, reason, "cannot be set aside yet");
            self.clock.sleep(backoff.delay()).await;
        }
        self.metrics.set_aside();
    }

    /// Returns when it was sent: the broker's answer proves that the partition was ours then.
    async fn commit(
        &mut self,
        next: NextOffset,
        last: Option<Last>,
        intent: Option<Intent>,
    ) -> Result<Duration, Fenced> {
        let mark = Mark {
            next,
            incarnation: self.id.incarnation,
            last,
            account: self.ledger.account.open().copied(),
            intent,
        };
        let sent = self.send(mark).await?;
        self.ledger.committed = Some(mark);
        Ok(sent)
    }

    async fn send(&self, mark: Mark) -> Result<Duration, Fenced> {
        let next = mark.next;
        let mut backoff = Backoff::new(
            Duration::from_millis(50),
            Duration::from_secs(2),
            next.raw() as u64,
        );
        loop {
            let sent = self.clock.now();
            match self.commits.commit(self.id.assignment, mark).await {
                Ok(()) => {
                    self.metrics.troubled(self.id, None);
                    return Ok(sent);
                }
                Err(CommitError::Fenced(fenced)) => return Err(fenced),
                Err(CommitError::Transient(reason)) => {
                    self.metrics.commit_retried();
                    self.metrics.troubled(self.id, Some(&reason));
                    tracing::warn!(partition = %self.id.assignment.partition, reason, "commit failed, trying again");
                    self.clock.sleep(backoff.delay()).await;
                }
            }
        }
    }
}

/// Where the lines begin and end.
fn ends(lines: &[Line]) -> Option<(Offset, NextOffset)> {
    Some((lines.first()?.first, lines.last()?.end))
}

/// No row was sent, and no piece of the batch could do without what is refused.
fn of_preparation(error: StoreError) -> StoreError {
    let kind = match error.kind {
        Kind::Rejected => Kind::Fatal,
        Kind::Transient | Kind::Unknown | Kind::Fatal => error.kind,
    };
    StoreError {
        kind,
        uncertain: false,
        ..error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_before_the_rows_are_sent_is_not_the_rows_fault() {
        for (kind, becomes) in [
            (Kind::Transient, Kind::Transient),
            (Kind::Unknown, Kind::Unknown),
            (Kind::Rejected, Kind::Fatal),
            (Kind::Fatal, Kind::Fatal),
        ] {
            let error = of_preparation(StoreError {
                kind,
                uncertain: true,
                message: "why".to_owned(),
            });
            assert_eq!((error.kind, error.uncertain), (becomes, false));
        }
    }
}
