//! A window that closes, as the families see it.

use crate::{episode::Telling, finding::SampleLine, window::Window};

pub(super) struct Closing<'a> {
    pub(super) window: &'a Window,
    /// Whether a burst of errors was open when it closed.
    pub(super) was_bursting: bool,
    /// How many of its lines no burst of errors accounts for.
    pub(super) unexplained: u64,
    /// A line that the service wrote lately, for a drop, which has no lines of its own; and the offset of
    /// the last line in a closed window.
    pub(super) last_line: (Option<&'a SampleLine>, i64),
    pub(super) telling: Telling<'a>,
}
