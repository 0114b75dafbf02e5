//! What several tests make batches of.

use crate::{NextOffset, Offset, Rows};

/// Rows that are nothing but their offsets.
#[derive(Debug, Default)]
pub(crate) struct Offsets(pub(crate) Vec<i64>);

impl Rows for Offsets {
    fn count(&self) -> usize {
        self.0.len()
    }
    fn offset_of(&self, at: usize) -> Offset {
        Offset::new(self.0[at])
    }
    fn split(mut self, at: usize) -> (Self, Self) {
        let others = self.0.split_off(at);
        (self, Self(others))
    }
}

pub(crate) fn at(raw: i64) -> NextOffset {
    NextOffset::resume_at(Offset::new(raw))
}
