//! What is known of a partition, kept as a whole now and then and as changes in between.
//!
//! Invariant: changes say which state they change, and are applied to no other, whoever wrote them and
//! in whatever order they arrived.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{NextOffset, batch::Acknowledgement};

/// Which state, by what it was made of: the bytes of a whole and of all changes since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateId(pub u64);

/// What is known of a partition after all records below `next`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub next: NextOffset,
    pub id: StateId,
    /// The bytes are what has changed since that state; `None`: they are all of it.
    pub since: Option<StateId>,
    pub bytes: Vec<u8>,
}

/// Those of `changes` that lead on from `id`, one from the other, to the last one that any do. They come by
/// their offsets, ascending.
pub fn linked(id: StateId, changes: Vec<Snapshot>) -> Vec<Snapshot> {
    // Several may change one state: of an owner that stopped there, or had lost the partition.
    let mut reached = BTreeSet::from([id]);
    let mut newest = id;
    for change in &changes {
        if change.since.is_some_and(|since| reached.contains(&since)) {
            reached.insert(change.id);
            newest = change.id;
        }
    }
    let mut chain: Vec<Snapshot> = Vec::new();
    for change in changes.into_iter().rev() {
        if newest != id
            && change.id == newest
            && change.since.is_some_and(|since| reached.contains(&since))
        {
            newest = change.since.unwrap_or(id);
            chain.push(change);
        }
    }
    chain.reverse();
    chain
}

/// A snapshot on its way to the store.
#[derive(Debug)]
pub struct Keep {
    pub snapshot: Snapshot,
    /// What else it takes for told.
    pub acknowledgements: Vec<Acknowledgement>,
    /// There are many changes since the last whole: make one of it all.
    pub fold: bool,
    pub lost: Lost,
}

/// Somebody's snapshots are not all kept: those that follow have nothing to change.
#[derive(Debug, Clone, Default)]
pub struct Lost(Arc<AtomicBool>);

impl Lost {
    pub fn note(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was noted since somebody asked.
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Offset;

    fn changes(next: i64, since: u64, id: u64) -> Snapshot {
        Snapshot {
            next: NextOffset::resume_at(Offset::new(next)),
            id: StateId(id),
            since: Some(StateId(since)),
            bytes: Vec::new(),
        }
    }

    #[test]
    fn only_changes_of_just_that_state_are_applied_to_it() {
        let all = vec![
            changes(10, 1, 2),
            // Of somebody who knew something else.
            changes(12, 7, 8),
            // Of an owner that came no further.
            changes(15, 2, 4),
            changes(20, 2, 3),
            // What lies between is lost.
            changes(40, 5, 6),
        ];
        let ids = |id| -> Vec<u64> {
            let linked = linked(StateId(id), all.clone());
            linked.iter().map(|change| change.id.0).collect()
        };
        assert_eq!(ids(1), [2, 3]);
        assert_eq!(ids(4), [0_u64; 0]);
        assert_eq!(ids(7), [8]);
        assert_eq!(ids(3), [0_u64; 0]);
    }
}
