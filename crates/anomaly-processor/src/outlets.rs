//! From a Kafka message to a record, and from what a lane says to Kafka and ClickHouse.

use contracts::{TraceParent, dead_letter::Reason, topics::TRACEPARENT};
use detection::Finding;
use kafka_io::{
    dead_letters::{self, DeadLetter},
    producer::Producer,
};
use pipeline::{Offset, block::Acknowledgement};
use rdkafka::{
    Message,
    error::KafkaError,
    message::{BorrowedMessage, Headers},
};

use crate::{
    announce::{Announcer, Place},
    lane::{LaneId, Outlets, Record},
    metrics::{Ending, Metrics, Why},
};

pub(crate) fn record_of<'a>(message: &'a BorrowedMessage<'a>) -> Record<'a> {
    let traceparent = message.headers().and_then(|headers| {
        headers
            .iter()
            .find(|header| header.key == TRACEPARENT)
            .and_then(|header| header.value)
            .and_then(|value| std::str::from_utf8(value).ok())
            // Anything else is passed on to nobody: it could be as large as a record.
            .filter(|value| TraceParent::parse(value).is_some())
    });
    Record {
        offset: Offset::new(message.offset()),
        kafka_time: message.timestamp().to_millis().unwrap_or(0),
        key: message.key(),
        payload: message.payload().unwrap_or_default(),
        traceparent,
    }
}

/// The real outlets.
pub(crate) struct Doors<'a> {
    pub(crate) producer: &'a Producer,
    pub(crate) announcer: &'a Announcer,
    pub(crate) dead_letter_topic: &'a str,
    pub(crate) topic: &'a str,
    pub(crate) metrics: &'a Metrics,
}

impl Outlets for Doors<'_> {
    type Error = KafkaError;

    fn dead_letter(
        &mut self,
        lane: &LaneId,
        record: &Record<'_>,
        reason: Reason,
        error: &str,
    ) -> Result<Acknowledgement, KafkaError> {
        self.metrics.records.at(Ending::DeadLettered).inc();
        self.metrics.dead_letters.at(why(reason)).inc();
        let letter = DeadLetter {
            topic: self.topic,
            partition: lane.assignment.partition,
            offset: record.offset,
            key: record.key,
            payload: record.payload,
            reason,
            error,
            traceparent: record.traceparent.map(str::as_bytes),
        };
        dead_letters::send(self.producer, self.dead_letter_topic, &letter)
    }

    fn announce(
        &mut self,
        lane: &LaneId,
        finding: Finding,
        traceparent: Option<&str>,
    ) -> Result<Acknowledgement, KafkaError> {
        let place = Place {
            topic: self.topic,
            incarnation: lane.incarnation,
            assignment: lane.assignment,
        };
        self.announcer.announce(finding, place, traceparent)
    }
}

const fn why(reason: Reason) -> Why {
    match reason {
        Reason::Empty => Why::Empty,
        Reason::NotUtf8 => Why::NotUtf8,
        Reason::BrokenJson => Why::BrokenJson,
        Reason::NoMessage => Why::NoMessage,
        Reason::RejectedRow => Why::RejectedRow,
    }
}
