//! Reads a topic from given offsets to given ends, and then stops.
//!
//! Invariants: joins no group and commits nothing; ends although offsets are missing (compacted
//! away, deleted, markers of transactions).

use std::time::Duration;

use anyhow::{Context as _, bail};
use kafka_io::Connection;
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{Consumer as _, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::OwnedMessage,
};

/// Longest silence of the broker.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Scan {
    consumer: StreamConsumer,
    topic: String,
    /// Where each partition's reading ends; `None`: done.
    ends: Vec<Option<i64>>,
}

impl Scan {
    /// `ranges`: first and next offset to read of each partition, in order.
    pub(super) fn open(
        connection: &Connection,
        topic: &str,
        ranges: &[(i64, i64)],
    ) -> anyhow::Result<Self> {
        let consumer = consumer(connection, true)?;
        let mut assignment = TopicPartitionList::new();
        let mut ends = Vec::with_capacity(ranges.len());
        for (partition, (first, next)) in (0..).zip(ranges) {
            if first < next {
                assignment.add_partition_offset(topic, partition, Offset::Offset(*first))?;
            }
            ends.push((first < next).then_some(*next));
        }
        if assignment.count() > 0 {
            consumer.assign(&assignment)?;
        }
        Ok(Self {
            consumer,
            topic: topic.to_owned(),
            ends,
        })
    }

    /// Partition 0 from an offset on; [`Self::read_to`] says how far.
    pub(super) fn follow(connection: &Connection, topic: &str, from: i64) -> anyhow::Result<Self> {
        let consumer = consumer(connection, false)?;
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, 0, Offset::Offset(from))?;
        consumer.assign(&assignment)?;
        Ok(Self {
            consumer,
            topic: topic.to_owned(),
            ends: vec![None],
        })
    }

    /// A record is known to stand before `end`, and none of those before it has been read.
    pub(super) fn read_to(&mut self, end: i64) {
        self.ends = vec![Some(end)];
    }

    /// The next record; `None` at the end. Can be dropped while it waits.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<OwnedMessage>> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.ends.iter().any(Option::is_some) {
            let received = tokio::time::timeout_at(deadline, self.consumer.recv()).await;
            let message = match received {
                Ok(Ok(message)) => message,
                Ok(Err(KafkaError::PartitionEOF(partition))) => {
                    self.done(partition);
                    continue;
                }
                Ok(Err(error)) if is_passing(&error) => continue,
                Ok(Err(error)) => {
                    return Err(error).with_context(|| format!("cannot read {}", self.topic));
                }
                Err(_) => bail!(
                    "Kafka sent nothing of {} for {} s",
                    self.topic,
                    PATIENCE.as_secs()
                ),
            };
            let (partition, offset) = (message.partition(), message.offset());
            let Some(end) = self.ends.get(partition as usize).copied().flatten() else {
                continue;
            };
            let message = (offset < end).then(|| message.detach());
            if offset + 1 >= end {
                self.done(partition);
            }
            if message.is_some() {
                return Ok(message);
            }
        }
        Ok(None)
    }

    fn done(&mut self, partition: i32) {
        if let Some(end) = self.ends.get_mut(partition as usize) {
            *end = None;
        }
    }
}

/// The client connects again by itself.
fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure};
    matches!(
        error.rdkafka_error_code(),
        Some(AllBrokersDown | BrokerTransportFailure)
    )
}

fn consumer(connection: &Connection, say_ends: bool) -> Result<StreamConsumer, KafkaError> {
    connection
        .config()
        // librdkafka wants a name even where no group is joined.
        .set("group.id", "barograph-dlq")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", say_ends.to_string())
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "50")
        .create()
}
