//! ClickHouse, as the writers of the processor see it.

use clickhouse_store::{Client, LogRows, logs::LogStore, snapshots};
use pipeline::{
    Block, LaneId, Snapshot,
    ports::{Kind, RowStore, Snapshots, StoreError},
};

pub struct Store {
    pub logs: LogStore,
    pub client: Client,
    pub detection: detection::Config,
    /// Bytes; a larger state is not kept.
    pub largest_snapshot: usize,
}

impl RowStore<LogRows> for Store {
    async fn insert(&self, block: &Block<LogRows>) -> Result<(), StoreError> {
        self.logs.insert(block).await
    }

    async fn count(&self, block: &Block<LogRows>) -> Result<u64, StoreError> {
        self.logs.count(block).await
    }

    async fn repair(&self, block: &Block<LogRows>, round: u32) -> Result<u64, StoreError> {
        self.logs.repair(block, round).await
    }
}

impl Snapshots for Store {
    async fn keep(&self, id: LaneId, snapshot: Snapshot) -> Result<(), StoreError> {
        let size = snapshot.state.len();
        if size > self.largest_snapshot {
            return Err(StoreError {
                kind: Kind::Rejected,
                uncertain: false,
                message: format!(
                    "the detectors' state has {size} bytes and SNAPSHOT_MAX_BYTES is {}: raise it, or lower DETECTION_MAX_SERVICES",
                    self.largest_snapshot
                ),
            });
        }
        let row = snapshots::Snapshot {
            incarnation: id.incarnation.to_string(),
            partition: id.assignment.partition.0,
            next_offset: snapshot.next.raw(),
            compatibility: detection::compatibility(&self.detection),
            format: detection::FORMAT,
            state: snapshot.state,
        };
        Ok(snapshots::store(&self.client, &row).await?)
    }
}
