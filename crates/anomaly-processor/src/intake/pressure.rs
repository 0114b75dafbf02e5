//! Keeps the memory of what is gathered or on its way to the store within its bound.
//!
//! Invariant: past the bound nothing flows, and something is always on its way out.

use std::time::Instant;

use pipeline::{Partition, ports::RecordSource};

use super::{Intake, State, running::Running};
use crate::lane::Outlets;

impl<S: RecordSource, O: Outlets> Intake<S, O> {
    /// Pauses what is too far ahead of the store, and lets it flow again when the store has caught up.
    pub(super) fn hold_back(&mut self, now: Instant) {
        let bytes = |running: &Running| running.flow.bytes() + running.lane.gather().open_bytes();
        let total: usize = self.state.lanes.values().map(bytes).sum();
        self.metrics.in_flight.at(()).set(total as f64);
        let over = total > self.settings.in_flight_bytes;
        // Nothing will make room when nothing is on its way.
        let under = total < self.settings.in_flight_bytes / 4 * 3 || self.on_its_way() == 0;
        let exempt = if over { self.make_room(now) } else { None };
        let in_turn = self.in_turn(now);
        let mut paused = 0;
        for (partition, running) in &mut self.state.lanes {
            let is_stuck = running.flow.waits() && running.lane.gather().is_full();
            let waits = over || !in_turn.contains(partition);
            let may = running.is_replaying() || exempt == Some(*partition);
            let must = is_stuck || running.flow.is_draining() || (waits && !may);
            if must && !running.paused {
                running.paused = self.source.pause(*partition).is_ok();
            } else if running.paused && !must && (under || may) {
                running.paused = self.source.resume(*partition).is_err();
            }
            // Those that wait for their turn are not held back by the store.
            paused += usize::from(running.paused && (is_stuck || over));
        }
        self.metrics.paused.at(()).set(paused as f64);
    }

    /// Partitions that may flow. Those that are behind take turns, so that each fills a large block in
    /// the memory there is: large blocks cost the store less than many small ones.
    fn in_turn(&self, now: Instant) -> Vec<Partition> {
        let at_once =
            (self.settings.in_flight_bytes / (2 * self.settings.limits.bytes).max(1)).max(1);
        let lanes = self.state.lanes.iter();
        let (mut behind, mut flowing): (Vec<_>, Vec<_>) =
            lanes.partition(|(_, running)| running.is_behind(now) && !running.is_replaying());
        // One that has begun a block finishes it; then whose last block is the longest ago.
        behind.retain(|(_, running)| !running.flow.waits());
        behind.sort_by_key(|(partition, running)| {
            (running.lane.gather().is_empty(), running.turn, **partition)
        });
        flowing.extend(behind.into_iter().take(at_once));
        flowing
            .into_iter()
            .map(|(partition, _)| *partition)
            .collect()
    }

    pub(super) fn on_its_way(&self) -> usize {
        let lanes = self.state.lanes.values();
        lanes.map(|running| running.flow.bytes()).sum()
    }

    /// What is still gathered counts too, and leaves only by being stored: the largest block first,
    /// one at a time, because large blocks cost the store less than many small ones. One that an
    /// earlier owner announced can't be closed before it is whole: its partition is the answer, and
    /// flows on.
    fn make_room(&mut self, now: Instant) -> Option<Partition> {
        if self.on_its_way() > self.settings.in_flight_bytes / 2 {
            return None;
        }
        let State { lanes, blocks, .. } = &mut self.state;
        let (partition, largest) = lanes
            .iter_mut()
            .filter(|(_, running)| !running.flow.waits())
            .max_by_key(|(partition, running)| (running.lane.gather().open_bytes(), **partition))?;
        largest.close(now, blocks);
        let announced = !largest.lane.gather().is_empty();
        announced.then_some(*partition)
    }
}
