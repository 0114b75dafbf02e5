//! Snapshots as bytes.

mod bytes;
mod header;

pub(crate) use bytes::{Loaded, Reader, Section, Writer, sections};
pub(crate) use header::{BEHAVIOUR, open, seal};
pub use header::{FORMAT, SnapshotError, compatibility};
