//! Lines of a span that slides, in ten steps.

use crate::{
    codec::{Loaded, Reader, Writer},
    record::time::EventTime,
};

const STEPS: i64 = 10;

/// The steps that have lines, oldest first: which step, how many lines, and the offset of the first.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally(Vec<(i64, u32, i64)>);

/// Which step a moment is in.
fn step(at: EventTime, within_ms: i64) -> i64 {
    at.0.div_euclid((within_ms / STEPS).max(1))
}

impl Tally {
    pub(super) fn count(&mut self, now: EventTime, offset: i64, within_ms: i64) {
        let step = step(now, within_ms);
        self.0.retain(|(old, ..)| *old > step - STEPS);
        match self.0.last_mut() {
            Some((newest, count, _)) if *newest >= step => {
                *count = (*count + 1).min(u32::MAX / 2);
            }
            _ => self.0.push((step, 1, offset)),
        }
    }

    /// Lines of the span that ends now; the oldest step leaves as a whole.
    pub(super) fn sum(&self, now: EventTime, within_ms: i64) -> u64 {
        let step = step(now, within_ms);
        let within = self.0.iter().filter(|(at, ..)| *at > step - STEPS);
        within.map(|(_, count, _)| u64::from(*count)).sum()
    }

    /// Of the oldest line that is counted.
    pub(super) fn first_offset(&self) -> Option<i64> {
        self.0.first().map(|(.., offset)| *offset)
    }

    pub(super) fn save(&self, to: &mut Writer) {
        to.u64(self.0.len() as u64);
        for (step, count, offset) in &self.0 {
            to.i64(*step);
            to.u32(*count);
            to.i64(*offset);
        }
    }

    pub(super) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let steps = (0..from.length(STEPS as usize, 3)?)
            .map(|_| Ok((from.i64()?, from.u32()?, from.i64()?)))
            .collect::<Loaded<_>>()?;
        Ok(Self(steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_span_is_not_counted() {
        let mut tally = Tally::default();
        for second in 0..60 {
            tally.count(EventTime(second * 1000), second, 10_000);
        }
        assert_eq!(tally.sum(EventTime(59_000), 10_000), 10);
        assert_eq!(tally.sum(EventTime(64_000), 10_000), 5);
        assert_eq!(tally.first_offset(), Some(50));
        assert_eq!(tally.sum(EventTime(90_000), 10_000), 0);
    }
}
