//! A run of one partition's records on its way to the store.

use tokio::sync::oneshot;

use crate::{Assignment, Incarnation, NextOffset, Offset};

/// Which partition, in which life of its topic, during which assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneId {
    pub assignment: Assignment,
    pub incarnation: Incarnation,
}

/// Resolves when the broker has acknowledged a message; an error means that the producer gave up.
pub type Acknowledgement = oneshot::Receiver<Result<(), String>>;

/// Rows of a block: what the store takes, in order of their offsets.
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
}

impl HoleReason {
    pub const ALL: [Self; 2] = [Self::Absent, Self::Unreadable];
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

/// A closed block: `[first, end)` of one partition, its rows, and what else must be durable before
/// the block is complete. Each of its offsets is a row, a dead letter, or lies in a hole.
#[derive(Debug)]
pub struct Block<R> {
    pub id: LaneId,
    pub first: Offset,
    pub end: NextOffset,
    /// Rows to store: one per record that was not dead-lettered.
    pub rows: R,
    /// In order; they do not overlap.
    pub holes: Vec<Hole>,
    pub bytes: usize,
    /// Dead letters and anomalies of these records.
    pub acknowledgements: Vec<Acknowledgement>,
    /// An earlier owner may have inserted it already: count before inserting.
    pub uncertain: bool,
}

/// What is known of a partition after all records below `next`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub next: NextOffset,
    pub state: Vec<u8>,
}

/// What a writer is handed, in order.
#[derive(Debug)]
pub enum Work<R> {
    Block(Block<R>),
    /// Worth keeping once everything before it is complete, and what else it takes for told.
    Snapshot(Snapshot, Vec<Acknowledgement>),
}

impl<R: Rows> Block<R> {
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
    /// first half: nothing of the block is complete before they have come. `Err`: it has one row.
    pub fn halve(self) -> Result<(Self, Self), Self> {
        let count = self.rows.count();
        if count < 2 {
            return Err(self);
        }
        let border = self.rows.offset_of(count / 2);
        let (rows, others) = self.rows.split(count / 2);
        // The border is a row's: no hole holds it.
        let (holes, other_holes) = self.holes.iter().partition(|hole| hole.first < border);
        let bytes = self.bytes / 2;
        let first = Self {
            end: NextOffset::resume_at(border),
            rows,
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
            holes: other_holes,
            bytes: self.bytes - bytes,
            acknowledgements: Vec::new(),
            uncertain: true,
        };
        Ok((first, second))
    }
}
