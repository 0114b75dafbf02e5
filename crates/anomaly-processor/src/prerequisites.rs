//! What has to be there before the processor works, and stays there: said once per change.

use std::time::Duration;

use clickhouse_store::{Client, dedup, migrate};
use kafka_io::{Connection, reader, refusal, topics};
use service_kit::lifecycle::{Latch, Tasks};

use crate::{
    options::Options,
    run::{Latches, RunError},
};

/// Says what is missing, once per change, until ClickHouse has the schema and Kafka the topics.
pub(crate) async fn wait_for_both(
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
        let store_missing = schema_missing(store, options.insert_lease.get()).await;
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

/// Tokens that `logs` has to remember at the least: batches of every partition for far longer than a
/// lease.
const LEAST_TOKENS: u64 = 1000;
/// And for this many leases, where the engine forgets by time too.
const LEAST_LEASES: u32 = 10;

/// A batch that is sent late must still meet its token.
async fn window_too_small(store: &Client, lease: Duration) -> Option<String> {
    let window = match dedup::dedup_window(store).await {
        Ok(window) => window,
        Err(error) => return Some(error.to_string()),
    };
    if window.tokens < LEAST_TOKENS {
        return Some(format!(
            "table {}.logs ({}) remembers {} deduplication tokens: set {} to {LEAST_TOKENS} or more",
            store.database(),
            window.engine,
            window.tokens,
            if window.age.is_some() {
                "replicated_deduplication_window"
            } else {
                "non_replicated_deduplication_window"
            }
        ));
    }
    let least = lease * LEAST_LEASES;
    match window.age {
        Some(age) if age < least => Some(format!(
            "table {}.logs ({}) remembers deduplication tokens for {} s: set replicated_deduplication_window_seconds \
             to {} or more, or lower INSERT_LEASE",
            store.database(),
            window.engine,
            age.as_secs(),
            least.as_secs()
        )),
        _ => None,
    }
}

async fn schema_missing(store: &Client, lease: Duration) -> Option<String> {
    if let Err(error) = store.ping().await {
        return Some(error.to_string());
    }
    match migrate::status(store, migrate::ALL).await {
        Ok(status) if status.pending.is_empty() => window_too_small(store, lease).await,
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
                    let nobody = || format!("no kafka broker answers at {}", connection.brokers);
                    return Some(refusal::of(&client).unwrap_or_else(nobody));
                }
            }
        }
        None
    });
    looked.await.unwrap_or_else(|error| Some(error.to_string()))
}

/// Keeps the latch true to whether ClickHouse answers.
pub(crate) async fn watch_clickhouse(
    store: Client,
    latch: Latch,
    tasks: Tasks,
) -> Result<(), RunError> {
    let mut up = true;
    loop {
        tokio::select! {
            () = tasks.stopping() => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
        }
        let answer = tokio::select! {
            () = tasks.stopping() => return Ok(()),
            answer = store.ping() => answer,
        };
        match answer {
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
