//! A share of errors that creeps up: what the last minutes are used to is what it has become.
//!
//! It is held against what was usual for hours, over spans of minutes, each with what it varies by itself.
//! Invariant: nothing is learned of a span that is told, nor of one with a burst in it.

use crate::{
    budget::Score,
    codec::{Loaded, Reader, Writer},
    config::Config,
    stat::ShareDispersion,
    window::Window,
};

/// Windows of a span; one follows the other.
pub(super) const SPANS: [usize; 2] = [30, 90];
/// Half-life 3.9 hours.
const FORGET: f64 = 0.9995;
/// Windows before anything is told, times those that the rate needs: half an hour.
const LEAST_LEARNED: u32 = 10;
/// A share below is left alone: so many times what is usual, and so many errors more.
const FACTOR: f64 = 2.0;
const LEAST_EXCESS: f64 = 10.0;
/// What has been told goes on while a minute has so many times what is usual.
const STILL_HIGH_FACTOR: f64 = 1.5;

#[derive(Debug, Clone, Copy, Default)]
struct Span {
    windows: u32,
    records: u64,
    errors: u64,
    dispersion: ShareDispersion,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Creeping {
    errors: f64,
    records: f64,
    learned: u32,
    spans: [Span; SPANS.len()],
}

/// Too many errors in a span.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crept {
    pub(super) windows: usize,
    pub(super) records: u64,
    pub(super) errors: u64,
    pub(super) score: Score,
}

impl Creeping {
    /// Expected share, 0 to 1: as if one in twenty of a first hundred lines had been an error.
    pub(super) fn share(&self) -> f64 {
        (self.errors + 5.0) / (self.records + 100.0)
    }

    /// Lines that the estimate rests on.
    pub(super) fn weight(&self) -> f64 {
        self.records
    }

    /// A window closed; `is_told`: a burst or a raised share of errors is. The answer is the longest span
    /// that ends with it and had too many errors, if any.
    pub(super) fn window_closed(
        &mut self,
        window: &Window,
        is_told: bool,
        config: &Config,
    ) -> Option<Crept> {
        if is_told {
            // What comes after it is not judged together with it.
            self.forget_spans();
            return None;
        }
        let expected = self.share();
        let is_known = self.learned >= LEAST_LEARNED * config.warm_up_windows;
        let mut crept = None;
        for (span, most) in self.spans.iter_mut().zip(SPANS) {
            span.windows += 1;
            span.records += window.records;
            span.errors += window.errors;
            if (span.windows as usize) < most {
                continue;
            }
            let score = span.score(expected, config).filter(|_| is_known);
            if let Some(score) = score {
                crept = Some(Crept {
                    windows: most,
                    records: span.records,
                    errors: span.errors,
                    score,
                });
            } else if is_known {
                let counted = (span.errors, span.records);
                span.dispersion.learn(counted, expected, 1);
            }
            span.begin();
        }
        if crept.is_none() {
            self.learned = self.learned.saturating_add(1);
            self.errors = self.errors * FORGET + window.errors as f64;
            self.records = self.records * FORGET + window.records as f64;
        }
        crept
    }

    /// Whether a minute with so many errors is no longer part of what has crept up.
    pub(super) fn is_calm(&self, records: u64, errors: u64) -> bool {
        let expected = self.share() * records as f64;
        errors as f64 <= (expected * STILL_HIGH_FACTOR).max(expected + 2.0 * expected.sqrt())
    }

    /// Errors of `records` lines that are let pass.
    pub(super) fn matters_at(&self, records: u64) -> f64 {
        matters_at(self.share() * records as f64)
    }

    /// Another share of errors is normal from now on.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(super) fn forget_spans(&mut self) {
        self.spans.iter_mut().for_each(Span::begin);
    }

    pub(super) fn save(&self, to: &mut Writer) {
        to.f64(self.errors);
        to.f64(self.records);
        to.u32(self.learned);
        for span in &self.spans {
            to.u32(span.windows);
            to.u64(span.records);
            to.u64(span.errors);
            span.dispersion.save(to);
        }
    }

    pub(super) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let mut creeping = Self {
            errors: from.amount()?,
            records: from.amount()?,
            learned: from.u32()?,
            spans: Default::default(),
        };
        for span in &mut creeping.spans {
            *span = Span {
                windows: from.u32()?,
                records: from.count()?,
                errors: from.count()?,
                dispersion: ShareDispersion::load(from)?,
            };
        }
        let is_odd = |span: &Span| span.errors > span.records;
        if creeping.errors > creeping.records || creeping.spans.iter().any(is_odd) {
            return Err("more errors than lines");
        }
        Ok(creeping)
    }
}

impl Span {
    fn begin(&mut self) {
        (self.windows, self.records, self.errors) = (0, 0, 0);
    }

    fn score(&self, expected: f64, config: &Config) -> Option<Score> {
        if (self.errors as f64) < matters_at(expected * self.records as f64) {
            return None;
        }
        let counted = (self.errors, self.records);
        let p = self.dispersion.upper_tail(counted, expected, 1);
        let score = Score::of(p, config.alpha());
        score.is_anomalous().then_some(score)
    }
}

fn matters_at(expected: f64) -> f64 {
    (expected * FACTOR).max(expected + LEAST_EXCESS)
}
