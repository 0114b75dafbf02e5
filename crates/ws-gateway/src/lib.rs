//! The gateway: anomalies from Kafka to everybody who watches.
//!
//! One task reads the topic into one bounded log ([`log`]); a client is an index into that log and a
//! filter ([`session`]), so that a thousand clients cost a thousand indexes and one copy of each frame.
//! Of these, an anomaly wakes only those whose filter it matches.
//!
//! Invariants: a client that comes back with its last cursor misses nothing and gets nothing twice,
//! or is told how much is gone; a client that does not read is told what it missed, and costs the
//! others nothing.

pub mod app;
pub mod assets;
pub mod cached;
pub mod clients;
pub mod filter;
pub mod health;
pub mod log;
pub mod metrics;
pub mod options;
pub mod origin;
pub mod page;
pub mod query;
pub mod reader;
pub mod refusal;
pub mod rest;
pub mod run;
pub mod server;
pub mod session;
pub mod sse;
pub mod stored;
pub mod survey;
pub mod turns;
pub mod ws;

pub use options::Options;

#[cfg(test)]
#[path = "../tests/support/anomalies.rs"]
mod anomalies;
