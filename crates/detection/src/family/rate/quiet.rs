//! Lines of level DEBUG or less: who switches debugging on, or off, has not got more to do, or less.
//!
//! Invariant: they are not counted, or all of them are, where a service writes little else; which of the two
//! changes within days, not within the hour for which somebody debugs.

use crate::{
    codec::{Loaded, Reader, Writer},
    record::time::EventTime,
    window::{Beside, Window},
};

/// Of one window among those learned lately: half-life 19 hours.
const LEARN: f64 = 0.0001;
/// From this share of a service's lines on they are its voice.
const ITS_VOICE: f64 = 0.7;

#[derive(Debug, Clone, Default)]
pub(super) struct Quiet {
    /// For each open window.
    lines: Beside<u64>,
    share: f64,
    windows: u32,
    /// Whether the window that closed last had such lines and no others.
    pub(super) is_all_there_is: bool,
}

impl Quiet {
    pub(super) fn observe(&mut self, start: EventTime) {
        if let Some(lines) = self.lines.of(start) {
            *lines += 1;
        }
    }

    /// Whether they are counted.
    pub(super) fn counts(&self) -> bool {
        self.share >= ITS_VOICE
    }

    /// Lines of an open window that are not counted.
    pub(super) fn passed_over(&self, window: &Window) -> u64 {
        if self.counts() {
            0
        } else {
            self.lines.get(window.start).copied().unwrap_or(0)
        }
    }

    /// A window has closed: how many of its lines are not counted.
    pub(super) fn closed(&mut self, window: &Window) -> u64 {
        let passed_over = self.passed_over(window);
        let quiet = self.lines.take(window.start).min(window.records);
        self.is_all_there_is = quiet > 0 && quiet == window.records;
        if window.records > 0 {
            self.windows = self.windows.saturating_add(1);
            let seen = quiet as f64 / window.records as f64;
            self.share += (seen - self.share) * LEARN.max(1.0 / f64::from(self.windows));
        }
        passed_over
    }

    /// What is open is forgotten.
    pub(super) fn clear(&mut self) {
        self.lines.clear();
    }

    pub(super) fn save(&self, to: &mut Writer) {
        self.lines.save(to, |lines, to| to.u64(*lines));
        to.f64(self.share);
        to.u32(self.windows);
        to.flag(self.is_all_there_is);
    }

    pub(super) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let lines = Beside::load(from, Reader::count)?;
        let share = from.amount()?;
        if share > 1.0 {
            return Err("a share that is more than all");
        }
        Ok(Self {
            lines,
            share,
            windows: from.u32()?,
            is_all_there_is: from.flag()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many lines are counted, of windows that have so many quiet ones.
    fn counted(quiet: &mut Quiet, windows: usize, lines: u64, of_these: u64) -> Vec<u64> {
        let window = Window::empty(EventTime(7)).with(lines);
        (0..windows)
            .map(|_| {
                (0..of_these).for_each(|_| quiet.observe(window.start));
                let open = quiet.passed_over(&window);
                assert_eq!(quiet.closed(&window), open, "as while it was open");
                lines - open
            })
            .collect()
    }

    #[test]
    fn debugging_for_hours_is_no_change() {
        let mut quiet = Quiet::default();
        counted(&mut quiet, 2000, 100, 10);
        assert_eq!(counted(&mut quiet, 1000, 1000, 910), [90; 1000]);
        assert_eq!(counted(&mut quiet, 1000, 100, 10), [90; 1000]);
    }

    #[test]
    fn who_writes_nothing_else_is_counted_as_it_is() {
        let mut quiet = Quiet::default();
        counted(&mut quiet, 1, 50, 50);
        assert!(quiet.counts() && quiet.is_all_there_is);
        assert_eq!(counted(&mut quiet, 3, 20, 18), [20; 3]);
        assert!(!quiet.is_all_there_is);
        assert_eq!(counted(&mut quiet, 1, 0, 0), [0]);
        assert!(!quiet.is_all_there_is, "silence");
    }
}
