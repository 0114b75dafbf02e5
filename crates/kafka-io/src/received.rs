//! A Kafka message as the pipeline sees it.

use contracts::{TraceParent, topics::TRACEPARENT};
use pipeline::{Offset, ports::Record};
use rdkafka::{
    Message,
    message::{BorrowedMessage, Headers},
};

pub(crate) fn record<'a>(message: &'a BorrowedMessage<'a>) -> Record<'a> {
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
