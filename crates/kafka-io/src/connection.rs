//! How to reach the brokers.

use rdkafka::ClientConfig;

/// Brokers and security, as librdkafka properties.
#[derive(Clone)]
pub struct Connection {
    pub brokers: String,
    security: Vec<(&'static str, String)>,
}

impl Connection {
    /// Without encryption or authentication.
    pub fn plain(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            security: Vec::new(),
        }
    }

    /// The common base of every client.
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "barograph")
            // The room for a 16 MiB record with its headers, for producers and consumers alike.
            .set(
                "message.max.bytes",
                (contracts::topics::MAX_DEAD_LETTER_BYTES + 4096).to_string(),
            )
            .set("reconnect.backoff.max.ms", "2000")
            // "All brokers down" is said by readiness; librdkafka would repeat it for ever.
            .set("log.connection.close", "false");
        for (name, value) in &self.security {
            config.set(*name, value);
        }
        config
    }

    pub(crate) fn error(&self, source: rdkafka::error::KafkaError) -> crate::Error {
        crate::Error::Client {
            brokers: self.brokers.clone(),
            source,
        }
    }
}
