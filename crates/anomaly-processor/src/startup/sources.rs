//! What a start asks of Kafka and of ClickHouse.

use std::{future::Future, sync::Arc, time::Duration};

use clickhouse_store::{
    Client,
    accounts::{self, Life},
    snapshots,
};
use kafka_io::{consumer::GroupConsumer, topic_id, witness::Witness};
use pipeline::{
    Day, Incarnation, LeaderEpoch, NextOffset, Offset, Partition, Snapshot,
    resume::{Accounted, KafkaState},
};
use tokio::sync::Semaphore;

use super::StartError;

const LIMIT: Duration = Duration::from_secs(10);

/// What Kafka and the store say of a partition.
pub trait RecoverySources: Send + Sync + 'static {
    /// Which incarnation the topic is, and what Kafka knows of the partition.
    fn known(
        &self,
        partition: Partition,
    ) -> impl Future<Output = Result<(Incarnation, KafkaState), StartError>> + Send;
    /// The newest life of the partition's log; `None`: it is the first.
    fn life(
        &self,
        topic: Incarnation,
        partition: Partition,
    ) -> impl Future<Output = Result<Option<Life>, StartError>> + Send;
    /// From now on the partition lives this life.
    fn begin_life(
        &self,
        topic: Incarnation,
        partition: Partition,
        life: Life,
    ) -> impl Future<Output = Result<(), StartError>> + Send;
    /// The first record at or past the offset, and who wrote it.
    fn record_at(
        &self,
        partition: Partition,
        offset: Offset,
    ) -> impl Future<Output = Result<Option<(Offset, LeaderEpoch)>, StartError>> + Send;
    /// How far the account of the partition goes in this life.
    fn accounted(
        &self,
        incarnation: Incarnation,
        partition: Partition,
    ) -> impl Future<Output = Result<Option<Accounted>, StartError>> + Send;
    /// One past the highest offset from `from` on that is stored in this life since that day, and how many
    /// are below `below`.
    fn stored(
        &self,
        incarnation: Incarnation,
        partition: Partition,
        from: NextOffset,
        below: NextOffset,
        since: Day,
    ) -> impl Future<Output = Result<(Option<NextOffset>, u64), StartError>> + Send;
    /// The newest whole of a state before the record at `at_most`, or before an earlier one, and the changes
    /// that lead on from it to one that is not past `at_most`.
    fn snapshot(
        &self,
        incarnation: Incarnation,
        partition: Partition,
        at_most: NextOffset,
    ) -> impl Future<Output = Result<Option<(Snapshot, Vec<Snapshot>)>, StartError>> + Send;
}

/// The real ones.
pub struct KafkaAndClickHouse {
    pub consumer: GroupConsumer,
    pub store: Client,
    pub group: String,
    /// Leave to ask Kafka, which blocks a thread.
    pub asking: Arc<Semaphore>,
    pub witness: Arc<Witness>,
}

impl RecoverySources for KafkaAndClickHouse {
    async fn known(&self, partition: Partition) -> Result<(Incarnation, KafkaState), StartError> {
        let consumer = self.consumer.clone();
        let turn = Arc::clone(&self.asking).acquire_owned().await;
        let asked = tokio::task::spawn_blocking(move || {
            let topic_id = topic_id::fetch(consumer.client(), consumer.topic(), LIMIT)?;
            let committed = consumer.committed(partition, LIMIT)?;
            let (low, high) = consumer.watermarks(partition, LIMIT)?;
            let known = KafkaState {
                committed: committed.map(|committed| (committed.next, committed.metadata)),
                low,
                high,
            };
            // What was said between two lives of the topic fits neither.
            if topic_id::fetch(consumer.client(), consumer.topic(), LIMIT)? != topic_id {
                return Err(StartError::MadeAnew);
            }
            // Also when nobody waits for the answer any more: the thread is taken until here.
            drop(turn);
            Ok::<_, StartError>((topic_id, known))
        });
        let (topic_id, known) = asked
            .await
            .map_err(|_| StartError::Client(rdkafka::error::KafkaError::Canceled))??;
        Ok((Incarnation::of(topic_id, &self.group), known))
    }

    async fn life(
        &self,
        topic: Incarnation,
        partition: Partition,
    ) -> Result<Option<Life>, StartError> {
        Ok(accounts::life(&self.store, &topic.to_string(), partition.0).await?)
    }

    async fn begin_life(
        &self,
        topic: Incarnation,
        partition: Partition,
        life: Life,
    ) -> Result<(), StartError> {
        Ok(accounts::begin_life(&self.store, &topic.to_string(), partition.0, life).await?)
    }

    async fn record_at(
        &self,
        partition: Partition,
        offset: Offset,
    ) -> Result<Option<(Offset, LeaderEpoch)>, StartError> {
        let witness = Arc::clone(&self.witness);
        let turn = Arc::clone(&self.asking).acquire_owned().await;
        let looking = tokio::task::spawn_blocking(move || {
            let found = witness.record_at(partition, offset, LIMIT);
            // Also when nobody waits for the answer any more.
            drop(turn);
            found
        });
        Ok(looking
            .await
            .map_err(|_| StartError::Client(rdkafka::error::KafkaError::Canceled))??)
    }

    async fn accounted(
        &self,
        incarnation: Incarnation,
        partition: Partition,
    ) -> Result<Option<Accounted>, StartError> {
        Ok(accounts::accounted(&self.store, &incarnation.to_string(), partition.0).await?)
    }

    async fn stored(
        &self,
        incarnation: Incarnation,
        partition: Partition,
        from: NextOffset,
        below: NextOffset,
        since: Day,
    ) -> Result<(Option<NextOffset>, u64), StartError> {
        let range = (from.raw(), below.raw());
        let incarnation = incarnation.to_string();
        let asked = accounts::stored(&self.store, &incarnation, partition.0, range, since);
        let (next, rows) = asked.await?;
        Ok((
            next.map(|next| NextOffset::resume_at(Offset::new(next))),
            rows,
        ))
    }

    async fn snapshot(
        &self,
        incarnation: Incarnation,
        partition: Partition,
        at_most: NextOffset,
    ) -> Result<Option<(Snapshot, Vec<Snapshot>)>, StartError> {
        let of = snapshots::Of {
            incarnation: incarnation.to_string(),
            partition: partition.0,
        };
        Ok(snapshots::newest_at_or_before(&self.store, &of, at_most).await?)
    }
}
