//! Sends a message until Kafka has it, whatever Kafka says at first.
//!
//! Invariants: a message that is refused for its size is tried alone, then cut, and takes none of its
//! neighbours with it; one that is refused for anything else (a topic that is missing, a right that is)
//! waits, visibly, and is sent again; only a client that has ended gives a message up.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pipeline::{backoff::Backoff, batch::Acknowledgement};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use tokio::sync::oneshot;

use crate::{
    Connection,
    kept::Kept,
    producer::{Delivery, Outgoing, Producer, is_full},
};

/// Makes a message smaller. `false`: it is as small as it can be.
pub type Cut = fn(&mut Kept) -> bool;

/// Hears of what is refused.
pub trait Witness: Send + Sync + 'static {
    /// A message was cut, because Kafka would not take it as it was.
    fn cut(&self, topic: &str);
    /// So many messages wait to be taken. `reason`: what Kafka said last; `None`: of none.
    fn waiting(&self, messages: usize, reason: Option<&str>);
}

#[derive(Clone)]
pub struct Insisting(Arc<Inner>);

struct Inner {
    connection: Connection,
    producer: Arc<Producer>,
    /// Made when it is needed.
    one_by_one: OnceLock<Producer>,
    runtime: tokio::runtime::Handle,
    witness: Box<dyn Witness>,
    waiting: AtomicUsize,
}

impl Insisting {
    /// Call it on a runtime: that one waits for the answers.
    pub fn new(connection: Connection, producer: Arc<Producer>, witness: Box<dyn Witness>) -> Self {
        Self(Arc::new(Inner {
            connection,
            producer,
            one_by_one: OnceLock::new(),
            runtime: tokio::runtime::Handle::current(),
            witness,
            waiting: AtomicUsize::new(0),
        }))
    }

    /// Hands the message over, and never waits.
    pub fn send(&self, message: Outgoing<'_>, cut: Cut) -> Acknowledgement {
        let handed_over = match self.0.producer.try_send(message) {
            Ok(delivery) => Ok(delivery),
            // Too large for the client itself, or its queue is full.
            Err(error) => Err((error, Kept::of(&message))),
        };
        let (answer, acknowledgement) = oneshot::channel();
        let inner = Arc::clone(&self.0);
        self.0.runtime.spawn(async move {
            let outcome = inner.insist(handed_over, cut).await;
            // Nobody has to listen: a partition that went away is somebody else's to finish.
            let _unheard = answer.send(outcome);
        });
        acknowledgement
    }
}

impl Inner {
    async fn insist(
        &self,
        handed_over: Result<Delivery, (KafkaError, Kept)>,
        cut: Cut,
    ) -> Result<(), String> {
        let (mut error, mut message) = match handed_over {
            Err(refused) => refused,
            Ok(delivery) => match delivered(delivery).await? {
                None => return Ok(()),
                Some(refused) => refused,
            },
        };
        let mut backoff = Backoff::new(
            Duration::from_millis(200),
            Duration::from_secs(10),
            message.payload.as_ref().map_or(0, Vec::len) as u64,
        );
        let mut alone = false;
        let mut waiting = None;
        loop {
            match what_to_do(&error) {
                Refusal::TooLarge if !alone => alone = true,
                Refusal::TooLarge if cut(&mut message) => self.witness.cut(&message.topic),
                Refusal::TooLarge | Refusal::Passing => {
                    let reason = format!("topic {}: {error}", message.topic);
                    waiting
                        .get_or_insert_with(|| Waiting::begin(self))
                        .say(&reason);
                    tokio::time::sleep(backoff.delay()).await;
                }
                Refusal::Ended => return Err(format!("{error} (topic {})", message.topic)),
            }
            let headers = message.header_views();
            // What is only kept waiting need not go alone.
            let producer = if is_full(&error) && !alone {
                &self.producer
            } else {
                self.one_by_one()?
            };
            let sent = producer.try_send(Outgoing {
                topic: &message.topic,
                key: message.key.as_deref(),
                payload: message.payload.as_deref(),
                headers: &headers,
            });
            (error, message) = match sent {
                Err(error) => (error, message),
                Ok(delivery) => match delivered(delivery).await? {
                    None => return Ok(()),
                    Some(refused) => refused,
                },
            };
        }
    }

    fn one_by_one(&self) -> Result<&Producer, String> {
        if let Some(made) = self.one_by_one.get() {
            return Ok(made);
        }
        let made = Producer::one_by_one(&self.connection).map_err(|error| error.to_string())?;
        Ok(self.one_by_one.get_or_init(|| made))
    }
}

/// One message more that waits, for as long as this lives.
struct Waiting<'a>(&'a Inner);

impl<'a> Waiting<'a> {
    fn begin(inner: &'a Inner) -> Self {
        inner.waiting.fetch_add(1, Ordering::Relaxed);
        Self(inner)
    }

    fn say(&self, reason: &str) {
        let waiting = self.0.waiting.load(Ordering::Relaxed);
        self.0.witness.waiting(waiting, Some(reason));
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let left = self.0.waiting.fetch_sub(1, Ordering::Relaxed) - 1;
        if left == 0 {
            self.0.witness.waiting(0, None);
        }
    }
}

/// `None`: Kafka has it.
async fn delivered(delivery: Delivery) -> Result<Option<(KafkaError, Kept)>, String> {
    match delivery.await {
        Ok(Ok(())) => Ok(None),
        Ok(Err(refused)) => Ok(Some((refused.error, refused.message))),
        Err(_) => Err("the producer stopped".to_owned()),
    }
}

enum Refusal {
    TooLarge,
    Passing,
    /// The client itself is at its end.
    Ended,
}

fn what_to_do(error: &KafkaError) -> Refusal {
    match error.rdkafka_error_code() {
        Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge) => {
            Refusal::TooLarge
        }
        Some(Code::Fatal | Code::PurgeQueue | Code::PurgeInflight) => Refusal::Ended,
        // Also what no waiting mends by itself: somebody has to, and is told. And `BrokerDestroy`: where a
        // topic is deleted, librdkafka gives up with it what lies in the queues of its partitions; the
        // client, which outlives all that are sent here, goes on.
        Some(_) | None => Refusal::Passing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::producer::config;

    struct Deaf;

    impl Witness for Deaf {
        fn cut(&self, _topic: &str) {}
        fn waiting(&self, _messages: usize, _reason: Option<&str>) {}
    }

    /// Nobody takes anything, and one message fills the queue: who hands over more is the poll thread.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn handing_over_does_not_wait_for_a_queue_that_is_full() {
        let connection = Connection::plain("127.0.0.1:1");
        let mut small = config(&connection);
        small.set("queue.buffering.max.messages", "1");
        let producer = Producer::with(&connection, &small).unwrap();
        let insisting = Insisting::new(connection, Arc::new(producer), Box::new(Deaf));
        let message = Outgoing {
            topic: "letters",
            key: None,
            payload: Some(b"{broken"),
            headers: &[],
        };
        let handing_over = tokio::task::spawn_blocking(move || {
            let waiting: Vec<_> = (0..10)
                .map(|_| insisting.send(message, |_| false))
                .collect();
            (insisting, waiting)
        });
        let within = tokio::time::timeout(Duration::from_mins(1), handing_over);
        let (_insisting, mut waiting) = within.await.expect("nobody waits").unwrap();
        assert!(waiting.iter_mut().all(|answer| answer.try_recv().is_err()));
    }
}
