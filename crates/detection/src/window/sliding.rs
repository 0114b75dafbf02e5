//! Counts of the last few seconds, sliding.

use crate::{
    codec::{Loaded, Reader, Writer},
    config::Config,
    record::time::{EventTime, MOST_MS},
};

const SLOTS: usize = 10;

/// The newest slot: what every record touches.
#[derive(Debug, Clone)]
pub(crate) struct Recent {
    /// Start of the newest slot.
    newest: i64,
    /// Records of the newest slot that [`Slots`] doesn't have yet.
    fresh: u32,
}

/// Records and errors of the last window's length, in ten slots: the oldest slot leaves as a whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slots {
    /// Where the newest slot is.
    at: usize,
    sum: (u64, u64),
    records: [u32; SLOTS],
    errors: [u32; SLOTS],
    /// Offset of a slot's first error; meaningless in a slot without one.
    first_errors: [i64; SLOTS],
}

/// Length of a slot, ms, for spans of a window's length.
const fn slot_ms(config: &Config) -> i64 {
    let length = config.window_ms / SLOTS as i64;
    if length > 0 { length } else { 1 }
}

impl Recent {
    pub(crate) fn starting_at(first: EventTime, config: &Config) -> (Self, Slots) {
        let slot = first.0.div_euclid(slot_ms(config));
        let recent = Self {
            newest: slot * slot_ms(config),
            fresh: 0,
        };
        let slots = Slots {
            at: slot.rem_euclid(SLOTS as i64) as usize,
            ..Slots::default()
        };
        (recent, slots)
    }

    /// The clock was set to `at`: what was counted stays, as if it had come just now.
    pub(crate) fn restart(&mut self, at: EventTime, slots: &mut Slots, config: &Config) {
        let (records, errors) = self.sum(slots);
        let first_error = slots.first_error();
        (*self, *slots) = Self::starting_at(at, config);
        let clamp = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        slots.records[slots.at] = clamp(records);
        slots.errors[slots.at] = clamp(errors);
        slots.first_errors[slots.at] = first_error.unwrap_or(0);
        slots.sum = (u64::from(clamp(records)), u64::from(clamp(errors)));
    }

    /// Counts one record that is no error; one older than the span is left out.
    pub(crate) fn count(&mut self, time: EventTime, slots: &mut Slots, config: &Config) {
        let into = time.0 - self.newest;
        if into >= 0 && into < slot_ms(config) {
            self.fresh += 1;
        } else {
            self.count_elsewhere(time, slots, config);
        }
    }

    /// Counts one error, likewise.
    pub(crate) fn count_error(
        &mut self,
        time: EventTime,
        offset: i64,
        slots: &mut Slots,
        config: &Config,
    ) {
        if let Some(at) = self.count_elsewhere(time, slots, config) {
            slots.sum.1 += 1;
            if slots.errors[at] == 0 {
                slots.first_errors[at] = offset;
            }
            slots.errors[at] += 1;
        }
    }

    /// Records and errors of the span that ends with the newest record.
    pub(crate) const fn sum(&self, slots: &Slots) -> (u64, u64) {
        (slots.sum.0 + self.fresh as u64, slots.sum.1)
    }

    /// The answer is where it was counted.
    #[cold]
    fn count_elsewhere(
        &mut self,
        time: EventTime,
        slots: &mut Slots,
        config: &Config,
    ) -> Option<usize> {
        slots.records[slots.at] += self.fresh;
        slots.sum.0 += u64::from(self.fresh);
        self.fresh = 0;
        let slot = time.0.div_euclid(slot_ms(config));
        let newest = self.newest.div_euclid(slot_ms(config));
        if slot > newest {
            slots.slide_to(slot, slot - newest);
            self.newest = slot * slot_ms(config);
        } else if newest - slot >= SLOTS as i64 {
            return None;
        }
        let at = slot.rem_euclid(SLOTS as i64) as usize;
        slots.records[at] += 1;
        slots.sum.0 += 1;
        Some(at)
    }

    pub(crate) fn save(&self, slots: &Slots, to: &mut Writer, config: &Config) {
        to.i64(self.newest.div_euclid(slot_ms(config)));
        for (at, records) in slots.records.iter().enumerate() {
            let fresh = if at == slots.at { self.fresh } else { 0 };
            to.u32(records + fresh);
            to.u32(slots.errors[at]);
            if slots.errors[at] > 0 {
                to.i64(slots.first_errors[at]);
            }
        }
    }

    pub(crate) fn load(from: &mut Reader<'_>, config: &Config) -> Loaded<(Self, Slots)> {
        let slot = from.millis()?;
        if slot.abs() > MOST_MS / slot_ms(config) + 1 {
            return Err("a moment out of range");
        }
        let (recent, mut slots) = Self::starting_at(EventTime(slot * slot_ms(config)), config);
        for at in 0..SLOTS {
            slots.records[at] = from.u32()?;
            slots.errors[at] = from.u32()?;
            if slots.errors[at] > 0 {
                slots.first_errors[at] = from.i64()?;
            }
            if slots.errors[at] > slots.records[at] {
                return Err("more errors than lines");
            }
            slots.sum.0 += u64::from(slots.records[at]);
            slots.sum.1 += u64::from(slots.errors[at]);
        }
        Ok((recent, slots))
    }
}

impl Slots {
    /// Offset of the first error of the span.
    pub(crate) fn first_error(&self) -> Option<i64> {
        let slots = self.errors.iter().zip(&self.first_errors);
        slots
            .filter(|(errors, _)| **errors > 0)
            .map(|(_, offset)| *offset)
            .min()
    }

    fn slide_to(&mut self, slot: i64, steps: i64) {
        for step in 0..steps.min(SLOTS as i64) {
            let at = (slot - step).rem_euclid(SLOTS as i64) as usize;
            self.sum.0 -= u64::from(self.records[at]);
            self.sum.1 -= u64::from(self.errors[at]);
            self.records[at] = 0;
            self.errors[at] = 0;
        }
        self.at = slot.rem_euclid(SLOTS as i64) as usize;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_counting_the_slots_by_hand(times in prop::collection::vec((0_i64..60_000, any::<bool>()), 1..200)) {
            let config = Config::default();
            let (mut recent, mut slots) = Recent::starting_at(EventTime(times[0].0), &config);
            let mut newest = i64::MIN;
            let mut kept: Vec<(i64, bool, i64)> = Vec::new();
            for (offset, (time, error)) in (0..).zip(times.iter().copied()) {
                if error {
                    recent.count_error(EventTime(time), offset, &mut slots, &config);
                } else {
                    recent.count(EventTime(time), &mut slots, &config);
                }
                newest = newest.max(time / 1000);
                if newest - time / 1000 < 10 {
                    kept.push((time / 1000, error, offset));
                }
                kept.retain(|(slot, ..)| newest - slot < 10);
                let errors: Vec<_> =
                    kept.iter().filter(|(_, error, _)| *error).map(|(.., offset)| *offset).collect();
                prop_assert_eq!(recent.sum(&slots), (kept.len() as u64, errors.len() as u64));
                prop_assert_eq!(slots.first_error(), errors.into_iter().min());
            }
        }
    }
}
