//! ClickHouse, as the writers of the processor see it.

use std::{sync::Arc, time::Duration};

use clickhouse_store::{Client, LogRows, accounts, logs::LogStore, snapshots};
use pipeline::{
    Batch, Days, Line, Snapshot, TaskId,
    ports::{Accounts, Kind, RowStore, Snapshots, Standing, StoreError},
};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{audit::Books, partition_state};

/// Well below any lease.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Of one member of the group; all of a process send by the same leave.
pub struct Store {
    logs: LogStore,
    client: Client,
    detection: detection::Config,
    /// Bytes; a larger state is not kept.
    largest_snapshot: usize,
    sending: Arc<Semaphore>,
    kibibytes: u32,
    books: Books,
}

impl Store {
    /// `sent_at_once`: bytes of records in batches that are sent at the same time. A batch that is
    /// sent is in memory twice: many small ones may be, of the large ones one.
    pub fn new(
        client: Client,
        detection: detection::Config,
        largest_snapshot: usize,
        sent_at_once: usize,
        books: Books,
    ) -> Self {
        let kibibytes = u32::try_from(sent_at_once / 1024)
            .unwrap_or(u32::MAX)
            .max(1);
        Self {
            logs: LogStore::new(client.clone()),
            client,
            detection,
            largest_snapshot,
            sending: Arc::new(Semaphore::new(kibibytes as usize)),
            kibibytes,
            books,
        }
    }

    /// For this member.
    #[must_use]
    pub fn of_member(&self, member: usize) -> Self {
        Self {
            logs: self.logs.clone(),
            client: self.client.clone(),
            detection: self.detection.clone(),
            sending: Arc::clone(&self.sending),
            books: self.books.of_member(member),
            ..*self
        }
    }

    /// Not for ever: who has waited long has to prove again that the partition is still ours.
    async fn turn(&self, bytes: usize) -> Result<SemaphorePermit<'_>, StoreError> {
        let wanted = u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
        let acquiring = self.sending.acquire_many(wanted.clamp(1, self.kibibytes));
        let turn = tokio::time::timeout(LONGEST_WAIT, acquiring).await;
        turn.ok().and_then(Result::ok).ok_or_else(|| StoreError {
            kind: Kind::Transient,
            uncertain: false,
            message: "other batches are still being sent".to_owned(),
        })
    }
}

impl RowStore<LogRows> for Store {
    async fn prepare(&self, batch: &Batch<LogRows>) -> Result<(), StoreError> {
        self.logs.prepare(batch).await
    }

    async fn insert(&self, batch: &Batch<LogRows>, days: Days) -> Result<(), StoreError> {
        let _turn = self.turn(batch.bytes).await?;
        self.logs.insert(batch, days).await
    }

    async fn count(&self, batch: &Batch<LogRows>, days: Days) -> Result<u64, StoreError> {
        self.logs.count(batch, days).await
    }

    async fn repair(
        &self,
        batch: &Batch<LogRows>,
        days: Days,
        round: u32,
    ) -> Result<u64, StoreError> {
        let _turn = self.turn(batch.bytes).await?;
        self.logs.repair(batch, days, round).await
    }
}

impl Accounts for Store {
    async fn keep_account(&self, id: TaskId, lines: &[Line]) -> Result<(), StoreError> {
        let incarnation = id.incarnation.to_string();
        let partition = id.assignment.partition.0;
        Ok(accounts::keep(&self.client, &incarnation, partition, lines).await?)
    }

    fn stands(&self, id: TaskId, standing: Option<Standing>) {
        self.books.note(id, standing);
    }
}

impl Snapshots for Store {
    async fn keep(&self, id: TaskId, snapshot: Snapshot) -> Result<(), StoreError> {
        let size = snapshot.state.len();
        if size > self.largest_snapshot {
            return Err(StoreError {
                kind: Kind::Rejected,
                uncertain: false,
                message: format!(
                    "what the detectors and the miner know has {size} bytes and SNAPSHOT_MAX_BYTES is {}: raise it, or lower DETECTION_MAX_SERVICES or PROCESSOR_MAX_TEMPLATES",
                    self.largest_snapshot
                ),
            });
        }
        let row = snapshots::Snapshot {
            incarnation: id.incarnation.to_string(),
            partition: id.assignment.partition.0,
            next_offset: snapshot.next.raw(),
            compatibility: detection::compatibility(&self.detection),
            format: partition_state::FORMAT,
            state: snapshot.state,
        };
        Ok(snapshots::store(&self.client, &row).await?)
    }
}
