//! Event time in steps: what is generated at once.
//! Invariant: ticks are counted from the epoch, so their borders don't depend on the start.

use contracts::Timestamp;

/// Length of a tick. At 500,000 records/s one tick is about 35 MB, and a command takes effect
/// within two of them.
pub const TICK_MS: i64 = 250;

/// One step of event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(i64);

impl Tick {
    /// The tick that `at` falls into.
    pub fn containing(at: Timestamp) -> Self {
        Self(at.as_millis().div_euclid(TICK_MS))
    }

    /// The first tick that does not begin before `at`.
    pub fn from(at: Timestamp) -> Self {
        Self(at.as_millis().div_euclid(TICK_MS) + i64::from(at.as_millis().rem_euclid(TICK_MS) > 0))
    }

    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    pub(crate) fn before(self) -> Self {
        Self(self.0 - 1)
    }

    pub fn start(self) -> Timestamp {
        Timestamp::from_millis(self.0 * TICK_MS)
    }

    /// Exclusive.
    pub fn end(self) -> Timestamp {
        self.next().start()
    }

    pub(crate) fn second(self) -> i64 {
        self.start().as_millis().div_euclid(1_000)
    }

    pub(crate) fn number(self) -> u64 {
        self.0 as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_lies_in_its_tick_and_rounds_up_to_the_next() {
        let at = |millis| Timestamp::from_millis(millis);
        assert_eq!(Tick::containing(at(999)).start(), at(750));
        assert_eq!(Tick::from(at(999)).start(), at(1_000));
        assert_eq!(Tick::from(at(1_000)).start(), at(1_000));
        assert_eq!(Tick::from(at(-1)).start(), at(0));
        assert_eq!(Tick::containing(at(1_000)).end(), at(1_250));
    }
}
