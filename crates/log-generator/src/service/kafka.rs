//! Records on their way to Kafka.
//! Invariant: no record is dropped here. A full queue or an absent broker means waiting; a record
//! counts as produced only once all in-sync replicas have it. The Kafka timestamp is left to the
//! producer: event time stands in the value alone.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use contracts::{topics, truth::Truth};
use kafka_io::{Connection, producer};
use rdkafka::{
    ClientContext, Message as _,
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
};
use service_kit::lifecycle::Latch;

use super::{
    metrics::{Ending, Metrics},
    options::Options,
    run::RunError,
    sink::{Sink, Totals},
};
use crate::batch::Record;

const ASK_FOR_METADATA: Duration = Duration::from_secs(2);
const WAIT_FOR_ROOM: Duration = Duration::from_millis(1);
/// How often it is said that Kafka is still away, in attempts.
const SAY_EVERY: u32 = 10;

/// Tells labels, which are not counted, from records.
const RECORD: usize = 0;
const LABEL: usize = 1;

type Outgoing<'a> = BaseRecord<'a, [u8], [u8], usize>;

/// What delivery reports come to.
struct Deliveries {
    acknowledged: AtomicU64,
    failed: AtomicU64,
    bytes: AtomicU64,
    away: AtomicBool,
    latch: Latch,
    metrics: Metrics,
}

impl Deliveries {
    fn here(&self) {
        if self.away.swap(false, Ordering::Relaxed) {
            tracing::info!("kafka answers");
            self.latch.set_ready();
        }
    }

    fn gone(&self, reason: &str) {
        if !self.away.swap(true, Ordering::Relaxed) {
            tracing::warn!(reason, "kafka is away, records wait");
            self.latch.set_unready("no broker answers");
        }
    }
}

/// A client's share of `Deliveries`.
struct Reports(Arc<Deliveries>);

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.0.gone(reason);
        } else {
            tracing::debug!(%error, reason, "kafka client");
        }
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, what: usize) {
        let reports = &self.0;
        match result {
            Ok(message) => {
                if reports.away.load(Ordering::Relaxed) {
                    reports.here();
                }
                if what == RECORD {
                    let bytes = message.payload_len() as u64;
                    reports.acknowledged.fetch_add(1, Ordering::Relaxed);
                    reports.bytes.fetch_add(bytes, Ordering::Relaxed);
                    reports.metrics.records.at(Ending::Acknowledged).inc();
                    reports.metrics.bytes.inc_by(bytes);
                }
            }
            // Given up at the end, and counted as unacknowledged then.
            Err((error, _)) if is_purge(error) => {}
            Err((error, message)) => {
                if what == RECORD {
                    reports.metrics.records.at(Ending::Failed).inc();
                    let before = reports.failed.fetch_add(1, Ordering::Relaxed);
                    if before.is_power_of_two() || before == 0 {
                        tracing::error!(%error, topic = message.topic(), failed = before + 1, "kafka refused a record");
                    }
                } else {
                    tracing::error!(%error, topic = message.topic(), "kafka refused a label");
                }
            }
        }
    }
}

fn is_purge(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(
        code,
        Some(RDKafkaErrorCode::PurgeInflight | RDKafkaErrorCode::PurgeQueue)
    )
}

/// Sends to a topic, and labels to the one beside it.
pub(super) struct Kafka {
    producer: ThreadedProducer<Reports>,
    deliveries: Arc<Deliveries>,
    brokers: String,
    topic: String,
    truth_topic: String,
    keyed: bool,
    traceparent: Vec<u8>,
}

impl Kafka {
    /// Connects to nothing yet.
    pub(super) fn new(
        options: &Options,
        metrics: &Metrics,
        latch: Latch,
    ) -> Result<Self, RunError> {
        let brokers = options.kafka.kafka_brokers.to_string();
        let topic = options.kafka.kafka_topic.to_string();
        let deliveries = Arc::new(Deliveries {
            acknowledged: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            away: AtomicBool::new(true),
            latch,
            metrics: metrics.clone(),
        });
        let mut config = producer::config(&Connection::from(&options.kafka));
        config
            .set("client.id", "barograph-log-generator")
            .set("linger.ms", "5")
            .set("queue.buffering.max.messages", "1000000")
            .set("queue.buffering.max.kbytes", "262144");
        Ok(Self {
            producer: config.create_with_context(Reports(Arc::clone(&deliveries)))?,
            deliveries,
            truth_topic: topics::truth_of(&topic),
            brokers,
            topic,
            keyed: !options.generator_records_without_key,
            traceparent: Vec::with_capacity(64),
        })
    }

    /// Hands over, or waits for room. `Ok(false)`: it was stopped.
    fn hand_over(
        &self,
        mut outgoing: Outgoing<'_>,
        stop: &dyn Fn() -> bool,
    ) -> Result<bool, RunError> {
        loop {
            match self.producer.send(outgoing) {
                Ok(()) => return Ok(true),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    if stop() {
                        return Ok(false);
                    }
                    self.deliveries.metrics.waits.inc();
                    std::thread::sleep(WAIT_FOR_ROOM);
                    outgoing = again;
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }
}

/// A record as Kafka takes it.
fn outgoing<'a>(
    topic: &'a str,
    key: Option<&'a str>,
    value: &'a [u8],
    what: usize,
) -> Outgoing<'a> {
    let outgoing = BaseRecord::with_opaque_to(topic, what).payload(value);
    match key {
        Some(key) => outgoing.key(key.as_bytes()),
        None => outgoing,
    }
}

impl Sink for Kafka {
    fn wait_until_ready(&mut self, stop: &dyn Fn() -> bool) -> Result<bool, RunError> {
        for attempt in 0_u32.. {
            if stop() {
                return Ok(false);
            }
            let metadata = self
                .producer
                .client()
                .fetch_metadata(Some(&self.topic), ASK_FOR_METADATA);
            let reason = match metadata {
                Ok(metadata) => {
                    let found = metadata
                        .topics()
                        .iter()
                        .find(|found| found.name() == self.topic);
                    if found.is_some_and(|it| it.error().is_none() && !it.partitions().is_empty()) {
                        self.deliveries.here();
                        return Ok(true);
                    }
                    format!("topic {} does not exist", self.topic)
                }
                Err(error) => error.to_string(),
            };
            self.deliveries
                .latch
                .set_unready(format!("kafka at {}: {reason}", self.brokers));
            if attempt % SAY_EVERY == 0 {
                tracing::warn!(brokers = self.brokers, reason, "waiting for kafka");
            }
            // A refused connection answers at once; so does a topic that is missing.
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(false)
    }

    fn send(
        &mut self,
        key: &str,
        record: &Record<'_>,
        stop: &dyn Fn() -> bool,
    ) -> Result<bool, RunError> {
        self.traceparent.clear();
        // Writing into a `Vec` cannot fail.
        let _ = write!(self.traceparent, "{}", record.trace);
        let headers = OwnedHeaders::new_with_capacity(1).insert(Header {
            key: topics::TRACEPARENT,
            value: Some(&self.traceparent),
        });
        let key = self.keyed.then_some(key);
        let outgoing = outgoing(&self.topic, key, record.value, RECORD).headers(headers);
        self.hand_over(outgoing, stop)
    }

    fn label(&mut self, truth: &Truth, stop: &dyn Fn() -> bool) -> Result<(), RunError> {
        let value = serde_json::to_vec(truth)?;
        let outgoing = outgoing(&self.truth_topic, Some(&truth.service), &value, LABEL);
        self.hand_over(outgoing, stop)?;
        Ok(())
    }

    fn flush(&mut self, limit: Duration) -> u64 {
        // What is still on its way is the answer; that time ran out says the same.
        let _ = self.producer.flush(limit);
        u64::try_from(self.producer.in_flight_count()).unwrap_or(0)
    }

    fn totals(&self) -> Totals {
        Totals {
            acknowledged: self.deliveries.acknowledged.load(Ordering::Relaxed),
            failed: self.deliveries.failed.load(Ordering::Relaxed),
            bytes: self.deliveries.bytes.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kafka_timestamp_and_the_partition_are_left_to_the_producer() {
        let keyed = outgoing("app-logs", Some("cart"), b"{}", RECORD);
        assert_eq!((keyed.timestamp, keyed.partition), (None, None));
        assert_eq!(keyed.key, Some(&b"cart"[..]));
        assert_eq!(outgoing("app-logs", None, b"{}", RECORD).key, None);
    }
}
