//! Reads a whole topic, all partitions, without a consumer group.

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
};

use crate::{
    Connection, Error,
    refusal::{Asker, Hearing},
};

/// Every partition of the topic from the given next offsets on, in partition order.
pub fn open(connection: &Connection, topic: &str, from: &[i64]) -> Result<StreamConsumer, Error> {
    assigned(&config(connection), connection, topic, from)
}

/// Likewise; that a partition is read to its end comes as
/// [`KafkaError::PartitionEOF`](rdkafka::error::KafkaError::PartitionEOF).
pub fn open_with_ends(
    connection: &Connection,
    topic: &str,
    from: &[i64],
) -> Result<StreamConsumer, Error> {
    let mut config = config(connection);
    config.set("enable.partition.eof", "true");
    assigned(&config, connection, topic, from)
}

fn assigned(
    config: &ClientConfig,
    connection: &Connection,
    topic: &str,
    from: &[i64],
) -> Result<StreamConsumer, Error> {
    let consumer: StreamConsumer = config.create().map_err(|source| connection.error(source))?;
    let mut list = TopicPartitionList::with_capacity(from.len());
    for (partition, next) in from.iter().enumerate() {
        list.add_partition_offset(topic, partition as i32, Offset::Offset(*next))
            .map_err(|source| connection.error(source))?;
    }
    consumer
        .assign(&list)
        .map_err(|source| connection.error(source))?;
    Ok(consumer)
}

/// A client to ask questions with: metadata, watermarks, ids.
pub fn client(connection: &Connection) -> Result<Asker, Error> {
    config(connection)
        .create_with_context(Hearing::of(connection))
        .map_err(|source| connection.error(source))
}

pub(crate) fn config(connection: &Connection) -> rdkafka::ClientConfig {
    let mut config = connection.config();
    config
        // librdkafka wants a name even where no group is joined and nothing is ever committed.
        .set("group.id", "barograph-reader")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.wait.max.ms", "100")
        .set("isolation.level", "read_committed");
    config
}
