//! Anomalies by the contract, straight into the topic of anomalies.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use contracts::{Anomaly, Timestamp};
use kafka_io::{Connection, producer};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use serde_json::json;

use super::tally::{self, Phase};
use crate::fill;

const FLUSH: Duration = Duration::from_secs(10);

pub(super) struct Source {
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
    sent: u64,
}

impl Source {
    pub(super) fn connect(connection: &Connection, topic: &str) -> anyhow::Result<Self> {
        let producer = producer::config(connection)
            .create()
            .context("cannot make a producer")?;
        Ok(Self {
            producer,
            topic: topic.to_owned(),
            sent: 0,
        })
    }

    /// `count` anomalies at so many a second (`None`: at once). Returns when Kafka has them.
    pub(super) async fn send(
        &mut self,
        phase: Phase,
        count: u64,
        per_second: Option<u32>,
        service: impl Fn(u64) -> String,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        for number in 0..count {
            if let Some(rate) = per_second {
                let due = Duration::from_secs_f64(number as f64 / f64::from(rate));
                tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
            }
            self.one(phase, &service(number))?;
        }
        Ok(tokio::task::block_in_place(|| self.producer.flush(FLUSH))?)
    }

    fn one(&mut self, phase: Phase, service: &str) -> anyhow::Result<()> {
        self.sent += 1;
        let sent = tally::now();
        let payload = serde_json::to_string(&anomaly(phase, service, self.sent, sent)?)?;
        let record = BaseRecord::to(&self.topic).key(service).payload(&payload);
        fill::send(&self.producer, record)
    }
}

/// What a burst of errors looks like, three lines of it included: some 1.7 kB of JSON.
fn anomaly(phase: Phase, service: &str, number: u64, sent: u64) -> anyhow::Result<Anomaly> {
    let at = |ms: i64| Timestamp::from_millis((sent / 1000).cast_signed() + ms).to_string();
    let samples: Vec<_> = (0..3)
        .map(|line| {
            json!({
                "timestamp": at(line - 5), "level": "ERROR",
                "message": format!("request {number:08x}-{line} failed: connection refused by upstream 203.0.113.9"),
                "trace_id": format!("4bf92f3577b34da6a3ce929d{number:08x}"),
                "partition": 0, "offset": number.cast_signed() * 10 + line,
            })
        })
        .collect();
    let value = json!({
        "schema_version": contracts::anomaly::SCHEMA_VERSION,
        "id": format!("00000000-0000-5000-8000-{number:012x}"),
        "version": 1, "state": "opened", "detector": "error_burst", "kind": "error_burst",
        "service": service, "series": format!("{service}/errors"),
        "window_start": at(-10_000), "window_end": at(0), "detected_at": at(0), "published_at": at(0),
        "severity": "high", "score": 4.2, "direction": "up", "unit": "errors",
        "observed": 12.0, "expected": 0.8, "lower": 0.0, "upper": 5.0,
        "title": tally::title(phase, sent),
        "explanation": {
            "summary": "12 of 14 lines within ten seconds are errors; 0.8 are usual",
            "baseline": "the share of errors over the last 69 windows",
            "parts": [{"name": "share", "text": "86 % of the lines are errors instead of 6 %", "share": 1.0}],
        },
        "samples": samples,
        "evidence": {
            "topic": "app-logs", "incarnation": "0123456789abcdef", "partition": 0,
            "first_offset": number * 10, "last_offset": number * 10 + 9,
        },
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    });
    serde_json::from_value(value).context("the anomaly is not as the contract has it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anomaly_is_one_of_the_contract_and_says_when_it_was_sent() {
        let anomaly = anomaly(Phase::Broadcast, "everyone", 7, 1_795_244_400_123_456).unwrap();
        let text = serde_json::to_string(&anomaly).unwrap();
        assert_eq!(
            tally::read(&text),
            Some((Phase::Broadcast, 1_795_244_400_123_456))
        );
    }
}
