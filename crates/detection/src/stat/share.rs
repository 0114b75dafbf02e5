//! How much a share of lines varies by itself, for each time scale.
//!
//! Of n lines each with the same chance s, n·s are expected and the variance is n·s·(1 − s). Real shares go
//! up and down: lines of one moment are alike, with a correlation ρ, and the variance is (1 + (n − 1)·ρ) times
//! that: the count is beta-binomial with a + b = 1/ρ − 1 (Prentice, JASA 1986). ρ is learned by its moment
//! estimate from what calm spans were off by.

use super::tail::{beta_binomial_term, beta_binomial_upper};
use crate::codec::{Loaded, Reader, Writer};

/// Of one span among those learned lately.
const LEARN: f64 = 0.02;
/// What nobody has seen yet, and the least that anything real has.
const UNKNOWN: f64 = 0.02;
const LEAST: f64 = 0.0025;
/// Of a small share less is enough for the same: that it is off by a fifth of itself.
const LEAST_VARIATION: f64 = 0.2;
const MOST: f64 = 0.5;
/// Spans, end to end, before an own ρ counts, and that are remembered.
const LEAST_KNOWN: f64 = 3.0;
const REMEMBERED: f64 = 1.0 / LEARN;
/// The most that one span may move the estimate, in standard deviations squared.
const OUTLIER: f64 = 9.0;

/// A share that was never seen is not impossible, nor is one certain that always was.
fn possible(share: f64) -> f64 {
    share.clamp(0.005, 0.995)
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ShareDispersion {
    spans: u32,
    correlation: f32,
}

impl ShareDispersion {
    /// `count` of `total` lines, of which a share `expected` was expected, over `span` windows that overlap.
    pub(crate) fn learn(&mut self, (count, total): (u64, u64), expected: f64, span: usize) {
        if total < 2 {
            return;
        }
        let expected = possible(expected);
        let chance = expected * (1.0 - expected);
        self.spans = self.spans.saturating_add(1);
        let total = total as f64;
        let off2 = (count as f64 - total * expected).powi(2);
        let variance = total * chance;
        let usual = variance * (1.0 + (total - 1.0) * self.known_or_not(expected, span));
        let off2 = off2.min(OUTLIER * usual);
        let seen = (off2 - variance) / (variance * (total - 1.0));
        let weight = (LEARN / span as f64).max(1.0 / f64::from(self.spans));
        self.correlation += ((seen - f64::from(self.correlation)) * weight) as f32;
    }

    fn known(self, span: usize) -> f64 {
        (f64::from(self.spans) / span as f64).min(REMEMBERED)
    }

    fn known_or_not(self, expected: f64, span: usize) -> f64 {
        if self.known(span) < LEAST_KNOWN {
            UNKNOWN
        } else {
            let varies = LEAST_VARIATION.powi(2) * expected / (1.0 - expected);
            f64::from(self.correlation).clamp(LEAST.min(varies), MOST)
        }
    }

    /// Probability of `count` or more of `total` lines. Raised by how little is known.
    pub(crate) fn upper_tail(self, (count, total): (u64, u64), expected: f64, span: usize) -> f64 {
        let (a, b) = self.parameters(expected, span);
        beta_binomial_upper(count, total, a, b)
    }

    /// Probability of none of `total` lines, likewise.
    pub(crate) fn none_of(self, total: u64, expected: f64) -> f64 {
        let (a, b) = self.parameters(expected, 1);
        beta_binomial_term(0, total, a, b)
    }

    fn parameters(self, expected: f64, span: usize) -> (f64, f64) {
        let unsure = 1.0 + 2.0 * (2.0 / self.known(span).max(2.0)).sqrt();
        let expected = possible(expected);
        let correlation = (self.known_or_not(expected, span) * unsure).min(MOST);
        let certainty = 1.0 / correlation - 1.0;
        (expected * certainty, (1.0 - expected) * certainty)
    }

    pub(crate) fn save(self, to: &mut Writer) {
        to.u32(self.spans);
        to.f32(self.correlation);
    }

    pub(crate) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        Ok(Self {
            spans: from.u32()?,
            correlation: from.f32()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    /// What shares that vary by themselves were, and how probable each was said to be.
    fn probabilities(varies: f64, span: usize) -> Vec<f64> {
        let mut rng = StdRng::seed_from_u64(7);
        let mut dispersion = ShareDispersion::default();
        let mut said = Vec::new();
        for at in 0..20_000 {
            let share = 0.5 + varies * (rng.random::<f64>() + rng.random::<f64>() - 1.0);
            let total = rng.random_range(50..150);
            let count = (0..total).filter(|_| rng.random_bool(share)).count() as u64;
            if at >= 500 {
                said.push(dispersion.upper_tail((count, total), 0.5, span));
            }
            dispersion.learn((count, total), 0.5, span);
        }
        said
    }

    #[test]
    fn what_is_said_to_be_improbable_is_no_more_frequent_than_that() {
        for varies in [0.0, 0.1, 0.25] {
            let said = probabilities(varies, 1);
            for level in [1e-2, 1e-3] {
                let share = said.iter().filter(|p| **p < level).count() as f64 / said.len() as f64;
                assert!(share <= 1.5 * level, "{varies}: {share} below {level}");
                assert!(said.iter().all(|p| (0.0..=1.0).contains(p)));
            }
        }
    }

    #[test]
    fn what_is_far_from_usual_is_found_although_shares_vary() {
        let mut dispersion = ShareDispersion::default();
        let mut rng = StdRng::seed_from_u64(8);
        for _ in 0..200 {
            let count = (0..100).filter(|_| rng.random_bool(0.5)).count() as u64;
            dispersion.learn((count, 100), 0.5, 1);
        }
        assert!(dispersion.upper_tail((85, 100), 0.5, 1) < 1e-6);
        assert!(dispersion.upper_tail((60, 100), 0.5, 1) > 1e-3);
    }
}
