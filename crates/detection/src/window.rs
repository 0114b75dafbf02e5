//! Lines counted by time: in tumbling windows, and over the last seconds, sliding.

mod allowance;
mod beside;
mod counts;
mod open;
mod sliding;

pub(crate) use beside::Beside;
pub(crate) use counts::{MOST_QUIET, Window};
pub(crate) use open::{OtherWindows, Windows};
pub(crate) use sliding::{Recent, Slots};
