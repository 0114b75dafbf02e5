//! Keeps a commit and a rebalance apart.
//!
//! The broker checks that a committer is a member of the group, not that it owns the partition: a
//! thread that was stalled while its partition went to another member is heard once the client has
//! rejoined. So an assignment has an epoch of ours, and the check of that epoch and the commit, until
//! the broker's answer, happen under a lock of the partition that whoever handles the rebalance takes too.
//!
//! Invariant: while a [`Pass`] is held, its assignment stands.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use crate::{Assignment, Epoch, Partition};

#[derive(Debug, Default)]
struct Epochs {
    standing: HashMap<Partition, Standing>,
    last: u64,
}

#[derive(Debug)]
struct Standing {
    epoch: Epoch,
    /// Commits under way hold it.
    passes: Arc<RwLock<()>>,
}

/// Clones share one: one per member of a group. Commits may be under way together; a change of the assignment
/// waits for those of the partitions that it is about.
#[derive(Debug, Clone, Default)]
pub struct Fence(Arc<Mutex<Epochs>>);

/// Leave to commit for one assignment. Keep it until the broker has answered.
#[derive(Debug)]
#[must_use = "the fence stands open only while the pass is held"]
pub struct Pass {
    _held: OwnedRwLockReadGuard<()>,
}

/// Nothing passes any more; what passed before may still be under way.
#[derive(Debug)]
#[must_use = "a commit may be under way until it is over"]
pub struct Shutting(Vec<Arc<RwLock<()>>>);

/// The assignment is over: stop, commit nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("partition {} is no longer assigned to this consumer", .0.partition)]
pub struct Fenced(pub Assignment);

impl Fence {
    pub async fn enter(&self, at: Assignment) -> Result<Pass, Fenced> {
        let held = self.passes(at)?.read_owned().await;
        // It may have been shut meanwhile.
        self.passes(at)?;
        Ok(Pass { _held: held })
    }

    fn passes(&self, at: Assignment) -> Result<Arc<RwLock<()>>, Fenced> {
        let epochs = self.epochs();
        let standing = epochs.standing.get(&at.partition);
        let standing = standing.filter(|standing| standing.epoch == at.epoch);
        standing.map_or(Err(Fenced(at)), |standing| Ok(Arc::clone(&standing.passes)))
    }

    /// New epochs, also for partitions that have one: what went before is fenced.
    pub async fn admit(&self, partitions: &[Partition]) -> Vec<Assignment> {
        self.shut(partitions).await;
        self.admit_at_once(partitions)
    }

    /// The same for partitions that have none.
    pub fn admit_at_once(&self, partitions: &[Partition]) -> Vec<Assignment> {
        let mut epochs = self.epochs();
        let admit = |partition: &Partition| {
            epochs.last += 1;
            let epoch = Epoch(epochs.last);
            let passes = Arc::default();
            let standing = Standing { epoch, passes };
            epochs.standing.insert(*partition, standing);
            Assignment {
                partition: *partition,
                epoch,
            }
        };
        partitions.iter().map(admit).collect()
    }

    /// Waits for a commit that is under way; after it, none passes.
    pub async fn shut(&self, partitions: &[Partition]) {
        for passes in self.begin_to_shut(partitions).0 {
            let _all = passes.write().await;
        }
    }

    /// From now on none passes. Whoever cannot wait as [`Self::shut`] does asks now and then whether it is over.
    pub fn begin_to_shut(&self, partitions: &[Partition]) -> Shutting {
        let mut epochs = self.epochs();
        let gone = partitions
            .iter()
            .filter_map(|partition| epochs.standing.remove(partition));
        Shutting(gone.map(|standing| standing.passes).collect())
    }

    /// Nobody commits in this moment.
    pub fn is_free(&self) -> bool {
        let epochs = self.epochs();
        let mut all = epochs.standing.values();
        all.all(|standing| standing.passes.try_write().is_ok())
    }

    /// A poisoned lock means that a thread died while it changed something; each change is whole.
    fn epochs(&self) -> MutexGuard<'_, Epochs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shutting {
    /// No commit that passed before is under way any more.
    pub fn is_over(&self) -> bool {
        self.0.iter().all(|passes| passes.try_write().is_ok())
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
    async fn who_cannot_wait_shuts_it_all_the_same_and_others_pass() {
        let fence = Fence::default();
        let [one, other] = fence.admit(&[Partition(1), Partition(2)]).await[..] else {
            panic!("two were admitted");
        };
        let pass = fence.enter(one).await.unwrap();
        let shutting = fence.begin_to_shut(&[Partition(1)]);
        assert!(!shutting.is_over());
        assert_eq!(fence.enter(one).await.unwrap_err(), Fenced(one));
        assert!(fence.enter(other).await.is_ok());
        // Whoever gives up waiting goes on, and waits for it no more.
        let next = fence.admit_at_once(&[Partition(1)])[0];
        assert!(fence.is_free() && fence.enter(next).await.is_ok());
        fence.shut(&[Partition(1)]).await;
        drop(pass);
        assert!(shutting.is_over());
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
