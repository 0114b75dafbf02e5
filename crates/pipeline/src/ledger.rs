//! Decides which offset of a partition may be committed.
//!
//! Invariant: [`PartitionLedger::committable`] never passes an observed record that is still open.
//! Offsets that Kafka never delivers (compaction, transaction markers) do not hold it back.

use std::collections::VecDeque;

use crate::{NextOffset, Offset};

/// One assignment of one partition. Made when the partition is assigned, dropped when it goes.
#[derive(Debug, Clone)]
pub struct PartitionLedger {
    /// Ranges of observed offsets, in order, not overlapping: `[first, end)`, and whether finished.
    /// Records arrive in order and finish in blocks, so that there are as many ranges as blocks.
    ranges: VecDeque<Range>,
    committable: NextOffset,
    newest: NextOffset,
}

#[derive(Debug, Clone, Copy)]
struct Range {
    first: i64,
    end: i64,
    done: bool,
}

impl PartitionLedger {
    pub fn resuming_at(resume: NextOffset) -> Self {
        Self {
            ranges: VecDeque::new(),
            committable: resume,
            newest: resume,
        }
    }

    /// The records from `first` up to `end` are on their way. Must not go back.
    pub fn observe(&mut self, first: Offset, end: NextOffset) {
        debug_assert!(first.raw() >= self.newest.raw() && end.raw() > first.raw());
        self.ranges.push_back(Range {
            first: first.raw(),
            end: end.raw(),
            done: false,
        });
        self.newest = end;
    }

    /// The range that begins at `first`, as it was observed, is finished. `false` if there is none.
    pub fn complete(&mut self, first: Offset) -> bool {
        let Ok(at) = self
            .ranges
            .binary_search_by_key(&first.raw(), |range| range.first)
        else {
            return false;
        };
        let fresh = !self.ranges[at].done;
        self.ranges[at].done = true;
        while self.ranges.front().is_some_and(|range| range.done) {
            if let Some(range) = self.ranges.pop_front() {
                self.committable = NextOffset::resume_at(Offset::new(range.end));
            }
        }
        fresh
    }

    /// Everything before this is finished.
    pub fn committable(&self) -> NextOffset {
        self.committable
    }

    /// One past the newest record that was observed.
    pub fn newest(&self) -> NextOffset {
        self.newest
    }

    /// Offsets on their way.
    pub fn open(&self) -> i64 {
        self.ranges
            .iter()
            .filter(|range| !range.done)
            .map(|range| range.end - range.first)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against the naive model of the open set: would catch a later success that passes an
        /// earlier failure, and a hang at offsets that never come.
        #[test]
        fn agrees_with_a_set_of_open_offsets(
            lengths in prop::collection::vec((1_i64..5, 0_i64..3), 1..20),
            order in any::<prop::sample::Index>().prop_flat_map(|_| prop::collection::vec(any::<prop::sample::Index>(), 0..40)),
            start in 0_i64..1000,
        ) {
            let mut ledger = PartitionLedger::resuming_at(NextOffset::resume_at(Offset::new(start)));
            let mut open = BTreeSet::new();
            let mut ranges = Vec::new();
            let mut at = start;
            for (length, hole) in lengths {
                let first = at + hole;
                ledger.observe(Offset::new(first), Offset::new(first + length - 1).next());
                open.extend(first..first + length);
                ranges.push((first, length));
                at = first + length;
            }
            for pick in order {
                let (first, length) = ranges[pick.index(ranges.len())];
                let was_open = open.contains(&first);
                prop_assert_eq!(ledger.complete(Offset::new(first)), was_open);
                for offset in first..first + length {
                    open.remove(&offset);
                }
                if let Some(oldest) = open.first() {
                    prop_assert!(ledger.committable().raw() <= *oldest);
                } else {
                    prop_assert_eq!(ledger.committable(), ledger.newest());
                }
                prop_assert_eq!(ledger.open(), open.len() as i64);
            }
        }
    }

    #[test]
    fn completing_what_was_never_observed_changes_nothing() {
        let mut ledger = PartitionLedger::resuming_at(NextOffset::resume_at(Offset::new(5)));
        ledger.observe(Offset::new(5), Offset::new(9).next());
        assert!(!ledger.complete(Offset::new(6)));
        assert_eq!(ledger.committable().raw(), 5);
    }
}
