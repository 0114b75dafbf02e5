//! A member of a consumer group whose commits are fenced.
//!
//! Invariants:
//! - a partition is assigned paused; nothing is delivered until [`GroupConsumer::start_at`];
//! - the check of an assignment's epoch and its commit, until the broker's answer, happen under the
//!   lock that the rebalance callback takes too: a commit can't slip in after the partition went;
//! - the callback does nothing but bump epochs and note what happened.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use pipeline::{
    Assignment, Epoch, Intent, NextOffset, Offset, Partition,
    ports::{CommitError, Commits},
};
use rdkafka::{
    ClientContext, Offset as KafkaOffset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
    types::RDKafkaRespErr,
};

use crate::{Connection, Error};

/// How to be a member.
#[derive(Debug, Clone)]
pub struct Membership {
    pub topic: String,
    pub group: String,
    pub session_timeout: Duration,
    /// `cooperative-sticky`, `range` or `roundrobin`; ignored by `group.protocol=consumer`.
    pub assignor: String,
    /// `classic` or `consumer` (KIP-848).
    pub protocol: String,
}

/// What the group decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Assigned(Vec<Assignment>),
    /// `lost`: somebody else may own them already.
    Revoked {
        partitions: Vec<Partition>,
        lost: bool,
    },
}

#[derive(Default)]
struct Fence {
    epochs: HashMap<Partition, Epoch>,
    lags: HashMap<Partition, i64>,
    last: u64,
    changes: VecDeque<Change>,
}

/// The rebalance callback.
pub struct Fencing {
    fence: Mutex<Fence>,
}

impl Fencing {
    /// A poisoned lock means that a thread died between check and commit; the fence itself is whole.
    fn lock(&self) -> MutexGuard<'_, Fence> {
        self.fence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Fencing {
    fn error(&self, error: KafkaError, reason: &str) {
        // Each of these comes out of `poll` too, where it is dealt with.
        tracing::debug!(%error, reason, "librdkafka");
    }

    fn stats(&self, statistics: rdkafka::Statistics) {
        let lags = statistics
            .topics
            .values()
            .flat_map(|topic| topic.partitions.values())
            .filter(|partition| partition.consumer_lag >= 0)
            .map(|partition| (Partition(partition.partition), partition.consumer_lag))
            .collect();
        self.lock().lags = lags;
    }
}

impl ConsumerContext for Fencing {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let incremental = matches!(
            consumer.rebalance_protocol(),
            RebalanceProtocol::Cooperative
        );
        let outcome = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assign(consumer, list, incremental)
        } else {
            // Revoked, or an error of the rebalance itself, after which nothing is ours.
            self.revoke(consumer, list, incremental)
        };
        if let Err(error) = outcome {
            tracing::error!(%error, "rebalance");
        }
    }

    fn main_queue_min_poll_interval(&self) -> rdkafka::util::Timeout {
        Duration::from_millis(50).into()
    }
}

impl Fencing {
    /// From the beginning, and paused: where a partition really begins is found out afterwards, and
    /// a seek needs a partition that has some place already.
    fn assign(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &mut TopicPartitionList,
        incremental: bool,
    ) -> Result<(), KafkaError> {
        list.set_all_offsets(KafkaOffset::Beginning)?;
        if incremental {
            consumer.incremental_assign(list)?;
        } else {
            consumer.assign(list)?;
        }
        consumer.pause(list)?;
        let mut fence = self.lock();
        let assigned = partitions_of(list)
            .into_iter()
            .map(|partition| {
                fence.last += 1;
                let epoch = Epoch(fence.last);
                fence.epochs.insert(partition, epoch);
                Assignment { partition, epoch }
            })
            .collect();
        fence.changes.push_back(Change::Assigned(assigned));
        Ok(())
    }

    fn revoke(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
        incremental: bool,
    ) -> Result<(), KafkaError> {
        let lost = consumer.assignment_lost();
        let partitions = partitions_of(list);
        let mut fence = self.lock();
        for partition in &partitions {
            fence.epochs.remove(partition);
        }
        fence
            .changes
            .push_back(Change::Revoked { partitions, lost });
        drop(fence);
        if incremental {
            consumer.incremental_unassign(list)
        } else {
            consumer.unassign()
        }
    }
}

fn partitions_of(list: &TopicPartitionList) -> Vec<Partition> {
    list.elements()
        .iter()
        .map(|element| Partition(element.partition()))
        .collect()
}

/// What the group remembers of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub next: NextOffset,
    pub metadata: String,
}

/// What a poll brought.
pub enum Polled<'a> {
    Record(BorrowedMessage<'a>),
    /// The end of a partition was reached.
    End(Partition),
    Nothing,
    Failed(KafkaError),
}

#[derive(Clone)]
pub struct GroupConsumer {
    inner: Arc<BaseConsumer<Fencing>>,
    topic: Arc<str>,
}

impl GroupConsumer {
    pub fn join(connection: &Connection, membership: &Membership) -> Result<Self, Error> {
        let mut config = connection.config();
        config
            .set("group.id", &membership.group)
            .set("group.protocol", &membership.protocol)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // Where to begin is decided by us, with the store's help; librdkafka must not guess.
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            // At its default of a second, a fast consumer stalls now and then.
            .set("fetch.queue.backoff.ms", "2")
            .set("fetch.wait.max.ms", "50")
            .set("queued.max.messages.kbytes", "65536")
            .set("max.partition.fetch.bytes", "8388608")
            .set("fetch.max.bytes", "67108864")
            .set("receive.message.max.bytes", "100000000")
            .set("statistics.interval.ms", "2000");
        if membership.protocol == "classic" {
            config
                .set("partition.assignment.strategy", &membership.assignor)
                .set(
                    "session.timeout.ms",
                    membership.session_timeout.as_millis().to_string(),
                )
                .set(
                    "heartbeat.interval.ms",
                    (membership.session_timeout.as_millis() / 4).to_string(),
                );
        }
        let consumer: BaseConsumer<Fencing> = config
            .create_with_context(Fencing {
                fence: Mutex::new(Fence::default()),
            })
            .map_err(|source| connection.error(source))?;
        consumer
            .subscribe(&[&membership.topic])
            .map_err(|source| connection.error(source))?;
        Ok(Self {
            inner: Arc::new(consumer),
            topic: membership.topic.as_str().into(),
        })
    }

    /// Must be called often, from one thread: rebalances happen inside.
    pub fn poll(&self, wait: Duration) -> Polled<'_> {
        match self.inner.poll(wait) {
            None => Polled::Nothing,
            Some(Ok(message)) => Polled::Record(message),
            Some(Err(KafkaError::PartitionEOF(partition))) => Polled::End(Partition(partition)),
            Some(Err(error)) => Polled::Failed(error),
        }
    }

    /// What the group decided since the last call, oldest first.
    pub fn changes(&self) -> VecDeque<Change> {
        std::mem::take(&mut self.inner.context().lock().changes)
    }

    /// Records between what was committed and the end, by partition; at most two seconds old.
    pub fn lags(&self) -> HashMap<Partition, i64> {
        self.inner.context().lock().lags.clone()
    }

    /// Whether a broker answers within `limit`.
    pub fn is_answered(&self, limit: Duration) -> bool {
        self.inner.fetch_metadata(Some(&self.topic), limit).is_ok()
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    pub fn client(&self) -> &BaseConsumer<Fencing> {
        &self.inner
    }

    /// Seeks a paused partition and lets it flow.
    pub fn start_at(
        &self,
        partition: Partition,
        next: NextOffset,
        limit: Duration,
    ) -> Result<(), KafkaError> {
        let deadline = Instant::now() + limit;
        let offset = KafkaOffset::Offset(next.raw());
        // Right after an assignment the partition may not be ready for a seek yet.
        while let Err(error) =
            self.inner
                .seek(&self.topic, partition.0, offset, Duration::from_secs(1))
        {
            if Instant::now() >= deadline {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.resume(partition)
    }

    pub fn pause(&self, partition: Partition) -> Result<(), KafkaError> {
        self.inner.pause(&self.list(partition))
    }

    pub fn resume(&self, partition: Partition) -> Result<(), KafkaError> {
        self.inner.resume(&self.list(partition))
    }

    /// Asks the group's coordinator. Blocks up to `limit`.
    pub fn committed(
        &self,
        partition: Partition,
        limit: Duration,
    ) -> Result<Option<Committed>, KafkaError> {
        let answer = self.inner.committed_offsets(self.list(partition), limit)?;
        let Some(element) = answer.find_partition(&self.topic, partition.0) else {
            return Ok(None);
        };
        element.error()?;
        Ok(match element.offset() {
            KafkaOffset::Offset(raw) => Some(Committed {
                next: NextOffset::resume_at(Offset::new(raw)),
                metadata: element.metadata().to_owned(),
            }),
            _ => None,
        })
    }

    /// First and next offset of the partition. Blocks up to `limit`.
    pub fn watermarks(
        &self,
        partition: Partition,
        limit: Duration,
    ) -> Result<(i64, i64), KafkaError> {
        self.inner.fetch_watermarks(&self.topic, partition.0, limit)
    }

    fn list(&self, partition: Partition) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&self.topic, partition.0);
        list
    }

    fn commit_now(
        &self,
        at: Assignment,
        next: NextOffset,
        intent: Option<Intent>,
    ) -> Result<(), CommitError> {
        let transient = |error: &dyn std::fmt::Display| CommitError::Transient(error.to_string());
        let mut list = TopicPartitionList::with_capacity(1);
        let mut element = list.add_partition(&self.topic, at.partition.0);
        element
            .set_offset(KafkaOffset::Offset(next.raw()))
            .map_err(|error| transient(&error))?;
        element.set_metadata(intent.map(Intent::encode).unwrap_or_default());

        let fence = self.inner.context().lock();
        if fence.epochs.get(&at.partition) != Some(&at.epoch) {
            return Err(CommitError::Fenced(at));
        }
        let answer = self.inner.commit(&list, CommitMode::Sync);
        drop(fence);
        match answer {
            Ok(()) => Ok(()),
            Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::FencedInstanceId)) => {
                Err(CommitError::Fenced(at))
            }
            // Also a stale generation or member: the rebalance that follows moves the fence, or not.
            Err(error) => Err(transient(&error)),
        }
    }
}

impl Commits for GroupConsumer {
    async fn commit(
        &self,
        at: Assignment,
        next: NextOffset,
        intent: Option<Intent>,
    ) -> Result<(), CommitError> {
        let consumer = self.clone();
        // Takes 5–6 ms as a rule and seconds behind a rebalance: never on an async thread.
        match tokio::task::spawn_blocking(move || consumer.commit_now(at, next, intent)).await {
            Ok(answer) => answer,
            Err(_) => Err(CommitError::Transient("the runtime is stopping".to_owned())),
        }
    }
}
