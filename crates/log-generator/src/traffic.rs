//! How many records a service writes, and when.
//!
//! Expected rates follow the day and the week, slowly enough that minutes are stationary. Around
//! them, a factor per service and second wanders: a gamma variable with mean 1, whose neighbours
//! in time are correlated. A Poisson count under it is negative binomial: over-dispersed, as real
//! counts are.
//! Source: beta-gamma autoregression, Lewis, McKenzie and Hugus, "Gamma processes",
//! Stochastic Models 5(1), 1989.
//! Invariant: the factor's stationary distribution is Gamma(1/φ, φ) from the first second on.

use std::f64::consts::TAU;

use contracts::Timestamp;
use rand_distr::{Beta, Distribution as _, Gamma, Poisson, StandardNormal};

use crate::random::Rng;

const DAY_MS: i64 = 86_400_000;
/// 1970 began on a Thursday: the first Sunday.
const FIRST_SUNDAY_MS: i64 = 3 * DAY_MS;
/// Correlation of the factor from one second to the next.
const CORRELATION: f64 = 0.3;

/// Factor of the hour and the weekday, between 0.7 and 1.3; its mean over a week is about 1.
/// `phase` shifts a service's day (radians).
pub(crate) fn rhythm(at: Timestamp, phase: f64) -> f64 {
    let part = |millis: i64, of: i64| millis.rem_euclid(of) as f64 / of as f64 * TAU;
    let day = part(at.as_millis(), DAY_MS) + phase;
    let week = part(at.as_millis() - FIRST_SUNDAY_MS, 7 * DAY_MS);
    // Highest in the afternoon, with a shoulder in the morning; weekends are quieter.
    1.0 + 0.18 * (day - 2.3).sin() + 0.06 * (2.0 * day + 0.6).sin() - 0.06 * week.cos()
}

/// The wandering factor of one service.
#[derive(Debug, Clone)]
pub(crate) struct Wander {
    whole: Gamma<f64>,
    kept: Beta<f64>,
    fresh: Gamma<f64>,
    now: Option<f64>,
}

/// A dispersion that is not in (0, 10].
#[derive(Debug, thiserror::Error)]
#[error("dispersion {0} is not between 0 and 10")]
pub struct BadDispersion(f64);

impl Wander {
    /// `dispersion` is the variance φ of the factor.
    pub(crate) fn new(dispersion: f64) -> Result<Self, BadDispersion> {
        let shape = 1.0 / dispersion;
        let bad = || BadDispersion(dispersion);
        if !(dispersion > 0.0 && dispersion <= 10.0) {
            return Err(bad());
        }
        Ok(Self {
            whole: Gamma::new(shape, dispersion).map_err(|_| bad())?,
            kept: Beta::new(shape * CORRELATION, shape * (1.0 - CORRELATION)).map_err(|_| bad())?,
            fresh: Gamma::new(shape * (1.0 - CORRELATION), dispersion).map_err(|_| bad())?,
            now: None,
        })
    }

    /// The factor of the next second.
    pub(crate) fn next(&mut self, rng: &mut Rng) -> f64 {
        let factor = match self.now {
            None => self.whole.sample(rng),
            Some(before) => self.kept.sample(rng) * before + self.fresh.sample(rng),
        };
        self.now = Some(factor);
        factor
    }
}

/// Seconds after which what a slow factor was is forgotten by two thirds.
const SLOWNESS: f64 = 2_400.0;

/// The slowly wandering factor of one service: its logarithm is an autoregression of the first order.
/// Invariant: its stationary distribution is lognormal with median 1 from the first second on.
#[derive(Debug, Clone)]
pub(crate) struct Drift {
    /// Standard deviation of the logarithm.
    deviation: f64,
    now: Option<f64>,
}

impl Drift {
    pub(crate) fn new(deviation: f64) -> Self {
        Self {
            deviation,
            now: None,
        }
    }

    /// The factor of the next second. Without deviation nothing is drawn.
    pub(crate) fn next(&mut self, rng: &mut Rng) -> f64 {
        if self.deviation <= 0.0 {
            return 1.0;
        }
        let fresh: f64 = StandardNormal.sample(rng);
        let kept = (-1.0 / SLOWNESS).exp();
        let now = self.now.map_or(fresh, |before| {
            kept * before + (1.0 - kept * kept).sqrt() * fresh
        });
        self.now = Some(now);
        (self.deviation * now).exp()
    }
}

/// A Poisson count; none when nothing is expected.
pub(crate) fn poisson(expected: f64, rng: &mut Rng) -> u32 {
    Poisson::new(expected).map_or(0, |counts| counts.sample(rng) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    #[test]
    fn the_rhythm_stays_within_thirty_percent_and_averages_one() {
        for phase in [-0.5, 0.0, 0.5] {
            let mut sum = 0.0;
            for minute in 0..7 * 1440 {
                let factor = rhythm(Timestamp::from_millis(minute * 60_000), phase);
                assert!((0.7..=1.3).contains(&factor), "{minute} {factor}");
                sum += factor;
            }
            assert!((sum / f64::from(7 * 1440) - 1.0).abs() < 0.001);
        }
    }

    #[test]
    fn minutes_are_stationary() {
        for minute in 0..7 * 1440 {
            let at = |minute: i64| rhythm(Timestamp::from_millis(minute * 60_000), 0.2);
            assert!((at(minute + 1) / at(minute) - 1.0).abs() < 0.003);
        }
    }

    #[test]
    fn weekends_are_quieter() {
        // 2026-11-21 is a Saturday, 2026-11-25 a Wednesday.
        let noon = |day: &str| rhythm(Timestamp::parse(&format!("{day}T12:00:00Z")).unwrap(), 0.0);
        assert!(noon("2026-11-21") < 0.93 * noon("2026-11-25"));
    }

    #[test]
    fn the_factor_has_mean_one_the_given_variance_and_mild_memory() {
        let (dispersion, rng) = (0.04, &mut stream(1, Purpose::Traffic, 0, 0));
        let mut wander = Wander::new(dispersion).unwrap();
        let factors: Vec<f64> = (0..200_000).map(|_| wander.next(rng)).collect();
        let count = factors.len() as f64;
        let mean = factors.iter().sum::<f64>() / count;
        let variance = factors.iter().map(|f| (f - mean).powi(2)).sum::<f64>() / count;
        let products = factors
            .windows(2)
            .map(|pair| (pair[0] - mean) * (pair[1] - mean));
        let memory = products.sum::<f64>() / count / variance;
        assert!((mean - 1.0).abs() < 0.005, "{mean}");
        assert!((variance / dispersion - 1.0).abs() < 0.05, "{variance}");
        assert!((memory - CORRELATION).abs() < 0.02, "{memory}");
    }

    #[test]
    fn the_slow_factor_stays_for_minutes_and_moves_within_hours() {
        let rng = &mut stream(2, Purpose::Traffic, 0, 0);
        let mut drift = Drift::new(0.2);
        let logs: Vec<f64> = (0..2_000_000).map(|_| drift.next(rng).ln()).collect();
        let variance = logs.iter().map(|x| x * x).sum::<f64>() / logs.len() as f64;
        let memory = |after: usize| {
            let products = logs.iter().zip(&logs[after..]).map(|(a, b)| a * b);
            products.sum::<f64>() / (logs.len() - after) as f64 / variance
        };
        assert!((variance.sqrt() / 0.2 - 1.0).abs() < 0.1, "{variance}");
        assert!(memory(60) > 0.95 && memory(6 * 3600) < 0.2);
        assert_eq!(Drift::new(0.0).next(rng), 1.0);
    }

    #[test]
    fn nothing_expected_is_nothing_counted() {
        let rng = &mut stream(1, Purpose::Traffic, 0, 0);
        assert_eq!(poisson(0.0, rng), 0);
        assert_eq!(poisson(-1.0, rng), 0);
        assert_eq!(poisson(f64::NAN, rng), 0);
        assert!(Wander::new(0.0).is_err() && Wander::new(f64::NAN).is_err());
    }
}
