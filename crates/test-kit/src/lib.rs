//! The real stack for tests: Kafka, ClickHouse and the services, each a process.
//!
//! A [`Stack`] is one Kafka and one ClickHouse. A [`Space`] is a stack's room for one test: topics,
//! consumer group and database of its own, so that tests share a stack and do not meet.
//!
//! Invariants: nothing waits for a length of time, only for a condition with a deadline
//! ([`wait::until`]); nothing that was started outlives the test.

mod http;
pub mod lines;
mod service;
mod signals;
mod space;
mod stack;
pub mod wait;
mod watcher;

pub use http::get;
pub use service::Running;
pub use signals::{Expected, Growth, Signals};
pub use space::{Counts, Message, Space, all_headers, header};
pub use stack::{Stack, program};
pub use watcher::{Received, Watcher};
