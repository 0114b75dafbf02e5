//! ClickHouse, as the writers of the processor see it.

use std::{sync::Arc, time::Duration};

use clickhouse_store::{Client, LogRows, accounts, logs::LogStore};
use pipeline::{
    Batch, Days, Line, NextOffset, Snapshot, StateId, TaskId,
    ports::{Accounts, Kind, RowStore, Snapshots, Standing, StoreError},
    snapshot::Lost,
};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{audit::Books, keeping::Keeping};

/// Well below any lease.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Of one member of the group; all of a process send by the same leave.
pub struct Store {
    logs: LogStore,
    client: Client,
    keeping: Keeping,
    sending: Arc<Semaphore>,
    kibibytes: u32,
    books: Books,
}

impl Store {
    /// `sent_at_once`: bytes of records in batches that are sent at the same time. A batch that is
    /// sent is in memory twice: many small ones may be, of the large ones one.
    pub fn new(client: Client, keeping: Keeping, sent_at_once: usize, books: Books) -> Self {
        let kibibytes = u32::try_from(sent_at_once / 1024)
            .unwrap_or(u32::MAX)
            .max(1);
        Self {
            logs: LogStore::new(client.clone()),
            client,
            keeping,
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
            keeping: self.keeping.clone(),
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
        self.keeping.keep(id, &snapshot).await
    }

    fn fold(&self, id: TaskId, last: (NextOffset, StateId), lost: Lost) {
        self.keeping.fold(id, last, lost);
    }
}
