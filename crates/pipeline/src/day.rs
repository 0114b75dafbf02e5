//! Days of the wall clock in UTC: how long a batch's rows live is counted from one.
//!
//! Invariant: a batch has one day, chosen by whoever first announces it and carried by the intent;
//! no time that a producer wrote has a part in it.

use std::fmt;

const MILLIS: i64 = 86_400_000;

/// Days since the epoch.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(u16);

impl Day {
    pub const fn new(raw: u16) -> Self {
        Self(raw)
    }

    /// `millis` since the epoch. What lies outside of all days is in the first or the last.
    pub fn of_millis(millis: i64) -> Self {
        Self(millis.div_euclid(MILLIS).clamp(0, i64::from(u16::MAX)) as u16)
    }

    pub const fn raw(self) -> u16 {
        self.0
    }

    /// How many days lie between the two.
    pub fn apart(self, other: Self) -> u16 {
        self.0.abs_diff(other.0)
    }

    pub const fn before(self, days: u16) -> Self {
        Self(self.0.saturating_sub(days))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// What is known of a batch's day before it is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayOf {
    /// Nobody has announced it.
    Nobody,
    /// Its intent says so.
    Intent(Day),
    /// A version whose intents had no day has announced it: the day of its first record's Kafka time.
    FirstRecord(Day),
}

/// The days of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    /// Of all its rows.
    pub own: Day,
    /// The first day on which rows of its range may have been stored, by whoever it was.
    pub since: Day,
}

/// A day that a producer's time decided is kept only so near to today: rows of any other would be
/// deleted too soon or never. What was stored under it is found all the same, because every day is
/// looked through.
const NEAR: u16 = 7;

impl DayOf {
    /// `since`: rows of the batch's range may have been stored from that day on.
    pub fn decide(self, today: Day, since: Option<Day>) -> Days {
        let days = self.decide_own(today);
        Days {
            since: since.map_or(days.since, |since| days.since.min(since)),
            ..days
        }
    }

    fn decide_own(self, today: Day) -> Days {
        match self {
            Self::Nobody => Days {
                own: today,
                since: today,
            },
            Self::Intent(day) => Days {
                own: day,
                since: day,
            },
            Self::FirstRecord(day) => Days {
                own: if day.apart(today) <= NEAR { day } else { today },
                since: Day(0),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_of_one_day_however_far_away() {
        for (millis, day) in [
            (0, 0),
            (86_399_999, 0),
            (86_400_000, 1),
            (-1, 0),
            (i64::MIN, 0),
            (i64::MAX, u16::MAX),
        ] {
            assert_eq!(Day::of_millis(millis), Day(day), "{millis}");
        }
    }

    #[test]
    fn an_announced_day_is_kept_and_that_of_a_producer_only_where_it_does_no_harm() {
        let today = Day(20_000);
        let decided = |of: DayOf| {
            let days = of.decide(today, None);
            (days.own.raw(), days.since.raw())
        };
        assert_eq!(decided(DayOf::Nobody), (20_000, 20_000));
        assert_eq!(decided(DayOf::Intent(Day(19_000))), (19_000, 19_000));
        assert_eq!(decided(DayOf::FirstRecord(Day(19_999))), (19_999, 0));
        assert_eq!(decided(DayOf::FirstRecord(Day(20))), (20_000, 0));
        assert_eq!(decided(DayOf::FirstRecord(Day(40_000))), (20_000, 0));
    }
}
