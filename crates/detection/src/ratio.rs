//! The share of errors that is normal for a service.

use crate::{
    tail::{beta_binomial_critical, beta_binomial_upper},
    time::Score,
};

/// Learned from closed windows; forgets with a half-life of 69 windows.
///
/// The share itself varies, so it is a Beta distribution: what is expected of `n` lines is
/// beta-binomial. Before anything was learned it is Beta(1, 19): a service never seen before is
/// taken to have one error in twenty, give or take a lot, so that some eight errors and nothing else
/// are a burst, and a service that starts with a few errors among many lines is not.
#[derive(Debug, Clone)]
pub struct RatioBaseline {
    errors: f64,
    records: f64,
    /// Critical counts already worked out, by size class of `n`; emptied by learning.
    known: [Option<(u64, u64)>; 2],
    alpha: f64,
}

const FORGET: f64 = 0.99;
const PRIOR: (f64, f64) = (1.0, 19.0);
/// However long the history, shares vary: no more certainty than this many lines would give.
const MOST_CERTAIN: f64 = 200.0;

impl RatioBaseline {
    pub fn new(alpha: f64) -> Self {
        Self {
            errors: 0.0,
            records: 0.0,
            known: [None; 2],
            alpha,
        }
    }

    pub fn learn(&mut self, records: u64, errors: u64) {
        self.records = self.records * FORGET + records as f64;
        self.errors = self.errors * FORGET + errors as f64;
        self.known = [None; 2];
    }

    /// Expected share, 0 to 1.
    pub fn share(&self) -> f64 {
        (self.errors + PRIOR.0) / (self.records + PRIOR.0 + PRIOR.1)
    }

    pub fn alpha(&self) -> f64 {
        self.alpha
    }

    /// Lines that the estimate rests on.
    pub fn weight(&self) -> f64 {
        self.records
    }

    fn parameters(&self) -> (f64, f64) {
        let certainty = (self.records + PRIOR.0 + PRIOR.1).min(MOST_CERTAIN);
        let share = self.share();
        (share * certainty, (1.0 - share) * certainty)
    }

    pub fn score(&self, records: u64, errors: u64) -> Score {
        let (a, b) = self.parameters();
        Score::of(beta_binomial_upper(errors, records, a, b), self.alpha)
    }

    /// How many errors among `records` lines are too many. Exact up to 16 lines, then for the next
    /// larger size class (steps of an eighth), which asks for slightly more: cheap on every record.
    pub fn critical(&mut self, records: u64) -> u64 {
        let class = size_class(records);
        if let Some((_, critical)) = self
            .known
            .iter()
            .flatten()
            .find(|(known, _)| *known == class)
        {
            return *critical;
        }
        let (a, b) = self.parameters();
        let critical = beta_binomial_critical(class, a, b, self.alpha);
        self.known = [Some((class, critical)), self.known[0]];
        critical
    }
}

fn size_class(records: u64) -> u64 {
    if records <= 16 {
        return records;
    }
    let step = (1_u64 << records.ilog2()) / 8;
    records.div_ceil(step) * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_are_never_smaller_and_at_most_an_eighth_larger() {
        for records in 1..5000 {
            let class = size_class(records);
            assert!(
                class >= records && class as f64 <= records as f64 * 1.126,
                "{records} {class}"
            );
        }
    }

    #[test]
    fn an_unknown_service_needs_nearly_all_errors_and_a_known_one_a_multiple_of_its_own() {
        let mut unknown = RatioBaseline::new(4e-7);
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
}
