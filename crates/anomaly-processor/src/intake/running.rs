//! One partition while it is read: its lane, its way to the writer, and where it stands.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use pipeline::Work;

use super::{Settings, flow::Flow};
use crate::lane::Lane;

/// A partition whose end was not reached for longer is behind.
const BEHIND_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Running {
    pub(super) lane: Lane,
    pub(super) flow: Flow,
    pub(super) paused: bool,
    pub(super) last_record: Instant,
    pub(super) at_end: bool,
    /// When it was last at its end.
    pub(super) last_end: Instant,
    /// Which of the intake's blocks its last one was.
    pub(super) turn: u64,
}

impl Running {
    /// Closes the lane's open block, if the one before has been handed over.
    pub(super) fn close(&mut self, now: Instant, blocks: &mut u64) {
        if self.flow.waits() {
            return;
        }
        let block = self.lane.close().map(Work::Block);
        if block.is_some() {
            *blocks += 1;
            self.turn = *blocks;
        }
        let snapshot = self.lane.snapshot(now, false);
        self.flow
            .take_over(block.into_iter().chain(snapshot).collect());
    }

    /// One more step towards the end of a lane that is drained.
    pub(super) fn finish(&mut self, now: Instant) {
        self.flow.hand_over();
        if self.flow.waits() || self.flow.is_closed() {
            return;
        }
        // A block that an earlier owner announced and that is not whole yet is left to the next one.
        let block = self.lane.close().map(Work::Block);
        let snapshot = self.lane.snapshot(now, true);
        let last: VecDeque<_> = block.into_iter().chain(snapshot).collect();
        if last.is_empty() {
            self.flow.close();
        } else {
            self.flow.take_over(last);
        }
    }

    pub(super) fn is_silent(&self, now: Instant, settings: &Settings) -> bool {
        self.at_end
            && !self.flow.is_draining()
            && now.duration_since(self.last_record) >= settings.idle_timeout
    }

    pub(super) fn is_behind(&self, now: Instant) -> bool {
        !self.at_end && now.duration_since(self.last_end) > BEHIND_AFTER
    }

    pub(super) fn is_replaying(&self) -> bool {
        !self.lane.gather().has_caught_up()
    }
}
