//! Creates the topics and answers questions about them.

use std::time::{Duration, Instant};

use contracts::topics::{MAX_DEAD_LETTER_BYTES, MAX_RECORD_BYTES};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::RDKafkaErrorCode,
};

use crate::{Connection, Error};

/// A topic as it should be when it does not exist yet. An existing one is left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    pub name: String,
    pub partitions: i32,
    pub replication: i32,
    pub max_message_bytes: usize,
    pub retention: Duration,
}

/// The topics of one stack, whose dead letters go where they go unless somebody says otherwise.
pub fn layout(logs: &str, anomalies: &str, partitions: i32, replication: i32) -> Vec<TopicSpec> {
    let dead_letters = contracts::topics::dead_letters_of(logs);
    layout_with(logs, &dead_letters, anomalies, partitions, replication)
}

/// The topics of one stack.
pub fn layout_with(
    logs: &str,
    dead_letters: &str,
    anomalies: &str,
    partitions: i32,
    replication: i32,
) -> Vec<TopicSpec> {
    let day = Duration::from_secs(86_400);
    let topic = |name: String, partitions, max_message_bytes, retention| TopicSpec {
        name,
        partitions,
        replication,
        max_message_bytes,
        retention,
    };
    vec![
        topic(logs.to_owned(), partitions, MAX_RECORD_BYTES, day),
        topic(dead_letters.to_owned(), 1, MAX_DEAD_LETTER_BYTES, 14 * day),
        topic(
            contracts::topics::truth_of(logs),
            1,
            MAX_RECORD_BYTES,
            7 * day,
        ),
        topic(anomalies.to_owned(), 1, MAX_RECORD_BYTES, 7 * day),
    ]
}

/// Creates what is missing. Returns the names of the topics that were created.
pub async fn ensure(connection: &Connection, topics: &[TopicSpec]) -> Result<Vec<String>, Error> {
    let admin: AdminClient<DefaultClientContext> = connection
        .config()
        .create()
        .map_err(|source| connection.error(source))?;
    // Kafka counts its own batch overhead into max.message.bytes.
    let settings: Vec<_> = topics
        .iter()
        .map(|topic| {
            (
                (topic.max_message_bytes + 4096).to_string(),
                topic.retention.as_millis().to_string(),
            )
        })
        .collect();
    let wanted: Vec<_> = topics
        .iter()
        .zip(&settings)
        .map(|(topic, (bytes, retention))| {
            NewTopic::new(
                &topic.name,
                topic.partitions,
                TopicReplication::Fixed(topic.replication),
            )
            .set("cleanup.policy", "delete")
            .set("max.message.bytes", bytes)
            .set("retention.ms", retention)
        })
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
    let results = admin
        .create_topics(&wanted, &options)
        .await
        .map_err(|source| connection.error(source))?;
    let mut created = Vec::new();
    for result in results {
        match result {
            Ok(topic) => created.push(topic),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                return Err(Error::Topic {
                    topic,
                    reason: format!("cannot be created: {code}"),
                });
            }
        }
    }
    Ok(created)
}

/// Number of partitions; `None` if the topic does not exist. Blocks up to `limit`.
pub fn partitions<C: rdkafka::consumer::ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    limit: Duration,
) -> Result<Option<i32>, rdkafka::error::KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), limit)?;
    Ok(metadata
        .topics()
        .iter()
        .find(|found| {
            found.name() == topic && found.error().is_none() && !found.partitions().is_empty()
        })
        .map(|found| found.partitions().len() as i32))
}

/// First and next offset of each partition, in order; `None` if the topic does not exist.
/// Blocks up to `limit` for the metadata and for each partition.
pub fn watermarks<C: rdkafka::consumer::ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    limit: Duration,
) -> Result<Option<Vec<(i64, i64)>>, rdkafka::error::KafkaError> {
    let Some(count) = partitions(consumer, topic, limit)? else {
        return Ok(None);
    };
    (0..count)
        .map(|partition| ends(consumer, topic, partition, limit))
        .collect::<Result<_, _>>()
        .map(Some)
}

/// First and next offset of a partition. One whose leader is being chosen, as after the topic was made,
/// is asked again within `limit`.
fn ends<C: rdkafka::consumer::ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
    limit: Duration,
) -> Result<(i64, i64), rdkafka::error::KafkaError> {
    const PAUSE: Duration = Duration::from_millis(100);
    let deadline = Instant::now() + limit;
    loop {
        let answer = consumer.fetch_watermarks(topic, partition, limit);
        let passes = matches!(
            answer
                .as_ref()
                .err()
                .and_then(rdkafka::error::KafkaError::rdkafka_error_code),
            Some(RDKafkaErrorCode::NotLeaderForPartition | RDKafkaErrorCode::LeaderNotAvailable)
        );
        if !passes || Instant::now() + PAUSE >= deadline {
            return answer;
        }
        std::thread::sleep(PAUSE);
    }
}

/// First and next offset of each partition, in order. Blocks up to `limit` per partition.
pub fn offsets(
    connection: &Connection,
    topic: &str,
    limit: Duration,
) -> Result<Vec<(i64, i64)>, Error> {
    let consumer: BaseConsumer = connection
        .config()
        .create()
        .map_err(|source| connection.error(source))?;
    let count = partitions(&consumer, topic, limit)
        .map_err(|source| connection.error(source))?
        .ok_or_else(|| Error::Topic {
            topic: topic.to_owned(),
            reason: "does not exist".to_owned(),
        })?;
    (0..count)
        .map(|partition| {
            ends(&consumer, topic, partition, limit).map_err(|source| connection.error(source))
        })
        .collect()
}
