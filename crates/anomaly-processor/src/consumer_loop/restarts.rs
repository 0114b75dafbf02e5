//! How soon a partition may begin anew once more.
//!
//! Invariant: whatever goes wrong how often, a partition that was just begun anew waits longer each time.

use std::time::{Duration, Instant};

use pipeline::{Partition, backoff::Backoff};

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// Since the last beginning; then what was before is forgotten.
const CALM: Duration = Duration::from_secs(60);

pub(super) struct Restarts {
    backoff: Backoff,
    last: Option<Instant>,
}

impl Restarts {
    pub(super) fn of(partition: Partition) -> Self {
        Self {
            backoff: Backoff::new(FIRST, LONGEST, partition.0.cast_unsigned().into()),
            last: None,
        }
    }

    /// One more: how long it has to wait.
    pub(super) fn delay(&mut self, now: Instant) -> Duration {
        let before = self.last.replace(now);
        if before.is_none_or(|before| now.duration_since(before) > CALM) {
            self.backoff.reset();
            return Duration::ZERO;
        }
        self.backoff.delay()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_at_once_and_each_soon_after_it_waits_longer() {
        let mut restarts = Restarts::of(Partition(1));
        let mut now = Instant::now();
        assert_eq!(restarts.delay(now), Duration::ZERO);
        for at_least in [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000] {
            now += Duration::from_millis(1);
            assert!(restarts.delay(now) >= Duration::from_millis(at_least));
        }
        now += CALM + Duration::from_millis(1);
        assert_eq!(restarts.delay(now), Duration::ZERO);
    }
}
