//! Keeps what is known of partitions in ClickHouse.
//!
//! Invariant: a whole that is made of changes is just the state that its maker asked for, or is not kept.

use std::{sync::Arc, time::Duration};

use clickhouse_store::{
    Client,
    snapshots::{self, Maker, Of},
};
use pipeline::{
    NextOffset, Snapshot, StateId, TaskId,
    ports::{Kind, StoreError},
    snapshot::Lost,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::partition_state::{self, Unusable};

const LONGEST_FOLD: Duration = Duration::from_mins(1);

#[derive(Clone)]
pub struct Keeping {
    client: Client,
    detection: detection::Config,
    mining: template_mining::Limits,
    /// Bytes; a larger state is not kept.
    largest: usize,
    /// A state in memory for each fold: one at a time, in the whole process.
    folding: Arc<Semaphore>,
}

#[derive(Debug, thiserror::Error)]
enum NotFolded {
    #[error(transparent)]
    Store(#[from] clickhouse_store::Error),
    #[error(transparent)]
    Unkept(#[from] StoreError),
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error("nothing is kept")]
    Nothing,
    #[error("it took longer than {LONGEST_FOLD:?}")]
    TooLong,
    #[error("the process is stopping")]
    Stopping,
}

impl Keeping {
    pub fn new(
        client: Client,
        detection: detection::Config,
        mining: template_mining::Limits,
        largest: usize,
    ) -> Self {
        Self {
            client,
            detection,
            mining,
            largest,
            folding: Arc::new(Semaphore::new(1)),
        }
    }

    pub(crate) async fn keep(&self, id: TaskId, snapshot: &Snapshot) -> Result<(), StoreError> {
        let size = snapshot.bytes.len();
        if size > self.largest {
            return Err(StoreError {
                kind: Kind::Rejected,
                uncertain: false,
                message: format!(
                    "what the detectors and the miner know has {size} bytes and SNAPSHOT_MAX_BYTES is {}: raise it, or lower DETECTION_MAX_SERVICES or PROCESSOR_MAX_TEMPLATES",
                    self.largest
                ),
            });
        }
        let maker = Maker {
            compatibility: detection::compatibility(&self.detection),
            format: partition_state::FORMAT,
        };
        Ok(snapshots::store(&self.client, &of(id), maker, snapshot).await?)
    }

    /// In the background, and `lost` is noted where it fails: then all is written by who knows it.
    pub(crate) fn fold(&self, id: TaskId, last: (NextOffset, StateId), lost: Lost) {
        let keeping = self.clone();
        tokio::spawn(async move {
            // All of a process may be due at once.
            let Ok(turn) = Arc::clone(&keeping.folding).acquire_owned().await else {
                return lost.note();
            };
            let folding = keeping.make_whole(id, last, turn);
            let folding = tokio::time::timeout(LONGEST_FOLD, folding).await;
            if let Err(error) = folding.unwrap_or(Err(NotFolded::TooLong)) {
                lost.note();
                tracing::warn!(partition = %id.assignment.partition, %error, "the detectors' changes were not made a whole; all of it is kept next");
            }
        });
    }

    async fn make_whole(
        &self,
        id: TaskId,
        (next, last): (NextOffset, StateId),
        turn: OwnedSemaphorePermit,
    ) -> Result<(), NotFolded> {
        let found = snapshots::newest_at_or_before(&self.client, &of(id), next).await?;
        let (whole, changes) = found.ok_or(NotFolded::Nothing)?;
        let (detection, mining) = (self.detection.clone(), self.mining);
        let folding = tokio::task::spawn_blocking(move || {
            let folded = partition_state::fold(&whole, &changes, last, detection, mining);
            // Also when nobody waits any more: the memory is taken until here.
            drop(turn);
            folded
        });
        let folded = folding.await.map_err(|_gone| NotFolded::Stopping)??;
        Ok(self.keep(id, &folded).await?)
    }
}

fn of(id: TaskId) -> Of {
    Of {
        incarnation: id.incarnation.to_string(),
        partition: id.assignment.partition.0,
    }
}
