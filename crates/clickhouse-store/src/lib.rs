//! ClickHouse as Barograph uses it.
//!
//! Invariants: a batch of rows goes in as one request, one server block and one token ([`logs`]);
//! what to do about an error is decided by ClickHouse's number for it, in one table ([`error`]).

pub mod accounts;
pub mod anomalies;
mod asking;
pub mod audit;
pub mod client;
pub mod deadline;
pub mod dedup;
pub mod error;
mod interned;
pub mod log_rows;
pub mod logs;
pub mod migrate;
mod native;
pub mod questions;
pub mod snapshots;
pub mod templates;
mod typed;

pub use client::{Client, Target};
pub use dedup::{DedupWindow, dedup_window};
pub use error::Error;
pub use log_rows::{LogRow, LogRows};
pub use templates::TemplateNews;
