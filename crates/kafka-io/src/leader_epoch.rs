//! A place in a partition's log, told by the leader that wrote what lies before it.
//!
//! The `rdkafka` crate has no wrapper for it (docs/adr/011).
#![expect(
    unsafe_code,
    reason = "a leader epoch has no safe wrapper; see the module's comment"
)]

use pipeline::{LeaderEpoch, NextOffset, Partition};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList, bindings as c, error::KafkaError};

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
