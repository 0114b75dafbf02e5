//! The id that Kafka gives a topic when it is created, and what else the same answer tells.
//!
//! The `rdkafka` crate has no wrapper for `DescribeTopics`, which is the only call of librdkafka
//! that tells the id, so this is the one module here that talks to the C library itself
//! (docs/adr/002).
#![expect(
    unsafe_code,
    reason = "librdkafka's DescribeTopics has no safe wrapper; see the module's comment"
)]

use std::{collections::BTreeSet, ffi::CString, time::Duration};

use pipeline::Partition;
use rdkafka::{
    bindings as c,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
};
use uuid::Uuid;

use crate::Error;

/// A topic as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    pub id: Uuid,
    /// How many partitions it has.
    pub partitions: i32,
    /// Those that no broker leads: nothing can be read from them.
    pub leaderless: BTreeSet<Partition>,
}

/// Asks the brokers for the topic's id. Blocks up to `limit`.
pub fn fetch<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    limit: Duration,
) -> Result<Uuid, Error> {
    describe(consumer, topic, limit).map(|described| described.id)
}

/// Asks the brokers what the topic is now. Blocks up to `limit`.
pub fn describe<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    limit: Duration,
) -> Result<Described, Error> {
    let failed = |reason: String| Error::Topic {
        topic: topic.to_owned(),
        reason,
    };
    let name = CString::new(topic).map_err(|_| failed("has a NUL byte in its name".to_owned()))?;
    let mut names = [name.as_ptr()];
    let client = consumer.client().native_ptr();
    let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);

    // SAFETY: `client` lives as long as `consumer`, which is borrowed for the whole call. Every
    // object made here is destroyed below on every path, after its last use; what librdkafka hands
    // out from an event (result, description, id) is read before the event is destroyed.
    unsafe {
        let collection =
            c::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let queue = c::rd_kafka_queue_new(client);
        c::rd_kafka_DescribeTopics(client, collection, std::ptr::null(), queue);
        let event = c::rd_kafka_queue_poll(queue, limit_ms);
        let answer = if event.is_null() {
            Err(failed(format!(
                "the brokers did not answer within {limit_ms} ms"
            )))
        } else {
            read(event).map_err(failed).and_then(|described| {
                described.ok_or_else(|| Error::Missing {
                    topic: topic.to_owned(),
                })
            })
        };
        if !event.is_null() {
            c::rd_kafka_event_destroy(event);
        }
        c::rd_kafka_queue_destroy(queue);
        c::rd_kafka_TopicCollection_destroy(collection);
        answer
    }
}

/// `None`: there is no such topic.
///
/// # Safety
/// `event` is a live event of librdkafka.
unsafe fn read(event: *mut c::rd_kafka_event_t) -> Result<Option<Described>, String> {
    // SAFETY: the caller keeps `event` alive; each pointer below belongs to it and is checked.
    unsafe {
        let error = c::rd_kafka_event_error(event);
        if error != c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(format!(
                "cannot be described: {}",
                rdkafka::error::RDKafkaErrorCode::from(error)
            ));
        }
        let result = c::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err("cannot be described: unexpected answer".to_owned());
        }
        let mut count = 0;
        let descriptions = c::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if descriptions.is_null() || count != 1 {
            return Err("cannot be described: empty answer".to_owned());
        }
        let description = *descriptions;
        let error = c::rd_kafka_TopicDescription_error(description);
        if !error.is_null() {
            let code = c::rd_kafka_error_code(error);
            if code == c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART {
                return Ok(None);
            }
            if code != c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err(rdkafka::error::RDKafkaErrorCode::from(code).to_string());
            }
        }
        let id = c::rd_kafka_TopicDescription_topic_id(description);
        if id.is_null() {
            return Err("has no id; Kafka 2.8 or newer is needed".to_owned());
        }
        let high = c::rd_kafka_Uuid_most_significant_bits(id).cast_unsigned();
        let low = c::rd_kafka_Uuid_least_significant_bits(id).cast_unsigned();
        let mut count = 0;
        let partitions = c::rd_kafka_TopicDescription_partitions(description, &raw mut count);
        if partitions.is_null() || count == 0 {
            return Err("cannot be described: it has no partitions".to_owned());
        }
        let leaderless = std::slice::from_raw_parts(partitions, count)
            .iter()
            .filter(|partition| c::rd_kafka_TopicPartitionInfo_leader(**partition).is_null())
            .map(|partition| Partition(c::rd_kafka_TopicPartitionInfo_partition(*partition)))
            .collect();
        Ok(Some(Described {
            id: Uuid::from_u64_pair(high, low),
            partitions: i32::try_from(count).unwrap_or(i32::MAX),
            leaderless,
        }))
    }
}
