//! How a record travels and when it is finished.
//!
//! The unit of everything is the Kafka partition. A partition's records are gathered into blocks;
//! a block is announced (its *intent* is committed), inserted, and only then complete. The ports
//! ([`ports`]) are traits, so that the same code runs against Kafka and ClickHouse and against a
//! simulation of both.
//!
//! Invariant: an offset is committed as done only when its row or dead letter is durable and every
//! anomaly it raised is acknowledged.

pub mod account;
pub mod backoff;
pub mod beginning;
pub mod block;
pub mod day;
pub mod fence;
pub mod gather;
pub mod incarnation;
pub mod intent;
pub mod ports;
pub mod position;
pub mod writer;

pub use account::{Account, Line};
pub use block::{Block, Hole, HoleReason, LaneId, Rows, Snapshot, Work};
pub use day::{Day, DayOf, Days};
pub use fence::Fence;
pub use gather::Limits;
pub use incarnation::Incarnation;
pub use intent::{Intent, Mark};
pub use position::{Assignment, Epoch, LeaderEpoch, NextOffset, Offset, Partition};
