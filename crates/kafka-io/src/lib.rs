//! Kafka as Barograph uses it.
//!
//! Invariants: no commit passes the fence of its assignment ([`consumer`]); no message is given up
//! without its sender hearing of it ([`producer`]); a topic is known by its id, not by its name
//! alone ([`topic_id`]).

pub mod connection;
pub mod consumer;
pub mod dead_letters;
pub mod headers;
pub mod insist;
pub mod kept;
mod leader_epoch;
mod message;
pub mod partitioner;
pub mod probe;
pub mod producer;
pub mod reader;
mod received;
pub mod refusal;
pub mod set_aside;
pub mod topic_id;
pub mod topics;
pub mod witness;

pub use connection::Connection;

/// What went wrong with Kafka.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("kafka at {brokers}: {source}")]
    Client {
        brokers: String,
        source: rdkafka::error::KafkaError,
    },
    #[error("a thread of a kafka client cannot be started: {0}")]
    Thread(std::io::Error),
    #[error("kafka topic {topic} does not exist")]
    Missing { topic: String },
    #[error("kafka topic {topic}: {reason}")]
    Topic { topic: String, reason: String },
}
