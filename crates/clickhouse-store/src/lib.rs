//! ClickHouse as Barograph uses it.
//!
//! Invariants: a block of rows goes in as one request, one server block and one token ([`logs`]);
//! what to do about an error is decided by ClickHouse's number for it, in one table ([`error`]).

pub mod anomalies;
pub mod client;
pub mod error;
pub mod log_rows;
pub mod logs;
pub mod migrate;
pub mod native;
pub mod questions;

pub use client::{Client, Target};
pub use error::Error;
pub use log_rows::{LogRow, LogRows};
