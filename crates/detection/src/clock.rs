//! What moves time: of one service, and of the partition (ADR 012).

mod pace;
mod standing;

pub use pace::is_clock;
pub(crate) use pace::{Pace, Vote, tolerance};
pub(crate) use standing::{Move, SETTLED, Standing, near};
