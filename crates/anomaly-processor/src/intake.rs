//! The poll loop: one thread that reads the group's partitions and feeds their lanes.
//!
//! Invariants: it polls whatever happens, also while the store is away (partitions are paused,
//! polling goes on); it never waits for the network but in `poll`; bytes on their way to the store
//! are bounded.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use clickhouse_store::LogRows;
use kafka_io::{
    consumer::{Change, GroupConsumer, Polled},
    producer::Producer,
};
use pipeline::{Assignment, Block, Partition, writer};
use rdkafka::{
    Message,
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
};
use service_kit::lifecycle::Latch;
use tokio::sync::mpsc;

use crate::{
    announce::Announcer,
    lane::{Lane, LaneId},
    metrics::Metrics,
    outlets::{Doors, record_of},
    startup::Started,
};

/// Records between two looks at everything else.
const STRIDE: usize = 512;
const LONGEST_POLL: Duration = Duration::from_millis(20);
const TICK: Duration = Duration::from_secs(1);

/// What the loop tells the outside.
pub enum Request {
    /// Find out where this partition begins.
    Start(Assignment),
    /// Run a writer for this lane.
    Write {
        lane: LaneId,
        resume: pipeline::NextOffset,
        blocks: mpsc::Receiver<Block<LogRows>>,
    },
}

/// What the outside tells the loop.
pub enum Answer {
    Started(Started),
    /// A start failed; it is tried again by whoever runs starts.
    Finished(writer::Finished),
    /// A writer ended in a way that nothing here can mend.
    Broken(String),
    WriterEnded(Assignment),
}

#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    #[error("kafka: {0}")]
    Kafka(#[from] KafkaError),
    #[error("{0}")]
    Broken(String),
    #[error("the topic no longer holds the next record ({0}); a restart finds out what is gone")]
    Gone(String),
}

pub struct Parts {
    pub consumer: GroupConsumer,
    pub producer: Arc<Producer>,
    pub announcer: Announcer,
    pub dead_letter_topic: String,
    pub metrics: Metrics,
    pub limits: pipeline::Limits,
    pub detection: detection::Config,
    pub in_flight_bytes: usize,
    pub idle_timeout: Duration,
    pub latch: Latch,
    pub requests: mpsc::UnboundedSender<Request>,
    pub answers: mpsc::UnboundedReceiver<Answer>,
}

impl Parts {
    fn doors(&self) -> Doors<'_> {
        Doors {
            producer: &self.producer,
            announcer: &self.announcer,
            dead_letter_topic: &self.dead_letter_topic,
            topic: self.consumer.topic(),
            metrics: &self.metrics,
        }
    }
}

struct Running {
    lane: Lane,
    blocks: mpsc::Sender<Block<LogRows>>,
    /// Closed, and the writer is still busy with the one before.
    waiting: Option<Block<LogRows>>,
    in_flight: usize,
    paused: bool,
    last_record: Instant,
    at_end: bool,
}

pub struct Intake {
    parts: Parts,
    lanes: HashMap<Partition, Running>,
    /// Assignments whose start is under way.
    starting: HashMap<Partition, Assignment>,
    writers: usize,
    answered: bool,
    next_tick: Instant,
}

impl Intake {
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            lanes: HashMap::new(),
            starting: HashMap::new(),
            writers: 0,
            answered: true,
            next_tick: Instant::now(),
        }
    }

    /// Runs until `stopping`, then lets the writers finish within `budget`.
    pub fn run(mut self, stopping: &dyn Fn() -> bool, budget: Duration) -> Result<(), IntakeError> {
        while !stopping() {
            self.hear()?;
            self.follow_the_group();
            let now = Instant::now();
            self.read_a_stride(now)?;
            self.close_what_is_due(Instant::now());
            self.hold_back();
            if now >= self.next_tick {
                self.next_tick = now + TICK;
                self.tick(now)?;
            }
        }
        self.drain(budget)
    }

    /// Answers of writers and starts.
    fn hear(&mut self) -> Result<(), IntakeError> {
        while let Ok(answer) = self.parts.answers.try_recv() {
            match answer {
                Answer::Started(started) => self.begin(&started)?,
                Answer::Finished(note) => {
                    if let Some(running) = self.lanes.get_mut(&note.at.partition)
                        && running.lane.id.assignment == note.at
                    {
                        running.in_flight = running.in_flight.saturating_sub(note.bytes);
                    }
                }
                Answer::WriterEnded(_) => self.writers = self.writers.saturating_sub(1),
                Answer::Broken(reason) => return Err(IntakeError::Broken(reason)),
            }
        }
        Ok(())
    }

    fn follow_the_group(&mut self) {
        for change in self.parts.consumer.changes() {
            match change {
                Change::Assigned(assignments) => {
                    tracing::info!(partitions = assignments.len(), "assigned");
                    self.parts.latch.set_ready();
                    for assignment in assignments {
                        self.starting.insert(assignment.partition, assignment);
                        self.ask(Request::Start(assignment));
                    }
                }
                Change::Revoked { partitions, lost } => {
                    tracing::info!(partitions = partitions.len(), lost, "revoked");
                    for partition in partitions {
                        // The fence is down already: the writer ends at its next commit, and the next
                        // owner settles what it leaves.
                        self.lanes.remove(&partition);
                        self.starting.remove(&partition);
                        self.parts.metrics.lag.forget(&partition.to_string());
                        self.parts.metrics.services.forget(&partition.to_string());
                    }
                }
            }
        }
    }

    fn begin(&mut self, started: &Started) -> Result<(), IntakeError> {
        let partition = started.assignment.partition;
        // Revoked, or assigned anew, in the meantime.
        if self.starting.get(&partition) != Some(&started.assignment) {
            return Ok(());
        }
        self.starting.remove(&partition);
        if started.gap > 0 {
            tracing::error!(%partition, records = started.gap, "records were deleted before they were read");
            self.parts.metrics.gaps.inc_by(started.gap.cast_unsigned());
        }
        let beginning = started.beginning;
        tracing::info!(
            %partition, incarnation = %started.incarnation, replay_from = %beginning.replay_from,
            take_from = %beginning.take_from, announced = beginning.announced_end.is_some(), "partition begins"
        );
        let id = LaneId {
            assignment: started.assignment,
            incarnation: started.incarnation,
        };
        let (blocks, receiver) = mpsc::channel(1);
        self.ask(Request::Write {
            lane: id,
            resume: beginning.take_from,
            blocks: receiver,
        });
        self.writers += 1;
        let lane = Lane::new(
            id,
            self.parts.limits,
            self.parts.detection.clone(),
            beginning,
        );
        let running = Running {
            lane,
            blocks,
            waiting: None,
            in_flight: 0,
            paused: false,
            last_record: Instant::now(),
            at_end: false,
        };
        self.lanes.insert(partition, running);
        Ok(self.parts.consumer.start_at(
            partition,
            beginning.replay_from,
            Duration::from_secs(10),
        )?)
    }

    fn read_a_stride(&mut self, now: Instant) -> Result<(), IntakeError> {
        // A lane that can't be closed yet is not waited for: it would have this thread spin.
        let mut wait = self
            .lanes
            .values()
            .filter(|running| running.waiting.is_none())
            .filter_map(|running| running.lane.due_in(now))
            .min()
            .unwrap_or(LONGEST_POLL)
            .min(LONGEST_POLL);
        // The handle is shared: what is polled borrows it, not the lanes.
        let consumer = self.parts.consumer.clone();
        for _ in 0..STRIDE {
            match consumer.poll(wait) {
                Polled::Record(message) => {
                    self.take(&message, now)?;
                    wait = Duration::ZERO;
                }
                Polled::End(partition) => {
                    if let Some(running) = self.lanes.get_mut(&partition) {
                        running.at_end = true;
                    }
                }
                Polled::Nothing => return Ok(()),
                Polled::Failed(error) => {
                    self.notice(&error)?;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, message: &BorrowedMessage<'_>, now: Instant) -> Result<(), IntakeError> {
        let Some(running) = self.lanes.get_mut(&Partition(message.partition())) else {
            // Read before its partition had begun; it will be read again from where it begins.
            return Ok(());
        };
        let record = record_of(message);
        running.lane.reach(record.offset);
        if running.lane.is_full() {
            close(running);
        }
        running.last_record = now;
        running.at_end = false;
        running
            .lane
            .take(&record, now, &self.parts.metrics, &mut self.parts.doors())?;
        if running.lane.is_full() {
            close(running);
            if running.lane.is_full() && !running.paused {
                running.paused = true;
                self.parts.consumer.pause(Partition(message.partition()))?;
            }
        }
        Ok(())
    }

    fn close_what_is_due(&mut self, now: Instant) {
        for running in self.lanes.values_mut() {
            hand_over(running);
            if running.lane.is_due(now) {
                close(running);
            }
        }
    }

    /// Pauses what is too far ahead of the store, and lets it flow again when the store has caught up.
    fn hold_back(&mut self) {
        let total: usize = self
            .lanes
            .values()
            .map(|running| running.in_flight + running.lane.open_bytes())
            .sum();
        self.parts.metrics.in_flight.at(()).set(total as f64);
        let over = total > self.parts.in_flight_bytes;
        let under = total < self.parts.in_flight_bytes / 2;
        let mut paused = 0;
        for (partition, running) in &mut self.lanes {
            let waits = running.waiting.is_some();
            let is_stuck = waits && running.lane.is_full();
            let must = is_stuck || (waits && over);
            let may = under && !is_stuck;
            if must && !running.paused {
                running.paused = self.parts.consumer.pause(*partition).is_ok();
            } else if may && running.paused {
                running.paused = self.parts.consumer.resume(*partition).is_err();
            }
            paused += usize::from(running.paused);
        }
        self.parts.metrics.paused.at(()).set(paused as f64);
    }

    fn tick(&mut self, now: Instant) -> Result<(), IntakeError> {
        for (partition, lag) in self.parts.consumer.lags() {
            if self.lanes.contains_key(&partition) {
                self.parts
                    .metrics
                    .lag
                    .of(&partition.to_string())
                    .set(lag as f64);
            }
        }
        if !self.answered && self.parts.consumer.is_answered(Duration::from_millis(500)) {
            self.answered = true;
            tracing::info!("kafka answers again");
            self.parts.latch.set_ready();
        }
        let consumer = self.parts.consumer.clone();
        for (partition, running) in &mut self.lanes {
            self.parts
                .metrics
                .services
                .of(&partition.to_string())
                .set(running.lane.services() as f64);
            self.parts
                .metrics
                .evicted
                .at(())
                .inc_by(running.lane.newly_evicted());
            let silent = running.at_end
                && now.duration_since(running.last_record) >= self.parts.idle_timeout;
            // Only a broker that answers can say that nothing came.
            if !silent || !self.answered || running.lane.next().raw() == 0 {
                continue;
            }
            let Ok((_, high)) = consumer.watermarks(*partition, Duration::from_millis(500)) else {
                continue;
            };
            if high > running.lane.next().raw() {
                continue;
            }
            let kafka_now = jiff::Timestamp::now().as_millisecond();
            running.lane.idle(kafka_now, &mut self.parts.doors())?;
        }
        Ok(())
    }

    fn notice(&mut self, error: &KafkaError) -> Result<(), IntakeError> {
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve,
            ) => {
                if self.answered {
                    self.answered = false;
                    tracing::warn!(%error, "kafka does not answer; waiting for it");
                    self.parts.latch.set_unready("no broker answers");
                }
                Ok(())
            }
            Some(
                RDKafkaErrorCode::Fatal
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed,
            ) => Err(IntakeError::Kafka(error.clone())),
            // The topic was deleted under us, or its retention overtook us: begin anew, with a count of what is gone.
            Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset) => {
                Err(IntakeError::Gone(error.to_string()))
            }
            _ => {
                tracing::warn!(%error, "kafka");
                Ok(())
            }
        }
    }

    fn ask(&self, request: Request) {
        // The other side lives until this thread has ended.
        let _gone = self.parts.requests.send(request);
    }

    /// Stored, acknowledged, committed: what was read so far, if the budget allows.
    fn drain(mut self, budget: Duration) -> Result<(), IntakeError> {
        let deadline = Instant::now() + budget;
        loop {
            self.hear()?;
            for running in self.lanes.values_mut() {
                hand_over(running);
                close(running);
            }
            let pending = self.lanes.values().any(|running| running.waiting.is_some());
            if !pending || Instant::now() >= deadline {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // Without their senders, the writers commit and end.
        self.lanes.clear();
        while self.writers > 0 && Instant::now() < deadline {
            self.hear()?;
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.writers > 0 {
            tracing::warn!(
                writers = self.writers,
                "stopped before everything was stored; it will be read again"
            );
        }
        let left = deadline
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(200));
        Ok(self.parts.producer.flush(left)?)
    }
}

/// Closes the lane's open block, if the one before has been handed over.
fn close(running: &mut Running) {
    if running.waiting.is_some() {
        return;
    }
    if let Some(block) = running.lane.close() {
        running.in_flight += block.bytes;
        running.waiting = Some(block);
        hand_over(running);
    }
}

fn hand_over(running: &mut Running) {
    if let Some(block) = running.waiting.take() {
        // Closed: the writer was fenced, and the rebalance that follows takes this lane away.
        if let Err(mpsc::error::TrySendError::Full(block)) = running.blocks.try_send(block) {
            running.waiting = Some(block);
        }
    }
}
