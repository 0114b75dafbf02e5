//! What another process, or a stored byte, can see of Barograph.
//!
//! Invariant: nothing here does I/O, and nothing here depends on another crate of the workspace,
//! so that the wire changes only where it is meant to.

pub mod anomaly;
pub mod cursor;
pub mod dead_letter;
pub mod level;
pub mod log_record;
pub mod rest;
pub mod timestamp;
pub mod topics;
pub mod trace_context;
pub mod truth;
pub mod websocket;

#[cfg(test)]
mod typescript;

pub use anomaly::{Anomaly, Severity, State};
pub use cursor::Cursor;
pub use level::Level;
pub use timestamp::Timestamp;
pub use trace_context::TraceParent;
