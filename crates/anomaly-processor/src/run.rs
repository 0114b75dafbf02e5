//! Puts the processor together and runs it until it is told to stop.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clickhouse_store::{Client, Target};
use kafka_io::{
    Connection, insist::Insisting, producer::Producer, reader, topics, witness::Witness,
};
use service_kit::lifecycle::{Exit, HasExit, Latch, Partitions, Tasks};
use tokio::sync::Semaphore;

use crate::{
    audit::{Auditor, Books},
    consumer_loop::{ConsumerLoopError, Shares},
    keeping::Keeping,
    member::{Member, Shared},
    metrics::Metrics,
    options::Options,
    prerequisites::{wait_for_both, watch_clickhouse},
    rules::{Follower, UnreadableFile},
    sinks::Refusals,
    store::Store,
};

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
    #[error("PROCESSOR_RULES: {0}")]
    Rules(#[from] UnreadableFile),
    #[error("the consumer thread {0}")]
    Thread(String),
    #[error(
        "the poll loop has been waiting for kafka for {0} s in a call that does not end; started again, the service goes on where it was"
    )]
    StandsStill(u64),
}

impl HasExit for RunError {
    fn exit(&self) -> Exit {
        match self {
            Self::Rules(_) => Exit::Options,
            _ => Exit::Fatal,
        }
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
    let follow = |path: &PathBuf| Follower::of(path, metrics.clone());
    let followed = options.processor_rules.as_ref().map(follow).transpose()?;
    let (follower, rules) = followed.unzip();
    if let Some(follower) = follower {
        tasks.spawn("rules", follower.run(tasks.clone()));
    }
    let store = Client::new(Target::from(&options.clickhouse))?;
    let connection = Connection::from(&options.kafka);
    let ready = tokio::select! {
        ready = wait_for_both(&options, &store, &connection, &latches) => ready,
        () = tasks.stopping() => return Ok(()),
    };
    ready?;

    let producer = Arc::new(Producer::connect(&connection)?);
    latches.sinks.set_ready();
    let refusals = Refusals::new(latches.sinks, metrics.clone());
    let insisting = Insisting::new(
        connection.clone(),
        Arc::clone(&producer),
        Box::new(refusals),
    );
    tasks.spawn(
        "clickhouse-watch",
        watch_clickhouse(store.clone(), latches.clickhouse, tasks.clone()),
    );
    let books = Books::default();
    let auditor = Auditor::new(store.clone(), books.clone(), metrics.clone(), latches.audit);
    tasks.spawn("audit", auditor.run(tasks.clone()));

    let members = members(&options, &connection).await;
    tracing::info!(members, "reading");
    let shared = Shared {
        witness: Arc::new(Witness::new(
            &connection,
            options.kafka.kafka_topic.as_str(),
        )),
        asking: Arc::new(Semaphore::new(STARTS_AT_ONCE)),
        store: Store::new(
            store.clone(),
            Keeping::new(
                store.clone(),
                options.detection(),
                options.mining(),
                options.snapshot_max_bytes.as_usize(),
            ),
            options.batch_bytes.as_usize(),
            books,
        ),
        client: store,
        metrics,
        tasks,
        producer,
        insisting,
        connection,
        shares: Shares::default(),
        rules,
        halt: Arc::default(),
        options,
        members,
    };
    // Each latch before the first member can turn it green.
    let mut latches_of = vec![(latches.kafka, latches.partitions)];
    for _ in 1..members {
        let (kafka, partitions) = &latches_of[0];
        latches_of.push((kafka.another(), partitions.another()));
    }
    let mut running = Vec::new();
    for (number, (kafka, partitions)) in latches_of.into_iter().enumerate() {
        running.push(Member::start(&shared, number, kafka, partitions)?);
    }
    let mut outcomes = Vec::new();
    for member in running {
        outcomes.push(member.ended().await);
    }
    outcomes.into_iter().collect()
}

/// As many as are asked for; or one per core, and no more than there are partitions.
async fn members(options: &Options, connection: &Connection) -> usize {
    if let Some(threads) = &options.processor_threads {
        return threads.as_usize();
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (connection, topic) = (connection.clone(), options.kafka.kafka_topic.to_string());
    let asked = tokio::task::spawn_blocking(move || {
        let client = reader::client(&connection).ok()?;
        topics::partitions(&client, &topic, Duration::from_secs(3)).ok()?
    });
    // It was there a moment ago; without an answer one member reads everything.
    let partitions = asked.await.ok().flatten().unwrap_or(1);
    cores.min(usize::try_from(partitions).unwrap_or(1)).max(1)
}
