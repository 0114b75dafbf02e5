//! What several crates need and none of them owns.
//!
//! Invariant: pure functions of their arguments; no dependency, no type of anybody's.

pub mod escapes;
pub mod splitmix;
pub mod varint;
