//! A run of one partition's records on its way to the store.

use tokio::sync::oneshot;

use crate::{Assignment, Day, DayOf, Incarnation, LeaderEpoch, NextOffset, Offset, snapshot::Keep};

/// Which partition, in which incarnation of its topic, during which assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskId {
    pub assignment: Assignment,
    pub incarnation: Incarnation,
}

/// Resolves when the broker has acknowledged a message; an error means that the producer gave up.
pub type Acknowledgement = oneshot::Receiver<Result<(), String>>;

/// Rows of a batch: what the store takes, in order of their offsets.
pub trait Rows: Default + Send + Sync + Sized + 'static {
    fn count(&self) -> usize;
    /// Offset of row `at`, which must exist.
    fn offset_of(&self, at: usize) -> Offset;
    /// The first `at` rows and the others; 0 < `at` < count.
    fn split(self, at: usize) -> (Self, Self);
}

/// Why nothing will ever come of some offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HoleReason {
    /// The broker gives nothing there: transaction markers, aborted records, records compacted away.
    Absent,
    /// The broker gives it, and the client library cannot decode it.
    Unreadable,
    /// It was deleted from the topic before it was read.
    Deleted,
}

impl HoleReason {
    pub const ALL: [Self; 3] = [Self::Absent, Self::Unreadable, Self::Deleted];

    /// Its place among all of them.
    pub const fn at(self) -> usize {
        match self {
            Self::Absent => 0,
            Self::Unreadable => 1,
            Self::Deleted => 2,
        }
    }
}

/// Offsets `[first, end)` of which nothing will ever come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    pub first: Offset,
    pub end: NextOffset,
    pub why: HoleReason,
}

impl Hole {
    pub fn offsets(&self) -> u64 {
        (self.end.raw() - self.first.raw()).max(0).cast_unsigned()
    }
}

/// How many offsets of the hole lie in `[first, end)`.
pub(crate) fn lies_in(hole: &Hole, first: i64, end: i64) -> u64 {
    let (from, to) = (hole.first.raw().max(first), hole.end.raw().min(end));
    (to - from).max(0).cast_unsigned()
}

/// The last record that was taken: what the topic gives at its offset now tells whether its log is
/// still the one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Last {
    pub offset: Offset,
    pub epoch: LeaderEpoch,
}

/// A closed batch: `[first, end)` of one partition, its rows, and what else must be durable before
/// the batch is complete. Each of its offsets is a row, a dead letter, or lies in a hole.
#[derive(Debug)]
pub struct Batch<R> {
    pub id: TaskId,
    pub first: Offset,
    pub end: NextOffset,
    /// Rows to store: one per record that was not dead-lettered.
    pub rows: R,
    /// Records that became dead letters, in order.
    pub letters: Vec<Offset>,
    /// In order; they do not overlap.
    pub holes: Vec<Hole>,
    pub last: Option<Last>,
    pub bytes: usize,
    pub day: DayOf,
    /// Rows of its range may stand since then already, under whatever batches.
    pub since: Option<Day>,
    /// Dead letters and anomalies of these records.
    pub acknowledgements: Vec<Acknowledgement>,
    /// An earlier owner may have inserted it already: count before inserting.
    pub uncertain: bool,
}

/// What a writer is handed, in order.
#[derive(Debug)]
pub enum Work<R> {
    Batch(Batch<R>),
    /// Worth keeping once everything before it is complete.
    Snapshot(Keep),
}

impl<R: Rows> Batch<R> {
    pub fn row_count(&self) -> u64 {
        self.rows.count() as u64
    }

    /// What the store deduplicates by. The same records give the same token, whoever sends them.
    pub fn token(&self) -> String {
        format!(
            "{}-{}-{}-{}",
            self.id.incarnation, self.id.assignment.partition, self.first, self.end
        )
    }

    /// Two halves by rows, both uncertain. The acknowledgements of all its records stay with the
    /// first half: nothing of the batch is complete before they have come. It must have two rows.
    pub fn halve(self) -> (Self, Self) {
        let count = self.rows.count();
        let border = self.rows.offset_of(count / 2);
        let (rows, others) = self.rows.split(count / 2);
        // The border is a row's: no hole holds it.
        let (holes, other_holes) = self.holes.iter().partition(|hole| hole.first < border);
        let letters = self.letters.partition_point(|letter| *letter < border);
        let (letters, other_letters) = self.letters.split_at(letters);
        let (letters, other_letters) = (letters.to_vec(), other_letters.to_vec());
        let bytes = self.bytes / 2;
        let first = Self {
            end: NextOffset::resume_at(border),
            rows,
            letters,
            holes,
            bytes,
            acknowledgements: self.acknowledgements,
            uncertain: true,
            ..self
        };
        let second = Self {
            id: self.id,
            first: border,
            end: self.end,
            rows: others,
            letters: other_letters,
            holes: other_holes,
            last: self.last,
            bytes: self.bytes - bytes,
            day: self.day,
            since: self.since,
            acknowledgements: Vec::new(),
            uncertain: true,
        };
        (first, second)
    }
}
