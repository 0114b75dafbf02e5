//! Gathers one partition's records into blocks.
//!
//! Invariants:
//! - a block holds every record of its range, once;
//! - a block whose range an earlier owner announced is closed exactly at that range's end;
//! - records before the point where this assignment takes over are in no block.

use std::time::{Duration, Instant};

use crate::{
    Block, NextOffset, Offset,
    beginning::Beginning,
    block::{Acknowledgement, LaneId, Rows},
};

/// When a block is closed, whichever comes first.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub rows: usize,
    /// Of the records as they were received.
    pub bytes: usize,
    /// Of a partition that is read to its end as it grows.
    pub age: Duration,
    /// Of a partition that is behind: what is late already gains by larger blocks, which cost the
    /// store less.
    pub age_behind: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rows: 250_000,
            bytes: 40 << 20,
            age: Duration::from_millis(500),
            age_behind: Duration::from_secs(5),
        }
    }
}

/// What to do with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It was seen before (after a seek): pass over it.
    Again,
    /// It was finished by an earlier owner: it only teaches the detectors.
    Replay,
    New,
}

pub struct Gather<R> {
    id: LaneId,
    limits: Limits,
    take_from: NextOffset,
    /// End of the block that an earlier owner announced.
    announced_end: Option<NextOffset>,
    /// One past the newest record seen.
    next: NextOffset,
    open: Option<Open<R>>,
}

/// The block that is being gathered.
pub struct Open<R> {
    first: Offset,
    since: Instant,
    pub rows: R,
    pub acknowledgements: Vec<Acknowledgement>,
    /// Of the records as they were received.
    pub bytes: usize,
}

impl<R: Rows> Gather<R> {
    pub fn new(id: LaneId, limits: Limits, beginning: Beginning) -> Self {
        Self {
            id,
            limits,
            take_from: beginning.take_from,
            announced_end: beginning.announced_end,
            next: beginning.replay_from,
            open: None,
        }
    }

    pub fn id(&self) -> LaneId {
        self.id
    }

    /// One past the newest record seen.
    pub fn next(&self) -> NextOffset {
        self.next
    }

    /// Offsets between the newest record and `offset` that did not come: transaction markers, records
    /// that were compacted away.
    pub fn hole_before(&self, offset: Offset) -> u64 {
        (offset.raw() - self.next.raw()).max(0).cast_unsigned()
    }

    /// The record at `offset` has come.
    pub fn see(&mut self, offset: Offset) -> Seen {
        if offset < self.next.offset() {
            return Seen::Again;
        }
        self.next = offset.next();
        if offset < self.take_from.offset() {
            Seen::Replay
        } else {
            Seen::New
        }
    }

    /// Whether the state of the detectors is that of everything before [`Self::next`], finished or
    /// in blocks of this assignment.
    pub fn has_caught_up(&self) -> bool {
        self.next >= self.take_from
    }

    /// The open block, made if there is none: `first` is then its first record.
    pub fn open(&mut self, first: Offset, now: Instant, rows: impl FnOnce() -> R) -> &mut Open<R> {
        self.open.get_or_insert_with(|| Open {
            first,
            since: now,
            rows: rows(),
            acknowledgements: Vec::new(),
            bytes: 0,
        })
    }

    pub fn open_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_none()
    }

    /// Whether the open block should be closed now.
    pub fn is_due(&self, now: Instant, behind: bool) -> bool {
        self.due_in(now, behind) == Some(Duration::ZERO) || self.is_full()
    }

    /// Whether the open block can take no more, and reading must wait for it to be closed.
    pub fn is_full(&self) -> bool {
        let Some(open) = &self.open else { return false };
        match self.announced_end {
            Some(end) => self.next >= end,
            None => open.rows.count() >= self.limits.rows || open.bytes >= self.limits.bytes,
        }
    }

    /// Time until the open block is due by age; `None` where age does not decide.
    pub fn due_in(&self, now: Instant, behind: bool) -> Option<Duration> {
        if self.announced_end.is_some() {
            return None;
        }
        let age = now.duration_since(self.open.as_ref()?.since);
        let most = if behind {
            self.limits.age_behind
        } else {
            self.limits.age
        };
        Some(most.saturating_sub(age))
    }

    /// The next record is `offset`. If it lies past the range that an earlier owner announced, that
    /// range is over although its last records never came (compaction, transaction markers).
    pub fn reach(&mut self, offset: Offset) {
        let Some(end) = self.announced_end.filter(|end| offset >= end.offset()) else {
            return;
        };
        self.next = self.next.max(end);
        if self.open.is_none() {
            self.announced_end = None;
        }
    }

    /// Closes the open block. One that an earlier owner announced stays open until it is whole.
    pub fn close(&mut self) -> Option<Block<R>> {
        let announced = self.announced_end;
        if announced.is_some_and(|end| self.next < end) {
            return None;
        }
        let open = self.open.take()?;
        self.announced_end = None;
        Some(Block {
            id: self.id,
            first: open.first,
            end: announced.unwrap_or(self.next),
            rows: open.rows,
            bytes: open.bytes,
            acknowledgements: open.acknowledgements,
            uncertain: announced.is_some(),
        })
    }
}
