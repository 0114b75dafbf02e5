//! What one window holds.

use crate::{
    codec::{Loaded, Reader, Writer},
    config::Config,
    record::time::EventTime,
};

/// Empty windows in a row that are judged, an hour of windows of ten seconds: what comes after them
/// is the same silence. It bounds the work of one jump in time.
pub(crate) const MOST_QUIET: u32 = 360;

/// Windows ahead of the stream time that may hold lines, five minutes of windows of ten seconds.
pub(super) const MOST_AHEAD: i64 = 30;

/// Counts of one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) start: EventTime,
    pub(crate) records: u64,
    pub(crate) errors: u64,
    /// Offsets of the first and the last record; meaningless while it is empty.
    first_offset: i64,
    last_offset: i64,
}

impl Window {
    pub(crate) const fn empty(start: EventTime) -> Self {
        Self {
            start,
            records: 0,
            errors: 0,
            first_offset: 0,
            last_offset: 0,
        }
    }

    /// As if it had so many lines fewer.
    pub(crate) fn without(&self, lines: u64) -> Self {
        self.with(self.records.saturating_sub(lines))
    }

    /// As if it had so many lines.
    pub(crate) fn with(&self, records: u64) -> Self {
        Self {
            records,
            errors: self.errors.min(records),
            ..*self
        }
    }

    /// Where the `windows` windows that end with it begin, and where they end.
    pub(crate) fn span(&self, windows: usize, config: &Config) -> (EventTime, EventTime) {
        let before = windows as i64 - 1;
        let from = self.start + -(config.window_ms * before);
        (from, self.start + config.window_ms)
    }

    /// Offsets of the first and the last record; `None` while it is empty.
    pub(crate) fn offsets(&self) -> Option<(i64, i64)> {
        (self.records > 0).then_some((self.first_offset, self.last_offset))
    }

    /// The stream time at which it closes.
    pub(crate) fn closes_at(&self, config: &Config) -> EventTime {
        self.start + config.window_ms + config.grace_ms
    }

    pub(super) fn count(&mut self, is_error: bool, offset: i64) -> u64 {
        if self.records == 0 {
            self.first_offset = offset;
        }
        self.last_offset = offset;
        self.records += 1;
        self.errors += u64::from(is_error);
        self.records
    }

    pub(super) fn save_counts(&self, to: &mut Writer) {
        to.u64(self.records);
        if self.records > 0 {
            to.u64(self.errors);
            to.i64(self.first_offset);
            to.i64(self.last_offset);
        }
    }

    pub(super) fn load_counts(start: EventTime, from: &mut Reader<'_>) -> Loaded<Self> {
        let mut window = Self::empty(start);
        window.records = from.count()?;
        if window.records > 0 {
            window.errors = from.count()?;
            window.first_offset = from.i64()?;
            window.last_offset = from.i64()?;
        }
        if window.errors > window.records {
            return Err("a window with more errors than lines");
        }
        Ok(window)
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        to.moment(self.start);
        self.save_counts(to);
    }

    pub(crate) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let start = from.moment()?;
        Self::load_counts(start, from)
    }
}
