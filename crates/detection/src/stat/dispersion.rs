//! How much the lines of several windows in a row vary together.
//!
//! The sum over many windows varies more than windows that know nothing of each other would make it,
//! and less than windows that all go the same way: how much is learned for each span by itself, from what
//! the span's sums were off the expectation by.

use crate::codec::{Loaded, Reader, Writer};

/// Spans, end to end, that are remembered.
const REMEMBERED: f64 = 20.0;
/// Fewer of them tell nothing.
const LEAST_KNOWN: f64 = 3.0;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SpanDispersion {
    /// Sums learned; those that overlap count each.
    sums: u32,
    /// Mean of squared deviations from what was expected.
    deviation2: f64,
}

impl SpanDispersion {
    /// `off`: by how much the sum over `span` windows differs from `span` × the mean known before.
    pub(super) fn learn(&mut self, off: f64, span: usize, mean: f64) {
        self.sums = self.sums.saturating_add(1);
        let mut off2 = off * off;
        if self.known(span) >= LEAST_KNOWN {
            // The most that one sum may move it.
            off2 = off2.min(16.0 * self.deviation2.max(mean * span as f64).max(1.0));
        }
        let weight = (1.0 / (REMEMBERED * span as f64)).max(1.0 / f64::from(self.sums));
        self.deviation2 += (off2 - self.deviation2) * weight;
    }

    /// Spans, end to end, that it rests on.
    fn known(&self, span: usize) -> f64 {
        (f64::from(self.sums) / span as f64).min(REMEMBERED)
    }

    /// Dispersion of the negative binomial sum, raised by how little is known of it; `None` where that
    /// is too little.
    pub(super) fn dispersion(&self, span: usize, mean: f64) -> Option<f64> {
        let known = self.known(span);
        if known < LEAST_KNOWN {
            return None;
        }
        let expected = mean * span as f64;
        let unsure = 1.0 + 2.0 * (2.0 / known).sqrt();
        let variance = self.deviation2 * unsure;
        Some((variance - expected).max(0.0) / (expected * expected).max(1e-9))
    }

    pub(super) fn save(&self, to: &mut Writer) {
        to.u32(self.sums);
        to.f64(self.deviation2);
    }

    pub(super) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        Ok(Self {
            sums: from.u32()?,
            deviation2: from.amount()?,
        })
    }
}
