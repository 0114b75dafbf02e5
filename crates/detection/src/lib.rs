//! What is normal for every service, and what is not.
//!
//! One [`PartitionDetectors`] belongs to one Kafka partition. It is fed that partition's records in
//! order and answers with findings. Invariant: what it says is a pure function of those records: no
//! clock, no randomness, no I/O, so that a replay gives the same findings with the same identities.
//! Idle ticks only let it speak earlier. It can be taken down as bytes and go on from them.
//!
//! Its rooms stand upon each other, and a file uses only those below its own: `tests/rooms.rs` has their
//! order.

mod budget;
mod clock;
mod codec;
mod config;
mod episode;
mod family;
pub mod finding;
pub mod partition;
mod record;
mod service;
mod stat;
mod window;

pub use budget::Score;
pub use clock::is_clock;
pub use codec::{FORMAT, SnapshotError, compatibility};
pub use config::Config;
pub use finding::{Finding, Kind, Phase, SampleLine, Severity, Subject, Template};
pub use partition::{Moves, PartitionDetectors};
pub use record::{
    Arrival, BadRule, Lineage, MOST_RULES, Observation, Rule, Rules, Weight,
    time::{self, EventTime},
};
