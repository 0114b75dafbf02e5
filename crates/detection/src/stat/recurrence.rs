//! What recurs every day: by how much a count was off its level at the same time yesterday.
//!
//! A batch at two in the morning is no storm the second time. What is remembered is the deviation from the
//! level of the time, not the count, so that a service that has grown is not held to yesterday's numbers;
//! and the last day's alone, so that an extreme of long ago hides nothing.
//!
//! Invariant: what is asked about the present is answered from the day before, never from this day.

use crate::codec::{Loaded, Reader, Writer};

const DAY_MS: i64 = 86_400_000;
/// Length of a slot, ms, and slots of a day. What recurs may come a slot sooner or later.
const SLOT_MS: i64 = 300_000;
const SLOTS: usize = (DAY_MS / SLOT_MS) as usize;
/// Fewer lines expected of a slot tell no ratio.
const LEAST_EXPECTED: f64 = 5.0;
/// Ratios are kept as sixteenths of an octave: 4.4 % apart.
const STEPS_PER_OCTAVE: f64 = 16.0;
/// Ratios are held within 1/4 and 64: that a service was silent yesterday does not make silence usual.
const LEAST_STEP: f64 = -2.0 * STEPS_PER_OCTAVE;
const MOST_STEP: f64 = 6.0 * STEPS_PER_OCTAVE;
const UNKNOWN: i8 = i8::MIN;

#[derive(Debug, Clone, Default)]
pub(crate) struct Recurrence {
    /// Of each slot of a day, when it was last over: the ratio in steps, or [`UNKNOWN`]. `None` before the
    /// first.
    day: Option<Box<[i8; SLOTS]>>,
    /// The slot that is being filled, since the epoch, and what came of how much in it.
    slot: i64,
    counted: f64,
    expected: f64,
    /// Of the slot before it: written down with the next, when nobody asks for yesterday's any more.
    pending: Option<i8>,
}

impl Recurrence {
    /// A window that begins at `start`, ms, has closed: `counted` of `expected` came. Windows in order.
    pub(crate) fn learn(&mut self, start: i64, counted: u64, expected: f64) {
        let slot = start.div_euclid(SLOT_MS);
        if slot != self.slot {
            self.turn_to(slot);
        }
        self.counted += counted as f64;
        self.expected += expected;
    }

    fn turn_to(&mut self, slot: i64) {
        let over = if self.expected >= LEAST_EXPECTED {
            step_of(self.counted / self.expected)
        } else {
            UNKNOWN
        };
        if let Some(step) = self.pending.replace(over) {
            self.write(self.slot - 1, step);
        }
        if slot != self.slot + 1 {
            // A silence that was skipped, or a clock that was set: there is no slot before this one.
            self.pending = None;
            self.write(self.slot, over);
        }
        (self.slot, self.counted, self.expected) = (slot, 0.0, 0.0);
    }

    fn write(&mut self, slot: i64, step: i8) {
        if step == UNKNOWN && self.day.is_none() {
            return;
        }
        let day = self.day.get_or_insert_with(|| Box::new([UNKNOWN; SLOTS]));
        day[of_day(slot)] = step;
    }

    /// The least and the most that the level is to be multiplied with at `time`, ms: at most 1 and at least
    /// 1, and both 1 where yesterday is not known.
    pub(crate) fn at(&self, time: i64) -> (f64, f64) {
        let slot = time.div_euclid(SLOT_MS);
        let Some(day) = &self.day else {
            return (1.0, 1.0);
        };
        let known = (slot - 1..=slot + 1)
            .map(|slot| day[of_day(slot)])
            .filter(|step| *step != UNKNOWN);
        known.fold((1.0, 1.0), |(least, most), step| {
            let ratio = (f64::from(step) / STEPS_PER_OCTAVE).exp2();
            (ratio.min(least), ratio.max(most))
        })
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        to.maybe(self.day.as_ref(), |day, to| {
            for step in day.iter() {
                to.byte(step.cast_unsigned());
            }
        });
        to.i64(self.slot);
        to.f64(self.counted);
        to.f64(self.expected);
        to.maybe(self.pending, |step, to| to.byte(step.cast_unsigned()));
    }

    pub(crate) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let day = from.maybe(|from| {
            let mut day = Box::new([UNKNOWN; SLOTS]);
            for step in day.iter_mut() {
                *step = from.byte()?.cast_signed();
            }
            Ok(day)
        })?;
        Ok(Self {
            day,
            slot: from.millis()?,
            counted: from.amount()?,
            expected: from.amount()?,
            pending: from.maybe(|from| Ok(from.byte()?.cast_signed()))?,
        })
    }
}

fn of_day(slot: i64) -> usize {
    slot.rem_euclid(SLOTS as i64) as usize
}

fn step_of(ratio: f64) -> i8 {
    let steps = ratio.max(1e-6).log2() * STEPS_PER_OCTAVE;
    steps.round().clamp(LEAST_STEP, MOST_STEP) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: i64 = 10_000;

    /// A day of ten lines a window, and `factor` times as many from two o'clock for twenty minutes.
    fn a_day(recurrence: &mut Recurrence, day: i64, factor: u64) {
        for window in 0..DAY_MS / WINDOW {
            let at = window * WINDOW;
            let is_batch = (7_200_000..8_400_000).contains(&at);
            let counted = if is_batch { 10 * factor } else { 10 };
            recurrence.learn(day * DAY_MS + at, counted, 10.0);
        }
    }

    #[test]
    fn yesterdays_deviation_is_known_and_todays_is_not() {
        let mut recurrence = Recurrence::default();
        assert_eq!(recurrence.at(0), (1.0, 1.0));
        a_day(&mut recurrence, 0, 3);
        for minutes in [116, 121, 139] {
            let (least, most) = recurrence.at(DAY_MS + minutes * 60_000);
            assert!((2.9..3.1).contains(&most), "{minutes}: {most}");
            assert_eq!(least, 1.0);
        }
        assert_eq!(recurrence.at(DAY_MS + 60 * 60_000), (1.0, 1.0));
        // While the batch of today goes on, it is yesterday's that counts.
        let mut today = recurrence.clone();
        for window in 0..(7_500_000 / WINDOW) {
            today.learn(DAY_MS + window * WINDOW, 0, 10.0);
        }
        let (least, most) = today.at(DAY_MS + 7_500_000);
        assert!(least == 1.0 && most > 2.9, "{least} {most}");
    }

    #[test]
    fn silence_yesterday_makes_no_silence_usual() {
        let mut recurrence = Recurrence::default();
        a_day(&mut recurrence, 0, 0);
        assert_eq!(recurrence.at(DAY_MS + 7_800_000), (0.25, 1.0));
    }
}
