//! How long to wait before the next attempt.
//! Invariant: a delay is never zero, never above the cap, and the same seed gives the same delays.

use std::time::Duration;

/// Doubling delays with jitter: each one is between half of the step and the step.
#[derive(Debug, Clone)]
pub struct Backoff {
    initial: Duration,
    most: Duration,
    step: Duration,
    state: u64,
}

impl Backoff {
    /// Jitter from a seed that differs between processes and between instances of one process.
    pub fn new(initial: Duration, most: Duration) -> Self {
        use std::hash::{BuildHasher, Hasher};
        // The standard library's only source of entropy that needs no other crate.
        let seed = std::hash::RandomState::new().build_hasher().finish();
        Self::seeded(initial, most, seed)
    }

    pub fn seeded(initial: Duration, most: Duration, seed: u64) -> Self {
        let initial = initial.max(Duration::from_millis(1));
        let most = most.max(initial);
        Self {
            initial,
            most,
            step: initial,
            state: seed,
        }
    }

    pub fn next_delay(&mut self) -> Duration {
        let step = self.step;
        self.step = step.saturating_mul(2).min(self.most);
        let half = step / 2;
        half + half.mul_f64(self.next_fraction())
    }

    /// After a success: the next failure starts from the beginning.
    pub fn reset(&mut self) {
        self.step = self.initial;
    }

    /// From 0 up to but without 1. Source: SplitMix64, Steele, Lea and Flood, OOPSLA 2014.
    fn next_fraction(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INITIAL: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_secs(5);

    #[test]
    fn doubles_up_to_the_cap_and_stays_within_its_jitter() {
        for seed in 0..200 {
            let mut backoff = Backoff::seeded(INITIAL, MOST, seed);
            for attempt in 0..12 {
                let step = (INITIAL * 2_u32.pow(attempt)).min(MOST);
                let delay = backoff.next_delay();
                assert!(
                    delay >= step / 2 && delay <= step,
                    "{seed} {attempt} {delay:?}"
                );
            }
        }
    }

    #[test]
    fn starts_over_after_a_reset() {
        let mut backoff = Backoff::seeded(INITIAL, MOST, 7);
        for _ in 0..10 {
            backoff.next_delay();
        }
        backoff.reset();
        assert!(backoff.next_delay() <= INITIAL);
    }

    #[test]
    fn two_seeds_do_not_march_in_step() {
        let delays = |seed| {
            let mut backoff = Backoff::seeded(INITIAL, MOST, seed);
            (0..5).map(|_| backoff.next_delay()).collect::<Vec<_>>()
        };
        assert_eq!(delays(1), delays(1));
        assert_ne!(delays(1), delays(2));
    }

    #[test]
    fn a_zero_start_still_waits() {
        let mut backoff = Backoff::seeded(Duration::ZERO, Duration::ZERO, 1);
        assert!(backoff.next_delay() > Duration::ZERO);
    }
}
