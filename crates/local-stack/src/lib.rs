//! Runs the real parts without Docker: Apache Kafka, ClickHouse and the services, each a process.
//!
//! Invariant: nothing outlives its owner. Every part runs under a supervisor that ends it when the
//! owner is gone, also after `kill -9` ([`supervisor`]).
//!
//! ```no_run
//! # async fn example() -> Result<(), local_stack::StackError> {
//! use local_stack::{LocalStack, Service, StackConfig, progress};
//!
//! let config = StackConfig::on_free_ports("some/directory")?;
//! let stack = LocalStack::start(config, progress::silent()).await?;
//! let processor = stack.spawn_service(Service::new("anomaly-processor"))?;
//! processor.kill9().await;
//! processor.restart().await?;
//! stack.stop().await;
//! # Ok(())
//! # }
//! ```

pub mod binaries;
pub mod cache;
pub mod child;
pub mod clickhouse;
pub mod config;
pub mod error;
pub mod fetch;
mod ground;
pub mod kafka;
mod keeper;
pub mod log_tail;
pub mod ports;
pub mod progress;
mod ready;
mod reason;
pub mod requirements;
pub mod running;
pub mod service;
pub mod stack;
pub mod supervisor;

pub use child::{Child, Ending};
pub use clickhouse::ClickHouse;
pub use config::StackConfig;
pub use error::StackError;
pub use ground::in_use;
pub use kafka::{Kafka, KafkaSettings};
pub use ports::Ports;
pub use progress::{Event, Progress};
pub use running::Running;
pub use service::Service;
pub use stack::{LocalClickHouse, LocalKafka, LocalStack};
