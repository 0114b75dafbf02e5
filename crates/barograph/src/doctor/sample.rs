//! Looks at the newest records of a topic, without joining any group.

use std::time::{Duration, Instant};

use kafka_io::Connection;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};

/// Newest records to look at, over all partitions.
const RECORDS: i64 = 400;
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) seen: usize,
    pub(crate) without_key: usize,
}

/// `watermarks`: first and next offset of each partition, in order. Blocks.
pub(crate) fn keys(
    brokers: &str,
    topic: &str,
    watermarks: &[(i64, i64)],
) -> Result<Keys, KafkaError> {
    let each = (RECORDS / watermarks.len().max(1) as i64).max(1);
    let mut assignment = TopicPartitionList::new();
    let mut expected = 0;
    for (partition, (first, next)) in (0..).zip(watermarks) {
        let from = (next - each).max(*first);
        if from < *next {
            assignment.add_partition_offset(topic, partition, Offset::Offset(from))?;
            expected += (next - from) as usize;
        }
    }
    if expected == 0 {
        return Ok(Keys::default());
    }
    let consumer: BaseConsumer = reader(brokers).create()?;
    consumer.assign(&assignment)?;

    // Offsets of compacted records and of transaction markers never come, hence the patience.
    let mut keys = Keys::default();
    let deadline = Instant::now() + PATIENCE;
    while keys.seen < expected && Instant::now() < deadline {
        let Some(record) = consumer.poll(Duration::from_millis(200)) else {
            continue;
        };
        let record = record?;
        keys.seen += 1;
        keys.without_key += usize::from(record.key().is_none_or(<[u8]>::is_empty));
    }
    Ok(keys)
}

/// A consumer needs a group's name to come into being, even if it never joins it.
fn reader(brokers: &str) -> ClientConfig {
    let mut config = Connection::plain(brokers).config();
    config
        .set("group.id", "barograph-doctor")
        .set("enable.auto.commit", "false");
    config
}
