//! Counts of the last few seconds, sliding.

use crate::{
    Config,
    state::{Loaded, Reader, Writer},
    time::{EventTime, MOST_MS},
};

const SLOTS: usize = 10;

/// The newest slot: what every record touches.
#[derive(Debug, Clone)]
pub(crate) struct Recent {
    /// Start of the newest slot.
    newest: i64,
    /// Records of the newest slot that [`Past`] doesn't have yet.
    fresh: u32,
}

/// Records and errors of the last `span`, in ten slots: the oldest slot leaves as a whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct Past {
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
    pub(crate) fn starting_at(first: EventTime, config: &Config) -> (Self, Past) {
        let slot = first.0.div_euclid(slot_ms(config));
        let recent = Self {
            newest: slot * slot_ms(config),
            fresh: 0,
        };
        let past = Past {
            at: slot.rem_euclid(SLOTS as i64) as usize,
            ..Past::default()
        };
        (recent, past)
    }

    /// The clock was set to `at`: what was counted stays, as if it had come just now.
    pub(crate) fn restart(&mut self, at: EventTime, past: &mut Past, config: &Config) {
        let (records, errors) = self.sum(past);
        let first_error = past.first_error();
        (*self, *past) = Self::starting_at(at, config);
        let clamp = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        past.records[past.at] = clamp(records);
        past.errors[past.at] = clamp(errors);
        past.first_errors[past.at] = first_error.unwrap_or(0);
        past.sum = (u64::from(clamp(records)), u64::from(clamp(errors)));
    }

    /// Counts one record that is no error; one older than the span is left out.
    pub(crate) fn count(&mut self, time: EventTime, past: &mut Past, config: &Config) {
        let into = time.0 - self.newest;
        if into >= 0 && into < slot_ms(config) {
            self.fresh += 1;
        } else {
            self.count_elsewhere(time, past, config);
        }
    }

    /// Counts one error, likewise.
    pub(crate) fn count_error(
        &mut self,
        time: EventTime,
        offset: i64,
        past: &mut Past,
        config: &Config,
    ) {
        if let Some(at) = self.count_elsewhere(time, past, config) {
            past.sum.1 += 1;
            if past.errors[at] == 0 {
                past.first_errors[at] = offset;
            }
            past.errors[at] += 1;
        }
    }

    /// Records and errors of the span that ends with the newest record.
    pub(crate) const fn sum(&self, past: &Past) -> (u64, u64) {
        (past.sum.0 + self.fresh as u64, past.sum.1)
    }

    /// The answer is where it was counted.
    #[cold]
    fn count_elsewhere(
        &mut self,
        time: EventTime,
        past: &mut Past,
        config: &Config,
    ) -> Option<usize> {
        past.records[past.at] += self.fresh;
        past.sum.0 += u64::from(self.fresh);
        self.fresh = 0;
        let slot = time.0.div_euclid(slot_ms(config));
        let newest = self.newest.div_euclid(slot_ms(config));
        if slot > newest {
            past.slide_to(slot, slot - newest);
            self.newest = slot * slot_ms(config);
        } else if newest - slot >= SLOTS as i64 {
            return None;
        }
        let at = slot.rem_euclid(SLOTS as i64) as usize;
        past.records[at] += 1;
        past.sum.0 += 1;
        Some(at)
    }

    pub(crate) fn save(&self, past: &Past, to: &mut Writer, config: &Config) {
        to.i64(self.newest.div_euclid(slot_ms(config)));
        for (at, records) in past.records.iter().enumerate() {
            let fresh = if at == past.at { self.fresh } else { 0 };
            to.u32(records + fresh);
            to.u32(past.errors[at]);
            if past.errors[at] > 0 {
                to.i64(past.first_errors[at]);
            }
        }
    }

    pub(crate) fn load(from: &mut Reader<'_>, config: &Config) -> Loaded<(Self, Past)> {
        let slot = from.millis()?;
        if slot.abs() > MOST_MS / slot_ms(config) + 1 {
            return Err("a moment out of range");
        }
        let (recent, mut past) = Self::starting_at(EventTime(slot * slot_ms(config)), config);
        for at in 0..SLOTS {
            past.records[at] = from.u32()?;
            past.errors[at] = from.u32()?;
            if past.errors[at] > 0 {
                past.first_errors[at] = from.i64()?;
            }
            if past.errors[at] > past.records[at] {
                return Err("more errors than lines");
            }
            past.sum.0 += u64::from(past.records[at]);
            past.sum.1 += u64::from(past.errors[at]);
        }
        Ok((recent, past))
    }
}

impl Past {
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
            let (mut recent, mut past) = Recent::starting_at(EventTime(times[0].0), &config);
            let mut newest = i64::MIN;
            let mut kept: Vec<(i64, bool, i64)> = Vec::new();
            for (offset, (time, error)) in (0..).zip(times.iter().copied()) {
                if error {
                    recent.count_error(EventTime(time), offset, &mut past, &config);
                } else {
                    recent.count(EventTime(time), &mut past, &config);
                }
                newest = newest.max(time / 1000);
                if newest - time / 1000 < 10 {
                    kept.push((time / 1000, error, offset));
                }
                kept.retain(|(slot, ..)| newest - slot < 10);
                let errors: Vec<_> =
                    kept.iter().filter(|(_, error, _)| *error).map(|(.., offset)| *offset).collect();
                prop_assert_eq!(recent.sum(&past), (kept.len() as u64, errors.len() as u64));
                prop_assert_eq!(past.first_error(), errors.into_iter().min());
            }
        }
    }
}
