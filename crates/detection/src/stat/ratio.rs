//! The share of errors that is normal for a service.

use super::tail::{beta_binomial_critical, beta_binomial_term, beta_binomial_upper};
use crate::codec::{Loaded, Reader, Writer};

/// Learned from closed windows; forgets with a half-life of 69 windows.
///
/// The share itself varies, so it is a Beta distribution: what is expected of `n` lines is
/// beta-binomial. Before anything was learned it is Beta(1, 19): a service never seen before is
/// taken to have one error in twenty, give or take a lot, so that some eight errors and nothing else
/// are a burst, and a service that starts with a few errors among many lines is not.
#[derive(Debug, Clone)]
pub(crate) struct RatioBaseline {
    errors: f64,
    records: f64,
    /// How improbable a share has to be.
    alpha: f64,
    /// What is known already since the last learning: so many lines or more with so many errors or
    /// fewer are no anomaly, so many lines or fewer with so many errors or more are one.
    fine: Option<(u64, u64)>,
    rare: Option<(u64, u64)>,
}

const FORGET: f64 = 0.99;
const PRIOR: (f64, f64) = (1.0, 19.0);
/// However long the history, shares vary: no more certainty than this many lines would give.
const MOST_CERTAIN: f64 = 200.0;

impl RatioBaseline {
    pub(crate) fn new(alpha: f64) -> Self {
        Self {
            errors: 0.0,
            records: 0.0,
            alpha,
            fine: None,
            rare: None,
        }
    }

    pub(crate) fn learn(&mut self, records: u64, errors: u64) {
        self.records = self.records * FORGET + records as f64;
        self.errors = self.errors * FORGET + errors as f64;
        self.fine = None;
        self.rare = None;
    }

    /// Starts over.
    pub(crate) fn forget(&mut self) {
        *self = Self::new(self.alpha);
    }

    /// Expected share, 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        (self.errors + PRIOR.0) / (self.records + PRIOR.0 + PRIOR.1)
    }

    /// Lines that there would be, had `others`, which are no errors, the usual share of errors
    /// beside them.
    pub(crate) fn lines_with_usual_errors(&self, others: u64) -> f64 {
        others as f64 / (1.0 - self.share())
    }

    /// Lines that the estimate rests on.
    pub(crate) fn weight(&self) -> f64 {
        self.records
    }

    fn parameters(&self) -> (f64, f64) {
        let certainty = (self.records + PRIOR.0 + PRIOR.1).min(MOST_CERTAIN);
        let share = self.share();
        (share * certainty, (1.0 - share) * certainty)
    }

    /// Probability of so many errors or more among `records` lines. It costs a sum over the tail.
    pub(crate) fn upper_tail(&self, records: u64, errors: u64) -> f64 {
        let (a, b) = self.parameters();
        beta_binomial_upper(errors, records, a, b)
    }

    /// How improbable a share has to be.
    pub(crate) fn alpha(&self) -> f64 {
        self.alpha
    }

    /// How many errors among `records` lines are too many.
    pub(crate) fn critical(&self, records: u64) -> u64 {
        let (a, b) = self.parameters();
        beta_binomial_critical(records, a, b, self.alpha)
    }

    /// Whether so many errors are too many. Asked on every error: the tail rises with the lines and
    /// falls with the errors, so that one answer, worked out with an eighth to spare, holds for the
    /// next ones too.
    pub(crate) fn is_rare(&mut self, records: u64, errors: u64) -> bool {
        if errors as f64 <= self.share() * records as f64 {
            return false;
        }
        if self.fine.is_some_and(|(n, k)| records >= n && errors <= k) {
            return false;
        }
        if self.rare.is_some_and(|(n, k)| records <= n && errors >= k) {
            return true;
        }
        let (a, b) = self.parameters();
        let (fewer, more) = (records - records / 8, errors + errors / 8 + 1);
        // A single term of the tail is less than the tail.
        if more <= fewer && beta_binomial_term(more, fewer, a, b) >= self.alpha {
            self.fine = Some((fewer, more));
            return false;
        }
        let is_rare = |k, n| beta_binomial_upper(k, n, a, b) < self.alpha;
        let (more, fewer) = (records + records / 8, errors - errors / 8);
        if is_rare(fewer, more) {
            self.rare = Some((more, fewer));
            return true;
        }
        is_rare(errors, records)
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        to.f64(self.errors);
        to.f64(self.records);
        for known in [self.fine, self.rare] {
            to.maybe(known, |(records, errors), to| {
                to.u64(records);
                to.u64(errors);
            });
        }
    }

    pub(crate) fn load(from: &mut Reader<'_>, alpha: f64) -> Loaded<Self> {
        let (errors, records) = (from.amount()?, from.amount()?);
        if errors > records {
            return Err("more errors than lines");
        }
        let mut known = || from.maybe(|from| Ok((from.count()?, from.count()?)));
        Ok(Self {
            errors,
            records,
            alpha,
            fine: known()?,
            rare: known()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_unknown_service_needs_nearly_all_errors_and_a_known_one_a_multiple_of_its_own() {
        let unknown = RatioBaseline::new(4e-7);
        assert!(
            (7..=10).contains(&unknown.critical(10)),
            "{}",
            unknown.critical(10)
        );
        let mut steady = RatioBaseline::new(4e-7);
        let mut noisy = RatioBaseline::new(4e-7);
        for _ in 0..100 {
            steady.learn(1000, 10);
            noisy.learn(1000, 200);
        }
        let (steady, noisy) = (steady.critical(1000), noisy.critical(1000));
        assert!((60..200).contains(&steady), "{steady}");
        assert!((300..500).contains(&noisy), "{noisy}");
    }

    proptest! {
        #[test]
        fn what_is_known_already_agrees_with_the_tail(
            learned in prop::collection::vec((0_u64..500, 0.0_f64..0.5), 0..30),
            asked in prop::collection::vec((5_u64..5000, 0.0_f64..1.0), 1..50),
        ) {
            let mut baseline = RatioBaseline::new(4e-7);
            for (records, share) in learned {
                baseline.learn(records, (records as f64 * share) as u64);
            }
            for (records, share) in asked {
                let errors = (records as f64 * share) as u64;
                let score = baseline.upper_tail(records, errors).ln() / 4e-7_f64.ln();
                // Sums of the tail are exact to some 1e-10.
                if errors > 0 && (score - 1.0).abs() > 1e-6 {
                    prop_assert_eq!(baseline.is_rare(records, errors), score > 1.0, "{} {}", records, errors);
                }
            }
        }
    }
}
