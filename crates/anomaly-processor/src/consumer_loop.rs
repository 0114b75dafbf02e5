//! The poll loop of one member of the group: one thread that reads its partitions and feeds their tasks.
//!
//! Invariants: it polls whatever happens, also while the store is away (partitions are paused,
//! polling goes on); it never waits for the network but in `poll`; bytes on their way to the store
//! are bounded; a partition that is revoked is given back once its batches are complete, or when the
//! time for that is over. Everything it knows of time is handed in.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use pipeline::{
    Assignment, Incarnation, Partition, TaskId,
    ports::{Polled, RecordSource, SourceError, Trouble},
};
use service_kit::lifecycle::{Latch, Partitions};
use tokio::sync::{mpsc, oneshot};

use crate::{
    metrics::{Metrics, Release},
    partition_task::{SinkError, Sinks},
    rules::InForce,
    startup::Started,
};

mod condition;
mod flow;
mod group;
mod messages;
mod pressure;
mod restarts;
mod running;
mod topic;
mod unreadable;

pub use messages::{Answer, Ends, Request};
pub use pressure::Shares;
use restarts::Restarts;
use running::Running;

const LONGEST_POLL: Duration = Duration::from_millis(20);
const TICK: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum ConsumerLoopError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("{0}")]
    Broken(String),
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub limits: pipeline::Limits,
    /// Bytes of records, over all partitions of the process, that are gathered or on their way to the store.
    pub in_flight_bytes: usize,
    pub idle_timeout: Duration,
    /// How long a revoked partition may take to finish its batches.
    pub release_within: Duration,
    pub snapshot_every: Duration,
    /// What somebody wants to be told of.
    pub rules: Option<InForce>,
}

pub struct ConsumerLoop<S, O> {
    pub source: S,
    pub sinks: O,
    pub metrics: Metrics,
    pub settings: Settings,
    pub latch: Latch,
    pub partitions: Partitions,
    pub shares: Shares,
    pub requests: mpsc::UnboundedSender<Request>,
    pub answers: mpsc::UnboundedReceiver<Answer>,
    pub state: State,
}

/// What the loop remembers between two steps.
pub struct State {
    tasks: BTreeMap<Partition, Running>,
    /// Assignments whose start is under way.
    starting: BTreeMap<Partition, Starting>,
    /// Of those, the ones that could not flow yet: they are tried again with every step.
    too_soon: Vec<Started>,
    /// Ours by the group, and no longer part of the topic.
    gone: BTreeSet<Partition>,
    restarts: BTreeMap<Partition, Restarts>,
    /// Partitions that are to be given back, and until when.
    releasing: Option<(Vec<Partition>, Instant)>,
    /// Writers that have not ended.
    writers: usize,
    /// Batches that were closed.
    batches: u64,
    /// When a batch was last finished, or none was under way.
    last_finished: Instant,
    /// Which incarnation the topic is, as far as it is known.
    incarnation: Option<Incarnation>,
    /// How many partitions the topic has; 0 while nobody has said.
    partitions: i32,
    /// Partitions without a leader, and since when.
    leaderless: BTreeMap<Partition, Instant>,
    /// First and next offset of each partition, as last told.
    ends: BTreeMap<Partition, (i64, i64)>,
    /// What the group has committed of partitions that are not read yet.
    committed: BTreeMap<Partition, i64>,
    /// What had been read of each task when the ends were last asked for.
    asked: BTreeMap<Partition, (TaskId, i64)>,
    /// The group has given us something, if only nothing.
    joined: bool,
    /// No broker answers since the last answer.
    unanswered: bool,
    /// Somebody finds out which partition cannot be read.
    examining: bool,
    /// Something said that the topic is not what it was: look at once, and once.
    doubt: Option<String>,
    said_doubt: Option<Instant>,
    /// Some partition does not flow although it should.
    troubled: bool,
    next_tick: Option<Instant>,
    next_ends: Option<Instant>,
    stopping: bool,
}

struct Starting {
    assignment: Assignment,
    since: Instant,
    /// It is known where it begins, and by then it has to flow from there.
    flows_until: Option<Instant>,
    /// Why it could not begin when it was last tried.
    why: Option<String>,
    /// Dropped when nobody waits for it any more.
    _wanted: oneshot::Sender<()>,
}

impl State {
    pub fn at(now: Instant) -> Self {
        Self {
            tasks: BTreeMap::new(),
            starting: BTreeMap::new(),
            too_soon: Vec::new(),
            gone: BTreeSet::new(),
            restarts: BTreeMap::new(),
            releasing: None,
            writers: 0,
            batches: 0,
            last_finished: now,
            incarnation: None,
            partitions: 0,
            leaderless: BTreeMap::new(),
            ends: BTreeMap::new(),
            committed: BTreeMap::new(),
            asked: BTreeMap::new(),
            joined: false,
            unanswered: false,
            examining: false,
            doubt: None,
            said_doubt: None,
            troubled: false,
            next_tick: None,
            next_ends: None,
            stopping: false,
        }
    }
}

impl<S: RecordSource, O: Sinks> ConsumerLoop<S, O> {
    /// One round: answers, the group's decisions, the records that have been fetched, batches that are due.
    /// Waits for records up to `longest`.
    pub fn step(&mut self, now: Instant, longest: Duration) -> Result<(), ConsumerLoopError> {
        self.hear(now)?;
        self.follow_the_group(now);
        for started in std::mem::take(&mut self.state.too_soon) {
            self.begin(started, now)?;
        }
        self.read_what_came(now, longest)?;
        self.hand_over(now);
        self.hold_back(now);
        self.release_what_is_done(now);
        if self.state.next_tick.is_none_or(|at| now >= at) {
            self.state.next_tick = Some(now + TICK);
            self.tick(now);
        }
        Ok(())
    }

    /// From now on nothing new is taken; what was is stored, acknowledged and committed.
    pub fn stop(&mut self, now: Instant) {
        self.state.stopping = true;
        self.state.starting.clear();
        self.state.gone.clear();
        let partitions: Vec<Partition> = self.state.tasks.keys().copied().collect();
        self.drain(&partitions, now);
    }

    /// Whether nothing is under way any more.
    pub fn is_idle(&self) -> bool {
        self.state.writers == 0
    }

    /// Writers that have not ended.
    pub fn writers(&self) -> usize {
        self.state.writers
    }

    /// Answers of writers and starts.
    fn hear(&mut self, now: Instant) -> Result<(), ConsumerLoopError> {
        while let Ok(answer) = self.answers.try_recv() {
            match answer {
                Answer::Started(started) => self.begin(*started, now)?,
                Answer::Finished(note) => {
                    self.state.last_finished = now;
                    if let Some(running) = self.task_of(note.id) {
                        running.flow.finished(note.bytes, now);
                    }
                }
                Answer::WriterEnded(id) => {
                    self.state.writers = self.state.writers.saturating_sub(1);
                    let Some(running) = self.task_of(id) else {
                        continue;
                    };
                    let was_to_end = running.flow.is_draining() || running.flow.is_closed();
                    let partition = id.assignment.partition;
                    self.forget(partition);
                    // Fenced, and the group has not said that it is gone: if it is ours still, nobody
                    // else will go on with it.
                    if !was_to_end {
                        self.begin_anew(&[partition], now);
                    }
                }
                Answer::Broken(reason) => return Err(ConsumerLoopError::Broken(reason)),
                Answer::CannotBegin(assignment, why) => {
                    if let Some(starting) = self.state.starting.get_mut(&assignment.partition)
                        && starting.assignment == assignment
                    {
                        starting.why = Some(why);
                    }
                }
                Answer::Ends(ends) => self.ends_are(&ends, now)?,
                Answer::Topic {
                    incarnation,
                    partitions,
                    leaderless,
                } => self.topic_is(incarnation, partitions, leaderless, now)?,
                Answer::NoTopic => self.topic_is_missing(),
                Answer::NoAnswer(reason) => self.nobody_answers(&reason),
                Answer::Unreadable {
                    id,
                    first,
                    end,
                    reason,
                } => self.pass_unreadable(id, (first, end), &reason, now),
                Answer::Examined => self.state.examining = false,
            }
        }
        Ok(())
    }

    fn task_of(&mut self, id: TaskId) -> Option<&mut Running> {
        let running = self.state.tasks.get_mut(&id.assignment.partition)?;
        (running.task.id() == id).then_some(running)
    }

    fn partitions_where(&self, wanted: impl Fn(&Running) -> bool) -> Vec<Partition> {
        let tasks = self.state.tasks.iter();
        let mut partitions: Vec<_> = tasks
            .filter(|(_, running)| wanted(running))
            .map(|(partition, _)| *partition)
            .collect();
        partitions.sort_unstable();
        partitions
    }

    fn read_what_came(&mut self, now: Instant, longest: Duration) -> Result<(), ConsumerLoopError> {
        // A task that can't be closed yet is not waited for: it would have this thread spin.
        let due = self
            .state
            .tasks
            .values()
            .filter(|running| !running.flow.waits());
        let wait = due
            .filter_map(|running| running.task.builder().due_in(now, running.is_behind(now)))
            .min()
            .unwrap_or(LONGEST_POLL)
            .min(longest);
        let mut outcome = Ok(());
        let mut troubles = Vec::new();
        let mut of_other_logs = BTreeSet::new();
        let Self {
            source,
            sinks,
            metrics,
            state,
            ..
        } = self;
        source.poll(wait, &mut |polled| match polled {
            Polled::Record(partition, record) => {
                // Of a partition without a task: it will be read again from where it begins.
                let State { tasks, batches, .. } = &mut *state;
                let Some(running) = tasks.get_mut(&partition) else {
                    return;
                };
                if outcome.is_err() || running.flow.is_draining() {
                    return;
                }
                if !running.knows_the_log_of(record) {
                    of_other_logs.insert(partition);
                    return;
                }
                running.task.reach(record.offset, now);
                if running.task.builder().is_full() {
                    running.close(now, batches);
                }
                running.last_record = now;
                if running.at_end {
                    running.at_end = false;
                    running.last_end = now;
                }
                outcome = running.task.take(record, now, metrics, sinks);
                if running.task.builder().is_full() {
                    running.close(now, batches);
                    if running.task.builder().is_full() {
                        running.pause(source, now);
                    }
                }
            }
            Polled::End(partition) => {
                if let Some(running) = state.tasks.get_mut(&partition) {
                    running.at_end = true;
                    running.last_end = now;
                    running.task.at_end();
                }
            }
            Polled::Trouble(trouble) => troubles.push(trouble),
        });
        outcome?;
        if !of_other_logs.is_empty() {
            let partitions: Vec<Partition> = of_other_logs.into_iter().collect();
            tracing::info!(
                partitions = partitions.len(),
                "the leader has changed; looking whether the log is the same"
            );
            self.begin_anew(&partitions, now);
        }
        for trouble in troubles {
            self.notice(trouble, now)?;
        }
        Ok(())
    }

    fn notice(&mut self, trouble: Trouble, now: Instant) -> Result<(), ConsumerLoopError> {
        match trouble {
            Trouble::Away(reason) => self.nobody_answers(&reason),
            Trouble::Refused(reason) => self.is_refused(&reason),
            // Which partition it is about is not said: the brokers are asked how all of them stand, once
            // for however many errors.
            Trouble::Changed(reason) => {
                self.state.doubt.get_or_insert(reason);
            }
            Trouble::Unreadable(reason) => self.examine(&reason, now),
            Trouble::Warned(reason) => tracing::warn!(reason, "kafka"),
            Trouble::Failed(reason) => return Err(ConsumerLoopError::Source(SourceError(reason))),
        }
        Ok(())
    }

    fn hand_over(&mut self, now: Instant) {
        let State { tasks, batches, .. } = &mut self.state;
        for running in tasks.values_mut() {
            running.flow.hand_over();
            if running.task.builder().is_due(now, running.is_behind(now)) {
                running.close(now, batches);
            }
        }
    }

    /// Stops reading the partitions and lets their writers finish.
    fn drain(&mut self, partitions: &[Partition], now: Instant) {
        for partition in partitions {
            let Some(running) = self.state.tasks.get_mut(partition) else {
                continue;
            };
            running.pause(&self.source, now);
            running.flow.drain();
            running.finish(now);
        }
    }

    fn release_what_is_done(&mut self, now: Instant) {
        for running in self.state.tasks.values_mut() {
            if running.flow.is_draining() {
                running.finish(now);
            }
        }
        let Some((partitions, until)) = &self.state.releasing else {
            return;
        };
        let left: Vec<Partition> = partitions
            .iter()
            .filter(|partition| self.state.tasks.contains_key(partition))
            .copied()
            .collect();
        if !left.is_empty() && now < *until {
            return;
        }
        let finished = (partitions.len() - left.len()) as u64;
        self.metrics.releases.at(Release::Finished).inc_by(finished);
        self.metrics
            .releases
            .at(Release::Unfinished)
            .inc_by(left.len() as u64);
        if !left.is_empty() {
            tracing::warn!(
                partitions = left.len(),
                "given back unfinished; the next owner settles what is under way"
            );
        }
        let partitions = partitions.clone();
        self.source.release(&partitions);
        self.state.releasing = None;
        for partition in partitions {
            self.part_with(partition);
        }
    }

    /// Without its sender, the task's writer ends.
    fn forget(&mut self, partition: Partition) {
        if self.state.tasks.remove(&partition).is_some() {
            self.metrics.services.forget(&partition.to_string());
        }
    }

    /// It is not ours any more.
    fn part_with(&mut self, partition: Partition) {
        self.forget(partition);
        self.state.starting.remove(&partition);
        self.state.gone.remove(&partition);
        self.state.restarts.remove(&partition);
        self.state.ends.remove(&partition);
        self.state.committed.remove(&partition);
        let label = partition.to_string();
        self.metrics.lag.forget(&label);
        self.metrics.stalled.forget(&label);
        self.metrics.partition_state.forget(&label);
    }

    fn tick(&mut self, now: Instant) {
        let mut templates = 0;
        for (partition, running) in &mut self.state.tasks {
            let label = partition.to_string();
            let services = running.task.services();
            self.metrics.services.of(&label).set(services as f64);
            templates += running.task.templates();
            let (services_evicted, templates_evicted) = running.task.newly_evicted();
            self.metrics.evicted.inc_by(services_evicted);
            self.metrics.templates_evicted.inc_by(templates_evicted);
        }
        let templates = self.shares.templates.set(templates);
        self.metrics.templates.at(()).set(templates as f64);
        if self.on_its_way() == 0 {
            self.state.last_finished = now;
        }
        if self.state.stopping {
            // What it was when the end began is shown until then.
            return;
        }
        self.ask_the_brokers(now);
        self.show_partitions(now);
    }

    fn ask(&self, request: Request) {
        // The other side lives until this loop has ended.
        let _gone = self.requests.send(request);
    }
}
