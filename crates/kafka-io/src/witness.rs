//! Looks up which leader wrote the record at an offset: whether a partition's log is still the one
//! that was read.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use pipeline::{LeaderEpoch, Offset, Partition};
use rdkafka::{
    Message as _, Offset as KafkaOffset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};

use crate::{Connection, message::Message};

/// One client for all partitions, made when it is needed.
pub struct Witness {
    connection: Connection,
    topic: String,
    consumer: Mutex<Option<BaseConsumer>>,
}

impl Witness {
    pub fn new(connection: &Connection, topic: &str) -> Self {
        Self {
            connection: connection.clone(),
            topic: topic.to_owned(),
            consumer: Mutex::new(None),
        }
    }

    /// The epoch of the first record at or past `offset`, and where that is; `None`: there is none. Blocks
    /// up to `limit`.
    pub fn record_at(
        &self,
        partition: Partition,
        offset: Offset,
        limit: Duration,
    ) -> Result<Option<(Offset, LeaderEpoch)>, KafkaError> {
        let mut held = self.consumer.lock().unwrap_or_else(PoisonError::into_inner);
        let consumer = match held.take() {
            Some(consumer) => consumer,
            None => self.connect()?,
        };
        let found = look(&consumer, &self.topic, partition, offset, limit)?;
        // After an error the next look begins with a new client.
        *held = Some(consumer);
        Ok(found)
    }

    fn connect(&self) -> Result<BaseConsumer, KafkaError> {
        let mut config = self.connection.config();
        config
            // librdkafka wants a name even where no group is joined and nothing is ever committed.
            .set("group.id", "barograph-witness")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "50")
            // One record is all that is wanted.
            .set("queued.min.messages", "1")
            .set("fetch.message.max.bytes", "65536");
        config.create()
    }
}

fn look(
    consumer: &BaseConsumer,
    topic: &str,
    partition: Partition,
    offset: Offset,
    limit: Duration,
) -> Result<Option<(Offset, LeaderEpoch)>, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(topic, partition.0, KafkaOffset::Offset(offset.raw()))?;
    consumer.assign(&list)?;
    let deadline = Instant::now() + limit;
    let found = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::OperationTimedOut,
            ));
        }
        match consumer.poll(left) {
            None => {}
            Some(Ok(message)) => {
                break Ok(Some((
                    Offset::new(message.offset()),
                    Message::of(&message).leader_epoch(),
                )));
            }
            Some(Err(KafkaError::PartitionEOF(_))) => break Ok(None),
            Some(Err(error)) => match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset) => {
                    break Ok(None);
                }
                Some(
                    RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::Resolve,
                ) => {}
                _ => break Err(error),
            },
        }
    };
    consumer.unassign()?;
    found
}
