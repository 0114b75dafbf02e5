//! Puts what could not be read aside, with the reason.

use contracts::dead_letter::{self as header, Reason};
use pipeline::{Offset, Partition, block::Acknowledgement};
use rdkafka::error::KafkaError;

use crate::producer::{Outgoing, Producer};

/// One record that could not be read, as it was received.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetter<'a> {
    pub topic: &'a str,
    pub partition: Partition,
    pub offset: Offset,
    pub key: Option<&'a [u8]>,
    pub payload: &'a [u8],
    pub reason: Reason,
    /// For people; cut to 1 KiB.
    pub error: &'a str,
    pub traceparent: Option<&'a [u8]>,
}

/// The offset completes when the acknowledgement resolves, not before.
pub fn send(
    producer: &Producer,
    to: &str,
    letter: &DeadLetter<'_>,
) -> Result<Acknowledgement, KafkaError> {
    let (partition, offset) = (letter.partition.to_string(), letter.offset.to_string());
    let error = &letter.error[..letter.error.floor_char_boundary(1024)];
    let mut headers = vec![
        (header::REASON, letter.reason.as_str().as_bytes()),
        (header::ERROR, error.as_bytes()),
        (header::SOURCE_TOPIC, letter.topic.as_bytes()),
        (header::SOURCE_PARTITION, partition.as_bytes()),
        (header::SOURCE_OFFSET, offset.as_bytes()),
    ];
    if let Some(traceparent) = letter.traceparent {
        headers.push((contracts::topics::TRACEPARENT, traceparent));
    }
    producer.send(Outgoing {
        topic: to,
        key: letter.key,
        payload: letter.payload,
        headers: &headers,
    })
}
