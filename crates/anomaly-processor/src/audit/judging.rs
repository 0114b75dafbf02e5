//! What a difference means: pure functions of what was counted and of what is under way.

use std::collections::BTreeSet;

use clickhouse_store::audit::Difference;
use pipeline::{Day, account::STRETCH, ports::Standing};

use super::Standings;

/// Rows that are missing, or that nobody accounts for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Odd {
    pub(super) missing: u64,
    pub(super) surplus: u64,
    /// Offsets that the account says nothing of.
    pub(super) unexplained: u64,
}

impl Odd {
    pub(super) const fn rows(&self) -> u64 {
        self.missing + self.surplus + self.unexplained
    }

    pub(super) fn add(&mut self, other: Self) {
        self.missing += other.missing;
        self.surplus += other.surplus;
        self.unexplained += other.unexplained;
    }
}

/// Days into which batches may still come.
pub(super) fn open_days(books: &Standings, today: Day) -> BTreeSet<Day> {
    let lines = books.values().filter_map(|standing| standing.open);
    // A batch that is on its way may have been announced before midnight.
    let under_way = books.values().any(|standing| standing.under_way);
    let yesterday = under_way.then(|| today.before(1));
    lines
        .map(|line| line.day)
        .chain([today])
        .chain(yesterday)
        .collect()
}

/// What a difference means, of one day or of all, given what the writer has in no line. `None`: nothing can be
/// said yet.
pub(super) fn judge(
    found: &Difference,
    day: Option<u16>,
    standing: &Standing,
    stood_still: bool,
) -> Option<Odd> {
    let missing = |expected: u64| {
        let odd = Odd {
            missing: found.missing_of(expected),
            ..Odd::default()
        };
        (odd.missing > 0).then_some(odd)
    };
    let surplus = |expected: u64| {
        let odd = Odd {
            surplus: found.surplus_over(expected),
            ..Odd::default()
        };
        (odd.surplus > 0).then_some(odd)
    };
    let accounted = found.accounted;
    let frontier = standing
        .open
        .map_or(standing.done.raw(), |line| line.first.raw());
    if found.first / STRETCH < frontier / STRETCH {
        return missing(accounted).or_else(|| surplus(accounted));
    }
    if !stood_still || standing.under_way {
        // More may have come, and lines may have been kept, while it was asked.
        return missing(accounted);
    }
    let open = standing.open.filter(|line| {
        day.is_none_or(|day| day == line.day.raw())
            && line.first.raw() / STRETCH == found.first / STRETCH
    });
    let expected = accounted + open.map_or(0, |line| line.rows);
    missing(expected).or_else(|| surplus(expected))
}

#[cfg(test)]
mod tests {
    use pipeline::{Line, NextOffset, Offset};

    use super::*;

    /// An open line `[65_700, 65_800)` with 90 rows of day 7, in the second stretch.
    fn standing(under_way: bool) -> Standing {
        let end = NextOffset::resume_at(Offset::new(65_800));
        Standing {
            done: end,
            open: Some(Line {
                first: Offset::new(65_700),
                end,
                day: Day::new(7),
                rows: 90,
                dead_letters: 10,
                holes: [0; 3],
                last: None,
            }),
            under_way,
        }
    }

    /// Rows missing and too many of a stretch, as numbers.
    #[track_caller]
    fn check(
        (first, there, accounted): (i64, u64, u64),
        standing: &Standing,
        stood_still: bool,
        expected: Option<(u64, u64)>,
    ) {
        let found = Difference {
            incarnation: String::new(),
            partition: 0,
            first,
            day: 7,
            there,
            erased: 0,
            accepted: 0,
            accounted,
            is_over: 0,
        };
        let odd = judge(&found, Some(7), standing, stood_still);
        assert_eq!(odd.map(|odd| (odd.missing, odd.surplus)), expected);
    }

    #[test]
    fn a_stretch_that_is_over_has_exactly_its_rows() {
        for still in [true, false] {
            check((0, 9, 10), &standing(true), still, Some((1, 0)));
            check((0, 11, 10), &standing(true), still, Some((0, 1)));
        }
    }

    #[test]
    fn rows_that_are_in_no_line_yet_count_too() {
        check((65_536, 254, 164), &standing(false), true, None);
        check((65_536, 253, 164), &standing(false), true, Some((1, 0)));
        check((65_536, 255, 164), &standing(false), true, Some((0, 1)));
    }

    #[test]
    fn what_was_declared_may_be_missing_and_need_not_be() {
        let found = |there| Difference {
            incarnation: String::new(),
            partition: 0,
            first: 0,
            day: 7,
            there,
            erased: 3,
            accepted: 0,
            accounted: 10,
            is_over: 1,
        };
        let missing =
            |there| judge(&found(there), Some(7), &standing(false), true).map(|odd| odd.missing);
        assert_eq!([missing(10), missing(7)], [None, None]);
        assert_eq!(missing(6), Some(1));
    }

    #[test]
    fn while_a_block_is_on_its_way_only_what_is_kept_can_be_missed() {
        for (under_way, still) in [(true, true), (false, false)] {
            let standing = standing(under_way);
            check((65_536, 300, 164), &standing, still, None);
            check((65_536, 170, 164), &standing, still, None);
            check((65_536, 163, 164), &standing, still, Some((1, 0)));
            // A large batch reaches into the next stretch.
            check((131_072, 500, 0), &standing, still, None);
        }
    }
}
