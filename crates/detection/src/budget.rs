//! The false-alert budget, and how anomalous something is against it.

use crate::{
    codec::{Loaded, Reader, Writer},
    config::Config,
    record::Weight,
};

/// Asked of each window: error burst, share of errors lately and for hours, rate up and down, latency and its
/// tail, new templates, those that surge and those that are gone, failed logins of users and of addresses, classes
/// of answers, machines that are silent.
const QUESTIONS: f64 = 14.0;

impl Config {
    /// Probability of a false alert that one judgement may have: the budget shared out over the
    /// judgements of a week (windows × questions asked of each).
    pub fn alpha(&self) -> f64 {
        let windows_per_week = 7.0 * 86_400_000.0 / self.window_ms as f64;
        (self.false_alerts_per_week / (windows_per_week * QUESTIONS)).min(1e-3)
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

    /// As if it were so improbable: of what somebody gave a weight to.
    pub(crate) const fn of_weight(weight: Weight) -> Self {
        Self(match weight {
            Weight::Low => 1.5,
            Weight::Medium => 3.0,
            Weight::High => 6.0,
            Weight::Critical => 12.0,
        })
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
