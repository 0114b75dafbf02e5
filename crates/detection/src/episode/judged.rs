//! What was judged together, for the memory of where an episode was worst.

use crate::{
    codec::{Loaded, Reader, Writer},
    finding::Kind,
    record::time::EventTime,
};

/// Lines and errors, where they begin, and where they end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judged {
    pub(crate) from: EventTime,
    pub(crate) to: EventTime,
    pub(crate) records: u64,
    pub(crate) errors: u64,
    /// What is held against what was expected.
    pub(crate) observed: f64,
    /// What tells which is the worst, in the kind's direction.
    pub(crate) level: f64,
}

impl Judged {
    pub(super) fn is_as_bad_as(&self, worst: &Self, kind: Kind) -> bool {
        if kind.is_up() {
            self.level >= worst.level
        } else {
            self.level <= worst.level
        }
    }

    pub(super) fn save(&self, to: &mut Writer) {
        to.moment(self.from);
        to.moment(self.to);
        to.u64(self.records);
        to.u64(self.errors);
        to.f64(self.observed);
        to.f64(self.level);
    }

    pub(super) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let judged = Self {
            from: from.moment()?,
            to: from.moment()?,
            records: from.count()?,
            errors: from.count()?,
            observed: from.amount()?,
            level: from.amount()?,
        };
        if judged.to < judged.from {
            return Err("a span that ends before it begins");
        }
        Ok(judged)
    }
}
