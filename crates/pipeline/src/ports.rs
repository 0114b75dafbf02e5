//! What the pipeline needs from the outside. Adapters implement these; a simulation does too.

use std::{collections::VecDeque, future::Future, time::Duration};

use crate::{
    Assignment, Batch, Day, Days, LeaderEpoch, Line, Mark, NextOffset, Offset, Partition, Snapshot,
    StateId, TaskId, fence::Fenced, snapshot::Lost,
};

/// What to do about an error. No caller ever guesses from a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Try again, later.
    Transient,
    /// Nobody here knows what it means: try again, but not for ever.
    Unknown,
    /// The data is at fault: trying again gives the same answer.
    Rejected,
    /// Nothing here can go on.
    Fatal,
}

/// How often what nobody knows is tried again: some five minutes.
const MOST_UNKNOWN: u32 = 30;

/// With one piece of work.
#[derive(Debug, Default)]
pub struct Patience {
    /// Errors that nobody knows, without any other in between.
    unknown: u32,
}

impl Patience {
    /// Whether to try again.
    pub fn bears(&mut self, kind: Kind) -> bool {
        match kind {
            Kind::Transient => {
                self.unknown = 0;
                true
            }
            Kind::Unknown => {
                self.unknown += 1;
                self.unknown < MOST_UNKNOWN
            }
            Kind::Rejected | Kind::Fatal => false,
        }
    }
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    pub kind: Kind,
    /// The request may have taken effect although no answer came.
    pub uncertain: bool,
    pub message: String,
}

/// The store of rows.
pub trait RowStore<R>: Send + Sync + 'static {
    /// Stores what the batch's rows refer to, so that it is there before they are. The same again
    /// changes nothing.
    fn prepare(&self, batch: &Batch<R>) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Inserts the batch as one, under its own day, deduplicated by its token among the batches of that
    /// day.
    fn insert(
        &self,
        batch: &Batch<R>,
        days: Days,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Offsets of the batch's range that have a row, of any day since `days.since`.
    fn count(
        &self,
        batch: &Batch<R>,
        days: Days,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;
    /// Inserts those rows of the batch that are missing, under a token of their own and of the
    /// `round`: a repair can be lost behind its token like any other insert.
    fn repair(
        &self,
        batch: &Batch<R>,
        days: Days,
        round: u32,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;
}

/// Where what is known of partitions is kept.
pub trait Snapshots: Send + Sync + 'static {
    fn keep(
        &self,
        id: TaskId,
        snapshot: Snapshot,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Makes a whole of the snapshots that were kept, up to this one, some time later. `lost`: noted where
    /// that was not to be.
    fn fold(&self, id: TaskId, last: (NextOffset, StateId), lost: Lost);
}

/// What stands of a partition that is not kept as lines yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Everything before it is complete.
    pub done: NextOffset,
    /// Complete, and not kept as a line.
    pub open: Option<Line>,
    /// A batch is on its way, of which rows may be stored.
    pub under_way: bool,
}

/// Where it is kept what became of a partition's offsets.
pub trait Accounts: Send + Sync + 'static {
    /// Keeps these lines; the same again changes nothing.
    fn keep_account(
        &self,
        id: TaskId,
        lines: &[Line],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Tells whoever compares what is not kept; `None`: nothing of this partition is ours any more.
    fn stands(&self, id: TaskId, standing: Option<Standing>);
}

/// Where records go that the store will not take.
pub trait DeadLetters: Send + Sync + 'static {
    /// Sets the record at `offset` aside as it was received, and returns once that is durable.
    fn set_aside(
        &self,
        id: TaskId,
        offset: Offset,
        error: &str,
    ) -> impl Future<Output = Result<(), String>> + Send;
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// The partition is not ours any more: stop, commit nothing.
    #[error(transparent)]
    Fenced(#[from] Fenced),
    #[error("commit failed: {0}")]
    Transient(String),
}

/// The consumer group's committed offsets.
pub trait Commits: Send + Sync + 'static {
    /// Commits synchronously. The check of the assignment's epoch and the commit, until the broker's
    /// answer, exclude a rebalance (see [`crate::fence`]).
    fn commit(
        &self,
        at: Assignment,
        mark: Mark,
    ) -> impl Future<Output = Result<(), CommitError>> + Send;
}

/// Waiting and the time that passed, so that a simulation can skip it.
pub trait Clock: Send + Sync + 'static {
    fn sleep(&self, how_long: Duration) -> impl Future<Output = ()> + Send;
    /// Since some moment in the past. Goes on while the process is stopped.
    fn now(&self) -> Duration;
    /// Of the wall clock. Decides how long rows are kept, and nothing else.
    fn today(&self) -> Day;
}

/// One record as it was received.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    pub offset: Offset,
    /// Kafka's timestamp, ms since the epoch; of a record that was sent again from the dead letters,
    /// that of when it first came.
    pub kafka_time: i64,
    pub leader_epoch: LeaderEpoch,
    pub key: Option<&'a [u8]>,
    /// `None`: a tombstone.
    pub value: Option<&'a [u8]>,
    pub rest: &'a dyn Rest,
}

impl<'a> Record<'a> {
    pub fn payload(&self) -> &'a [u8] {
        self.value.unwrap_or_default()
    }

    /// Bytes of all of it. Looks at the headers: not for every record.
    pub fn size(&self) -> usize {
        let headers = self.rest.headers();
        let of_headers = headers
            .iter()
            .map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len));
        of_headers.sum::<usize>() + self.payload().len() + self.key.map_or(0, <[u8]>::len)
    }
}

/// Name and value of a header. Names need not be text.
pub type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// What few records are asked for: nothing of it costs the others.
pub trait Rest {
    /// All of them, in order.
    fn headers(&self) -> Vec<Header<'_>>;
    /// W3C trace context, if it is one.
    fn traceparent(&self) -> Option<&str>;
}

/// No headers.
pub struct Bare;

impl Rest for Bare {
    fn headers(&self) -> Vec<Header<'_>> {
        Vec::new()
    }

    fn traceparent(&self) -> Option<&str> {
        None
    }
}

/// What the group decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Paused until [`RecordSource::start_at`].
    Assigned(Vec<Assignment>),
    /// They go to somebody else once [`RecordSource::release`] is called; until then they are ours.
    Revoking(Vec<Partition>),
    /// They are gone, fenced, and may be somebody else's already.
    Lost(Vec<Partition>),
}

/// What a poll brings.
pub enum Polled<'a> {
    Record(Partition, &'a Record<'a>),
    /// The end of a partition was reached.
    End(Partition),
    Trouble(Trouble),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// No broker answers.
    Away(String),
    /// No broker lets us in.
    Refused(String),
    /// The topic is not what it was: deleted, made anew, or shorter than what was read of it.
    Changed(String),
    /// What is next in some partition cannot be decoded; the others go on.
    Unreadable(String),
    /// Worth a line in the log.
    Warned(String),
    /// Nothing here can go on.
    Failed(String),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("kafka: {0}")]
pub struct SourceError(pub String);

/// The records of one member of a consumer group. Used from one thread.
pub trait RecordSource {
    /// Waits up to `wait` for the first record and gives what has been fetched, and what else there is to
    /// say, of each partition in its order. Of a partition that is paused or assigned again meanwhile,
    /// some of it may still be given until this returns, and nothing after.
    fn poll(&self, wait: Duration, take: &mut dyn FnMut(Polled<'_>));
    /// What the group decided since the last call, oldest first.
    fn changes(&self) -> VecDeque<Change>;
    /// Lets a paused partition flow from `next` on: where it was paused nobody else need know. `epoch`: of the
    /// records before it; if a later leader's
    /// log ends before `next`, that is a change. Waits half a second at most: right after an assignment it may be too
    /// soon, and somebody asks again.
    fn start_at(
        &self,
        partition: Partition,
        next: NextOffset,
        epoch: LeaderEpoch,
    ) -> Result<(), SourceError>;
    fn pause(&self, partition: Partition) -> Result<(), SourceError>;
    /// Fences the partitions that are being revoked and gives them back.
    fn release(&self, partitions: &[Partition]);
    /// Fences what the partitions' tasks have under way and pauses them: a new beginning. `others` go on, each
    /// from there, where all have to be assigned again.
    fn begin_anew(
        &self,
        partitions: &[Partition],
        others: &[(Partition, NextOffset)],
    ) -> Vec<Assignment>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_knows_is_not_tried_for_ever_and_what_passes_is() {
        let mut patience = Patience::default();
        assert!((0..1000).all(|_| patience.bears(Kind::Transient)));
        assert!((1..MOST_UNKNOWN).all(|_| patience.bears(Kind::Unknown)));
        // Something else in between: it does change.
        assert!(patience.bears(Kind::Transient));
        assert!((1..MOST_UNKNOWN).all(|_| patience.bears(Kind::Unknown)));
        assert!(!patience.bears(Kind::Unknown));
        assert!(!Patience::default().bears(Kind::Rejected));
        assert!(!Patience::default().bears(Kind::Fatal));
    }
}
