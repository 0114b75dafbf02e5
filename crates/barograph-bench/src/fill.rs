//! Writes a topic full before a measurement begins.
//!
//! Invariant: when it answers, the topic holds exactly so many records.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use kafka_io::{Connection, topics};
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    message::ToBytes,
    producer::{
        BaseRecord, DefaultProducerContext, Producer as _, ProducerContext, ThreadedProducer,
    },
};
use serde::Serialize;

use super::{bed, lines::Lines};

/// What stands in a topic that was filled.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Filled {
    pub(super) records: u64,
    pub(super) mean_bytes: f64,
    pub(super) seconds: f64,
}

const FLUSH: Duration = Duration::from_secs(60);

/// Every service has one partition; neighbours in rank have different ones.
pub(super) async fn fill(
    connection: &Connection,
    topic: &str,
    partitions: i32,
    records: u64,
    lines: Lines,
) -> anyhow::Result<Filled> {
    let (connection, topic) = (connection.clone(), topic.to_owned());
    bed::in_thread(move || fill_blocking(&connection, &topic, partitions, records, lines)).await
}

fn fill_blocking(
    connection: &Connection,
    topic: &str,
    partitions: i32,
    records: u64,
    mut lines: Lines,
) -> anyhow::Result<Filled> {
    let begun = Instant::now();
    let producer = producer(connection)?;
    let mut line = String::with_capacity(1024);
    let mut bytes = 0;
    for _ in 0..records {
        let service = lines.write(&mut line);
        bytes += line.len() as u64;
        let record = BaseRecord::to(topic)
            .partition(service as i32 % partitions)
            .key(lines.service_name(service))
            .payload(&line);
        send(&producer, record)?;
    }
    producer.flush(FLUSH)?;
    let offsets = topics::offsets(connection, topic, Duration::from_secs(10))?;
    let held: i64 = offsets.iter().map(|(low, high)| high - low).sum();
    if held.cast_unsigned() != records {
        bail!("{records} records were produced, and topic {topic} holds {held}");
    }
    Ok(Filled {
        records,
        mean_bytes: bytes as f64 / records as f64,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

/// As fast as librdkafka goes: large batches, the leader's acknowledgement only.
fn producer(connection: &Connection) -> anyhow::Result<ThreadedProducer<DefaultProducerContext>> {
    connection
        .config()
        .set("acks", "1")
        .set("compression.type", "lz4")
        .set("linger.ms", "50")
        .set("batch.size", "1000000")
        .set("batch.num.messages", "10000")
        .set("queue.buffering.max.messages", "500000")
        .set("queue.buffering.max.kbytes", "262144")
        .create()
        .context("cannot make a producer")
}

/// Waits while the producer's queue is full.
pub(super) fn send<C: ProducerContext, K: ToBytes + ?Sized, P: ToBytes + ?Sized>(
    producer: &ThreadedProducer<C>,
    mut record: BaseRecord<'_, K, P, C::DeliveryOpaque>,
) -> anyhow::Result<()> {
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                record = again;
                std::thread::sleep(Duration::from_millis(1));
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}
