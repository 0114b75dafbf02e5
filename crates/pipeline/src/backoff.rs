//! How long to wait before the next attempt.

use std::time::Duration;

use primitives::splitmix::SplitMix64;

/// Exponential with jitter: each delay is drawn from the upper half of a doubling range.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    first: Duration,
    cap: Duration,
    chance: SplitMix64,
}

impl Backoff {
    /// `seed` sets the jitter apart between partitions; it has no other meaning.
    pub fn new(first: Duration, cap: Duration, seed: u64) -> Self {
        Self {
            next: first,
            first,
            cap,
            chance: SplitMix64::new(seed),
        }
    }

    pub fn delay(&mut self) -> Duration {
        let fraction = (self.chance.draw() >> 40) as f64 / f64::from(1_u32 << 24);
        let delay = self.next.mul_f64(0.5 + fraction / 2.0);
        self.next = (self.next * 2).min(self.cap);
        delay
    }

    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_cap_and_starts_over() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1), 7);
        for upper in [100, 200, 400, 800, 1000, 1000] {
            let delay = backoff.delay().as_millis();
            assert!((upper / 2..=upper).contains(&delay), "{delay} of {upper}");
        }
        backoff.reset();
        assert!(backoff.delay() <= Duration::from_millis(100));
    }
}
