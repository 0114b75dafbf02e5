//! Why no broker lets a client in: a certificate, a password. What a call answers then is only that
//! nobody does.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientContext,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode as Code},
};

use crate::Connection;

/// The last refusal, in librdkafka's words.
#[derive(Debug, Default)]
struct Refusal(Mutex<Option<String>>);

impl Refusal {
    /// What a client's callback for errors is told.
    fn hear(&self, error: &KafkaError, words: &str) {
        if is_refusal(error, words) {
            *self.last() = Some(words.to_owned());
        }
    }

    fn last(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No waiting mends it, unless somebody mends something.
fn is_refusal(error: &KafkaError, words: &str) -> bool {
    match error.rdkafka_error_code() {
        Some(
            Code::SSL
            | Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState,
        ) => true,
        // A broker that closes the connection in the middle of it; only the words tell.
        Some(Code::BrokerTransportFailure) => {
            words.contains("SSL handshake") || words.contains("SASL")
        }
        _ => false,
    }
}

/// Of a client that only asks.
#[derive(Debug, Default)]
pub struct Hearing(Refusal);

impl ClientContext for Hearing {
    fn error(&self, error: KafkaError, words: &str) {
        self.0.hear(&error, words);
        tracing::debug!(%error, words, "librdkafka");
    }
}

impl ConsumerContext for Hearing {}

/// A client to ask questions with.
pub type Asker = BaseConsumer<Hearing>;

/// Of a few seconds of trying to connect.
const MOST_SAID: usize = 500;

/// Why the brokers refuse the client that has just had no answer; `None`: nobody is there to refuse it.
pub fn of(client: &Asker, connection: &Connection) -> Option<String> {
    // What librdkafka has to say waits until it is asked, one thing with each call; that it was but a
    // line for the log looks like nothing.
    for _ in 0..MOST_SAID {
        client.poll(Duration::ZERO);
    }
    let words = client.context().0.last().clone()?;
    let brokers = &connection.brokers;
    Some(format!(
        "no kafka broker at {brokers} lets this client in: {words}"
    ))
}

/// The client has had an answer.
pub fn forget(client: &Asker) {
    *client.context().0.last() = None;
}
