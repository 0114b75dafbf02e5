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

/// The last refusal of one client.
#[derive(Debug)]
pub struct Refusal {
    brokers: String,
    /// In librdkafka's words.
    last: Mutex<Option<String>>,
}

impl Refusal {
    pub(crate) fn of(connection: &Connection) -> Self {
        Self {
            brokers: connection.brokers.clone(),
            last: Mutex::new(None),
        }
    }

    /// What a client's callback for errors is told.
    pub(crate) fn hear(&self, error: &KafkaError, words: &str) {
        if is_refusal(error, words) {
            *self.last() = Some(without_counts(words).to_owned());
        }
    }

    pub(crate) fn forget(&self) {
        *self.last() = None;
    }

    /// `None`: nobody is there to refuse the client.
    pub(crate) fn said(&self) -> Option<String> {
        let words = self.last().clone()?;
        let brokers = &self.brokers;
        Some(format!(
            "no kafka broker at {brokers} lets this client in: {words}"
        ))
    }

    /// Of what was heard since somebody asked before.
    pub(crate) fn take_said(&self) -> Option<String> {
        let said = self.said();
        self.forget();
        said
    }

    fn last(&self) -> MutexGuard<'_, Option<String>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
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

/// What a client that only asks is told beside its answers.
#[derive(Debug)]
pub struct Hearing(Refusal);

impl Hearing {
    pub(crate) fn of(connection: &Connection) -> Self {
        Self(Refusal::of(connection))
    }
}

impl ClientContext for Hearing {
    fn error(&self, error: KafkaError, words: &str) {
        self.0.hear(&error, words);
        tracing::debug!(%error, words, "librdkafka");
    }
}

impl ConsumerContext for Hearing {}

/// The same words for as long as the same is the matter: librdkafka ends them with how long it took and
/// how often it was so, as in `(after 1ms in state SSL_HANDSHAKE, 4 identical error(s) suppressed)`.
fn without_counts(words: &str) -> &str {
    words
        .rsplit_once(" (after ")
        .map_or(words, |(said, _)| said)
}

/// A client to ask questions with.
pub type Asker = BaseConsumer<Hearing>;

/// Of a few seconds of trying to connect.
const MOST_SAID: usize = 500;

/// Why the brokers refuse the client that has just had no answer; `None`: nobody is there to refuse it.
pub fn of(client: &Asker) -> Option<String> {
    // What librdkafka has to say waits until it is asked, one thing with each call; that it was but a
    // line for the log looks like nothing.
    for _ in 0..MOST_SAID {
        client.poll(Duration::ZERO);
    }
    client.context().0.said()
}

/// The client has had an answer.
pub fn forget(client: &Asker) {
    client.context().0.forget();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_refusal_stays_the_same_while_it_lasts() {
        let said = "ssl://a:1/bootstrap: SSL handshake failed: Disconnected";
        for counts in [
            "",
            " (after 0ms in state SSL_HANDSHAKE)",
            " (after 12ms in state SSL_HANDSHAKE, 4 identical error(s) suppressed)",
        ] {
            assert_eq!(without_counts(&format!("{said}{counts}")), said);
        }
    }
}
