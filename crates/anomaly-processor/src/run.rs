//! Puts the processor together and runs it until it is told to stop.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use clickhouse_store::{Client, Target};
use kafka_io::{
    Connection,
    consumer::{GroupConsumer, Membership},
    insist::Insisting,
    producer::Producer,
    set_aside::SetAside,
    witness::Witness,
};
use service_kit::lifecycle::{Exit, HasExit, Latch, Partitions, Tasks};
use tokio::sync::{Semaphore, mpsc};

use crate::{
    announce::Announcer,
    audit::{Auditor, Books},
    consumer_loop::{self, ConsumerLoop, ConsumerLoopError, Settings},
    metrics::Metrics,
    options::Options,
    outside::Outside,
    prerequisites::{wait_for_both, watch_clickhouse},
    sinks::{KafkaSinks, Refusals},
    startup::{KafkaAndClickHouse, Starter, Watch},
    store::Store,
};

/// The longest that the consumer loop waits for a record.
const LONGEST_POLL: Duration = Duration::from_millis(20);
/// A step that takes longer waits for a broker, in a call that ought not to.
const LONGEST_STEP: Duration = Duration::from_secs(8);
/// Partitions whose beginning is asked for at the same time; each question blocks a thread.
const STARTS_AT_ONCE: usize = 8;

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Kafka(#[from] kafka_io::Error),
    #[error(transparent)]
    Store(#[from] clickhouse_store::Error),
    #[error(transparent)]
    ConsumerLoop(#[from] ConsumerLoopError),
    #[error("the consumer thread {0}")]
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
    pub sinks: Latch,
    /// That every partition flows.
    pub partitions: Partitions,
    /// ClickHouse has what was stored.
    pub audit: Latch,
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
    latches.sinks.set_ready();
    let refusals = Refusals::new(latches.sinks, metrics.clone());
    let insisting = Insisting::new(
        connection.clone(),
        Arc::clone(&producer),
        Box::new(refusals),
    );
    let (requests, request_queue) = mpsc::unbounded_channel();
    let (answers, answer_queue) = mpsc::unbounded_channel();
    let topic = options.kafka.kafka_topic.as_str().to_owned();
    let consumer_loop = ConsumerLoop {
        source: consumer.clone(),
        sinks: KafkaSinks {
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
        latch: latches.kafka.clone(),
        partitions: latches.partitions,
        requests,
        answers: answer_queue,
        state: consumer_loop::State::at(Instant::now()),
    };
    tasks.spawn(
        "clickhouse-watch",
        watch_clickhouse(store.clone(), latches.clickhouse, tasks.clone()),
    );
    let books = Books::default();
    let auditor = Auditor::new(store.clone(), books.clone(), metrics.clone(), latches.audit);
    tasks.spawn("audit", auditor.run(tasks.clone()));
    let group = options.kafka.kafka_group_id.as_str().to_owned();
    let starter = Starter {
        sources: KafkaAndClickHouse {
            consumer: consumer.clone(),
            store: store.clone(),
            group: group.clone(),
            asking: Arc::new(Semaphore::new(STARTS_AT_ONCE)),
            witness: Arc::new(Witness::new(&connection, &topic)),
        },
        start: options.start(),
        on_gap: options.processor_on_gap,
        on_lost_state: options.processor_on_lost_state,
        replay_records: options.processor_replay_records.get(),
        detection: options.detection(),
        mining: options.mining(),
        watch: Watch::default(),
    };
    let outside = Outside {
        connection: connection.clone(),
        answers,
        store: Arc::new(Store::new(
            store,
            options.detection(),
            options.snapshot_max_bytes.as_usize(),
            options.batch_bytes.as_usize(),
            books,
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

    let pulse = Arc::new(Mutex::new(Instant::now()));
    tasks.spawn(
        "poll-watch",
        watch_pulse(Arc::clone(&pulse), latches.kafka, tasks.clone()),
    );
    let budget = options.service.shutdown_budget.get().mul_f64(0.75);
    let (ended, end) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("consumer".to_owned())
        .spawn(move || {
            let outcome = poll_until_stopped(consumer_loop, &tasks, &producer, budget, &pulse);
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

/// The consumer loop's thread: steps until it is told to stop, then until its batches are complete.
fn poll_until_stopped(
    mut consumer_loop: ConsumerLoop<GroupConsumer, KafkaSinks>,
    tasks: &Tasks,
    producer: &Producer,
    budget: Duration,
    pulse: &Mutex<Instant>,
) -> Result<(), ConsumerLoopError> {
    while !tasks.is_stopping() {
        let now = Instant::now();
        *pulse.lock().unwrap_or_else(PoisonError::into_inner) = now;
        consumer_loop.step(now, LONGEST_POLL)?;
    }
    let deadline = Instant::now() + budget;
    consumer_loop.stop(Instant::now());
    while !consumer_loop.is_idle() && Instant::now() < deadline {
        consumer_loop.step(Instant::now(), Duration::from_millis(5))?;
    }
    if !consumer_loop.is_idle() {
        tracing::warn!(
            writers = consumer_loop.writers(),
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

/// The loop says how everything else is; that it does not come round, it cannot say.
async fn watch_pulse(
    pulse: Arc<Mutex<Instant>>,
    latch: Latch,
    tasks: Tasks,
) -> Result<(), RunError> {
    let mut stood_still = false;
    loop {
        tokio::select! {
            () = tasks.stopping() => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
        }
        let since = pulse
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed();
        let stands_still = since >= LONGEST_STEP;
        if stands_still {
            latch.set_unready(format!(
                "the poll loop has been waiting for kafka for {} s",
                since.as_secs()
            ));
        }
        if stands_still && !stood_still {
            tracing::warn!(seconds = since.as_secs(), "the poll loop waits for kafka");
        }
        stood_still = stands_still;
    }
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
