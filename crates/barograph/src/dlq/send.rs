//! Sends records and says where each of them landed.

use std::time::Duration;

use kafka_io::Connection;
use rdkafka::{
    error::KafkaError,
    message::OwnedHeaders,
    producer::{FutureProducer, FutureRecord, Producer as _},
};

use super::letter::Spot;

/// After so long without the brokers' answer a record counts as not sent.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
pub(super) struct Outgoing<'a> {
    pub(super) topic: &'a str,
    /// `None`: by key.
    pub(super) partition: Option<i32>,
    pub(super) key: Option<&'a [u8]>,
    pub(super) payload: Option<&'a [u8]>,
    pub(super) headers: Option<&'a OwnedHeaders>,
}

pub(super) struct Sender(FutureProducer);

impl Sender {
    pub(super) fn connect(connection: &Connection) -> Result<Self, KafkaError> {
        kafka_io::producer::config(connection)
            .set("message.timeout.ms", PATIENCE.as_millis().to_string())
            .create()
            .map(Self)
    }

    /// In order; an answer for each.
    pub(super) async fn send(&self, records: &[Outgoing<'_>]) -> Vec<Result<Spot, KafkaError>> {
        // Handed over first, all of them, so that they travel together and in order.
        let handed_over: Vec<_> = records
            .iter()
            .map(|record| self.hand_over(record))
            .collect();
        let mut answers = Vec::with_capacity(records.len());
        for (record, waiting) in records.iter().zip(handed_over) {
            let delivered = match waiting {
                Ok(delivery) => match delivery.await {
                    Ok(answer) => answer.map_err(|(error, _)| error),
                    Err(_) => Err(KafkaError::Canceled),
                },
                Err(error) => Err(error),
            };
            answers.push(delivered.map(|at| Spot {
                topic: record.topic.to_owned(),
                partition: at.partition,
                offset: at.offset,
            }));
        }
        answers
    }

    fn hand_over(
        &self,
        record: &Outgoing<'_>,
    ) -> Result<rdkafka::producer::DeliveryFuture, KafkaError> {
        let mut out = FutureRecord::<[u8], [u8]>::to(record.topic);
        out.partition = record.partition;
        out.key = record.key;
        out.payload = record.payload;
        out.headers = record.headers.cloned();
        self.0.send_result(out).map_err(|(error, _)| error)
    }
}

impl Drop for Sender {
    /// What was handed over and not waited for is still sent if the brokers are there.
    fn drop(&mut self) {
        let _ = self.0.flush(Duration::from_secs(1));
    }
}
