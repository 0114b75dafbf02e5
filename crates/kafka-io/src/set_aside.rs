//! Sets a record aside that the store will not take: fetched once more, as it was received.
//!
//! Rare and slow on purpose: blocks carry rows, not the bytes they were made of, so that the way of
//! all other records costs nothing for this one.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use contracts::dead_letter::Reason;
use pipeline::{
    LeaderEpoch, Offset, Partition, TaskId,
    batch::Acknowledgement,
    ports::{Bare, DeadLetters, Record},
};
use rdkafka::{
    Offset as KafkaOffset, TopicPartitionList,
    consumer::Consumer as _,
    error::{KafkaError, RDKafkaErrorCode},
};

use crate::{
    Connection,
    dead_letters::{self, DeadLetter},
    insist::Insisting,
    message::Message,
    reader,
    received::Received,
    refusal::Asker,
};

const LIMIT: Duration = Duration::from_secs(20);

pub struct SetAside {
    pub connection: Connection,
    pub producer: Insisting,
    pub topic: String,
    pub dead_letter_topic: String,
}

impl DeadLetters for SetAside {
    async fn set_aside(&self, id: TaskId, offset: Offset, error: &str) -> Result<(), String> {
        let partition = id.assignment.partition;
        let (connection, producer) = (self.connection.clone(), self.producer.clone());
        let (topic, to, error) = (
            self.topic.clone(),
            self.dead_letter_topic.clone(),
            error.to_owned(),
        );
        let sending = tokio::task::spawn_blocking(move || {
            send_again(
                &connection,
                &producer,
                (&topic, partition, offset),
                &to,
                &error,
            )
        });
        let acknowledgement = sending.await.map_err(|error| error.to_string())??;
        acknowledgement
            .await
            .map_err(|_| "the producer stopped".to_owned())?
    }
}

fn send_again(
    connection: &Connection,
    producer: &Insisting,
    (topic, partition, offset): (&str, Partition, Offset),
    to: &str,
    error: &str,
) -> Result<Acknowledgement, String> {
    let consumer = reader::client(connection).map_err(|error| error.to_string())?;
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(topic, partition.0, KafkaOffset::Offset(offset.raw()))
        .and_then(|()| consumer.assign(&list))
        .map_err(|error| error.to_string())?;
    let message = fetch(&consumer, offset)?;
    let received = message.as_ref().map(Message::of).map(Received::new);
    let (record, error) = match &received {
        Some(received) => (received.record(), Cow::Borrowed(error)),
        None => (
            Record {
                offset,
                kafka_time: 0,
                leader_epoch: LeaderEpoch::UNKNOWN,
                key: None,
                value: None,
                rest: &Bare,
            },
            format!("{error}; the record was deleted from {topic} before it was copied").into(),
        ),
    };
    let letter = DeadLetter {
        topic,
        partition,
        record: &record,
        reason: Reason::RejectedRow,
        error: &error,
    };
    Ok(dead_letters::send(producer, to, &letter))
}

/// `None`: the topic holds it no more.
fn fetch(
    consumer: &Asker,
    offset: Offset,
) -> Result<Option<rdkafka::message::BorrowedMessage<'_>>, String> {
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        match consumer.poll(Duration::from_millis(200)) {
            None => {}
            Some(Ok(message)) => {
                let found = rdkafka::Message::offset(&message) == offset.raw();
                return Ok(found.then_some(message));
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
            Some(Err(error)) => match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset) => {
                    return Ok(None);
                }
                _ => return Err(error.to_string()),
            },
        }
    }
    Err(format!(
        "the record could not be fetched within {} s",
        LIMIT.as_secs()
    ))
}
