//! Event time.

use std::ops::{Add, Sub};

/// Moments lie within this of the epoch, some 140,000 years: sums and differences never overflow.
pub(crate) const MOST_MS: i64 = 1 << 52;

/// Milliseconds since the epoch, UTC, by the record's own account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(pub i64);

impl EventTime {
    /// Start of the window of `length` ms that the moment belongs to.
    pub(crate) const fn start_of_window(self, length: i64) -> Self {
        Self(self.0.div_euclid(length).saturating_mul(length))
    }
}

impl Add<i64> for EventTime {
    type Output = Self;
    fn add(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

impl Sub for EventTime {
    type Output = i64;
    fn sub(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}
