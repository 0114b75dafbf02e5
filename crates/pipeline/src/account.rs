//! What became of a partition's offsets, so that the store can be held against it at any time.
//!
//! Invariants: the lines of a partition lie side by side; a line with rows is of one day and lies in
//! one stretch, so that its rows can be compared with what the store counts there; each offset is a
//! row, a dead letter, or in a hole, and what is none of these is missing from the sum.

use crate::{
    Batch, Day, Hole, HoleReason, NextOffset, Offset, Rows,
    batch::{Last, lies_in},
};

/// Offsets that are compared as one.
pub const STRETCH: i64 = 65_536;

/// What became of `[first, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    pub first: Offset,
    pub end: NextOffset,
    /// Of the rows.
    pub day: Day,
    pub rows: u64,
    pub dead_letters: u64,
    /// Offsets in holes, by [`HoleReason::at`].
    pub holes: [u64; HoleReason::ALL.len()],
    /// The last record of it.
    pub last: Option<Last>,
}

impl Line {
    fn at(first: Offset, day: Day) -> Self {
        Self {
            first,
            end: NextOffset::resume_at(first),
            day,
            rows: 0,
            dead_letters: 0,
            holes: [0; HoleReason::ALL.len()],
            last: None,
        }
    }

    pub fn offsets(&self) -> u64 {
        (self.end.raw() - self.first.raw()).max(0).cast_unsigned()
    }

    /// Offsets that are neither a row nor a dead letter nor in a hole: none, unless something is
    /// wrong here.
    pub fn unexplained(&self) -> u64 {
        let explained = self.rows + self.dead_letters + self.holes.iter().sum::<u64>();
        self.offsets().abs_diff(explained)
    }

    /// Which stretch its last offset lies in.
    fn stretch(&self) -> i64 {
        (self.end.raw() - 1).div_euclid(STRETCH)
    }

    fn add(&mut self, piece: &Self) {
        self.end = piece.end;
        self.rows += piece.rows;
        self.dead_letters += piece.dead_letters;
        for (sum, more) in self.holes.iter_mut().zip(piece.holes) {
            *sum += more;
        }
        self.last = piece.last.or(self.last);
    }
}

/// The account of one partition, as far as it is not kept yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// To be kept before anything else is committed.
    closed: Vec<Line>,
    /// May still grow; travels with what is committed.
    open: Option<Line>,
    /// Nothing is kept of the partition yet: where its account begins.
    begins: Option<NextOffset>,
    /// Offsets that nobody will ever read, and how many rows of them there are.
    passed: Option<(Hole, u64)>,
}

impl Account {
    /// Goes on with what an earlier owner had not kept.
    pub fn of(open: Option<Line>) -> Self {
        Self {
            open,
            ..Self::default()
        }
    }

    /// Nothing is kept of the partition yet. That it begins there is kept before anything else, so that
    /// it is known whatever becomes of what is committed.
    pub fn begins_at(&mut self, first: NextOffset) {
        self.begins = Some(first);
    }

    /// Nobody will ever read these offsets; the store has so many rows of them.
    pub fn pass_over(&mut self, hole: Hole, rows: u64) {
        self.passed = Some((hole, rows));
    }

    /// Writes down what is known before the first batch.
    pub fn start(&mut self, today: Day) {
        if let Some(first) = self.begins.take() {
            self.closed.push(Line::at(first.offset(), today));
        }
        if let Some((hole, rows)) = self.passed.take() {
            self.closed.extend(self.open.take());
            let mut line = Line::at(hole.first, today);
            line.end = hole.end;
            line.rows = rows;
            line.holes[hole.why.at()] = hole.offsets().saturating_sub(rows);
            self.closed.push(line);
        }
    }

    pub fn open(&self) -> Option<&Line> {
        self.open.as_ref()
    }

    pub fn closed(&self) -> &[Line] {
        &self.closed
    }

    /// Closes the open line, and gives all that is to be kept.
    pub fn close(&mut self) -> &[Line] {
        self.closed.extend(self.open.take());
        &self.closed
    }

    /// Everything closed is kept.
    pub fn kept(&mut self) {
        self.closed.clear();
    }

    /// The batch is complete: its rows are stored on `day`. `set_aside`: they became dead letters.
    pub fn add<R: Rows>(&mut self, batch: &Batch<R>, day: Day, set_aside: bool) {
        let rows_below = |offset: i64| {
            let (mut low, mut high) = (0, batch.rows.count());
            while low < high {
                let middle = usize::midpoint(low, high);
                if batch.rows.offset_of(middle).raw() < offset {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            low
        };
        let letters_below = |offset: i64| {
            batch
                .letters
                .partition_point(|letter| letter.raw() < offset)
        };
        let end = batch.end.raw();
        let mut at = batch.first.raw();
        while at < end {
            let (rows, letters) = (rows_below(at), letters_below(at));
            let next_row = (rows < batch.rows.count()).then(|| batch.rows.offset_of(rows));
            let content = next_row
                .into_iter()
                .chain(batch.letters.get(letters).copied());
            let content = content.map(Offset::raw).min().unwrap_or(end);
            let border = (at.div_euclid(STRETCH) + 1) * STRETCH;
            // A hole may be wider than many stretches: it is one line.
            let upto = border.max(content.div_euclid(STRETCH) * STRETCH).min(end);
            let mut piece = Line::at(Offset::new(at), day);
            piece.end = NextOffset::resume_at(Offset::new(upto));
            let stored = (rows_below(upto) - rows) as u64;
            piece.rows = if set_aside { 0 } else { stored };
            piece.dead_letters = (letters_below(upto) - letters) as u64 + stored - piece.rows;
            for hole in &batch.holes {
                piece.holes[hole.why.at()] += lies_in(hole, at, upto);
            }
            piece.last = batch.last.filter(|last| last.offset.raw() < upto);
            self.take(&piece);
            at = upto;
        }
    }

    fn take(&mut self, piece: &Line) {
        let fits = |open: &Line| {
            open.end.offset() == piece.first
                && open.day == piece.day
                && open.first.raw().div_euclid(STRETCH) == piece.stretch()
        };
        if self.open.as_ref().is_some_and(|open| !fits(open)) {
            self.closed.extend(self.open.take());
        }
        let open = self
            .open
            .get_or_insert_with(|| Line::at(piece.first, piece.day));
        open.add(piece);
        if open.end.raw() % STRETCH == 0 {
            self.closed.extend(self.open.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::fixture::{Offsets, at};
    use crate::{Assignment, DayOf, Epoch, Incarnation, Partition, TaskId};

    /// What becomes of a run of offsets.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum What {
        Row,
        Letter,
        Hole,
    }

    /// One batch from `first` on, of these runs.
    fn batch(first: i64, runs: &[(What, i64)]) -> Batch<Offsets> {
        let mut made = Batch {
            id: TaskId {
                assignment: Assignment {
                    partition: Partition(0),
                    epoch: Epoch(0),
                },
                incarnation: Incarnation::of(Uuid::from_u128(1), "g"),
            },
            first: Offset::new(first),
            end: at(first),
            rows: Offsets::default(),
            letters: Vec::new(),
            holes: Vec::new(),
            last: None,
            bytes: 0,
            day: DayOf::Nobody,
            since: None,
            acknowledgements: Vec::new(),
            uncertain: false,
        };
        for (what, length) in runs {
            let run = made.end.raw()..made.end.raw() + length;
            made.end = at(run.end);
            match what {
                What::Row => made.rows.0.extend(run),
                What::Letter => made.letters.extend(run.map(Offset::new)),
                What::Hole => made.holes.push(Hole {
                    first: Offset::new(run.start),
                    end: at(run.end),
                    why: HoleReason::Absent,
                }),
            }
        }
        made
    }

    proptest! {
        #[test]
        fn lines_lie_side_by_side_and_say_what_became_of_every_offset(
            batches in prop::collection::vec(
                (0_u16..3, prop::collection::vec((prop::sample::select(vec![What::Row, What::Letter, What::Hole]), 1_i64..90_000), 1..4)),
                1..4,
            ),
            first in 0_i64..200_000,
        ) {
            let mut account = Account::default();
            let (mut next, mut day) = (first, 0);
            let mut rows: Vec<(i64, u16)> = Vec::new();
            for (later, runs) in &batches {
                day += later;
                let batch = batch(next, runs);
                rows.extend(batch.rows.0.iter().map(|offset| (*offset, day)));
                account.add(&batch, Day::new(day), false);
                next = batch.end.raw();
            }
            let mut at = first;
            for line in account.close() {
                prop_assert_eq!(line.first.raw(), at);
                prop_assert_eq!(line.unexplained(), 0);
                at = line.end.raw();
                let inside = rows.iter().filter(|(offset, _)| (line.first.raw()..at).contains(offset));
                prop_assert_eq!(inside.clone().count() as u64, line.rows);
                for (offset, day) in inside {
                    prop_assert_eq!(*day, line.day.raw());
                    prop_assert_eq!(offset / STRETCH, line.first.raw() / STRETCH);
                }
            }
            prop_assert_eq!(at, next);
        }
    }

    #[test]
    fn a_wide_hole_is_a_few_lines() {
        let mut account = Account::default();
        let runs = [(What::Row, 1), (What::Hole, 1_000_000_000), (What::Row, 1)];
        account.add(&batch(5, &runs), Day::new(1), false);
        assert_eq!(account.close().len(), 3);
    }

    #[test]
    fn a_row_that_was_set_aside_is_a_dead_letter() {
        let mut account = Account::default();
        account.add(&batch(5, &[(What::Row, 1)]), Day::new(1), true);
        let line = account.open().copied().unwrap();
        assert_eq!(
            (line.rows, line.dead_letters, line.unexplained()),
            (0, 1, 0)
        );
    }
}
