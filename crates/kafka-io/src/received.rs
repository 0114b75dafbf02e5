//! A Kafka message as the pipeline sees it.
//!
//! Invariant: a record without headers costs nothing here; of one that has some, only the last two
//! are looked at before somebody asks.

use contracts::{
    TraceParent,
    dead_letter::{REPLAYED_FROM, REPLAYED_TIMESTAMP},
    topics::TRACEPARENT,
};
use pipeline::ports::{Header, Record, Rest};
use rdkafka::message::BorrowedHeaders;

use crate::{headers, message::Message};

pub(crate) struct Received<'a> {
    message: Message<'a>,
    headers: Option<&'a BorrowedHeaders>,
}

impl<'a> Received<'a> {
    pub(crate) fn new(message: Message<'a>) -> Self {
        Self {
            message,
            headers: message.headers(),
        }
    }

    pub(crate) fn record(&'a self) -> Record<'a> {
        let of_kafka = self.message.kafka_time();
        let first = self
            .headers
            .and_then(|headers| time_before_replay(headers, of_kafka));
        Record {
            offset: self.message.offset(),
            kafka_time: first.unwrap_or(of_kafka),
            leader_epoch: self.message.leader_epoch(),
            key: self.message.key(),
            value: self.message.payload(),
            rest: self,
        }
    }
}

impl Rest for Received<'_> {
    fn headers(&self) -> Vec<Header<'_>> {
        self.headers
            .map(headers::all)
            .into_iter()
            .flatten()
            .collect()
    }

    fn traceparent(&self) -> Option<&str> {
        let value = headers::first(self.headers?, TRACEPARENT)?;
        std::str::from_utf8(value)
            .ok()
            // Anything else is passed on to nobody: it could be as large as a record.
            .filter(|value| TraceParent::parse(value).is_some())
    }
}

/// Kafka's time of a record that was sent again from the dead letters, from when it first came.
/// Whoever writes these headers himself gains nothing by it: the time is never later than Kafka's
/// own, and an earlier one he could have given the record as its `CreateTime`.
fn time_before_replay(headers: &BorrowedHeaders, of_kafka: i64) -> Option<i64> {
    let count = headers::count(headers);
    let (last, _) = headers::get(headers, count.checked_sub(1)?)?;
    if last != REPLAYED_FROM.as_bytes() {
        return None;
    }
    let (name, value) = headers::get(headers, count.checked_sub(2)?)?;
    if name != REPLAYED_TIMESTAMP.as_bytes() {
        return None;
    }
    let time: i64 = std::str::from_utf8(value?).ok()?.parse().ok()?;
    (0..=of_kafka).contains(&time).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_replayed_record_keeps_the_time_it_first_had_and_never_a_later_one() {
        let (from, time) = (REPLAYED_FROM.as_bytes(), REPLAYED_TIMESTAMP.as_bytes());
        let letter = Some(&b"app-logs.dlq/0/17"[..]);
        let check = |sent: &[Header<'_>], expected: Option<i64>| {
            let list = headers::list(sent.iter().copied());
            let found = time_before_replay(list.as_borrowed(), 1_000);
            assert_eq!(found, expected, "{sent:?}");
        };
        check(&[], None);
        check(&[(time, Some(b"7"))], None);
        check(&[(from, letter)], None);
        check(&[(time, Some(b"7")), (from, letter)], Some(7));
        check(&[(b"a", None), (time, Some(b"0")), (from, letter)], Some(0));
        check(&[(time, Some(b"1000")), (from, letter)], Some(1000));
        check(&[(time, Some(b"1001")), (from, letter)], None);
        check(&[(time, Some(b"-1")), (from, letter)], None);
        check(&[(time, Some(b"soon")), (from, letter)], None);
        check(&[(time, None), (from, letter)], None);
        check(&[(time, Some(b"7")), (from, letter), (b"a", None)], None);
        check(&[(from, letter), (time, Some(b"7"))], None);
    }
}
