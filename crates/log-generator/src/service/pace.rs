//! When a record may be handed over.
//! Invariant: event time in records never depends on this; it only decides how long to wait.

use std::time::Duration;

use super::plan::Mode;

/// Longest single wait, so that a stop or a command is noticed.
const LONGEST_WAIT: Duration = Duration::from_millis(20);
/// Records that are due within this are handed over together.
const GRAIN_US: i64 = 1_000;

/// Compares event time with the clock.
#[derive(Debug)]
pub(super) struct Pace {
    mode: Mode,
    /// Event time at which simulated time began, microseconds.
    start_us: i64,
}

/// The clocks, read together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// Wall clock, microseconds since the epoch.
    pub(super) wall_us: i64,
    /// Since the run began.
    pub(super) elapsed: Duration,
}

impl Pace {
    pub(super) fn new(mode: Mode, start_us: i64) -> Self {
        Self { mode, start_us }
    }

    /// Event time that is due by now; `None`: everything.
    pub(super) fn due_us(&self, now: Now) -> Option<i64> {
        match self.mode {
            Mode::Wall => Some(now.wall_us + GRAIN_US),
            Mode::Faster(factor) => {
                let passed = now.elapsed.as_micros() as f64 * factor;
                Some(self.start_us + passed as i64)
            }
            Mode::Unpaced => None,
        }
    }

    /// How long to wait for something that is due at `event_us`.
    pub(super) fn wait(&self, event_us: i64, due_us: i64) -> Duration {
        let ahead = (event_us - due_us).max(0) as u64;
        let ahead = match self.mode {
            Mode::Faster(factor) => (ahead as f64 / factor) as u64,
            Mode::Wall | Mode::Unpaced => ahead,
        };
        Duration::from_micros(ahead + GRAIN_US as u64).min(LONGEST_WAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(wall_us: i64, elapsed_ms: u64) -> Now {
        Now {
            wall_us,
            elapsed: Duration::from_millis(elapsed_ms),
        }
    }

    #[test]
    fn live_time_is_due_when_the_clock_says_so() {
        let pace = Pace::new(Mode::Wall, 0);
        assert_eq!(pace.due_us(now(5_000_000, 1)), Some(5_001_000));
        assert_eq!(pace.wait(5_004_000, 5_001_000), Duration::from_millis(4));
        assert_eq!(pace.wait(9_000_000, 5_001_000), LONGEST_WAIT);
    }

    #[test]
    fn faster_time_is_due_in_proportion_to_what_has_passed() {
        let pace = Pace::new(Mode::Faster(60.0), 1_000_000);
        assert_eq!(pace.due_us(now(0, 500)), Some(31_000_000));
        assert_eq!(pace.wait(31_300_000, 31_000_000), Duration::from_millis(6));
        assert_eq!(Pace::new(Mode::Unpaced, 0).due_us(now(0, 0)), None);
    }
}
