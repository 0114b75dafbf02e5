//! How to reach the brokers.

use rdkafka::ClientConfig;
use service_kit::options::KafkaOptions;

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
            // Also the most that a batch may unpack to. A batch that does not say its size is unpacked into
            // a third more, and a third more: one of 100 MB is read, whatever it was packed by. Nothing
            // is set apart for it before it comes.
            .set("receive.message.max.bytes", "300000000")
            .set("reconnect.backoff.max.ms", "2000")
            // A broker that accepts and never answers is left within these times, and said to be away.
            .set("socket.connection.setup.timeout.ms", "5000")
            .set("api.version.request.timeout.ms", "5000")
            .set("socket.timeout.ms", "10000")
            .set("socket.keepalive.enable", "true")
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

impl From<&KafkaOptions> for Connection {
    fn from(options: &KafkaOptions) -> Self {
        let mut security = vec![(
            "security.protocol",
            options.kafka_security_protocol.text().to_owned(),
        )];
        if let Some(mechanism) = options.kafka_sasl_mechanism {
            security.push(("sasl.mechanism", mechanism.text().to_owned()));
        }
        if let Some(user) = &options.kafka_sasl_username {
            security.push(("sasl.username", user.clone()));
        }
        if let Some(password) = &options.kafka_sasl_password {
            security.push(("sasl.password", password.expose().to_owned()));
        }
        if let Some(file) = &options.kafka_ssl_ca_location {
            security.push(("ssl.ca.location", file.display().to_string()));
        }
        Self {
            brokers: options.kafka_brokers.to_string(),
            security,
        }
    }
}
