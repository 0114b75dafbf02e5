//! Tumbling windows of one service, by its own stream time.
//!
//! Invariants:
//! - a window takes records while `window_end > stream_time − grace`; then it is closed, once, in
//!   order, and so is every window that time skipped, empty;
//! - which windows are closed, and what they hold, does not depend on the steps in which time went
//!   on, so that a silence gives the same answer whoever notices it, and when;
//! - a line that is ahead of the stream time has its window kept until time gets there, and moves nothing.

use std::collections::VecDeque;

use super::{
    allowance::Allowance,
    counts::{MOST_AHEAD, MOST_QUIET, Window},
};
use crate::{
    codec::{Loaded, Reader, Writer},
    config::Config,
    record::time::EventTime,
};

/// The newest window: what every record touches.
#[derive(Debug, Clone)]
pub(crate) struct Windows {
    stream_time: EventTime,
    /// The window of the stream time.
    newest: Window,
    /// When the oldest of all closes.
    closes_at: EventTime,
}

/// The other open windows, kept elsewhere so that the above stays small.
#[derive(Debug, Clone, Default)]
pub(crate) struct OtherWindows {
    /// Windows before the newest that still take records: consecutive, oldest first.
    older: VecDeque<Window>,
    /// Empty windows closed since the last one with records, up to the bound.
    quiet: u32,
    /// Windows after the newest that hold lines already, oldest first.
    ahead: Vec<Window>,
    allowance: Allowance,
}

impl Windows {
    pub(crate) fn starting_at(first: EventTime, config: &Config) -> (Self, OtherWindows) {
        // Records up to the grace before the first one seen are still in time.
        let oldest = (first + -config.grace_ms).start_of_window(config.window_ms);
        let mut windows = Self {
            stream_time: oldest,
            newest: Window::empty(oldest),
            closes_at: oldest,
        };
        let mut others = OtherWindows::default();
        windows.move_to(first, &mut others, config);
        (windows, others)
    }

    pub(crate) fn stream_time(&self) -> EventTime {
        self.stream_time
    }

    /// Counts one record; the answer is how many its window has now, `None` if it is closed
    /// already. Call [`Self::next_closed`] until it is `None` afterwards.
    pub(crate) fn admit(
        &mut self,
        time: EventTime,
        is_error: bool,
        offset: i64,
        others: &mut OtherWindows,
        config: &Config,
    ) -> Option<u64> {
        let into = time - self.newest.start;
        if into >= 0 && into < config.window_ms {
            self.stream_time = self.stream_time.max(time);
            return Some(self.newest.count(is_error, offset));
        }
        if into > 0 {
            self.move_to(time, others, config);
            return Some(self.newest.count(is_error, offset));
        }
        let late_by = self.stream_time - time;
        if late_by > config.grace_ms {
            others.allowance.note(late_by, config);
            self.reckon_close(others, config);
        }
        let at = self.index_of(time, others, config)?;
        Some(others.older.get_mut(at)?.count(is_error, offset))
    }

    /// Counts one record whose time is ahead, and moves nothing; `false`: it is too far ahead.
    pub(crate) fn admit_ahead(
        &mut self,
        time: EventTime,
        is_error: bool,
        offset: i64,
        others: &mut OtherWindows,
        config: &Config,
    ) -> bool {
        let start = time.start_of_window(config.window_ms);
        let windows = (start - self.newest.start) / config.window_ms;
        if windows > MOST_AHEAD {
            return false;
        }
        if windows <= 0 {
            self.newest.count(is_error, offset);
            return true;
        }
        let at = match others
            .ahead
            .binary_search_by_key(&start, |window| window.start)
        {
            Ok(at) => at,
            Err(at) => {
                others.ahead.insert(at, Window::empty(start));
                at
            }
        };
        if let Some(window) = others.ahead.get_mut(at) {
            window.count(is_error, offset);
        }
        true
    }

    /// Begins anew at `time`. Call [`OtherWindows::take_complete`] before, until it is `None`: what is open
    /// after that is forgotten.
    pub(crate) fn restart(&mut self, time: EventTime, others: &mut OtherWindows, config: &Config) {
        (*self, *others) = Self::starting_at(time, config);
    }

    /// Offset of the newest line in an open window.
    pub(crate) fn last_offset(&self, others: &OtherWindows) -> Option<i64> {
        let open = [&self.newest].into_iter().chain(others.older.iter().rev());
        open.filter_map(Window::offsets).map(|(_, last)| last).max()
    }

    /// Time went on without a record: the neighbours', or that of an idle partition.
    pub(crate) fn advance(&mut self, time: EventTime, others: &mut OtherWindows, config: &Config) {
        if time > self.stream_time {
            self.move_to(time, others, config);
        }
    }

    /// Whether the oldest window is closed.
    pub(crate) fn is_closing(&self) -> bool {
        self.stream_time >= self.closes_at
    }

    /// Whether all that closes before the next record is silence that was judged already.
    pub(crate) fn is_judged_silent(&self, others: &OtherWindows) -> bool {
        let mut open = others.older.iter().chain([&self.newest]);
        others.quiet >= MOST_QUIET && open.all(|window| window.records == 0)
    }

    /// The next window that is closed and to be judged.
    pub(crate) fn next_closed(
        &mut self,
        others: &mut OtherWindows,
        config: &Config,
    ) -> Option<Window> {
        while self.is_closing() {
            // The newest holds the stream time: it is never closed.
            let window = others.older.pop_front()?;
            if window.records > 0 {
                others.allowance.window_closed();
            }
            self.reckon_close(others, config);
            if window.records > 0 {
                others.quiet = 0;
                return Some(window);
            }
            if others.quiet < MOST_QUIET {
                others.quiet += 1;
                return Some(window);
            }
        }
        None
    }

    /// Every window that was to close by `moment` at the latest is closed.
    pub(crate) fn has_passed(
        &self,
        moment: EventTime,
        others: &OtherWindows,
        config: &Config,
    ) -> bool {
        let oldest = others.older.front().unwrap_or(&self.newest);
        moment < oldest.closes_at(config)
    }

    /// The open window that a moment belongs to.
    pub(crate) fn at<'a>(
        &'a self,
        time: EventTime,
        others: &'a OtherWindows,
        config: &Config,
    ) -> Option<&'a Window> {
        if time >= self.newest.start {
            return Some(&self.newest);
        }
        others.older.get(self.index_of(time, others, config)?)
    }

    /// Where among the older ones the window of a moment is.
    fn index_of(&self, time: EventTime, others: &OtherWindows, config: &Config) -> Option<usize> {
        let back = (self.newest.start - time.start_of_window(config.window_ms)) / config.window_ms;
        others.older.len().checked_sub(usize::try_from(back).ok()?)
    }

    fn move_to(&mut self, time: EventTime, others: &mut OtherWindows, config: &Config) {
        self.stream_time = time;
        let length = config.window_ms;
        let last = time.start_of_window(length);
        let mut next = self.newest;
        let mut empty = 0;
        while next.start < last {
            others.older.push_back(next);
            let mut start = next.start + length;
            empty += 1;
            if empty > i64::from(MOST_QUIET) {
                // So many empty ones are judged; of the rest only those that stay open are made.
                let waits = config.grace_ms + others.allowance.granted;
                let first_open = (time + -waits).start_of_window(length);
                start = start.max(first_open);
            }
            next = others.take_ahead(start);
        }
        self.newest = next;
        self.reckon_close(others, config);
    }

    fn reckon_close(&mut self, others: &OtherWindows, config: &Config) {
        let oldest = others.older.front().unwrap_or(&self.newest);
        self.closes_at = oldest.closes_at(config) + others.allowance.granted;
    }

    pub(crate) fn save(&self, others: &OtherWindows, to: &mut Writer) {
        to.moment(self.stream_time);
        to.u32(others.quiet);
        to.u64(others.older.len() as u64);
        for window in others.older.iter().chain([&self.newest]) {
            window.save_counts(to);
        }
        to.u64(others.ahead.len() as u64);
        for window in &others.ahead {
            window.save(to);
        }
        others.allowance.save(to);
    }

    pub(crate) fn load(from: &mut Reader<'_>, config: &Config) -> Loaded<(Self, OtherWindows)> {
        let stream_time = from.moment()?;
        let quiet = from.u32()?;
        if quiet > MOST_QUIET {
            return Err("a longer silence than is counted");
        }
        let most = config.grace_ms / config.window_ms + 1 + MOST_AHEAD;
        let count = from.length(most as usize, 1)?;
        let length = config.window_ms;
        let newest = stream_time.start_of_window(length);
        let mut older = VecDeque::with_capacity(count);
        for at in 0..count {
            let start = newest + -(length * (count - at) as i64);
            older.push_back(Window::load_counts(start, from)?);
        }
        let mut windows = Self {
            stream_time,
            newest: Window::load_counts(newest, from)?,
            closes_at: newest,
        };
        let count = from.length(MOST_AHEAD as usize, 2)?;
        let ahead = (0..count).map(|_| Window::load(from));
        let ahead: Vec<_> = ahead.collect::<Loaded<_>>()?;
        let in_order = [newest]
            .into_iter()
            .chain(ahead.iter().map(|window| window.start));
        if !in_order.is_sorted_by(|one, next| *next > *one && (*next - newest) % length == 0) {
            return Err("windows ahead that are out of order");
        }
        let others = OtherWindows {
            older,
            quiet,
            ahead,
            allowance: Allowance::load(from, config)?,
        };
        windows.reckon_close(&others, config);
        if windows.is_closing() {
            return Err("an open window that is closed");
        }
        Ok((windows, others))
    }
}

impl OtherWindows {
    /// The oldest window that time has passed, closed before its grace is over.
    pub(crate) fn take_complete(&mut self) -> Option<Window> {
        self.older.pop_front()
    }

    /// The window that begins at `start`, with the lines that were ahead.
    fn take_ahead(&mut self, start: EventTime) -> Window {
        match self.ahead.first() {
            Some(window) if window.start == start => self.ahead.remove(0),
            _ => Window::empty(start),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn config(window_ms: i64, grace_ms: i64) -> Config {
        Config {
            window_ms,
            grace_ms,
            ..Config::default()
        }
    }

    fn closed(windows: &mut Windows, others: &mut OtherWindows, config: &Config) -> Vec<Window> {
        std::iter::from_fn(|| windows.next_closed(others, config)).collect()
    }

    #[test]
    fn closes_after_the_grace_and_judges_skipped_windows() {
        let config = config(10, 5);
        let (mut windows, mut others) = Windows::starting_at(EventTime(0), &config);
        assert!(
            closed(&mut windows, &mut others, &config)
                .iter()
                .all(|window| window.records == 0 && window.start < EventTime(0))
        );
        for (time, offset) in [(1, 1), (12, 2), (9, 3)] {
            assert!(
                windows
                    .admit(EventTime(time), false, offset, &mut others, &config)
                    .is_some()
            );
        }
        assert!(
            closed(&mut windows, &mut others, &config)
                .iter()
                .all(|window| window.start < EventTime(0)),
            "the grace is not over"
        );
        windows.admit(EventTime(45), true, 4, &mut others, &config);
        let found: Vec<_> = closed(&mut windows, &mut others, &config)
            .iter()
            .map(|window| (window.start.0, window.records))
            .collect();
        assert_eq!(found, [(0, 2), (10, 1), (20, 0), (30, 0)]);
        assert_eq!(
            windows.admit(EventTime(39), false, 5, &mut others, &config),
            None
        );
    }

    #[test]
    fn a_jump_of_years_is_bounded_work_and_begins_where_the_silence_began() {
        let config = config(1000, 0);
        let (mut windows, mut others) = Windows::starting_at(EventTime(0), &config);
        windows.admit(EventTime(500), false, 0, &mut others, &config);
        windows.admit(
            EventTime(crate::record::time::MOST_MS),
            false,
            1,
            &mut others,
            &config,
        );
        let starts: Vec<_> = closed(&mut windows, &mut others, &config)
            .iter()
            .map(|window| window.start.0)
            .collect();
        assert_eq!(starts, (0..=360).map(|at| at * 1000).collect::<Vec<_>>());
        assert_eq!(
            windows.admit(EventTime(5000), false, 2, &mut others, &config),
            None
        );
    }

    proptest! {
        /// Conservation: each record is counted in exactly one window, or is late.
        #[test]
        fn every_record_is_counted_once_or_late(times in prop::collection::vec(0_i64..100_000, 1..300)) {
            let config = config(1000, 2000);
            let (mut windows, mut others) = Windows::starting_at(EventTime(times[0]), &config);
            let (mut late, mut counted) = (0_u64, 0_u64);
            let mut last_start = EventTime(i64::MIN);
            for (offset, time) in times.iter().enumerate() {
                if windows.admit(EventTime(*time), false, offset as i64, &mut others, &config).is_none() {
                    late += 1;
                }
                for window in closed(&mut windows, &mut others, &config) {
                    prop_assert!(window.start > last_start);
                    last_start = window.start;
                    counted += window.records;
                }
            }
            windows.advance(EventTime(1_000_000), &mut others, &config);
            counted += closed(&mut windows, &mut others, &config).iter().map(|window| window.records).sum::<u64>();
            prop_assert_eq!(late + counted, times.len() as u64);
        }

        #[test]
        fn steps_in_time_do_not_matter(
            records in prop::collection::vec(0_i64..5000, 1..20),
            mut steps in prop::collection::vec(0_i64..1_000_000, 0..30),
            length in 100_i64..2000,
            grace in 0_i64..5000,
        ) {
            let config = config(length, grace);
            let (mut windows, mut others) = Windows::starting_at(EventTime(records[0]), &config);
            for (offset, time) in (0..).zip(&records) {
                windows.admit(EventTime(*time), false, offset, &mut others, &config);
                closed(&mut windows, &mut others, &config);
            }
            steps.sort_unstable();
            let (mut at_once, mut others_at_once) = (windows.clone(), others.clone());
            at_once.advance(EventTime(1_000_000), &mut others_at_once, &config);
            let mut stepwise = Vec::new();
            for time in steps.into_iter().chain([1_000_000]) {
                windows.advance(EventTime(time), &mut others, &config);
                stepwise.extend(closed(&mut windows, &mut others, &config));
            }
            prop_assert_eq!(stepwise, closed(&mut at_once, &mut others_at_once, &config));
            let (mut one, mut other) = (Writer::default(), Writer::default());
            windows.save(&others, &mut one);
            at_once.save(&others_at_once, &mut other);
            prop_assert_eq!(one.bytes(), other.bytes());
        }
    }
}
