//! What the group gives and takes, and how a partition begins.
//!
//! Invariant: at most one start of a partition is under way; one that is begun anew, or goes, ends it.

use std::time::{Duration, Instant};

use pipeline::{
    Assignment, LeaderEpoch, NextOffset, Partition, TaskId,
    ports::{Change, RecordSource},
    writer::Ledger,
};
use tokio::sync::{mpsc, oneshot};

use super::{
    ConsumerLoop, ConsumerLoopError, Request, Starting,
    flow::Flow,
    restarts::Restarts,
    running::{Running, Withheld},
};
use crate::{
    metrics::Release,
    partition_task::{PartitionTask, Sinks},
    startup::Started,
};

/// How long a partition may take to flow from where it begins, once that is known: right after an
/// assignment librdkafka takes no seek yet. Long, because beginning anew is no small thing: where whole
/// assignments are replaced, it makes it too soon for all the others.
const FLOWS_WITHIN: Duration = Duration::from_secs(10);

impl<S: RecordSource, O: Sinks> ConsumerLoop<S, O> {
    pub(super) fn follow_the_group(&mut self, now: Instant) {
        for change in self.source.changes() {
            match change {
                Change::Assigned(assignments) => {
                    tracing::info!(partitions = assignments.len(), "assigned");
                    self.state.joined = true;
                    self.latch.set_ready();
                    for assignment in assignments {
                        self.start(assignment, Duration::ZERO, now);
                    }
                }
                Change::Revoking(partitions) => {
                    tracing::info!(
                        partitions = partitions.len(),
                        "revoked; finishing what is under way"
                    );
                    for partition in &partitions {
                        self.state.starting.remove(partition);
                    }
                    self.drain(&partitions, now);
                    let until = now + self.settings.release_within;
                    // One at a time: the group waits for the release before it decides again.
                    self.state.releasing = Some((partitions, until));
                }
                Change::Lost(partitions) => {
                    tracing::warn!(
                        partitions = partitions.len(),
                        "lost; the next owner settles what is under way"
                    );
                    self.metrics
                        .releases
                        .at(Release::Lost)
                        .inc_by(partitions.len() as u64);
                    for partition in partitions {
                        self.part_with(partition);
                    }
                }
            }
        }
    }

    fn start(&mut self, assignment: Assignment, after: Duration, now: Instant) {
        if self.state.stopping {
            return;
        }
        let partition = assignment.partition;
        self.forget(partition);
        self.state.gone.remove(&partition);
        let (wanted, waiting) = oneshot::channel();
        // One that was begun before stands still since then.
        let before = self.state.starting.remove(&partition);
        let since = before.map_or(now, |before| before.since);
        let starting = Starting {
            assignment,
            since,
            flows_until: None,
            why: None,
            _wanted: wanted,
        };
        self.state.starting.insert(partition, starting);
        self.ask(Request::Start {
            assignment,
            after,
            wanted: waiting,
        });
    }

    /// Where all other partitions are read.
    pub(super) fn others(&self, partitions: &[Partition]) -> Vec<(Partition, NextOffset)> {
        let tasks = self.state.tasks.iter();
        tasks
            .filter(|(partition, _)| !partitions.contains(partition))
            .map(|(partition, running)| (*partition, running.task.builder().next()))
            .collect()
    }

    /// Fences what is under way and finds out anew where each partition begins; each time soon after
    /// the last one it waits longer.
    pub(super) fn begin_anew(&mut self, partitions: &[Partition], now: Instant) {
        if partitions.is_empty() || self.state.stopping {
            return;
        }
        let others = self.others(partitions);
        for assignment in self.source.begin_anew(partitions, &others) {
            let partition = assignment.partition;
            let restarts = self.state.restarts.entry(partition);
            let after = restarts
                .or_insert_with(|| Restarts::of(partition))
                .delay(now);
            self.start(assignment, after, now);
        }
    }

    pub(super) fn begin(
        &mut self,
        started: Started,
        now: Instant,
    ) -> Result<(), ConsumerLoopError> {
        let partition = started.assignment.partition;
        // Revoked, or assigned anew, in the meantime.
        let starting = self.state.starting.get_mut(&partition);
        let Some(starting) = starting.filter(|found| found.assignment == started.assignment) else {
            return Ok(());
        };
        let flows_until = *starting.flows_until.get_or_insert(now + FLOWS_WITHIN);
        // While it was found out the topic became another one.
        if self
            .state
            .incarnation
            .is_some_and(|incarnation| incarnation != started.incarnation.of_topic())
        {
            self.begin_anew(&[partition], now);
            self.ask(Request::Look);
            return Ok(());
        }
        let from = started.resume.replay_from;
        let epoch = started.last.map_or(LeaderEpoch::UNKNOWN, |last| last.epoch);
        if let Err(error) = self.source.start_at(partition, from, epoch) {
            if now < flows_until {
                self.state.too_soon.push(started);
                return Ok(());
            }
            tracing::warn!(%partition, %error, "beginning anew");
            self.begin_anew(&[partition], now);
            if let Some(starting) = self.state.starting.get_mut(&partition) {
                starting.why = Some(error.to_string());
            }
            return Ok(());
        }
        self.state.starting.remove(&partition);
        started.count(&self.metrics);
        let id = TaskId {
            assignment: started.assignment,
            incarnation: started.incarnation,
        };
        let (work, receiver) = mpsc::channel(1);
        self.ask(Request::Write {
            id,
            ledger: Box::new(Ledger {
                resume: started.resume.take_from,
                committed: started.committed,
                found: started.found,
                account: started.account,
                last: started.last,
            }),
            work: receiver,
        });
        self.state.writers += 1;
        let mut task = PartitionTask::new(
            id,
            self.settings.limits,
            started.state,
            started.resume,
            self.settings.snapshot_every,
            now,
        );
        if let Some(rules) = &self.settings.rules {
            task.follow(rules.clone());
        }
        task.partitions_are(self.state.partitions, &mut self.sinks)?;
        let running = Running {
            task,
            flow: Flow::into(work),
            paused: None,
            verified: started.verified,
            last: started.last,
            epoch,
            last_record: now,
            at_end: false,
            last_end: now,
            turn: 0,
            last_told: now,
            told_end: None,
            withheld: Withheld::default(),
        };
        self.state.tasks.insert(partition, running);
        Ok(())
    }
}
