//! How large a handful is too large, of what comes now and then, a few at a time.
//!
//! Handfuls arrive as a Poisson process, and their sizes are geometric: after each one another follows with
//! the same chance. That chance is uncertain, so that it is Beta distributed and a size is beta-geometric
//! (Weinberg and Gladen, Biometrics 1986): P(size ≥ k) = ∏ (b + i)/(a + b + i), i from 0 to k − 2. How many
//! of at least that size are to be expected in a window is that times the arrivals of a window.

use crate::codec::{Loaded, Reader, Writer};

/// Per window: half of it is forgotten after 19 hours of windows of 10 s.
const FORGET: f64 = 0.9999;
/// What nobody has seen yet: one handful in two hours of windows, known as well as ten minutes would tell.
const ARRIVALS: f64 = 0.083;
const WINDOWS: f64 = 60.0;
/// However long the history, sizes vary: no more certainty than this many handfuls would give.
const MOST_CERTAIN: f64 = 200.0;
/// No handful is larger, as far as anybody asks.
const LARGEST: u64 = 10_000;

#[derive(Debug, Clone)]
pub(crate) struct Handfuls {
    arrivals: f64,
    windows: f64,
    /// Handfuls that have ended, and what followed the first of each.
    ended: f64,
    further: f64,
}

impl Handfuls {
    /// `mean`: the size that is expected before anything is known, more than 1, known as well as twenty of
    /// them would tell.
    pub(crate) fn of_mean(mean: f64) -> Self {
        Self {
            arrivals: ARRIVALS,
            windows: WINDOWS,
            ended: 20.0,
            further: 20.0 * (mean - 1.0),
        }
    }

    /// A window in which so many have begun.
    pub(crate) fn window(&mut self, begun: u64) {
        self.arrivals = self.arrivals * FORGET + begun as f64;
        self.windows = self.windows * FORGET + 1.0;
    }

    /// One is over. `size`, at least 1; what would be out of the question counts as the largest that is not.
    pub(crate) fn ended(&mut self, size: u64, alpha: f64) {
        let size = size.clamp(1, self.critical(alpha));
        self.ended += 1.0;
        self.further += (size - 1) as f64;
        let total = self.ended + self.further;
        if total > MOST_CERTAIN {
            self.ended *= MOST_CERTAIN / total;
            self.further *= MOST_CERTAIN / total;
        }
    }

    /// How many of at least this size are to be expected in a window; 1 at the most.
    pub(crate) fn expected(&self, size: u64) -> f64 {
        let mut expected = self.arrivals / self.windows;
        for i in 0..size.min(LARGEST).saturating_sub(1) {
            expected *= self.followed_by_another(i);
            if expected < 1e-300 {
                break;
            }
        }
        expected.min(1.0)
    }

    /// The least size of which fewer than `alpha` are to be expected in a window.
    pub(crate) fn critical(&self, alpha: f64) -> u64 {
        let mut expected = self.arrivals / self.windows;
        let mut size = 1;
        while expected >= alpha && size < LARGEST {
            expected *= self.followed_by_another(size - 1);
            size += 1;
        }
        size
    }

    /// Of a handful, usually.
    pub(crate) fn mean(&self) -> f64 {
        1.0 + self.further / self.ended
    }

    fn followed_by_another(&self, i: u64) -> f64 {
        (self.further + i as f64) / (self.ended + self.further + i as f64)
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        for amount in [self.arrivals, self.windows, self.ended, self.further] {
            to.f64(amount);
        }
    }

    pub(crate) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let known = Self {
            arrivals: from.amount()?,
            windows: from.amount()?,
            ended: from.amount()?,
            further: from.amount()?,
        };
        if known.windows < 1.0 || known.ended <= 0.0 {
            return Err("handfuls that never were");
        }
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    const ALPHA: f64 = 1e-6;

    #[test]
    fn as_many_are_told_as_were_to_be_expected() {
        let mut rng = StdRng::seed_from_u64(1);
        for (per_window, another) in [(0.02, 0.3), (0.5, 0.5), (1.5, 0.1)] {
            let mut known = Handfuls::of_mean(2.0);
            let (mut expected, mut seen) = (0.0, 0_u32);
            for window in 0..100_000 {
                let mut begun = 0;
                while rng.random::<f64>() < per_window / (1.0 + per_window) {
                    begun += 1;
                    let mut size = 1;
                    while rng.random::<f64>() < another {
                        size += 1;
                    }
                    // Judged by what was known before.
                    if window > 1000 && size >= known.critical(0.01) {
                        seen += 1;
                    }
                    known.ended(size, ALPHA);
                }
                if window > 1000 {
                    expected += known.expected(known.critical(0.01));
                }
                known.window(begun);
            }
            let ratio = f64::from(seen) / expected;
            assert!(
                (0.7..1.3).contains(&ratio),
                "{per_window} {another}: {seen} of {expected}"
            );
        }
    }

    proptest! {
        #[test]
        fn larger_is_less_to_be_expected_and_the_critical_size_is_the_least_that_is_not(
            sizes in prop::collection::vec(1_u64..50, 0..40),
            begun in prop::collection::vec(0_u64..5, 0..40),
            mean in 1.1_f64..10.0,
        ) {
            let mut known = Handfuls::of_mean(mean);
            for size in sizes {
                known.ended(size, ALPHA);
            }
            for begun in begun {
                known.window(begun);
            }
            for size in 1..60 {
                prop_assert!(known.expected(size + 1) <= known.expected(size));
            }
            let critical = known.critical(ALPHA);
            prop_assert!(known.expected(critical) < ALPHA);
            prop_assert!(critical == 1 || known.expected(critical - 1) >= ALPHA);
        }
    }
}
