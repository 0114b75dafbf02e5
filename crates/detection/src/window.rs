//! Tumbling windows of one service, by its own stream time.
//!
//! Invariant: a window takes records while `window_end > stream_time − grace`; then it is closed,
//! once, in order, and every window that time skipped is closed too, empty.

use std::collections::VecDeque;

use crate::time::EventTime;

/// Counts of one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub start: EventTime,
    pub records: u64,
    pub errors: u64,
    /// Offsets of the first and the last record; `None` while it is empty.
    pub offsets: Option<(i64, i64)>,
}

/// What became of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// Counted in a window that is open.
    InTime,
    /// Its window was closed already. Stored and marked, not judged again.
    Late,
}

/// Bounds the work of one jump in time: an hour of windows of ten seconds.
const MOST_SKIPPED: i64 = 360;

#[derive(Debug, Clone)]
pub struct Windows {
    length: i64,
    grace: i64,
    stream_time: EventTime,
    /// Consecutive, oldest first, never empty.
    open: VecDeque<Window>,
}

impl Windows {
    pub fn starting_at(first: EventTime, length: i64, grace: i64) -> Self {
        let mut windows = Self {
            length,
            grace,
            stream_time: first,
            open: VecDeque::with_capacity(4),
        };
        // Records up to the grace before the first one seen are still in time.
        let oldest = windows.start_of(first + -grace);
        windows.open.push_back(Window::empty(oldest));
        windows.extend_to(first);
        windows
    }

    pub fn stream_time(&self) -> EventTime {
        self.stream_time
    }

    /// Start of the window that a moment belongs to.
    pub fn start_of(&self, time: EventTime) -> EventTime {
        EventTime(time.0.div_euclid(self.length).saturating_mul(self.length))
    }

    /// Counts one record. Call [`Self::next_closed`] until it is `None` afterwards.
    pub fn admit(&mut self, time: EventTime, is_error: bool, offset: i64) -> Admitted {
        if self.start_of(time) < self.oldest() {
            return Admitted::Late;
        }
        if time > self.stream_time {
            self.stream_time = time;
            self.extend_to(time);
        }
        let at = ((self.start_of(time) - self.oldest()) / self.length) as usize;
        // `extend_to` made every window up to the stream time, or skipped ahead past `time`.
        let Some(window) = self.open.get_mut(at) else {
            return Admitted::Late;
        };
        window.records += 1;
        window.errors += u64::from(is_error);
        window.offsets = Some(
            window
                .offsets
                .map_or((offset, offset), |(first, _)| (first, offset)),
        );
        Admitted::InTime
    }

    /// Time went on without a record (an idle partition, or neighbours that go on).
    pub fn advance(&mut self, time: EventTime) {
        if time > self.stream_time {
            self.stream_time = time;
            self.extend_to(time);
        }
    }

    /// The oldest window, once it is closed.
    pub fn next_closed(&mut self) -> Option<Window> {
        let oldest = self.open.front()?;
        if oldest.start + self.length > self.stream_time + -self.grace {
            return None;
        }
        self.open.pop_front()
    }

    /// The open window that a moment belongs to.
    pub fn at(&self, time: EventTime) -> Option<&Window> {
        let index = (self.start_of(time) - self.oldest()) / self.length;
        usize::try_from(index)
            .ok()
            .and_then(|index| self.open.get(index))
    }

    fn oldest(&self) -> EventTime {
        self.open
            .front()
            .map_or_else(|| self.start_of(self.stream_time), |window| window.start)
    }

    fn extend_to(&mut self, time: EventTime) {
        let last = self.start_of(time);
        let mut next = self
            .open
            .back()
            .map_or(last, |window| window.start + self.length);
        let skipped = (last - next) / self.length;
        if skipped > MOST_SKIPPED {
            // A gap this long is one silence; the windows in its middle say nothing new.
            next = last + -(MOST_SKIPPED * self.length);
        }
        while next <= last {
            self.open.push_back(Window::empty(next));
            next = next + self.length;
        }
    }
}

impl Window {
    pub const fn empty(start: EventTime) -> Self {
        Self {
            start,
            records: 0,
            errors: 0,
            offsets: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn closed(windows: &mut Windows) -> Vec<Window> {
        std::iter::from_fn(|| windows.next_closed()).collect()
    }

    #[test]
    fn closes_after_the_grace_and_judges_skipped_windows() {
        let mut windows = Windows::starting_at(EventTime(0), 10, 5);
        assert!(
            closed(&mut windows)
                .iter()
                .all(|window| window.records == 0 && window.start < EventTime(0))
        );
        for (time, offset) in [(1, 1), (12, 2), (9, 3)] {
            assert_eq!(
                windows.admit(EventTime(time), false, offset),
                Admitted::InTime
            );
        }
        assert!(
            closed(&mut windows)
                .iter()
                .all(|window| window.start < EventTime(0)),
            "the grace is not over"
        );
        windows.admit(EventTime(45), true, 4);
        let found: Vec<_> = closed(&mut windows)
            .iter()
            .map(|window| (window.start.0, window.records))
            .collect();
        assert_eq!(found, [(0, 2), (10, 1), (20, 0), (30, 0)]);
        assert_eq!(windows.admit(EventTime(39), false, 5), Admitted::Late);
    }

    #[test]
    fn a_jump_of_years_is_bounded_work() {
        let mut windows = Windows::starting_at(EventTime(0), 1000, 0);
        windows.admit(EventTime(i64::MAX / 4), false, 1);
        assert!(closed(&mut windows).len() <= MOST_SKIPPED as usize + 3);
        assert_eq!(windows.admit(EventTime(5000), false, 2), Admitted::Late);
    }

    proptest! {
        /// Conservation: each record is counted in exactly one window, or is late.
        #[test]
        fn every_record_is_counted_once_or_late(times in prop::collection::vec(0_i64..100_000, 1..300)) {
            let mut windows = Windows::starting_at(EventTime(times[0]), 1000, 2000);
            let (mut late, mut counted) = (0_u64, 0_u64);
            let mut last_start = EventTime(i64::MIN);
            for (offset, time) in times.iter().enumerate() {
                if windows.admit(EventTime(*time), false, offset as i64) == Admitted::Late {
                    late += 1;
                }
                for window in closed(&mut windows) {
                    prop_assert!(window.start > last_start);
                    last_start = window.start;
                    counted += window.records;
                }
            }
            windows.advance(EventTime(1_000_000));
            counted += closed(&mut windows).iter().map(|window| window.records).sum::<u64>();
            prop_assert_eq!(late + counted, times.len() as u64);
        }
    }
}
