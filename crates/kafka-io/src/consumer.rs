//! A member of a consumer group whose commits are fenced.
//!
//! Invariants:
//! - a partition is assigned paused; nothing is delivered until [`RecordSource::start_at`];
//! - the check of an assignment's epoch and its commit, until the broker's answer, happen under the
//!   lock that every change of the assignment takes too ([`pipeline::fence`]);
//! - partitions that are revoked stay ours, and committable, until they are released; partitions that
//!   were lost are fenced before anything else;
//! - records come by a queue of their own, many with one call; what the group decides by another;
//! - the callback does nothing but fence and note what happened.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use pipeline::{
    Assignment, Fence, LeaderEpoch, Mark, NextOffset, Offset, Partition,
    ports::{Change, CommitError, Commits, Polled, RecordSource, SourceError, Trouble},
};
use rdkafka::{
    ClientContext, Offset as KafkaOffset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};

use crate::{
    Connection, Error, leader_epoch,
    message::{Message, RecordsQueue},
    probe,
    received::Received,
    refusal::Refusal,
};

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
    /// Members in this process, which share the memory for records that were fetched ahead.
    pub members: usize,
}

/// Of records that were fetched ahead, in one process; and for one member at the least. While these are
/// handed out, as many are fetched.
const QUEUED_KIB: usize = 4096;
const LEAST_QUEUED_KIB: usize = 1024;

/// What is told by callbacks, on whatever thread they run.
#[derive(Default)]
struct News {
    changes: VecDeque<Change>,
}

/// The rebalance callback.
pub struct Fencing {
    fence: Fence,
    news: Mutex<News>,
    /// Nobody polls for changes any more: give back at once what is revoked.
    leaving: AtomicBool,
    refusal: Refusal,
}

impl Fencing {
    fn of(connection: &Connection) -> Self {
        Self {
            fence: Fence::default(),
            news: Mutex::default(),
            leaving: AtomicBool::new(false),
            refusal: Refusal::of(connection),
        }
    }

    /// A poisoned lock means that a thread died while it noted something; what it noted is whole.
    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Fencing {
    fn error(&self, error: KafkaError, reason: &str) {
        // Each of these comes out of `poll` too, where it is dealt with, and without its words.
        self.refusal.hear(&error, reason);
        tracing::debug!(%error, reason, "librdkafka");
    }
}

impl ConsumerContext for Fencing {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let outcome = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assign(consumer, list)
        } else {
            // Revoked, or an error of the rebalance itself, after which nothing is ours.
            self.revoke(consumer, list)
        };
        if let Err(error) = outcome {
            tracing::error!(%error, "rebalance");
        }
    }

    fn main_queue_min_poll_interval(&self) -> rdkafka::util::Timeout {
        Duration::from_millis(50).into()
    }
}

fn is_incremental(consumer: &BaseConsumer<Fencing>) -> bool {
    matches!(
        consumer.rebalance_protocol(),
        RebalanceProtocol::Cooperative
    )
}

impl Fencing {
    /// From the beginning, and paused: where a partition really begins is found out afterwards, and
    /// a seek needs a partition that has some place already.
    fn assign(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &mut TopicPartitionList,
    ) -> Result<(), KafkaError> {
        list.set_all_offsets(KafkaOffset::Beginning)?;
        if is_incremental(consumer) {
            consumer.incremental_assign(list)?;
        } else {
            consumer.assign(list)?;
        }
        consumer.pause(list)?;
        let assigned = self.admit(&partitions_of(list));
        self.news().changes.push_back(Change::Assigned(assigned));
        Ok(())
    }

    /// Waits for commits of these partitions that are under way, but no longer than a broker may take to answer:
    /// librdkafka gives a commit no deadline, and who polls must not wait for ever. One that is heard later moves
    /// the group's offset back; rows are counted wherever it says to begin.
    fn shut(&self, partitions: &[Partition]) {
        let shutting = self.fence.begin_to_shut(partitions);
        let until = Instant::now() + LONGEST_COMMIT;
        while !shutting.is_over() {
            if Instant::now() >= until {
                tracing::warn!(
                    partitions = partitions.len(),
                    "a commit has no answer; going on without it"
                );
                return;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    fn admit(&self, partitions: &[Partition]) -> Vec<Assignment> {
        self.shut(partitions);
        self.fence.admit_at_once(partitions)
    }

    /// Without a call to unassign, librdkafka waits: the group's rebalance goes on once the
    /// partitions are released, or without us when it has waited too long.
    fn revoke(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
    ) -> Result<(), KafkaError> {
        let partitions = partitions_of(list);
        let lost = consumer.assignment_lost();
        if !lost && !self.leaving.load(Ordering::Acquire) {
            self.news().changes.push_back(Change::Revoking(partitions));
            return Ok(());
        }
        self.shut(&partitions);
        self.news().changes.push_back(Change::Lost(partitions));
        give_back(consumer, list)
    }
}

fn give_back(
    consumer: &BaseConsumer<Fencing>,
    list: &TopicPartitionList,
) -> Result<(), KafkaError> {
    if is_incremental(consumer) {
        consumer.incremental_unassign(list)
    } else {
        consumer.unassign()
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

#[derive(Clone)]
pub struct GroupConsumer {
    /// Before the client, so that it is dropped before it.
    records: Arc<RecordsQueue>,
    inner: Arc<BaseConsumer<Fencing>>,
    topic: Arc<str>,
    led: Arc<Mutex<Led>>,
    /// What was paused by [`RecordSource::pause`]: the client does not tell. Nor does it know where: a
    /// transaction's marker that lay behind records it threw away at a pause moves its position past them.
    paused: Arc<Mutex<BTreeSet<Partition>>>,
}

/// Whose records are led to [`GroupConsumer::records`], and when that was last seen to.
struct Led {
    flowing: BTreeSet<Partition>,
    at: Instant,
}

impl Led {
    fn forget(&mut self, partitions: &[Partition]) {
        self.flowing
            .retain(|partition| !partitions.contains(partition));
    }
}

/// A member hears of a rebalance with its next heartbeat, and for so long nobody reads what moves: an
/// alert waits for it, and a heartbeat is a few dozen bytes.
const HEARTBEAT: Duration = Duration::from_millis(500);
const LEAD_EVERY: Duration = Duration::from_secs(1);
/// A commit is answered within milliseconds, behind a rebalance within seconds.
const LONGEST_COMMIT: Duration = Duration::from_secs(10);
/// Longer than librdkafka asks a coordinator again; after it whoever commits hears that there is no answer.
const COMMIT_WITHIN: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// librdkafka's main thread answers in far less than a millisecond, unless it has much to do. An answer
/// that is not waited for makes the next question one too many.
const SEEK_WITHIN: Duration = Duration::from_millis(500);

impl GroupConsumer {
    pub fn join(connection: &Connection, membership: &Membership) -> Result<Self, Error> {
        let queued = (QUEUED_KIB / membership.members.max(1)).max(LEAST_QUEUED_KIB);
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
            // A topic that was deleted or made anew is noticed within this time.
            .set("topic.metadata.refresh.interval.ms", "10000")
            // At its default of a second, a fast consumer stalls now and then.
            .set("fetch.queue.backoff.ms", "2")
            .set("fetch.wait.max.ms", "50")
            .set("queued.max.messages.kbytes", queued.to_string())
            .set("max.partition.fetch.bytes", "2097152")
            .set("fetch.max.bytes", "20000000");
        if membership.protocol == "classic" {
            config
                .set("partition.assignment.strategy", &membership.assignor)
                .set(
                    "session.timeout.ms",
                    membership.session_timeout.as_millis().to_string(),
                )
                .set(
                    "max.poll.interval.ms",
                    membership
                        .session_timeout
                        .as_millis()
                        .max(300_000)
                        .to_string(),
                )
                .set(
                    "heartbeat.interval.ms",
                    HEARTBEAT
                        .min(membership.session_timeout / 4)
                        .as_millis()
                        .to_string(),
                );
        }
        let consumer: BaseConsumer<Fencing> = config
            .create_with_context(Fencing::of(connection))
            .map_err(|source| connection.error(source))?;
        consumer
            .subscribe(&[&membership.topic])
            .map_err(|source| connection.error(source))?;
        Ok(Self {
            records: Arc::new(RecordsQueue::of(&consumer, &membership.topic)?),
            inner: Arc::new(consumer),
            topic: membership.topic.as_str().into(),
            led: Arc::new(Mutex::new(Led {
                flowing: BTreeSet::new(),
                at: Instant::now(),
            })),
            paused: Arc::default(),
        })
    }

    /// From now on, what is revoked is given back at once: call it before the last clone is dropped,
    /// which leaves the group and waits for that.
    pub fn leave(&self) {
        self.inner.context().leaving.store(true, Ordering::Release);
    }

    /// There is no other clone: dropping this one leaves the group.
    pub fn is_held_once(&self) -> bool {
        Arc::strong_count(&self.inner) == 1
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    pub fn client(&self) -> &BaseConsumer<Fencing> {
        &self.inner
    }

    /// Asks the group's coordinator. Blocks up to `limit`.
    pub fn committed(
        &self,
        partition: Partition,
        limit: Duration,
    ) -> Result<Option<Committed>, KafkaError> {
        let answer = self
            .inner
            .committed_offsets(self.list(&[partition]), limit)?;
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

    /// Committed offsets of those partitions that have one. Blocks up to `limit`.
    pub fn committed_offsets(
        &self,
        partitions: &[Partition],
        limit: Duration,
    ) -> Result<BTreeMap<Partition, i64>, KafkaError> {
        let answer = self.inner.committed_offsets(self.list(partitions), limit)?;
        let elements = answer.elements();
        let known = elements
            .iter()
            .filter_map(|element| match element.offset() {
                KafkaOffset::Offset(raw) => Some((Partition(element.partition()), raw)),
                _ => None,
            });
        Ok(known.collect())
    }

    /// First and next offset of the partition. Blocks up to `limit`.
    pub fn watermarks(
        &self,
        partition: Partition,
        limit: Duration,
    ) -> Result<(i64, i64), KafkaError> {
        self.inner.fetch_watermarks(&self.topic, partition.0, limit)
    }

    fn seek(
        &self,
        partition: Partition,
        next: NextOffset,
        epoch: LeaderEpoch,
    ) -> Result<(), KafkaError> {
        let place = leader_epoch::place(&self.topic, partition, next, epoch)?;
        // Who polls waits for it.
        let places = self.inner.seek_partitions(place, SEEK_WITHIN)?;
        places
            .elements()
            .iter()
            .try_for_each(rdkafka::topic_partition_list::TopicPartitionListElem::error)
    }

    fn list(&self, partitions: &[Partition]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition(&self.topic, partition.0);
        }
        list
    }

    fn commit_now(&self, partition: Partition, mark: &Mark) -> Result<(), CommitError> {
        let transient = |error: KafkaError| CommitError::Transient(error.to_string());
        let mut list = TopicPartitionList::with_capacity(1);
        let mut element = list.add_partition(&self.topic, partition.0);
        element
            .set_offset(KafkaOffset::Offset(mark.next.raw()))
            .map_err(transient)?;
        element.set_metadata(mark.metadata());
        // Also a stale generation or member: the rebalance that follows moves the fence, or not.
        self.inner
            .commit(&list, CommitMode::Sync)
            .map_err(transient)
    }
}

impl RecordSource for GroupConsumer {
    fn poll(&self, wait: Duration, take: &mut dyn FnMut(Polled<'_>)) {
        // What the group decides, and what is about no partition.
        match self.inner.poll(Duration::ZERO) {
            Some(Ok(message)) => self.give(Message::of(&message), take),
            Some(Err(error)) => take(self.what_it_means(&error, "")),
            None => {}
        }
        self.lead_records_here();
        self.records
            .hand_out(wait, &mut |message| self.give(message, take));
    }

    fn changes(&self) -> VecDeque<Change> {
        let changes = std::mem::take(&mut self.inner.context().news().changes);
        for change in &changes {
            if let Change::Lost(partitions) = change {
                self.led().forget(partitions);
            }
        }
        changes
    }

    fn start_at(
        &self,
        partition: Partition,
        next: NextOffset,
        epoch: LeaderEpoch,
    ) -> Result<(), SourceError> {
        if let Err(error) = self.seek(partition, next, epoch) {
            return Err(SourceError(format!(
                "partition {partition} cannot be read from {next}: {error}"
            )));
        }
        // Not sooner: when its last assignment ends, which may still be under way when the next begins,
        // librdkafka forgets where a partition's records go.
        self.records.lead_here(&self.inner, partition);
        self.led().flowing.insert(partition);
        self.inner
            .resume(&self.list(&[partition]))
            .map_err(|error| SourceError(error.to_string()))?;
        self.paused().remove(&partition);
        Ok(())
    }

    fn pause(&self, partition: Partition) -> Result<(), SourceError> {
        self.inner
            .pause(&self.list(&[partition]))
            .map_err(|error| SourceError(error.to_string()))?;
        self.paused().insert(partition);
        Ok(())
    }

    fn release(&self, partitions: &[Partition]) {
        self.inner.context().shut(partitions);
        self.led().forget(partitions);
        if let Err(error) = give_back(&self.inner, &self.list(partitions)) {
            // The rebalance went on without us; the fence stands all the same.
            tracing::warn!(%error, "partitions could not be given back");
        }
    }

    fn begin_anew(
        &self,
        partitions: &[Partition],
        others: &[(Partition, NextOffset)],
    ) -> Vec<Assignment> {
        let assignments = self.inner.context().admit(partitions);
        if let Err(error) = self.assign_again(partitions, others) {
            // The group may have taken them away in this moment; it says so next.
            tracing::warn!(%error, "partitions could not be assigned again");
        }
        assignments
    }
}

impl GroupConsumer {
    /// Paused, from the beginning. After an offset that does not exist a partition is not fetched any
    /// more and takes no seek: it has to be assigned again.
    fn assign_again(
        &self,
        partitions: &[Partition],
        others: &[(Partition, NextOffset)],
    ) -> Result<(), KafkaError> {
        let all = self.inner.assignment()?;
        // One that the group has taken away meanwhile must not keep the others from it.
        let ours: Vec<Partition> = partitions_of(&all)
            .into_iter()
            .filter(|partition| partitions.contains(partition))
            .collect();
        if ours.is_empty() {
            return Ok(());
        }
        let partitions = &ours;
        let mut list = self.list(partitions);
        if is_incremental(&self.inner) {
            self.inner.incremental_unassign(&list)?;
            list.set_all_offsets(KafkaOffset::Beginning)?;
            self.inner.incremental_assign(&list)?;
            return self.inner.pause(&list);
        }
        // The eager protocol knows only whole assignments.
        let mut pause = list.clone();
        for mut element in all.elements() {
            let partition = Partition(element.partition());
            if partitions.contains(&partition) {
                element.set_offset(KafkaOffset::Beginning)?;
                continue;
            }
            if let Some((_, next)) = others.iter().find(|(other, _)| *other == partition) {
                element.set_offset(KafkaOffset::Offset(next.raw()))?;
            }
            if self.paused().contains(&partition) {
                pause.add_partition(&self.topic, partition.0);
            }
        }
        self.inner.unassign()?;
        self.inner.assign(&all)?;
        self.inner.pause(&pause)
    }

    /// Again and again: where whole assignments are replaced, partitions that go on begin anew within
    /// librdkafka, some time later, and it does not lead their records anywhere by itself. Costs a lock
    /// for each partition.
    fn lead_records_here(&self) {
        let mut led = self.led();
        if led.at.elapsed() < LEAD_EVERY {
            return;
        }
        led.at = Instant::now();
        for partition in &led.flowing {
            self.records.lead_here(&self.inner, *partition);
        }
    }

    fn give(&self, message: Message<'_>, take: &mut dyn FnMut(Polled<'_>)) {
        match message.error() {
            None => {
                let received = Received::new(message);
                take(Polled::Record(message.partition(), &received.record()));
            }
            Some((error, words)) => take(self.what_it_means(&error, &words)),
        }
    }

    /// No catch-all for what ends the process: only what no waiting can mend. `words`: of librdkafka, may be
    /// none.
    fn what_it_means(&self, error: &KafkaError, words: &str) -> Polled<'static> {
        if let KafkaError::PartitionEOF(partition) = error {
            return Polled::End(Partition(*partition));
        }
        let text = if words.is_empty() {
            error.to_string()
        } else {
            format!("{error}: {words}")
        };
        Polled::Trouble(match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::SSL
                | RDKafkaErrorCode::Authentication,
            ) => match self.inner.context().refusal.take_said() {
                Some(refused) => Trouble::Refused(refused),
                None => Trouble::Away(text),
            },
            Some(
                RDKafkaErrorCode::Fatal
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed,
            ) => Trouble::Failed(text),
            Some(
                RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::LogTruncation
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition,
            ) => Trouble::Changed(text),
            Some(code) if probe::is_about_a_batch(code) => Trouble::Unreadable(text),
            _ => Trouble::Warned(text),
        })
    }

    fn led(&self) -> MutexGuard<'_, Led> {
        self.led.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn paused(&self) -> MutexGuard<'_, BTreeSet<Partition>> {
        self.paused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Commits for GroupConsumer {
    async fn commit(&self, at: Assignment, mark: Mark) -> Result<(), CommitError> {
        let pass = self.inner.context().fence.enter(at).await?;
        let consumer = self.clone();
        // Takes 5–6 ms as a rule and seconds behind a rebalance: never on an async thread. The pass
        // goes along: it is held until the broker has answered, also when nobody waits any more.
        let committing = tokio::task::spawn_blocking(move || {
            let answer = consumer.commit_now(at.partition, &mark);
            drop(pass);
            answer
        });
        match tokio::time::timeout(COMMIT_WITHIN, committing).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(CommitError::Transient("the runtime is stopping".to_owned())),
            Err(_) => Err(CommitError::Transient(format!(
                "no answer within {} s",
                COMMIT_WITHIN.as_secs()
            ))),
        }
    }
}
