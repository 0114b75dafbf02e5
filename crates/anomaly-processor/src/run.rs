//! Puts the processor together and runs it until it is told to stop.

use std::{sync::Arc, time::Duration};

use clickhouse_store::{Client, Target, logs::LogStore, migrate};
use kafka_io::{
    Connection,
    consumer::{GroupConsumer, Membership},
    producer::Producer,
    reader, topics,
};
use pipeline::{ports::WallClock, writer};
use service_kit::lifecycle::{Exit, HasExit, Latch, Tasks};
use tokio::sync::mpsc;

use crate::{
    announce::Announcer,
    intake::{Answer, Intake, IntakeError, Parts, Request},
    metrics::Metrics,
    options::Options,
    startup::Starter,
};

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
    let (requests, request_queue) = mpsc::unbounded_channel();
    let (answers, answer_queue) = mpsc::unbounded_channel();
    let budget = options.service.shutdown_budget.get().mul_f64(0.75);
    let intake = Intake::new(Parts {
        consumer: consumer.clone(),
        producer: producer.clone(),
        announcer: Announcer {
            producer,
            store: store.clone(),
            topic: options.kafka_anomalies_topic.as_str().into(),
            runtime: tokio::runtime::Handle::current(),
            metrics: metrics.clone(),
        },
        dead_letter_topic: options.dead_letter_topic(),
        metrics: metrics.clone(),
        limits: options.limits(),
        detection: options.detection(),
        in_flight_bytes: options.inflight_bytes.as_usize(),
        idle_timeout: options.detection_idle_timeout.get(),
        latch: latches.kafka,
        requests,
        answers: answer_queue,
    });
    tasks.spawn(
        "clickhouse-watch",
        watch_clickhouse(store.clone(), latches.clickhouse, tasks.clone()),
    );
    let starter = Starter {
        consumer: consumer.clone(),
        store: store.clone(),
        group: options.kafka.kafka_group_id.as_str().to_owned(),
        start: options.processor_start,
        on_gap: options.processor_on_gap,
        replay_records: options.processor_replay_records.get(),
    };
    let service = tokio::spawn(serve(
        request_queue,
        answers,
        starter,
        Arc::new(LogStore::new(store)),
        Arc::new(consumer),
        metrics,
    ));

    let (ended, end) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("intake".to_owned())
        .spawn(move || {
            let outcome = intake.run(&|| tasks.is_stopping(), budget);
            // The receiver waits for nothing else.
            let _heard = ended.send(outcome);
        })
        .map_err(|error| RunError::Thread(format!("cannot be started: {error}")))?;
    let outcome = end
        .await
        .map_err(|_| RunError::Thread("panicked".to_owned()));
    service.abort();
    thread
        .join()
        .map_err(|_| RunError::Thread("panicked".to_owned()))?;
    Ok(outcome??)
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

/// Runs starts and writers for the intake.
async fn serve(
    mut requests: mpsc::UnboundedReceiver<Request>,
    answers: mpsc::UnboundedSender<Answer>,
    starter: Starter,
    store: Arc<LogStore>,
    commits: Arc<GroupConsumer>,
    metrics: Metrics,
) {
    let metrics = Arc::new(metrics);
    while let Some(request) = requests.recv().await {
        let answers = answers.clone();
        match request {
            Request::Start(assignment) => {
                let starter = starter.clone();
                tokio::spawn(async move {
                    let mut backoff = pipeline::backoff::Backoff::new(
                        Duration::from_millis(200),
                        Duration::from_secs(5),
                        assignment.partition.0.cast_unsigned().into(),
                    );
                    loop {
                        match starter.start(assignment).await {
                            Ok(started) => break drop(answers.send(Answer::Started(started))),
                            Err(error) => {
                                tracing::warn!(partition = %assignment.partition, %error, "cannot begin yet");
                                tokio::time::sleep(backoff.delay()).await;
                            }
                        }
                        if answers.is_closed() {
                            break;
                        }
                    }
                });
            }
            Request::Write {
                lane,
                resume,
                blocks,
            } => {
                let writer = writer::Writer {
                    at: lane.assignment,
                    store: store.clone(),
                    commits: commits.clone(),
                    clock: Arc::new(WallClock),
                    metrics: metrics.clone(),
                    resume,
                };
                let (finished, mut notes) = mpsc::unbounded_channel();
                let forward = answers.clone();
                tokio::spawn(async move {
                    while let Some(note) = notes.recv().await {
                        if forward.send(Answer::Finished(note)).is_err() {
                            break;
                        }
                    }
                });
                tokio::spawn(async move {
                    match writer.run(blocks, finished).await {
                        Ok(()) => {}
                        Err(writer::Ended::Fenced(fenced)) => {
                            tracing::info!(%fenced, "writer ended");
                        }
                        Err(ended) => drop(answers.send(Answer::Broken(ended.to_string()))),
                    }
                    drop(answers.send(Answer::WriterEnded(lane.assignment)));
                });
            }
        }
    }
}

/// Says what is missing, once per change, until ClickHouse has the schema and Kafka the topics.
async fn wait_for_both(
    options: &Options,
    store: &Client,
    connection: &Connection,
    latches: &Latches,
) -> Result<(), RunError> {
    let needed = vec![
        options.kafka.kafka_topic.as_str().to_owned(),
        options.dead_letter_topic(),
        options.kafka_anomalies_topic.as_str().to_owned(),
    ];
    let (mut said_store, mut said_kafka) = (String::new(), String::new());
    let say = |latch: &Latch, said: &mut String, missing: &str| {
        if *said != missing {
            tracing::warn!("waiting: {missing}");
            missing.clone_into(said);
        }
        latch.set_unready(missing);
    };
    loop {
        let store_missing = schema_missing(store).await;
        match &store_missing {
            Some(missing) => say(&latches.clickhouse, &mut said_store, missing),
            None => latches.clickhouse.set_ready(),
        }
        let kafka_missing = topics_missing(connection, needed.clone()).await;
        match &kafka_missing {
            Some(missing) => say(&latches.kafka, &mut said_kafka, missing),
            // Ready only once partitions are assigned.
            None => latches.kafka.set_unready("joining the group"),
        }
        if store_missing.is_none() && kafka_missing.is_none() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn schema_missing(store: &Client) -> Option<String> {
    if let Err(error) = store.ping().await {
        return Some(error.to_string());
    }
    match migrate::status(store, migrate::ALL).await {
        Ok(status) if status.pending.is_empty() => None,
        Ok(status) => Some(format!(
            "database {} lacks {}: run `barograph migrate`",
            store.database(),
            status.pending.join(", ")
        )),
        Err(error) => Some(error.to_string()),
    }
}

async fn topics_missing(connection: &Connection, needed: Vec<String>) -> Option<String> {
    let connection = connection.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let client = match reader::client(&connection) {
            Ok(client) => client,
            Err(error) => return Some(error.to_string()),
        };
        for topic in needed {
            match topics::partitions(&client, &topic, Duration::from_secs(3)) {
                Ok(Some(_)) => {}
                Ok(None) => {
                    return Some(format!(
                        "kafka topic {topic} does not exist at {}",
                        connection.brokers
                    ));
                }
                Err(_) => {
                    return Some(format!("no kafka broker answers at {}", connection.brokers));
                }
            }
        }
        None
    });
    looked.await.unwrap_or_else(|error| Some(error.to_string()))
}

/// Keeps the latch true to whether ClickHouse answers.
async fn watch_clickhouse(store: Client, latch: Latch, tasks: Tasks) -> Result<(), RunError> {
    let mut up = true;
    loop {
        tokio::select! {
            () = tasks.stopping() => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
        }
        match store.ping().await {
            Ok(()) if !up => {
                up = true;
                tracing::info!("clickhouse answers again");
                latch.set_ready();
            }
            Err(error) if up => {
                up = false;
                tracing::warn!(%error, "clickhouse does not answer; what is read waits for it");
                latch.set_unready(error.to_string());
            }
            Ok(()) | Err(_) => {}
        }
    }
}
