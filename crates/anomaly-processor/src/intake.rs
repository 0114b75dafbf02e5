//! The poll loop: one thread that reads the group's partitions and feeds their lanes.
//!
//! Invariants: it polls whatever happens, also while the store is away (partitions are paused,
//! polling goes on); it never waits for the network but in `poll`; bytes on their way to the store
//! are bounded; a partition that is revoked is given back once its blocks are complete, or when the
//! time for that is over. Everything it knows of time is handed in.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use clickhouse_store::LogRows;
use pipeline::{
    Assignment, LaneId, NextOffset, Partition, Work,
    ports::{Change, Polled, RecordSource, SourceError},
    writer,
};
use service_kit::lifecycle::Latch;
use tokio::sync::mpsc;

use crate::{
    lane::{Lane, OutletError, Outlets},
    metrics::{Metrics, Release},
    startup::Started,
};

mod flow;
mod pressure;
mod running;
mod unreadable;

use flow::Flow;
use running::Running;

/// Records between two looks at everything else.
const STRIDE: usize = 512;
const LONGEST_POLL: Duration = Duration::from_millis(20);
const TICK: Duration = Duration::from_secs(1);

/// What the loop asks of the outside.
pub enum Request {
    /// Find out where this partition begins.
    Start(Assignment),
    /// Run a writer for this lane.
    Write {
        id: LaneId,
        resume: NextOffset,
        work: mpsc::Receiver<Work<LogRows>>,
    },
    /// Ask the brokers for the ends of these partitions.
    Ends(Vec<Partition>),
    /// Find out whether what is next in these lanes can be read at all.
    Examine(Vec<(LaneId, NextOffset)>),
}

/// What the outside tells the loop.
pub enum Answer {
    Started(Box<Started>),
    Finished(writer::Finished),
    WriterEnded(LaneId),
    /// A writer ended in a way that nothing here can mend.
    Broken(String),
    /// Next offset that each partition will give.
    Ends(BTreeMap<Partition, i64>),
    /// What is next in this lane, at `first`, cannot be decoded, up to `end`.
    Unreadable {
        id: LaneId,
        first: NextOffset,
        end: NextOffset,
        reason: String,
    },
    /// All lanes that were to be examined have been.
    Examined,
    /// The topic as it is now.
    Topic {
        life: pipeline::Incarnation,
        partitions: i32,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Outlet(#[from] OutletError),
    #[error("{0}")]
    Broken(String),
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub limits: pipeline::Limits,
    /// Bytes of records, over all partitions, that are gathered or on their way to the store.
    pub in_flight_bytes: usize,
    pub idle_timeout: Duration,
    /// How long a revoked partition may take to finish its blocks.
    pub release_within: Duration,
    pub snapshot_every: Duration,
}

pub struct Intake<S, O> {
    pub source: S,
    pub outlets: O,
    pub metrics: Metrics,
    pub settings: Settings,
    pub latch: Latch,
    pub requests: mpsc::UnboundedSender<Request>,
    pub answers: mpsc::UnboundedReceiver<Answer>,
    pub state: State,
}

/// What the loop remembers between two steps.
#[derive(Default)]
pub struct State {
    lanes: BTreeMap<Partition, Running>,
    /// Assignments whose start is under way.
    starting: BTreeMap<Partition, Assignment>,
    /// Partitions that are to be given back, and until when.
    releasing: Option<(Vec<Partition>, Instant)>,
    /// Writers that have not ended.
    writers: usize,
    /// Blocks that were closed.
    blocks: u64,
    /// How many partitions the topic has; 0 while nobody has said.
    partitions: i32,
    /// No broker answers since the last answer.
    unanswered: bool,
    /// Somebody finds out which partition cannot be read.
    examining: bool,
    next_tick: Option<Instant>,
    stopping: bool,
}

impl<S: RecordSource, O: Outlets> Intake<S, O> {
    /// One round: answers, the group's decisions, at most a stride of records, blocks that are due.
    /// Waits for records up to `longest`.
    pub fn step(&mut self, now: Instant, longest: Duration) -> Result<(), IntakeError> {
        self.hear(now)?;
        self.follow_the_group(now);
        self.read_a_stride(now, longest)?;
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
        let partitions: Vec<Partition> = self.state.lanes.keys().copied().collect();
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
    fn hear(&mut self, now: Instant) -> Result<(), IntakeError> {
        while let Ok(answer) = self.answers.try_recv() {
            match answer {
                Answer::Started(started) => self.begin(*started, now)?,
                Answer::Finished(note) => {
                    if let Some(running) = self.lane_of(note.id) {
                        running.flow.finished(note.bytes);
                    }
                }
                Answer::WriterEnded(id) => {
                    self.state.writers = self.state.writers.saturating_sub(1);
                    if self.lane_of(id).is_some() {
                        self.forget(id.assignment.partition);
                    }
                }
                Answer::Broken(reason) => return Err(IntakeError::Broken(reason)),
                Answer::Ends(ends) => self.ends_are(&ends, now)?,
                Answer::Topic { life, partitions } => self.topic_is(life, partitions)?,
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

    fn topic_is(&mut self, life: pipeline::Incarnation, count: i32) -> Result<(), IntakeError> {
        let others = |running: &Running| running.lane.id().incarnation != life;
        let partitions = self.partitions_where(others);
        if !partitions.is_empty() {
            tracing::warn!(incarnation = %life, "the topic was made anew; beginning anew");
            self.begin_anew(&partitions);
        }
        self.state.partitions = count;
        for running in self.state.lanes.values_mut() {
            running.lane.partitions_are(count, &mut self.outlets)?;
        }
        Ok(())
    }

    fn lane_of(&mut self, id: LaneId) -> Option<&mut Running> {
        let running = self.state.lanes.get_mut(&id.assignment.partition)?;
        (running.lane.id() == id).then_some(running)
    }

    fn partitions_where(&self, wanted: impl Fn(&Running) -> bool) -> Vec<Partition> {
        let lanes = self.state.lanes.iter();
        let mut partitions: Vec<_> = lanes
            .filter(|(_, running)| wanted(running))
            .map(|(partition, _)| *partition)
            .collect();
        partitions.sort_unstable();
        partitions
    }

    fn follow_the_group(&mut self, now: Instant) {
        for change in self.source.changes() {
            match change {
                Change::Assigned(assignments) => {
                    tracing::info!(partitions = assignments.len(), "assigned");
                    self.latch.set_ready();
                    self.start(assignments);
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
                        self.state.starting.remove(&partition);
                        self.forget(partition);
                    }
                }
            }
        }
    }

    fn start(&mut self, assignments: Vec<Assignment>) {
        if self.state.stopping {
            return;
        }
        for assignment in assignments {
            self.forget(assignment.partition);
            self.state.starting.insert(assignment.partition, assignment);
            self.ask(Request::Start(assignment));
        }
    }

    /// Fences what is under way and finds out anew where each partition begins.
    fn begin_anew(&mut self, partitions: &[Partition]) {
        let assignments = self.source.begin_anew(partitions);
        self.start(assignments);
    }

    fn begin(&mut self, started: Started, now: Instant) -> Result<(), IntakeError> {
        let partition = started.assignment.partition;
        // Revoked, or assigned anew, in the meantime.
        if self.state.starting.get(&partition) != Some(&started.assignment) {
            return Ok(());
        }
        self.state.starting.remove(&partition);
        started.count(&self.metrics);
        let id = LaneId {
            assignment: started.assignment,
            incarnation: started.incarnation,
        };
        let (work, receiver) = mpsc::channel(1);
        self.ask(Request::Write {
            id,
            resume: started.beginning.take_from,
            work: receiver,
        });
        self.state.writers += 1;
        let mut lane = Lane::new(
            id,
            self.settings.limits,
            started.knowledge,
            started.beginning,
            self.settings.snapshot_every,
            now,
        );
        lane.partitions_are(self.state.partitions, &mut self.outlets)?;
        let running = Running {
            lane,
            flow: Flow::into(work),
            paused: false,
            last_record: now,
            at_end: false,
            last_end: now,
            turn: 0,
        };
        self.state.lanes.insert(partition, running);
        Ok(self
            .source
            .start_at(partition, started.beginning.replay_from)?)
    }

    fn read_a_stride(&mut self, now: Instant, longest: Duration) -> Result<(), IntakeError> {
        // A lane that can't be closed yet is not waited for: it would have this thread spin.
        let due = self
            .state
            .lanes
            .values()
            .filter(|running| !running.flow.waits());
        let wait = due
            .filter_map(|running| running.lane.gather().due_in(now, running.is_behind(now)))
            .min()
            .unwrap_or(LONGEST_POLL)
            .min(longest);
        let mut outcome = Ok(());
        let Self {
            source,
            outlets,
            metrics,
            state,
            ..
        } = self;
        let polled = source.poll(wait, STRIDE, &mut |partition, record| {
            // Of a partition without a lane: it will be read again from where it begins.
            let State { lanes, blocks, .. } = &mut *state;
            let Some(running) = lanes.get_mut(&partition) else {
                return;
            };
            if outcome.is_err() || running.flow.is_draining() {
                return;
            }
            running.lane.reach(record.offset, now);
            if running.lane.gather().is_full() {
                running.close(now, blocks);
            }
            running.last_record = now;
            if running.at_end {
                running.at_end = false;
                running.last_end = now;
            }
            outcome = running.lane.take(record, now, metrics, outlets);
            if running.lane.gather().is_full() {
                running.close(now, blocks);
                if running.lane.gather().is_full() && !running.paused {
                    running.paused = source.pause(partition).is_ok();
                }
            }
        });
        outcome?;
        self.notice(polled, now)
    }

    fn notice(&mut self, polled: Polled, now: Instant) -> Result<(), IntakeError> {
        match polled {
            Polled::Records | Polled::Nothing => {}
            Polled::End(partition) => {
                if let Some(running) = self.state.lanes.get_mut(&partition) {
                    running.at_end = true;
                    running.last_end = now;
                }
            }
            Polled::Away(reason) => {
                if !self.state.unanswered {
                    self.state.unanswered = true;
                    tracing::warn!(reason, "kafka does not answer; waiting for it");
                    self.latch.set_unready("no broker answers");
                }
            }
            Polled::Changed(reason) => {
                let mut partitions = self.partitions_where(|running| !running.flow.is_draining());
                // What a start has found out so far may be about the topic as it was.
                partitions.extend(self.state.starting.keys());
                if !partitions.is_empty() {
                    tracing::warn!(reason, "the topic is not what it was; beginning anew");
                    self.begin_anew(&partitions);
                }
            }
            Polled::Unreadable(reason) => self.examine(&reason, now),
            Polled::Warned(reason) => tracing::warn!(reason, "kafka"),
            Polled::Failed(reason) => return Err(IntakeError::Source(SourceError(reason))),
        }
        Ok(())
    }

    fn hand_over(&mut self, now: Instant) {
        let State { lanes, blocks, .. } = &mut self.state;
        for running in lanes.values_mut() {
            running.flow.hand_over();
            if running.lane.gather().is_due(now, running.is_behind(now)) {
                running.close(now, blocks);
            }
        }
    }

    /// Stops reading the partitions and lets their writers finish.
    fn drain(&mut self, partitions: &[Partition], now: Instant) {
        for partition in partitions {
            let Some(running) = self.state.lanes.get_mut(partition) else {
                continue;
            };
            running.paused = self.source.pause(*partition).is_ok();
            running.flow.drain();
            running.finish(now);
        }
    }

    fn release_what_is_done(&mut self, now: Instant) {
        for running in self.state.lanes.values_mut() {
            if running.flow.is_draining() {
                running.finish(now);
            }
        }
        let Some((partitions, until)) = &self.state.releasing else {
            return;
        };
        let left: Vec<Partition> = partitions
            .iter()
            .filter(|partition| self.state.lanes.contains_key(partition))
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
        self.source.release(partitions);
        self.state.releasing = None;
        for partition in left {
            self.forget(partition);
        }
    }

    /// Without its sender, the lane's writer ends.
    fn forget(&mut self, partition: Partition) {
        if self.state.lanes.remove(&partition).is_some() {
            self.metrics.lag.forget(&partition.to_string());
            self.metrics.services.forget(&partition.to_string());
        }
    }

    fn tick(&mut self, now: Instant) {
        let lags = self.source.lags();
        let mut templates = 0;
        for (partition, running) in &mut self.state.lanes {
            let label = partition.to_string();
            if let Some(lag) = lags.get(partition) {
                self.metrics.lag.of(&label).set(*lag as f64);
            }
            let services = running.lane.services();
            self.metrics.services.of(&label).set(services as f64);
            templates += running.lane.templates();
            let (services_evicted, templates_evicted) = running.lane.newly_evicted();
            self.metrics.evicted.inc_by(services_evicted);
            self.metrics.templates_evicted.inc_by(templates_evicted);
        }
        self.metrics.templates.at(()).set(templates as f64);
        let silent = self.partitions_where(|running| running.is_silent(now, &self.settings));
        // Only a broker that answers can say that nothing came.
        if !silent.is_empty() || self.state.unanswered {
            let everything = self.partitions_where(|_| true);
            let asked = if silent.is_empty() {
                everything
            } else {
                silent
            };
            self.ask(Request::Ends(asked));
        }
    }

    fn ends_are(
        &mut self,
        ends: &BTreeMap<Partition, i64>,
        now: Instant,
    ) -> Result<(), IntakeError> {
        if std::mem::take(&mut self.state.unanswered) {
            tracing::info!("kafka answers again");
            self.latch.set_ready();
        }
        for (partition, end) in ends {
            if let Some(running) = self.state.lanes.get_mut(partition)
                && running.is_silent(now, &self.settings)
                && running.lane.gather().next().raw() >= *end
            {
                let idle_for = now.duration_since(running.last_record);
                running.lane.idle(idle_for, &mut self.outlets)?;
            }
        }
        Ok(())
    }

    fn ask(&self, request: Request) {
        // The other side lives until this loop has ended.
        let _gone = self.requests.send(request);
    }
}
