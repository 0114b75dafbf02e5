//! Whether something has stopped, by its own gaps.
//!
//! Of n gaps the longest was L. If the next is like them it is longer with probability 1 / (n + 1), whatever
//! their distribution: the greatest of n + 1 exchangeable values is as likely to be any of them. A stretch of
//! k·L is taken for k such draws in a row: p = (n + 1)^−k. That is exact for gaps without memory, the longest
//! of which is some ln n times their mean, too cautious for regular ones, and wrong for what comes in bursts
//! days apart; whose L is long.

use crate::codec::{Loaded, Reader, Writer};

/// Gaps of an epoch, more than there are in a day of windows: what is away every night is known to be. The
/// longest one of the epoch before counts, and older ones are forgotten.
const EPOCH: u16 = 10_000;

/// Gaps are counted in windows: 1 where it comes in every one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rhythm {
    /// Windows without it, to the newest.
    missing: u32,
    /// Gaps of this epoch, and the windows they took.
    windows: u32,
    gaps: u16,
    /// In this epoch, and in the one before; a week is as long as a gap gets.
    longest: u16,
    longest_before: u16,
    has_epoch_before: bool,
}

impl Rhythm {
    /// A window closed.
    pub(crate) fn window(&mut self, is_there: bool) {
        if !is_there {
            self.missing = (self.missing + 1).min(u32::MAX / 2);
            return;
        }
        let gap = std::mem::take(&mut self.missing) + 1;
        if self.gaps == EPOCH {
            *self = Self {
                longest_before: self.longest,
                has_epoch_before: true,
                ..Self::default()
            };
        }
        self.gaps += 1;
        self.windows = (self.windows + gap).min(u32::MAX / 2);
        self.longest = self.longest.max(gap.try_into().unwrap_or(u16::MAX));
    }

    /// Windows without it, to the newest.
    pub(crate) fn missing(&self) -> u32 {
        self.missing
    }

    /// Windows from one time to the next, at most so far; 0: it came once at the most.
    pub(crate) fn longest(&self) -> u32 {
        self.longest.max(self.longest_before).into()
    }

    /// Gaps that it rests on.
    pub(crate) fn gaps(&self) -> u32 {
        u32::from(self.gaps + if self.has_epoch_before { EPOCH } else { 0 })
    }

    /// Windows from one time to the next, usually.
    pub(crate) fn usual(&self) -> f64 {
        f64::from(self.windows) / f64::from(self.gaps.max(1))
    }

    /// Probability of so long a gap as there is now.
    pub(crate) fn p(&self) -> f64 {
        if self.longest() == 0 {
            return 1.0;
        }
        let longer = f64::from(self.missing) / f64::from(self.longest());
        (f64::from(self.gaps()) + 1.0).powf(-longer)
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        to.u32(self.missing);
        to.u32(self.windows);
        to.u16(self.gaps);
        to.u16(self.longest);
        to.u16(self.longest_before);
        to.flag(self.has_epoch_before);
    }

    pub(crate) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let rhythm = Self {
            missing: from.u32()?,
            windows: from.u32()?,
            gaps: from.u16()?,
            longest: from.u16()?,
            longest_before: from.u16()?,
            has_epoch_before: from.flag()?,
        };
        if rhythm.gaps > EPOCH {
            return Err("more gaps than there are in an epoch");
        }
        Ok(rhythm)
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    /// Windows in which something without memory comes: how often each probability was reached, of the gaps.
    fn reached(chance: f64, level: f64) -> f64 {
        let mut rng = StdRng::seed_from_u64(4);
        let mut rhythm = Rhythm::default();
        let (mut gaps, mut improbable) = (0_u32, 0_u32);
        for at in 0..2_000_000 {
            let is_there = rng.random_bool(chance);
            if is_there && at > 20_000 {
                gaps += 1;
                improbable += u32::from(rhythm.p() < level);
            }
            rhythm.window(is_there);
        }
        f64::from(improbable) / f64::from(gaps)
    }

    #[test]
    fn a_gap_that_is_said_to_be_improbable_is_no_more_frequent_than_that() {
        for chance in [0.02, 0.1, 0.3] {
            for level in [1e-2, 1e-3, 1e-4] {
                let share = reached(chance, level);
                assert!(share <= 1.5 * level, "{chance}: {share} below {level}");
            }
        }
    }

    #[test]
    fn what_came_like_clockwork_is_missed_soon_and_what_comes_rarely_is_not() {
        let mut beat = Rhythm::default();
        for at in 0..600 {
            beat.window(at % 6 == 0);
        }
        for _ in 0..18 {
            beat.window(false);
        }
        assert!(beat.p() < 1e-5, "{}", beat.p());
        assert!((beat.usual() - 6.0).abs() < 0.1);
        let mut rare = Rhythm::default();
        let mut rng = StdRng::seed_from_u64(5);
        for _ in 0..3_000 {
            rare.window(rng.random_bool(3.0 / 360.0));
        }
        rare.window(true);
        for _ in 0..120 {
            rare.window(false);
        }
        assert!(rare.p() > 1e-3, "{}", rare.p());
    }

    #[test]
    fn one_long_gap_is_forgotten_after_two_epochs() {
        let mut rhythm = Rhythm::default();
        rhythm.window(true);
        for _ in 0..500 {
            rhythm.window(false);
        }
        for _ in 0..EPOCH {
            rhythm.window(true);
        }
        assert_eq!(rhythm.longest(), 501);
        for _ in 0..EPOCH {
            rhythm.window(true);
        }
        assert_eq!(rhythm.longest(), 1);
    }
}
