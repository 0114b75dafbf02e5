//! Gathers one partition's records into batches.
//!
//! Invariants:
//! - a batch holds every record of its range, once, and every hole between them;
//! - batches lie side by side: one begins where the one before has ended;
//! - a batch whose range an earlier owner announced is closed exactly at that range's end;
//! - records before the point where this assignment takes over are in no batch.

use std::time::{Duration, Instant};

use crate::{
    Batch, Day, DayOf, Hole, HoleReason, Intent, NextOffset, Offset,
    batch::{Acknowledgement, Last, Rows, TaskId},
    ports::Record,
    resume::ResumePoint,
    resume::Unsettled,
};

/// When a batch is closed, whichever comes first.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub rows: usize,
    /// Of the records as they were received.
    pub bytes: usize,
    /// Of a partition that is read to its end as it grows.
    pub age: Duration,
    /// Of a partition that is behind: what is late already gains by larger batches, which cost the
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

pub struct BatchBuilder<R> {
    id: TaskId,
    limits: Limits,
    take_from: NextOffset,
    /// The batch that an earlier owner announced.
    announced: Option<Intent>,
    /// Up to where rows may stand that nobody announced to us.
    unsettled: Option<Unsettled>,
    /// One past the newest record seen.
    next: NextOffset,
    open: Option<Open<R>>,
}

/// The batch that is being gathered.
pub struct Open<R> {
    first: Offset,
    /// Kafka's time of its first record.
    kafka_time: Option<i64>,
    since: Instant,
    pub rows: R,
    letters: Vec<Offset>,
    holes: Vec<Hole>,
    last: Option<Last>,
    pub acknowledgements: Vec<Acknowledgement>,
    /// Of the records as they were received.
    pub bytes: usize,
}

impl<R: Rows> BatchBuilder<R> {
    pub fn new(id: TaskId, limits: Limits, resume: ResumePoint) -> Self {
        Self {
            id,
            limits,
            take_from: resume.take_from,
            announced: resume.announced,
            unsettled: resume.unsettled,
            next: resume.replay_from,
            open: None,
        }
    }

    pub fn id(&self) -> TaskId {
        self.id
    }

    /// One past the newest record seen.
    pub fn next(&self) -> NextOffset {
        self.next
    }

    /// Nothing will ever come of `[first, end)`. What of it was seen before, or belongs to an earlier
    /// owner, is passed over, and so is what lies past the end of an announced batch, until that is
    /// closed; the rest is in a batch, also if no record follows. Returns how many offsets that are.
    pub fn hole(&mut self, first: Offset, end: NextOffset, why: HoleReason, now: Instant) -> u64 {
        let end = self
            .announced
            .map_or(end, |announced| end.min(announced.end));
        let seen = self.next.max(self.take_from).offset();
        self.next = self.next.max(end);
        let hole = Hole {
            first: first.max(seen),
            end,
            why,
        };
        if hole.offsets() > 0 {
            self.open_at(hole.first, now).holes.push(hole);
        }
        hole.offsets()
    }

    /// The next record is `offset`: whatever lies between the newest one and it did not come. Call it
    /// before [`Self::see`], and after [`Self::reach`].
    pub fn absent_before(&mut self, offset: Offset, now: Instant) -> u64 {
        let from = self.next.offset();
        if offset <= from {
            return 0;
        }
        self.hole(from, NextOffset::resume_at(offset), HoleReason::Absent, now)
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
    /// in batches of this assignment.
    pub fn has_caught_up(&self) -> bool {
        self.next >= self.take_from
    }

    /// The open batch for this record, made if there is none.
    pub fn open(&mut self, record: &Record<'_>, now: Instant) -> &mut Open<R> {
        let open = self.open_at(record.offset, now);
        open.kafka_time.get_or_insert(record.kafka_time);
        open.last = Some(Last {
            offset: record.offset,
            epoch: record.leader_epoch,
        });
        open
    }

    /// The open batch for this record, which becomes a dead letter.
    pub fn open_for_letter(&mut self, record: &Record<'_>, now: Instant) -> &mut Open<R> {
        let open = self.open(record, now);
        open.letters.push(record.offset);
        open
    }

    fn open_at(&mut self, first: Offset, now: Instant) -> &mut Open<R> {
        self.open.get_or_insert_with(|| Open {
            first,
            kafka_time: None,
            since: now,
            rows: R::default(),
            letters: Vec::new(),
            holes: Vec::new(),
            last: None,
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

    /// Whether the open batch should be closed now.
    pub fn is_due(&self, now: Instant, behind: bool) -> bool {
        self.due_in(now, behind) == Some(Duration::ZERO) || self.is_full()
    }

    /// Whether the open batch can take no more, and reading must wait for it to be closed.
    pub fn is_full(&self) -> bool {
        let Some(open) = &self.open else { return false };
        // What may stand already is not mixed with what cannot: a batch that is there in part is made
        // whole row by row, which a twin of that repair could double.
        let ends_here = |rows: &Unsettled| open.first < rows.end.offset() && self.next >= rows.end;
        match self.announced {
            Some(announced) => self.next >= announced.end,
            None if self.unsettled.as_ref().is_some_and(ends_here) => true,
            // A dead letter is as much to settle as a row is.
            None => {
                open.rows.count() + open.letters.len() >= self.limits.rows
                    || open.bytes >= self.limits.bytes
            }
        }
    }

    /// Time until the open batch is due by age; `None` where age does not decide.
    pub fn due_in(&self, now: Instant, behind: bool) -> Option<Duration> {
        if self.announced.is_some() {
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
    pub fn reach(&mut self, offset: Offset, now: Instant) {
        let over = |announced: &Intent| offset >= announced.end.offset();
        let Some(Intent { end, .. }) = self.announced.filter(over) else {
            return;
        };
        self.hole(self.next.offset(), end, HoleReason::Absent, now);
        if self.open.is_none() {
            self.announced = None;
        }
    }

    /// Closes the open batch. One that an earlier owner announced stays open until it is whole.
    pub fn close(&mut self) -> Option<Batch<R>> {
        let announced = self.announced;
        if announced.is_some_and(|announced| self.next < announced.end) {
            return None;
        }
        let open = self.open.take()?;
        self.announced = None;
        let unsettled = self
            .unsettled
            .filter(|unsettled| open.first < unsettled.end.offset());
        let day = match (announced, unsettled) {
            // Its rows are there under some day since then. The account must not go past that day before it
            // is past them, or they would not be looked for any more.
            (None, Some(rows)) if rows.since > Day::default() => DayOf::Intent(rows.since),
            (None, _) => DayOf::Nobody,
            (Some(Intent { day: Some(day), .. }), _) => DayOf::Intent(day),
            // Of holes alone: there are no rows to have a day.
            (Some(Intent { day: None, .. }), _) => {
                DayOf::FirstRecord(Day::of_millis(open.kafka_time.unwrap_or_default()))
            }
        };
        Some(Batch {
            id: self.id,
            first: open.first,
            end: announced.map_or(self.next, |announced| announced.end),
            rows: open.rows,
            letters: open.letters,
            holes: open.holes,
            last: open.last,
            bytes: open.bytes,
            day,
            since: unsettled.map(|unsettled| unsettled.since),
            acknowledgements: open.acknowledgements,
            uncertain: announced.is_some() || unsettled.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::fixture::{Offsets, at};
    use crate::{Assignment, Epoch, Incarnation, LeaderEpoch, Partition, ports::Bare};

    struct Partly {
        builder: BatchBuilder<Offsets>,
        now: Instant,
    }

    /// From 10 on, perhaps with a batch that was announced.
    fn builder(replay_from: i64, announced_end: Option<i64>) -> Partly {
        let id = TaskId {
            assignment: Assignment {
                partition: Partition(0),
                epoch: Epoch(0),
            },
            incarnation: Incarnation::of(Uuid::from_u128(1), "g"),
        };
        let resume = ResumePoint {
            replay_from: at(replay_from),
            take_from: at(10),
            announced: announced_end.map(|end| Intent {
                end: at(end),
                day: Some(Day::new(20_000)),
            }),
            unsettled: None,
        };
        Partly {
            builder: BatchBuilder::new(id, Limits::default(), resume),
            now: Instant::now(),
        }
    }

    impl Partly {
        /// As a task takes a record.
        fn record(&mut self, offset: i64) {
            let offset = Offset::new(offset);
            self.builder.absent_before(offset, self.now);
            if self.builder.see(offset) == Seen::New {
                let record = Record {
                    offset,
                    kafka_time: 86_400_000,
                    leader_epoch: LeaderEpoch(3),
                    key: None,
                    value: None,
                    rest: &Bare,
                };
                let open = self.builder.open(&record, self.now);
                open.rows.0.push(offset.raw());
            }
        }

        /// First, end, rows, and holes with their reason's first letter.
        #[track_caller]
        fn closes(&mut self, expected: &str) {
            let batch = self.builder.close().unwrap();
            let holes = batch.holes.iter().map(|hole| {
                let why = &format!("{:?}", hole.why)[..1];
                format!(" {why}{}..{}", hole.first, hole.end)
            });
            let holes: String = holes.collect();
            let told = format!("{}..{} {:?}{holes}", batch.first, batch.end, batch.rows.0);
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn blocks_lie_side_by_side_and_every_offset_is_a_row_or_in_a_hole() {
        let mut one = builder(10, None);
        one.record(12);
        one.record(13);
        one.record(15);
        one.closes("10..16 [12, 13, 15] A10..12 A14..15");
        one.record(18);
        one.closes("16..19 [18] A16..18");
    }

    #[test]
    fn a_hole_that_nothing_follows_is_a_block() {
        let mut one = builder(10, None);
        let offsets = one
            .builder
            .hole(Offset::new(10), at(14), HoleReason::Unreadable, one.now);
        assert_eq!(offsets, 4);
        one.closes("10..14 [] U10..14");
        one.record(14);
        one.closes("14..15 [14]");
    }

    #[test]
    fn holes_of_an_earlier_owner_and_holes_that_were_seen_are_passed_over() {
        let mut one = builder(3, None);
        one.record(5);
        assert!(one.builder.is_empty());
        one.record(12);
        let again = one
            .builder
            .hole(Offset::new(8), at(13), HoleReason::Unreadable, one.now);
        assert_eq!(again, 0);
        one.closes("10..13 [12] A10..12");
    }

    #[test]
    fn an_announced_block_ends_where_it_was_announced_whatever_came_of_it() {
        let mut one = builder(10, Some(15));
        one.record(11);
        one.builder.reach(Offset::new(18), one.now);
        assert!(one.builder.is_full());
        one.closes("10..15 [11] A10..11 A12..15");
        one.record(18);
        one.closes("15..19 [18] A15..18");

        let mut nothing = builder(10, Some(15));
        let end = at(20);
        let why = HoleReason::Unreadable;
        nothing.builder.hole(Offset::new(10), end, why, nothing.now);
        nothing.closes("10..15 [] U10..15");
        nothing.builder.hole(Offset::new(10), end, why, nothing.now);
        nothing.closes("15..20 [] U15..20");
    }

    #[test]
    fn the_day_is_the_intents_and_that_of_the_first_record_only_where_it_has_none() {
        let mut one = builder(10, None);
        one.record(10);
        assert_eq!(one.builder.close().unwrap().day, DayOf::Nobody);
        for (day, expected) in [
            (Some(Day::new(7)), DayOf::Intent(Day::new(7))),
            (None, DayOf::FirstRecord(Day::new(1))),
        ] {
            let mut one = builder(10, Some(11));
            one.builder.announced = Some(Intent { end: at(11), day });
            one.record(10);
            assert_eq!(one.builder.close().unwrap().day, expected);
        }
    }

    #[test]
    fn blocks_where_rows_may_stand_already_are_looked_through_first() {
        let mut one = builder(10, None);
        one.builder.unsettled = Some(Unsettled {
            end: at(12),
            since: Day::new(5),
        });
        one.record(10);
        assert!(!one.builder.is_full());
        one.record(11);
        assert!(one.builder.is_full());
        for since in [Some(Day::new(5)), None] {
            let batch = one.builder.close().unwrap();
            assert_eq!((batch.since, batch.uncertain), (since, since.is_some()));
            one.record(12);
        }
    }

    #[test]
    fn halves_share_the_holes() {
        let mut one = builder(10, None);
        for offset in [11, 12, 14, 16] {
            one.record(offset);
        }
        let (first, second) = one.builder.close().unwrap().halve();
        let holes = |batch: &Batch<Offsets>| {
            let firsts = batch.holes.iter().map(|hole| hole.first.raw());
            firsts.collect::<Vec<_>>()
        };
        assert_eq!((first.end, second.first), (at(14), Offset::new(14)));
        assert_eq!((holes(&first), holes(&second)), (vec![10, 13], vec![15]));
    }
}
