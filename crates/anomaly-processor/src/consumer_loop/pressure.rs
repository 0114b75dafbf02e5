//! Keeps the memory of what is gathered or on its way to the store within its bound.
//!
//! Invariants: past the bound nothing flows, and something is always on its way out; the bound is the
//! process's, however many members of the group it has.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use pipeline::{Partition, ports::RecordSource};

use super::{ConsumerLoop, State, running::Running};
use crate::partition_task::Sinks;

/// One member's part of a sum over all members of this process.
#[derive(Debug, Default)]
pub(super) struct Share {
    all: Arc<AtomicUsize>,
    own: usize,
}

impl Share {
    fn another(&self) -> Self {
        Self {
            all: Arc::clone(&self.all),
            own: 0,
        }
    }

    /// This member's part is `own` now; the answer is the sum.
    pub(super) fn set(&mut self, own: usize) -> usize {
        let change = own.wrapping_sub(std::mem::replace(&mut self.own, own));
        let before = self.all.fetch_add(change, Ordering::Relaxed);
        before.wrapping_add(change)
    }
}

/// What is summed up over all members of this process.
#[derive(Debug, Default)]
pub struct Shares {
    /// Bytes that are gathered or on their way to the store.
    in_flight: Share,
    /// Bytes that are on their way to the store.
    on_its_way: Share,
    /// Partitions that wait for the store.
    paused: Share,
    pub(super) templates: Share,
}

impl Shares {
    /// For one more member.
    #[must_use]
    pub fn another(&self) -> Self {
        Self {
            in_flight: self.in_flight.another(),
            on_its_way: self.on_its_way.another(),
            paused: self.paused.another(),
            templates: self.templates.another(),
        }
    }
}

impl<S: RecordSource, O: Sinks> ConsumerLoop<S, O> {
    /// Pauses what is too far ahead of the store, and lets it flow again when the store has caught up.
    pub(super) fn hold_back(&mut self, now: Instant) {
        let bytes = |running: &Running| running.flow.bytes() + running.task.builder().open_bytes();
        let own: usize = self.state.tasks.values().map(bytes).sum();
        let total = self.shares.in_flight.set(own);
        let own = self.on_its_way();
        let on_its_way = self.shares.on_its_way.set(own);
        self.metrics.in_flight.at(()).set(total as f64);
        let over = total > self.settings.in_flight_bytes;
        // Nothing will make room when nothing is on its way.
        let under = total < self.settings.in_flight_bytes / 4 * 3 || on_its_way == 0;
        let exempt = if over {
            self.make_room(on_its_way, now)
        } else {
            None
        };
        let in_turn = self.in_turn(now);
        let mut paused = 0;
        for (partition, running) in &mut self.state.tasks {
            let is_stuck = running.flow.waits() && running.task.builder().is_full();
            let waits = over || !in_turn.contains(partition);
            let may = running.is_replaying() || exempt == Some(*partition);
            let must = is_stuck || running.flow.is_draining() || (waits && !may);
            if must {
                running.pause(&self.source, now);
            } else if under || may {
                running.flow_again(&self.source, now);
            }
            // Those that wait for their turn are not held back by the store.
            paused += usize::from(running.paused.is_some() && (is_stuck || over));
        }
        let paused = self.shares.paused.set(paused);
        self.metrics.paused.at(()).set(paused as f64);
    }

    /// Partitions that may flow. Those that are behind take turns, so that each fills a large batch in
    /// the memory there is: large batches cost the store less than many small ones.
    fn in_turn(&self, now: Instant) -> Vec<Partition> {
        let at_once =
            (self.settings.in_flight_bytes / (2 * self.settings.limits.bytes).max(1)).max(1);
        let tasks = self.state.tasks.iter();
        let (mut behind, mut flowing): (Vec<_>, Vec<_>) =
            tasks.partition(|(_, running)| running.is_behind(now) && !running.is_replaying());
        // One that has begun a batch finishes it; then whose last batch is the longest ago.
        behind.retain(|(_, running)| !running.flow.waits());
        behind.sort_by_key(|(partition, running)| {
            (running.task.builder().is_empty(), running.turn, **partition)
        });
        flowing.extend(behind.into_iter().take(at_once));
        flowing
            .into_iter()
            .map(|(partition, _)| *partition)
            .collect()
    }

    pub(super) fn on_its_way(&self) -> usize {
        let tasks = self.state.tasks.values();
        tasks.map(|running| running.flow.bytes()).sum()
    }

    /// What is still gathered counts too, and leaves only by being stored: the largest batch first,
    /// one at a time, because large batches cost the store less than many small ones. One that an
    /// earlier owner announced can't be closed before it is whole: its partition is the answer, and
    /// flows on.
    fn make_room(&mut self, on_its_way: usize, now: Instant) -> Option<Partition> {
        if on_its_way > self.settings.in_flight_bytes / 2 {
            return None;
        }
        let State { tasks, batches, .. } = &mut self.state;
        let (partition, largest) = tasks
            .iter_mut()
            .filter(|(_, running)| !running.flow.waits())
            .max_by_key(|(partition, running)| {
                (running.task.builder().open_bytes(), **partition)
            })?;
        largest.close(now, batches);
        let announced = !largest.task.builder().is_empty();
        announced.then_some(*partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_whoever_grows_or_shrinks() {
        let mut first = Share::default();
        let mut second = first.another();
        assert_eq!(first.set(10), 10);
        assert_eq!(second.set(5), 15);
        assert_eq!(first.set(3), 8);
        assert_eq!(second.set(0), 3);
        assert_eq!(first.set(3), 3);
    }
}
