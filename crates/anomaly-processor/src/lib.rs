//! The processor: consume → decode → detect → store → publish.
//!
//! Read it as `main` → [`options`] → [`run`] → [`intake`] → `pipeline::writer`.

pub mod announce;
pub mod audit;
pub mod clock;
pub mod intake;
pub mod knowledge;
pub mod lane;
pub mod metrics;
pub mod options;
pub mod outlets;
mod outside;
mod prerequisites;
pub mod run;
mod shorten;
pub mod startup;
pub mod store;
