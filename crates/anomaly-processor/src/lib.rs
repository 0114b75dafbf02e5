//! The processor: consume → decode → detect → store → publish.
//!
//! Read it as `main` → [`options`] → [`run`] → `member` → [`consumer_loop`] → [`partition_task`] → `pipeline::writer`.

pub mod announce;
pub mod audit;
pub mod clock;
pub mod consumer_loop;
mod keeping;
mod member;
pub mod metrics;
pub mod options;
mod outside;
pub mod partition_state;
pub mod partition_task;
mod prerequisites;
pub mod rules;
pub mod run;
mod shorten;
pub mod sinks;
pub mod startup;
pub mod store;
