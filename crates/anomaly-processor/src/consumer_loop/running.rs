//! One partition while it is read: its task, its way to the writer, and where it stands.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use pipeline::{
    LeaderEpoch, NextOffset, Work,
    batch::Last,
    ports::{Record, RecordSource},
};

use super::{Settings, flow::Flow};
use crate::partition_task::PartitionTask;

/// A partition whose end was not reached for longer is behind.
const BEHIND_AFTER: Duration = Duration::from_secs(1);
/// What was fetched before a pause has come, and was thrown away, by then. Markers of transactions among
/// it move the client's position also after a seek; a rebalance at that moment would go on from there.
const SETTLES_WITHIN: Duration = Duration::from_millis(10);

pub(super) struct Running {
    pub(super) task: PartitionTask,
    pub(super) flow: Flow,
    /// Since when it is.
    pub(super) paused: Option<Instant>,
    /// Records before it belong to the log whose last record the start has looked at.
    pub(super) verified: NextOffset,
    /// The last record that earlier owners had taken.
    pub(super) last: Option<Last>,
    /// Of the newest record.
    pub(super) epoch: LeaderEpoch,
    pub(super) last_record: Instant,
    pub(super) at_end: bool,
    /// When it was last at its end.
    pub(super) last_end: Instant,
    /// Which of the consumer loop's batches its last one was.
    pub(super) turn: u64,
    /// When its broker last said where it ends.
    pub(super) last_told: Instant,
    /// Where that was.
    pub(super) told_end: Option<i64>,
    /// What the broker has and has not given, in spite of being asked.
    pub(super) withheld: Withheld,
}

/// Records that a partition has past what was read of it, and since when.
///
/// What lies there need not come: transaction markers and aborted records are passed over, and then
/// the end is told once more.
#[derive(Debug, Default)]
pub(super) struct Withheld {
    since: Option<(i64, Instant)>,
    /// Up to here nothing more comes.
    settled: i64,
}

impl Withheld {
    /// `next` was read, the broker has records below `high`; `heard`: when the last record or the end
    /// was given.
    fn observe(&mut self, next: i64, high: i64, heard: Instant, ended: bool, now: Instant) {
        if high <= next.max(self.settled) {
            self.since = None;
            return;
        }
        match self.since {
            Some((seen, since)) if heard > since => {
                if ended {
                    self.settled = seen;
                }
                self.since = (high > next.max(self.settled)).then_some((high, now));
            }
            Some(_) => {}
            None => self.since = Some((high, now)),
        }
    }
}

impl Running {
    /// Whether the record is of the log that has been read so far: a new leader may have another.
    pub(super) fn knows_the_log_of(&mut self, record: &Record<'_>) -> bool {
        let is_known = |epoch: LeaderEpoch| epoch != LeaderEpoch::UNKNOWN;
        let is_later = is_known(self.epoch) && record.leader_epoch > self.epoch;
        // Epochs only grow: nothing before the last record is of a later one.
        let is_others = self.last.is_some_and(|last| {
            is_known(last.epoch) && record.offset <= last.offset && record.leader_epoch > last.epoch
        });
        if is_others || (is_later && record.offset >= self.verified.offset()) {
            return false;
        }
        self.epoch = self.epoch.max(record.leader_epoch);
        true
    }

    /// Closes the task's open batch, if the one before has been handed over.
    pub(super) fn close(&mut self, now: Instant, batches: &mut u64) {
        self.flow.hand_over();
        if self.flow.waits() {
            return;
        }
        let batch = self.task.close().map(Work::Batch);
        if batch.is_some() {
            *batches += 1;
            self.turn = *batches;
        }
        let snapshot = self.task.snapshot(now, false);
        self.flow
            .take_over(batch.into_iter().chain(snapshot).collect(), now);
    }

    /// One more step towards the end of a task that is drained.
    pub(super) fn finish(&mut self, now: Instant) {
        self.flow.hand_over();
        if self.flow.waits() || self.flow.is_closed() {
            return;
        }
        // A batch that an earlier owner announced and that is not whole yet is left to the next one.
        let batch = self.task.close().map(Work::Batch);
        let snapshot = self.task.snapshot(now, true);
        let last: VecDeque<_> = batch.into_iter().chain(snapshot).collect();
        if last.is_empty() {
            self.flow.close();
        } else {
            self.flow.take_over(last, now);
        }
    }

    pub(super) fn is_silent(&self, now: Instant, settings: &Settings) -> bool {
        self.at_end
            && !self.flow.is_draining()
            && now.duration_since(self.last_record) >= settings.idle_timeout
    }

    /// One that has nothing more to be read is not, though the client may have given its end up with an error:
    /// it would wait for its turn, and have it, for ever.
    pub(super) fn is_behind(&self, now: Instant) -> bool {
        let has_all = self.told_end == Some(self.task.builder().next().raw());
        !self.at_end && !has_all && now.duration_since(self.last_end) > BEHIND_AFTER
    }

    /// The broker has said where the partition ends.
    pub(super) fn ends_at(&mut self, high: i64, now: Instant) {
        self.last_told = now;
        self.told_end = Some(high);
        if self.paused.is_some() {
            self.withheld.since = None;
            return;
        }
        let next = self.task.builder().next().raw();
        let heard = self.last_record.max(self.last_end);
        let ended = self.at_end;
        self.withheld.observe(next, high, heard, ended, now);
    }

    pub(super) fn pause<S: RecordSource>(&mut self, source: &S, now: Instant) {
        if self.paused.is_none() && source.pause(self.task.id().assignment.partition).is_ok() {
            self.paused = Some(now);
        }
    }

    /// If it is paused, and has been for long enough.
    pub(super) fn flow_again<S: RecordSource>(&mut self, source: &S, now: Instant) {
        let settled = |since| now.duration_since(since) >= SETTLES_WITHIN;
        if !self.paused.is_some_and(settled) {
            return;
        }
        let partition = self.task.id().assignment.partition;
        let next = self.task.builder().next();
        if source.start_at(partition, next, self.epoch).is_ok() {
            self.paused = None;
        }
    }

    pub(super) fn withheld_since(&self) -> Option<Instant> {
        self.withheld.since.map(|(_, since)| since)
    }

    pub(super) fn is_replaying(&self) -> bool {
        !self.task.builder().has_caught_up()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_over_is_not_withheld_and_what_does_not_come_is() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut withheld = Withheld::default();
        withheld.observe(10, 10, at(0), true, at(1));
        assert!(withheld.since.is_none());
        // Five more, of which none comes, and no end is told either.
        for second in 2..20 {
            withheld.observe(10, 15, at(0), true, at(second));
        }
        assert_eq!(withheld.since, Some((15, at(2))));
        // The end is told: they were markers.
        withheld.observe(10, 15, at(20), true, at(21));
        withheld.observe(10, 15, at(20), true, at(40));
        assert!(withheld.since.is_none());
        // Records flow: it begins anew with each.
        withheld.observe(10, 30, at(20), false, at(41));
        withheld.observe(20, 30, at(50), false, at(51));
        assert_eq!(withheld.since, Some((30, at(51))));
    }
}
