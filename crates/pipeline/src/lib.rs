//! How a record travels and when it is finished.
//!
//! The unit of everything is the Kafka partition. A partition's records are gathered into batches;
//! a batch is announced (its *intent* is committed), inserted, and only then complete. The ports
//! ([`ports`]) are traits, so that the same code runs against Kafka and ClickHouse and against a
//! simulation of both.
//!
//! Invariant: an offset is committed as done only when its row or dead letter is durable and every
//! anomaly it raised is acknowledged.

pub mod account;
pub mod backoff;
pub mod batch;
pub mod batch_builder;
pub mod day;
pub mod fence;
#[cfg(test)]
mod fixture;
pub mod incarnation;
pub mod intent;
pub mod ports;
pub mod position;
pub mod resume;
pub mod snapshot;
pub mod writer;

pub use account::{Account, Line};
pub use batch::{Batch, Hole, HoleReason, Rows, TaskId, Work};
pub use batch_builder::Limits;
pub use day::{Day, DayOf, Days};
pub use fence::Fence;
pub use incarnation::Incarnation;
pub use intent::{Intent, Mark};
pub use position::{Assignment, Epoch, LeaderEpoch, NextOffset, Offset, Partition};
pub use snapshot::{Snapshot, StateId};
