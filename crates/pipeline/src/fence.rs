//! Keeps a commit and a rebalance apart.
//!
//! The broker checks that a committer is a member of the group, not that it owns the partition: a
//! thread that was stalled while its partition went to another member is heard once the client has
//! rejoined. So an assignment has an epoch of ours, and the check of that epoch and the commit, until
//! the broker's answer, happen under one lock that whoever handles the rebalance takes too.
//!
//! Invariant: while a [`Pass`] is held, its assignment stands.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use crate::{Assignment, Epoch, Partition};

#[derive(Debug, Default)]
struct Epochs {
    standing: HashMap<Partition, Epoch>,
    last: u64,
}

/// Clones share one lock: one per member of a group. Commits of several partitions may be under way
/// together; a change of the assignment waits for all of them.
#[derive(Debug, Clone, Default)]
pub struct Fence(Arc<RwLock<Epochs>>);

/// Leave to commit for one assignment. Keep it until the broker has answered.
#[derive(Debug)]
#[must_use = "the fence stands open only while the pass is held"]
pub struct Pass {
    _held: OwnedRwLockReadGuard<Epochs>,
}

/// The assignment is over: stop, commit nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("partition {} is no longer assigned to this consumer", .0.partition)]
pub struct Fenced(pub Assignment);

impl Fence {
    pub async fn enter(&self, at: Assignment) -> Result<Pass, Fenced> {
        let held = Arc::clone(&self.0).read_owned().await;
        if held.standing.get(&at.partition) == Some(&at.epoch) {
            Ok(Pass { _held: held })
        } else {
            Err(Fenced(at))
        }
    }

    /// New epochs, also for partitions that have one: what went before is fenced.
    pub async fn admit(&self, partitions: &[Partition]) -> Vec<Assignment> {
        let mut epochs = self.0.write().await;
        let admit = |partition: &Partition| {
            epochs.last += 1;
            let epoch = Epoch(epochs.last);
            epochs.standing.insert(*partition, epoch);
            Assignment {
                partition: *partition,
                epoch,
            }
        };
        partitions.iter().map(admit).collect()
    }

    /// Waits for a commit that is under way; after it, none passes.
    pub async fn shut(&self, partitions: &[Partition]) {
        let mut epochs = self.0.write().await;
        for partition in partitions {
            epochs.standing.remove(partition);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_rebalance_waits_for_the_commit_under_way_and_stops_the_next() {
        let fence = Fence::default();
        let at = fence.admit(&[Partition(3)]).await[0];
        let pass = fence.enter(at).await.unwrap();
        let mut shutting = Box::pin(fence.shut(&[Partition(3)]));
        assert!(futures::poll!(&mut shutting).is_pending());
        drop(pass);
        shutting.await;
        assert_eq!(fence.enter(at).await.unwrap_err(), Fenced(at));
    }

    #[tokio::test]
    async fn a_new_assignment_fences_the_one_before() {
        let fence = Fence::default();
        let old = fence.admit(&[Partition(0)]).await[0];
        let new = fence.admit(&[Partition(0)]).await[0];
        assert!(fence.enter(old).await.is_err());
        assert!(fence.enter(new).await.is_ok());
    }
}
