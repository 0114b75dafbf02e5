//! A producer whose every message is answered for.
//!
//! Invariant: `acks=all`, idempotent, and no time limit: a message waits for as long as the broker
//! is away, and its acknowledgement resolves exactly once.

use std::time::Duration;

use pipeline::block::Acknowledgement;
use rdkafka::{
    ClientConfig, ClientContext, Message,
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
};
use tokio::sync::oneshot;

use crate::{Connection, Error};

type Answer = oneshot::Sender<Result<(), String>>;

/// Resolves acknowledgements from delivery reports.
pub struct Deliveries;

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Answer>;

    fn delivery(&self, result: &DeliveryResult<'_>, answer: Box<Answer>) {
        let outcome = match result {
            Ok(_) => Ok(()),
            Err((error, message)) => Err(format!("{error} (topic {})", message.topic())),
        };
        // Nobody has to listen: a receiver that went away has its own reason.
        let _unheard = answer.send(outcome);
    }
}

/// One message on its way out.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    pub topic: &'a str,
    pub key: Option<&'a [u8]>,
    pub payload: &'a [u8],
    pub headers: &'a [(&'a str, &'a [u8])],
}

pub struct Producer {
    inner: ThreadedProducer<Deliveries>,
}

/// Settings every producer of Barograph shares: idempotent, all replicas, compressed.
pub fn config(connection: &Connection) -> ClientConfig {
    let mut config = connection.config();
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "lz4")
        .set("linger.ms", "1")
        .set("message.timeout.ms", "0");
    config
}

impl Producer {
    pub fn connect(connection: &Connection) -> Result<Self, Error> {
        let inner = config(connection)
            .create_with_context(Deliveries)
            .map_err(|source| connection.error(source))?;
        Ok(Self { inner })
    }

    /// Hands the message over; blocks while the local queue is full. Only a message that Kafka can
    /// never take (too large, unknown topic) is an error here.
    pub fn send(&self, message: Outgoing<'_>) -> Result<Acknowledgement, KafkaError> {
        let (answer, acknowledgement) = oneshot::channel();
        let mut headers = OwnedHeaders::new_with_capacity(message.headers.len());
        for (key, value) in message.headers {
            headers = headers.insert(Header {
                key,
                value: Some(*value),
            });
        }
        let mut record =
            BaseRecord::<[u8], [u8], Box<Answer>>::with_opaque_to(message.topic, Box::new(answer))
                .payload(message.payload)
                .headers(headers);
        if let Some(key) = message.key {
            record = record.key(key);
        }
        loop {
            match self.inner.send(record) {
                Ok(()) => return Ok(acknowledgement),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    record = again;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// Waits until everything handed over is answered for.
    pub fn flush(&self, limit: Duration) -> Result<(), KafkaError> {
        self.inner.flush(limit)
    }
}
