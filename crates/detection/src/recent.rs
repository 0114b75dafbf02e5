//! Counts of the last few seconds, sliding.

use crate::time::EventTime;

const SLOTS: usize = 10;

/// Records and errors of the last `span`, in ten slots: the oldest slot leaves as a whole.
#[derive(Debug, Clone)]
pub struct Recent {
    slot_ms: i64,
    newest: i64,
    records: [u32; SLOTS],
    errors: [u32; SLOTS],
    /// Offset of a slot's first error; meaningless in a slot without one.
    first_errors: [i64; SLOTS],
    sum: (u64, u64),
}

impl Recent {
    pub fn over(span_ms: i64) -> Self {
        let slot_ms = (span_ms / SLOTS as i64).max(1);
        Self {
            slot_ms,
            newest: i64::MIN / 2,
            records: [0; SLOTS],
            errors: [0; SLOTS],
            first_errors: [0; SLOTS],
            sum: (0, 0),
        }
    }

    /// Counts one record; one older than the span is left out.
    pub fn count(&mut self, time: EventTime, is_error: bool, offset: i64) {
        let slot = time.0.div_euclid(self.slot_ms);
        if slot > self.newest {
            self.slide_to(slot);
        } else if self.newest - slot >= SLOTS as i64 {
            return;
        }
        let at = slot.rem_euclid(SLOTS as i64) as usize;
        if is_error && self.errors[at] == 0 {
            self.first_errors[at] = offset;
        }
        self.records[at] += 1;
        self.errors[at] += u32::from(is_error);
        self.sum.0 += 1;
        self.sum.1 += u64::from(is_error);
    }

    /// Records and errors of the span that ends with the newest record.
    pub const fn sum(&self) -> (u64, u64) {
        self.sum
    }

    /// Offset of the first error of the span.
    pub fn first_error(&self) -> Option<i64> {
        let slots = self.errors.iter().zip(&self.first_errors);
        slots
            .filter(|(errors, _)| **errors > 0)
            .map(|(_, offset)| *offset)
            .min()
    }

    fn slide_to(&mut self, slot: i64) {
        let steps = slot.saturating_sub(self.newest).min(SLOTS as i64);
        for step in 0..steps {
            let at = (slot - step).rem_euclid(SLOTS as i64) as usize;
            self.sum.0 -= u64::from(self.records[at]);
            self.sum.1 -= u64::from(self.errors[at]);
            self.records[at] = 0;
            self.errors[at] = 0;
        }
        self.newest = slot;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_counting_the_slots_by_hand(times in prop::collection::vec((0_i64..60_000, any::<bool>()), 1..200)) {
            let mut recent = Recent::over(10_000);
            let mut newest = i64::MIN;
            let mut kept: Vec<(i64, bool, i64)> = Vec::new();
            for (offset, (time, error)) in (0..).zip(times) {
                recent.count(EventTime(time), error, offset);
                newest = newest.max(time / 1000);
                if newest - time / 1000 < 10 {
                    kept.push((time / 1000, error, offset));
                }
                kept.retain(|(slot, ..)| newest - slot < 10);
                let errors: Vec<_> =
                    kept.iter().filter(|(_, error, _)| *error).map(|(.., offset)| *offset).collect();
                prop_assert_eq!(recent.sum(), (kept.len() as u64, errors.len() as u64));
                prop_assert_eq!(recent.first_error(), errors.into_iter().min());
            }
        }
    }
}
