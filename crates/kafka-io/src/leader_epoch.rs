//! Which leader of its partition wrote a message.
//!
//! The `rdkafka` crate has no wrapper for it; this and `topic_id.rs` are the only modules here that
//! talk to the C library themselves (docs/adr/011).
#![expect(
    unsafe_code,
    reason = "a message's leader epoch has no safe wrapper; see the module's comment"
)]

use pipeline::{LeaderEpoch, NextOffset, Partition};
use rdkafka::{
    Offset as KafkaOffset, TopicPartitionList, bindings as c, error::KafkaError,
    message::BorrowedMessage,
};

pub(crate) fn of(message: &BorrowedMessage<'_>) -> LeaderEpoch {
    // SAFETY: the pointer is that of a message of librdkafka, which lives as long as `message`, and the
    // call only reads it.
    LeaderEpoch(unsafe { c::rd_kafka_message_leader_epoch(message.ptr()) })
}

/// A place to seek to, and the epoch of the records before it: librdkafka looks then, and whenever the
/// leader changes, whether the log still reaches there in that epoch (KIP-320).
pub(crate) fn place(
    topic: &str,
    partition: Partition,
    next: NextOffset,
    epoch: LeaderEpoch,
) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(topic, partition.0, KafkaOffset::Offset(next.raw()))?;
    if epoch != LeaderEpoch::UNKNOWN {
        // SAFETY: `list` lives until the end of this function and has exactly one element, which was
        // added above; the call writes one number into it.
        unsafe {
            c::rd_kafka_topic_partition_set_leader_epoch((*list.ptr()).elems, epoch.0);
        }
    }
    Ok(list)
}
