//! Puts the processor together and runs it until it is told to stop.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use clickhouse_store::{Client, Target};
use kafka_io::{
    Connection,
    consumer::{GroupConsumer, Membership},
    insist::Insisting,
    probe,
    producer::Producer,
    set_aside::SetAside,
    topic_id,
};
use pipeline::{Incarnation, LaneId, NextOffset, Partition, Work, backoff::Backoff, writer};
use service_kit::lifecycle::{Exit, HasExit, Latch, Tasks};
use tokio::sync::mpsc;

use crate::{
    announce::Announcer,
    clock::BootClock,
    intake::{self, Answer, Intake, IntakeError, Request, Settings},
    metrics::Metrics,
    options::Options,
    outlets::{Doors, Refusals},
    prerequisites::{wait_for_both, watch_clickhouse},
    startup::{KafkaAndClickHouse, Starter},
    store::Store,
};

/// The longest that the intake waits for a record.
const LONGEST_POLL: Duration = Duration::from_millis(20);

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Kafka(#[from] kafka_io::Error),
    #[error(transparent)]
    Store(#[from] clickhouse_store::Error),
    #[error(transparent)]
    Intake(#[from] IntakeError),
    #[error("the intake thread {0}")]
    Thread(String),
}

impl HasExit for RunError {
    fn exit(&self) -> Exit {
        Exit::Fatal
    }
}

/// What readiness depends on.
pub struct Latches {
    pub kafka: Latch,
    pub clickhouse: Latch,
    /// Kafka takes dead letters and anomalies.
    pub outlets: Latch,
}

pub async fn run(
    options: Options,
    metrics: Metrics,
    latches: Latches,
    tasks: Tasks,
) -> Result<(), RunError> {
    let store = Client::new(Target::from(&options.clickhouse))?;
    let connection = Connection::from(&options.kafka);
    let ready = tokio::select! {
        ready = wait_for_both(&options, &store, &connection, &latches) => ready,
        () = tasks.stopping() => return Ok(()),
    };
    ready?;

    let consumer = GroupConsumer::join(&connection, &membership(&options))?;
    let producer = Arc::new(Producer::connect(&connection)?);
    latches.outlets.set_ready();
    let refusals = Refusals::new(latches.outlets, metrics.clone());
    let insisting = Insisting::new(
        connection.clone(),
        Arc::clone(&producer),
        Box::new(refusals),
    );
    let (requests, request_queue) = mpsc::unbounded_channel();
    let (answers, answer_queue) = mpsc::unbounded_channel();
    let topic = options.kafka.kafka_topic.as_str().to_owned();
    let intake = Intake {
        source: consumer.clone(),
        outlets: Doors {
            producer: insisting.clone(),
            announcer: Announcer::new(
                insisting.clone(),
                store.clone(),
                options.kafka_anomalies_topic.as_str(),
                metrics.clone(),
            ),
            dead_letter_topic: options.dead_letter_topic(),
            topic: topic.clone(),
            metrics: metrics.clone(),
        },
        metrics: metrics.clone(),
        settings: settings(&options),
        latch: latches.kafka,
        requests,
        answers: answer_queue,
        state: intake::State::default(),
    };
    tasks.spawn(
        "clickhouse-watch",
        watch_clickhouse(store.clone(), latches.clickhouse, tasks.clone()),
    );
    let group = options.kafka.kafka_group_id.as_str().to_owned();
    let starter = Starter {
        places: KafkaAndClickHouse {
            consumer: consumer.clone(),
            store: store.clone(),
            group: group.clone(),
        },
        start: options.start(),
        on_gap: options.processor_on_gap,
        on_lost_state: options.processor_on_lost_state,
        replay_records: options.processor_replay_records.get(),
        detection: options.detection(),
        mining: options.mining(),
    };
    let outside = Outside {
        connection: connection.clone(),
        answers,
        store: Arc::new(Store::new(
            store,
            options.detection(),
            options.snapshot_max_bytes.as_usize(),
            options.batch_bytes.as_usize(),
        )),
        dead_letters: Arc::new(SetAside {
            connection: connection.clone(),
            producer: insisting,
            topic,
            dead_letter_topic: options.dead_letter_topic(),
        }),
        consumer: consumer.clone(),
        starter: Arc::new(starter),
        group,
        metrics: Arc::new(metrics),
        lease: options.insert_lease.get(),
    };
    let service = tokio::spawn(outside.serve(request_queue));

    let budget = options.service.shutdown_budget.get().mul_f64(0.75);
    let (ended, end) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("intake".to_owned())
        .spawn(move || {
            let outcome = poll_until_stopped(intake, &tasks, &producer, budget);
            // The receiver waits for nothing else.
            let _heard = ended.send(outcome);
        })
        .map_err(|error| RunError::Thread(format!("cannot be started: {error}")))?;
    let outcome = end
        .await
        .map_err(|_| RunError::Thread("panicked".to_owned()));
    service.abort();
    consumer.leave();
    thread
        .join()
        .map_err(|_| RunError::Thread("panicked".to_owned()))?;
    Ok(outcome??)
}

/// The intake's thread: steps until it is told to stop, then until its blocks are complete.
fn poll_until_stopped(
    mut intake: Intake<GroupConsumer, Doors>,
    tasks: &Tasks,
    producer: &Producer,
    budget: Duration,
) -> Result<(), IntakeError> {
    while !tasks.is_stopping() {
        intake.step(Instant::now(), LONGEST_POLL)?;
    }
    let deadline = Instant::now() + budget;
    intake.stop(Instant::now());
    while !intake.is_idle() && Instant::now() < deadline {
        intake.step(Instant::now(), Duration::from_millis(5))?;
    }
    if !intake.is_idle() {
        tracing::warn!(
            writers = intake.writers(),
            "stopped before everything was stored; it will be read again"
        );
    }
    let left = deadline
        .saturating_duration_since(Instant::now())
        .max(Duration::from_millis(200));
    if let Err(error) = producer.flush(left) {
        tracing::warn!(%error, "stopped before every message was acknowledged; they will be sent again");
    }
    Ok(())
}

fn settings(options: &Options) -> Settings {
    Settings {
        limits: options.limits(),
        in_flight_bytes: options.inflight_bytes.as_usize(),
        idle_timeout: options.detection_idle_timeout.get(),
        release_within: options.release_within.get(),
        snapshot_every: options.snapshot_interval.get(),
    }
}

fn membership(options: &Options) -> Membership {
    Membership {
        topic: options.kafka.kafka_topic.as_str().to_owned(),
        group: options.kafka.kafka_group_id.as_str().to_owned(),
        session_timeout: options.kafka_session_timeout.get(),
        assignor: options.kafka_assignor.text().to_owned(),
        protocol: options.kafka_group_protocol.text().to_owned(),
    }
}

/// What the intake asks for, done beside it.
struct Outside {
    connection: Connection,
    answers: mpsc::UnboundedSender<Answer>,
    store: Arc<Store>,
    dead_letters: Arc<SetAside>,
    consumer: GroupConsumer,
    starter: Arc<Starter<KafkaAndClickHouse>>,
    group: String,
    metrics: Arc<Metrics>,
    lease: Duration,
}

impl Outside {
    async fn serve(self, mut requests: mpsc::UnboundedReceiver<Request>) {
        let watching = tokio::spawn(watch_topic(
            self.consumer.clone(),
            self.group.clone(),
            self.answers.clone(),
        ));
        while let Some(request) = requests.recv().await {
            match request {
                Request::Start(assignment) => {
                    let (starter, answers) = (Arc::clone(&self.starter), self.answers.clone());
                    tokio::spawn(start(starter, assignment, answers));
                }
                Request::Write { id, resume, work } => self.write(id, resume, work),
                Request::Examine(suspects) => {
                    let (connection, answers) = (self.connection.clone(), self.answers.clone());
                    let topic = self.consumer.topic().to_owned();
                    tokio::task::spawn_blocking(move || {
                        examine(&connection, &topic, suspects, &answers);
                    });
                }
                Request::Ends(partitions) => {
                    let (consumer, answers) = (self.consumer.clone(), self.answers.clone());
                    tokio::task::spawn_blocking(move || ask_ends(&consumer, &partitions, &answers));
                }
            }
        }
        watching.abort();
    }

    fn write(
        &self,
        id: LaneId,
        resume: NextOffset,
        work: mpsc::Receiver<Work<clickhouse_store::LogRows>>,
    ) {
        let writer = writer::Writer {
            id,
            store: Arc::clone(&self.store),
            commits: Arc::new(self.consumer.clone()),
            dead_letters: Arc::clone(&self.dead_letters),
            clock: Arc::new(BootClock),
            metrics: Arc::clone(&self.metrics),
            resume,
            lease: self.lease,
        };
        let (finished, mut notes) = mpsc::unbounded_channel();
        let answers = self.answers.clone();
        tokio::spawn(async move {
            let writing = writer.run(work, finished);
            let forwarding = async {
                while let Some(note) = notes.recv().await {
                    // Nobody waits for the budget of an intake that has ended.
                    let _gone = answers.send(Answer::Finished(note));
                }
            };
            let (outcome, ()) = tokio::join!(writing, forwarding);
            match outcome {
                Ok(()) => {}
                Err(writer::Ended::Fenced(fenced)) => tracing::info!(%fenced, "writer ended"),
                Err(ended) => drop(answers.send(Answer::Broken(ended.to_string()))),
            }
            drop(answers.send(Answer::WriterEnded(id)));
        });
    }
}

async fn start(
    starter: Arc<Starter<KafkaAndClickHouse>>,
    assignment: pipeline::Assignment,
    answers: mpsc::UnboundedSender<Answer>,
) {
    let mut backoff = Backoff::new(
        Duration::from_millis(200),
        Duration::from_secs(5),
        assignment.partition.0.cast_unsigned().into(),
    );
    while !answers.is_closed() {
        match starter.start(assignment).await {
            Ok(started) => {
                // The intake may have ended.
                let _gone = answers.send(Answer::Started(Box::new(started)));
                return;
            }
            Err(error) => {
                tracing::warn!(partition = %assignment.partition, %error, "cannot begin yet");
                tokio::time::sleep(backoff.delay()).await;
            }
        }
    }
}

/// One after the other: each may unpack a batch that is as large as can be.
fn examine(
    connection: &Connection,
    topic: &str,
    suspects: Vec<(LaneId, NextOffset)>,
    answers: &mpsc::UnboundedSender<Answer>,
) {
    for (id, next) in suspects {
        let found = probe::examine(connection, topic, id.assignment.partition, next);
        let Some(found) = found else { continue };
        // The intake may have ended.
        let _gone = answers.send(Answer::Unreadable {
            id,
            first: next,
            end: found.end,
            reason: found.reason,
        });
    }
    let _gone = answers.send(Answer::Examined);
}

/// No answer is an answer too: the intake asks again.
fn ask_ends(
    consumer: &GroupConsumer,
    partitions: &[Partition],
    answers: &mpsc::UnboundedSender<Answer>,
) {
    let mut ends = BTreeMap::new();
    for partition in partitions {
        match consumer.watermarks(*partition, Duration::from_millis(500)) {
            Ok((_, high)) => drop(ends.insert(*partition, high)),
            Err(error) => return tracing::debug!(%error, "the ends of partitions are not known"),
        }
    }
    // The intake may have ended.
    let _gone = answers.send(Answer::Ends(ends));
}

/// Notices a topic that was made anew while its offsets still look right, and partitions that were added.
async fn watch_topic(
    consumer: GroupConsumer,
    group: String,
    answers: mpsc::UnboundedSender<Answer>,
) {
    while !answers.is_closed() {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let asking = consumer.clone();
        let asked = tokio::task::spawn_blocking(move || {
            topic_id::describe(asking.client(), asking.topic(), Duration::from_secs(5))
        });
        if let Ok(Ok(topic)) = asked.await {
            // The intake may have ended.
            let _gone = answers.send(Answer::Topic {
                life: Incarnation::of(topic.id, &group),
                partitions: topic.partitions,
            });
        }
    }
}
