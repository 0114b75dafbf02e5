//! Event time and scores.

use std::ops::{Add, Sub};

use crate::state::{Loaded, Reader, Writer};

/// Moments lie within this of the epoch, some 140,000 years: sums and differences never overflow.
pub(crate) const MOST_MS: i64 = 1 << 52;

/// Milliseconds since the epoch, UTC, by the record's own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// How anomalous: finite, above 1 is anomalous. It is ln p / ln α, the surprise of what was seen
/// over the surprise that the false-alert budget allows, so that scores compare across detectors.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Score(f64);

impl Score {
    /// A tail probability of 1e-300 is as good as zero; the cap keeps scores comparable.
    const LEAST_P: f64 = 1e-300;

    /// Nothing is claimed.
    pub const NONE: Self = Self(0.0);

    /// `p`: probability of something at least this extreme. NaN counts as 1: nothing is claimed.
    pub fn of(p: f64, alpha: f64) -> Self {
        let p = if p.is_nan() {
            1.0
        } else {
            p.clamp(Self::LEAST_P, 1.0)
        };
        Self(p.ln() / alpha.clamp(Self::LEAST_P, 0.5).ln())
    }

    pub const fn value(self) -> f64 {
        self.0
    }

    pub fn is_anomalous(self) -> bool {
        self.0 > 1.0
    }

    pub(crate) fn save(self, to: &mut Writer) {
        to.f64(self.0);
    }

    pub(crate) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        from.amount().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_finite_whatever_the_probability() {
        for (p, anomalous) in [
            (f64::NAN, false),
            (0.0, true),
            (1.0, false),
            (-1.0, true),
            (1e-7, true),
            (1e-5, false),
        ] {
            let score = Score::of(p, 1e-6);
            assert!(score.value().is_finite(), "{p}");
            assert_eq!(score.is_anomalous(), anomalous, "{p}");
        }
    }
}
