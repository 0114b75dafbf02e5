//! Finds out where a newly assigned partition begins and what was known of it. Everything here
//! asks Kafka or ClickHouse and may take its time: it runs beside the poll loop.
//!
//! Invariant: detectors and miner begin either with exactly the state that every earlier record gave
//! them, or with one whose difference from that is counted and said.

use std::{future::Future, sync::Arc, time::Duration};

use clickhouse_store::{Client, questions, snapshots};
use detection::Config;
use kafka_io::{consumer::GroupConsumer, topic_id};
use pipeline::{
    Assignment, Incarnation, NextOffset, Offset, Partition, Snapshot,
    beginning::{Beginning, Known, Standing, Start, decide, standing},
    intent::BadIntent,
};
use service_kit::metrics::Label as _;
use template_mining::Limits;
use tokio::sync::Semaphore;

use crate::{
    knowledge::{Knowledge, MinerLost, Unusable},
    metrics::{Memory, Metrics},
    options::{OnGap, OnLostState},
};

const LIMIT: Duration = Duration::from_secs(10);
/// Snapshots looked at, newest first, until one can be used.
const MOST_TRIED: usize = 8;

/// What the start of a partition found.
pub struct Started {
    pub assignment: Assignment,
    pub incarnation: Incarnation,
    pub beginning: Beginning,
    /// The state before the record at `beginning.replay_from`.
    pub knowledge: Knowledge,
    /// Where the detectors' part of it comes from.
    pub memory: Memory,
    /// Snapshots that could not be used, or whose miner could not.
    pub unusable: Vec<Memory>,
    /// Records that were deleted before anybody read them.
    pub gap: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Kafka(#[from] kafka_io::Error),
    #[error("kafka: {0}")]
    Client(#[from] rdkafka::error::KafkaError),
    #[error(transparent)]
    Store(#[from] clickhouse_store::Error),
    #[error(transparent)]
    Intent(#[from] BadIntent),
    #[error("the topic was made anew in this moment")]
    MadeAnew,
    #[error("{0} records were deleted before they were read, and PROCESSOR_ON_GAP is stop")]
    Gap(i64),
    #[error(
        "what the detectors knew cannot be restored ({0}), and PROCESSOR_ON_LOST_STATE is stop: \
         run the version that wrote it, or set it to rebuild to learn anew from the records that are kept"
    )]
    LostState(&'static str),
}

/// What Kafka and the store say of a partition.
pub trait Places: Send + Sync + 'static {
    /// Which life the topic lives, and what Kafka knows of the partition.
    fn known(
        &self,
        partition: Partition,
    ) -> impl Future<Output = Result<(Incarnation, Known), StartError>> + Send;
    /// One past the highest stored offset of the partition in this life.
    fn stored(
        &self,
        incarnation: Incarnation,
        partition: Partition,
    ) -> impl Future<Output = Result<Option<NextOffset>, StartError>> + Send;
    /// The newest snapshot of a state before the record at `at_most`, or before an earlier one.
    fn snapshot(
        &self,
        incarnation: Incarnation,
        partition: Partition,
        at_most: NextOffset,
    ) -> impl Future<Output = Result<Option<Snapshot>, StartError>> + Send;
}

/// The real ones.
pub struct KafkaAndClickHouse {
    pub consumer: GroupConsumer,
    pub store: Client,
    pub group: String,
    /// Leave to ask Kafka, which blocks a thread.
    pub asking: Arc<Semaphore>,
}

impl Places for KafkaAndClickHouse {
    async fn known(&self, partition: Partition) -> Result<(Incarnation, Known), StartError> {
        let consumer = self.consumer.clone();
        let turn = Arc::clone(&self.asking).acquire_owned().await;
        let asked = tokio::task::spawn_blocking(move || {
            let topic_id = topic_id::fetch(consumer.client(), consumer.topic(), LIMIT)?;
            let committed = consumer.committed(partition, LIMIT)?;
            let (low, high) = consumer.watermarks(partition, LIMIT)?;
            let known = Known {
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

    async fn stored(
        &self,
        incarnation: Incarnation,
        partition: Partition,
    ) -> Result<Option<NextOffset>, StartError> {
        let next =
            questions::next_offset(&self.store, &incarnation.to_string(), partition.0).await?;
        Ok(next.map(|next| NextOffset::resume_at(Offset::new(next))))
    }

    async fn snapshot(
        &self,
        incarnation: Incarnation,
        partition: Partition,
        at_most: NextOffset,
    ) -> Result<Option<Snapshot>, StartError> {
        let incarnation = incarnation.to_string();
        let found =
            snapshots::newest_at_or_before(&self.store, &incarnation, partition.0, at_most.raw());
        Ok(found.await?.map(|found| Snapshot {
            next: NextOffset::resume_at(Offset::new(found.next_offset)),
            state: found.state,
        }))
    }
}

/// Where to begin, with what, and where that is from.
type Recalled = (Beginning, Knowledge, Memory);

/// What decides where to begin.
pub struct Starter<P> {
    pub places: P,
    pub start: Start,
    pub on_gap: OnGap,
    pub on_lost_state: OnLostState,
    pub replay_records: i64,
    pub detection: Config,
    pub mining: Limits,
}

impl<P: Places> Starter<P> {
    pub async fn start(&self, assignment: Assignment) -> Result<Started, StartError> {
        let partition = assignment.partition;
        let (incarnation, known) = self.places.known(partition).await?;
        let standing = standing(&known, incarnation)?;
        let stored = match standing {
            Standing::At { .. } => None,
            Standing::AskStore | Standing::SetByOthers { .. } => {
                self.places.stored(incarnation, partition).await?
            }
        };
        if let (Standing::SetByOthers { next }, Some(stored)) = (standing, stored) {
            tracing::error!(%partition, set_to = %next, going_on_from = %stored,
                "somebody else set the group's offset; rows are stored once all the same: work goes on behind what is stored (to skip records, delete them with kafka-delete-records)");
        }
        let was_here = stored.is_some() || matches!(standing, Standing::At { .. });
        let (beginning, gap) = decide(&known, standing, stored, self.start);
        if gap > 0 && self.on_gap == OnGap::Stop {
            return Err(StartError::Gap(gap));
        }
        let recalled = self.recall(assignment, incarnation, beginning, known.low);
        let (recalled, unusable) = recalled.await?;
        let (beginning, knowledge, memory) = recalled.unwrap_or_else(|| {
            let from = beginning
                .take_from
                .raw()
                .saturating_sub(self.replay_records);
            let beginning = beginning.replaying_from(from, known.low);
            let memory = if !was_here || beginning.replay_from.raw() == 0 {
                Memory::Whole
            } else {
                Memory::Rebuilt
            };
            let knowledge = Knowledge::none(self.detection.clone(), self.mining);
            (beginning, knowledge, memory)
        });
        if memory == Memory::Rebuilt && self.on_lost_state == OnLostState::Stop {
            let why = unusable.first().copied().unwrap_or(Memory::Missing);
            return Err(StartError::LostState(why.value()));
        }
        Ok(Started {
            assignment,
            incarnation,
            beginning,
            knowledge,
            memory,
            unusable,
            gap,
        })
    }

    /// The newest snapshot that can be used, restored; and why others could not.
    async fn recall(
        &self,
        assignment: Assignment,
        incarnation: Incarnation,
        beginning: Beginning,
        low: i64,
    ) -> Result<(Option<Recalled>, Vec<Memory>), StartError> {
        let mut unusable = Vec::new();
        let mut at_most = beginning.take_from;
        let partition = assignment.partition;
        for _ in 0..MOST_TRIED {
            let found = self
                .places
                .snapshot(incarnation, partition, at_most)
                .await?;
            let Some(Snapshot { next, state }) = found else {
                break;
            };
            at_most = NextOffset::resume_at(Offset::new(next.raw() - 1));
            if next.raw() < low && next < beginning.take_from {
                // Older ones are further away still.
                tracing::warn!(%partition, %next, low, "records after the detectors' snapshot are deleted");
                unusable.push(Memory::Overtaken);
                break;
            }
            match Knowledge::restore(&state, self.detection.clone(), self.mining) {
                Ok((knowledge, lost)) => {
                    if let Some(lost) = lost {
                        tracing::warn!(%partition, %next, why = %lost, "templates are mined anew: the snapshot's miner cannot be used");
                        unusable.push(why_mined_anew(&lost));
                    }
                    let beginning = beginning.replaying_from(next.raw(), low);
                    return Ok((Some((beginning, knowledge, Memory::Restored)), unusable));
                }
                Err(error) => {
                    tracing::warn!(%partition, %next, %error, "the detectors' snapshot cannot be used");
                    unusable.push(why(&error));
                }
            }
        }
        Ok((None, unusable))
    }
}

const fn why(error: &Unusable) -> Memory {
    use detection::SnapshotError;
    match error {
        Unusable::Damaged | Unusable::Detectors(SnapshotError::Unreadable { .. }) => {
            Memory::Unreadable
        }
        Unusable::Newer { .. } | Unusable::Detectors(SnapshotError::Newer { .. }) => Memory::Newer,
        Unusable::Detectors(
            SnapshotError::OtherBehaviour { .. } | SnapshotError::OtherConfig { .. },
        ) => Memory::Other,
    }
}

const fn why_mined_anew(lost: &MinerLost) -> Memory {
    use template_mining::SnapshotError;
    match lost {
        MinerLost::Absent => Memory::NoMiner,
        MinerLost::Unusable(SnapshotError::Unreadable { .. }) => Memory::MinerUnreadable,
        MinerLost::Unusable(SnapshotError::Newer { .. }) => Memory::MinerNewer,
        MinerLost::Unusable(SnapshotError::OtherBehaviour { .. }) => Memory::MinerOther,
    }
}

impl Started {
    /// Counts and says what was found.
    pub fn count(&self, metrics: &Metrics) {
        let partition = self.assignment.partition;
        if self.gap > 0 {
            tracing::error!(%partition, records = self.gap, "records were deleted before they were read");
            metrics.gaps.inc_by(self.gap.cast_unsigned());
        }
        for memory in self.unusable.iter().chain([&self.memory]) {
            metrics.memory.at(*memory).inc();
        }
        let Beginning {
            replay_from,
            take_from,
            announced_end,
        } = self.beginning;
        if self.memory == Memory::Rebuilt {
            if self.unusable.is_empty() {
                metrics.memory.at(Memory::Missing).inc();
            }
            tracing::warn!(%partition, records = take_from.raw() - replay_from.raw(),
                "what the detectors knew is lost; they learn anew from the last records (see docs/delivery.md)");
        }
        if announced_end.is_some() {
            metrics.intents_found.inc();
        }
        tracing::info!(
            %partition, incarnation = %self.incarnation, %replay_from, %take_from,
            announced = announced_end.is_some(), memory = self.memory.value(), "partition begins"
        );
    }
}
