//! What the client cannot decode is passed, and counted.
//!
//! An error about a batch does not say of which partition it is. Those that have brought nothing for a
//! while, and have more, are looked at one after the other by a client of its own
//! ([`kafka_io::probe`]), which takes nothing for unreadable that passes by itself.

use std::time::{Duration, Instant};

use pipeline::{NextOffset, TaskId, batch::HoleReason, ports::RecordSource};

use super::{ConsumerLoop, Request};
use crate::partition_task::Sinks;

/// A partition that brings records can be read.
const QUIET: Duration = Duration::from_secs(1);

impl<S: RecordSource, O: Sinks> ConsumerLoop<S, O> {
    /// The client said that it cannot decode a batch, and says so again until it is passed.
    pub(super) fn examine(&mut self, reason: &str, now: Instant) {
        if self.state.examining {
            return;
        }
        let ends = &self.state.ends;
        let suspects: Vec<(TaskId, NextOffset)> = self
            .state
            .tasks
            .iter()
            .filter(|(partition, running)| {
                let next = running.task.builder().next().raw();
                let has_more = ends.get(*partition).is_none_or(|(_, high)| *high > next);
                let quiet = now.duration_since(running.last_record) >= QUIET;
                has_more && quiet && !running.flow.is_draining()
            })
            .map(|(_, running)| (running.task.id(), running.task.builder().next()))
            .collect();
        if suspects.is_empty() {
            return;
        }
        tracing::warn!(
            reason,
            partitions = suspects.len(),
            "a batch cannot be decoded; finding out which, and where it ends"
        );
        self.state.examining = true;
        self.ask(Request::Examine(suspects));
    }

    /// Nothing of `[first, end)` can be read by this client.
    pub(super) fn pass_unreadable(
        &mut self,
        id: TaskId,
        (first, end): (NextOffset, NextOffset),
        reason: &str,
        now: Instant,
    ) {
        let running = self.state.tasks.get_mut(&id.assignment.partition);
        let Some(running) = running.filter(|running| running.task.id() == id) else {
            return;
        };
        // It has come after all, or it is to be given back: whoever is next finds it again.
        if running.task.builder().next() != first || running.flow.is_draining() {
            return;
        }
        let partition = id.assignment.partition;
        let offsets = end.raw() - first.raw();
        tracing::error!(%partition, %first, %end, offsets, reason, "a batch cannot be decoded and is passed: its records are neither stored nor dead letters");
        // Up to the end of an announced batch at most; what is left of the batch is found again.
        let task = &mut running.task;
        task.hole(
            first.offset(),
            end,
            HoleReason::Unreadable,
            now,
            &self.metrics,
        );
        let (next, epoch) = (task.builder().next(), running.epoch);
        let flows = running.paused.is_none();
        self.metrics
            .unreadable_at
            .of(&partition.to_string())
            .set(first.raw() as f64);
        // One that is paused goes on from there anyway, later.
        if flows && let Err(error) = self.source.start_at(partition, next, epoch) {
            tracing::warn!(%partition, %error, "cannot be read on from there; beginning anew");
            self.begin_anew(&[partition], now);
        }
    }
}
