//! A producer whose every message is answered for.
//!
//! Invariant: `acks=all`, idempotent, and no time limit: a message waits for as long as the broker
//! is away, and its delivery resolves exactly once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext},
};
use tokio::sync::oneshot;

use crate::{
    Connection, Error,
    headers::{self, Header},
    kept::Kept,
};

/// Kafka, or the client, will not have this message.
#[derive(Debug, thiserror::Error)]
#[error("{error} (topic {})", message.topic)]
pub struct Refused {
    pub error: KafkaError,
    pub message: Kept,
}

type Answer = oneshot::Sender<Result<(), Box<Refused>>>;

/// Resolves when the broker has acknowledged a message, or refused it.
pub type Delivery = oneshot::Receiver<Result<(), Box<Refused>>>;

/// Resolves deliveries from delivery reports.
pub struct Deliveries;

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Answer>;

    fn delivery(&self, result: &DeliveryResult<'_>, answer: Box<Answer>) {
        let outcome = match result {
            Ok(_) => Ok(()),
            Err((error, message)) => Err(Box::new(Refused {
                error: error.clone(),
                message: Kept::refused(message),
            })),
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
    pub payload: Option<&'a [u8]>,
    pub headers: &'a [Header<'a>],
}

pub struct Producer {
    inner: Arc<BaseProducer<Deliveries>>,
    ended: Arc<AtomicBool>,
    /// Hands delivery reports on. Until it is joined.
    thread: Option<JoinHandle<()>>,
}

/// The crate's own thread does so for a tenth of a second at a time, and spins through the last
/// millisecond of each, a hundredth of a core for nothing. An end has to wait for it.
const SERVE_FOR: Duration = Duration::from_millis(500);

/// What lies in the client is not sent yet, and more does not fit.
pub(crate) fn is_full(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
}

/// Settings every producer of Barograph shares: idempotent, all replicas, compressed.
pub fn config(connection: &Connection) -> ClientConfig {
    let mut config = connection.config();
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "lz4")
        .set("linger.ms", "1")
        .set("message.timeout.ms", "0")
        // Who hands messages over bounds their bytes; a full queue would hold up its thread.
        .set("queue.buffering.max.messages", "2000000")
        // A topic that was missing is found again within this time.
        .set("topic.metadata.refresh.interval.ms", "10000");
    config
}

impl Producer {
    pub fn connect(connection: &Connection) -> Result<Self, Error> {
        Self::with(connection, &config(connection))
    }

    /// Each message in a batch of its own, so that none is refused for the size of others.
    pub fn one_by_one(connection: &Connection) -> Result<Self, Error> {
        Self::with(
            connection,
            config(connection).set("batch.num.messages", "1"),
        )
    }

    pub(crate) fn with(connection: &Connection, config: &ClientConfig) -> Result<Self, Error> {
        let inner: BaseProducer<Deliveries> = config
            .create_with_context(Deliveries)
            .map_err(|source| connection.error(source))?;
        let (inner, ended) = (Arc::new(inner), Arc::new(AtomicBool::new(false)));
        let serve = {
            let (inner, ended) = (Arc::clone(&inner), Arc::clone(&ended));
            move || {
                while !ended.load(Ordering::Acquire) {
                    inner.poll(SERVE_FOR);
                }
            }
        };
        let thread = thread::Builder::new().name("producer".to_owned());
        let thread = thread.spawn(serve).map_err(Error::Thread)?;
        Ok(Self {
            inner,
            ended,
            thread: Some(thread),
        })
    }

    /// Hands the message over; blocks while the local queue is full. Only a message that the client
    /// itself refuses (too large, unknown topic) is an error here.
    pub fn send(&self, message: Outgoing<'_>) -> Result<Delivery, KafkaError> {
        loop {
            match self.try_send(message) {
                Err(error) if is_full(&error) => thread::sleep(Duration::from_millis(1)),
                outcome => return outcome,
            }
        }
    }

    /// As [`Self::send`], but that the local queue is full is an error here too.
    pub fn try_send(&self, message: Outgoing<'_>) -> Result<Delivery, KafkaError> {
        let (answer, delivery) = oneshot::channel();
        let mut record =
            BaseRecord::<[u8], [u8], Box<Answer>>::with_opaque_to(message.topic, Box::new(answer));
        record.key = message.key;
        record.payload = message.payload;
        if !message.headers.is_empty() {
            record = record.headers(headers::list(message.headers.iter().copied()));
        }
        match self.inner.send(record) {
            Ok(()) => Ok(delivery),
            Err((error, _)) => Err(error),
        }
    }

    /// Waits until everything handed over is answered for.
    pub fn flush(&self, limit: Duration) -> Result<(), KafkaError> {
        self.inner.flush(limit)
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the thread of a producer has panicked");
        }
    }
}
