//! The number of lines per window that is normal for a service: a moving average and deviation.
//!
//! Counts are negative binomial, their variance mean + dispersion · mean². Windows in a row go up and
//! down together, so that sums over longer spans have a dispersion of their own.

use super::{
    dispersion::SpanDispersion,
    tail::{negative_binomial_critical, negative_binomial_lower, negative_binomial_upper},
};
use crate::codec::{Loaded, Reader, Writer};

/// Weight of one window in the moving average: half-life 20 windows.
const LEARN_MEAN: f64 = 0.034;
/// The deviation is learned more slowly: it needs more windows to be known at all.
const LEARN_DEVIATION: f64 = 0.015;
/// Regular machines still jitter: a relative deviation of 5% at the least.
const LEAST_DISPERSION: f64 = 0.0025;
/// Spans of more than one window, in windows, whose dispersion is learned.
pub(crate) const LONGER_SPANS: [usize; 2] = [6, LONGEST_SPAN];
pub(crate) const LONGEST_SPAN: usize = 30;

#[derive(Debug, Clone)]
pub(crate) struct CountBaseline {
    learned: u32,
    /// Windows to learn before anything is said.
    warm_up: u32,
    mean: f64,
    /// Mean of squared deviations from the moving average.
    deviation2: f64,
    spans: [SpanDispersion; 2],
}

impl CountBaseline {
    pub(crate) fn new(warm_up: u32) -> Self {
        Self {
            learned: 0,
            warm_up: warm_up.max(1),
            mean: 0.0,
            deviation2: 0.0,
            spans: [SpanDispersion::default(); 2],
        }
    }

    /// Starts over.
    pub(crate) fn forget(&mut self) {
        *self = Self::new(self.warm_up);
    }

    pub(crate) fn learned(&self) -> u32 {
        self.learned
    }

    pub(crate) fn is_warm(&self) -> bool {
        self.learned >= self.warm_up
    }

    /// Windows learned since it was warm.
    pub(crate) fn learned_beyond_warm_up(&self) -> u32 {
        self.learned.saturating_sub(self.warm_up)
    }

    pub(crate) fn mean(&self) -> f64 {
        self.mean
    }

    /// By how much a sum over `span` windows is off what is expected.
    pub(crate) fn off(&self, sum: u64, span: usize) -> f32 {
        (sum as f64 - self.mean * span as f64) as f32
    }

    /// `off`: by how much the sums of the longer spans were off what was expected of them.
    pub(crate) fn learn_spans(&mut self, off: [f32; 2]) {
        if !self.is_warm() {
            return;
        }
        for ((dispersion, span), off) in self.spans.iter_mut().zip(LONGER_SPANS).zip(off) {
            dispersion.learn(f64::from(off), span, self.mean);
        }
    }

    pub(crate) fn learn(&mut self, count: u64) {
        let windows = f64::from(self.learned);
        let deviation = count as f64 - self.mean;
        if self.learned > 0 {
            // The most that one window may move the deviation: what nearly never happens by chance.
            let most = 16.0 * self.variance().max(1.0);
            let weight = LEARN_DEVIATION.max(1.0 / windows.max(1.0));
            let deviation2 = if self.is_warm() {
                (deviation * deviation).min(most)
            } else {
                deviation * deviation
            };
            self.deviation2 += (deviation2 - self.deviation2) * weight;
        }
        self.mean += deviation * LEARN_MEAN.max(1.0 / (windows + 1.0));
        self.learned = self.learned.saturating_add(1);
    }

    /// Dispersion of the negative binomial count, raised by how little is known of it. Of few lines chance
    /// hides it; what a level goes up and down by from minute to minute it does within a minute, too.
    fn dispersion(&self) -> f64 {
        let of_minutes = self.dispersion_known(0).unwrap_or_default();
        self.dispersion_of_windows().max(of_minutes)
    }

    fn dispersion_of_windows(&self) -> f64 {
        let windows = f64::from(self.learned.min((1.0 / LEARN_DEVIATION) as u32)).max(2.0);
        let unsure = 1.0 + 2.0 * (2.0 / windows).sqrt();
        let beyond_poisson =
            (self.deviation2 - self.mean).max(0.0) / (self.mean * self.mean).max(1e-9);
        (beyond_poisson * unsure).max(LEAST_DISPERSION) + 1.0 / (windows * 4.0 * self.mean.max(1.0))
    }

    /// Dispersion of the sum over `span` windows. While little is known of it: as one window's, as if
    /// all of them went up and down together.
    fn dispersion_over(&self, span: usize) -> f64 {
        // Of what is longer than the longest, the longest says the most.
        let of = span.min(LONGEST_SPAN);
        let at = LONGER_SPANS.iter().position(|longer| *longer == of);
        at.and_then(|at| self.dispersion_known(at))
            .map_or_else(|| self.dispersion(), |known| known.max(LEAST_DISPERSION))
    }

    /// Of the sum over one of [`LONGER_SPANS`]; `None`: too little is known of it.
    fn dispersion_known(&self, at: usize) -> Option<f64> {
        let span = *LONGER_SPANS.get(at)?;
        self.spans.get(at)?.dispersion(span, self.mean)
    }

    pub(crate) fn variance(&self) -> f64 {
        self.mean + self.dispersion() * self.mean * self.mean
    }

    pub(crate) fn variance_over(&self, span: usize) -> f64 {
        let expected = self.mean * span as f64;
        expected + self.dispersion_over(span) * expected * expected
    }

    /// Probability of so many or more in `span` windows, where `factor` times as many as usual are expected.
    pub(crate) fn upper_tail(&self, sum: u64, span: usize, factor: f64) -> f64 {
        let expected = self.mean * factor * span as f64;
        negative_binomial_upper(sum, expected, self.dispersion_over(span))
    }

    /// Probability of so many or fewer, likewise.
    pub(crate) fn lower_tail(&self, sum: u64, span: usize, factor: f64) -> f64 {
        let expected = self.mean * factor * span as f64;
        negative_binomial_lower(sum, expected, self.dispersion_over(span))
    }

    /// Smallest count of a window that is less probable than `alpha`, likewise. It costs many tails.
    pub(crate) fn critical(&self, alpha: f64, factor: f64) -> u64 {
        negative_binomial_critical(self.mean * factor, self.dispersion(), alpha)
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        to.u32(self.learned);
        to.f64(self.mean);
        to.f64(self.deviation2);
        for span in &self.spans {
            span.save(to);
        }
    }

    pub(crate) fn load(from: &mut Reader<'_>, warm_up: u32) -> Loaded<Self> {
        Ok(Self {
            learned: from.u32()?,
            mean: from.amount()?,
            deviation2: from.amount()?,
            spans: [SpanDispersion::load(from)?, SpanDispersion::load(from)?],
            ..Self::new(warm_up)
        })
    }
}
