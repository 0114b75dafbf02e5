//! A member of a group by itself: nothing that librdkafka does with its queues costs a record.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use kafka_io::{
    Connection,
    consumer::{GroupConsumer, Membership},
};
use pipeline::{
    LeaderEpoch, NextOffset, Offset, Partition,
    ports::{Change, Polled, RecordSource as _},
};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use test_kit::{Message, Space, wait};

use crate::stack;

const PARTITIONS: i32 = 4;
const RECORDS: usize = 400;

struct Member {
    consumer: GroupConsumer,
    /// What cannot flow yet.
    starting: Vec<Partition>,
    /// By partition, the offset that has to come next.
    next: BTreeMap<Partition, i64>,
}

impl Member {
    fn join(connection: &Connection, membership: &Membership) -> anyhow::Result<Self> {
        Ok(Self {
            consumer: GroupConsumer::join(connection, membership)?,
            starting: Vec::new(),
            next: BTreeMap::new(),
        })
    }

    /// Reads until so many records have come in all, each once and in its order.
    fn read_until(&mut self, records: usize) -> anyhow::Result<()> {
        let deadline = Instant::now() + wait::LONG;
        while self.next.values().sum::<i64>() < records as i64 {
            ensure!(Instant::now() < deadline, "{:?} of {records}", self.next);
            for change in self.consumer.changes() {
                if let Change::Assigned(assignments) = change {
                    let partitions = assignments.iter().map(|assignment| assignment.partition);
                    self.starting.extend(partitions);
                }
            }
            let Self {
                consumer,
                starting,
                next,
            } = self;
            starting.retain(|partition| {
                let from = Offset::new(next.get(partition).copied().unwrap_or_default());
                let from = NextOffset::resume_at(from);
                let started = consumer.start_at(*partition, from, LeaderEpoch::UNKNOWN);
                started.is_err()
            });
            let mut wrong = Vec::new();
            consumer.poll(Duration::from_millis(20), &mut |polled| match polled {
                Polled::Record(partition, record) => {
                    let next = next.entry(partition).or_default();
                    if record.offset.raw() != *next {
                        let offset = record.offset;
                        wrong.push(format!("{partition}: {offset} instead of {next}"));
                    }
                    *next += 1;
                }
                Polled::End(_) => {}
                Polled::Trouble(trouble) => wrong.push(format!("{trouble:?}")),
            });
            if !wrong.is_empty() {
                bail!("{wrong:?}");
            }
        }
        Ok(())
    }
}

async fn produce(space: &Space) -> anyhow::Result<()> {
    let line = |at| Message::of(&format!("service-{at}"), format!("line {at}"));
    space.produce((0..RECORDS).map(line).collect()).await
}

/// With `range` whole assignments are replaced, and the partitions that go on begin anew within
/// librdkafka, without anybody asking for it here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_begins_anew_leaves_the_others_flowing() -> anyhow::Result<()> {
    for assignor in ["range", "cooperative-sticky"] {
        let name = format!("anew_{}", assignor.replace('-', "_"));
        let space = stack().await?.space_of(&name, PARTITIONS).await?;
        let membership = Membership {
            topic: space.logs.clone(),
            group: space.group.clone(),
            session_timeout: Duration::from_secs(10),
            assignor: assignor.to_owned(),
            protocol: "classic".to_owned(),
            members: 1,
        };
        let mut member = Member::join(&space.connection, &membership)?;
        produce(&space).await?;
        let read = move |records: usize| {
            member.read_until(records)?;
            anyhow::Ok(member)
        };
        let mut member = tokio::task::spawn_blocking(move || read(RECORDS)).await??;
        ensure!(
            member.next.len() == PARTITIONS as usize,
            "{:?}",
            member.next
        );
        for partition in [0, 2].map(Partition) {
            let others: Vec<_> = member
                .next
                .iter()
                .filter(|(other, _)| **other != partition)
                .map(|(other, next)| (*other, NextOffset::resume_at(Offset::new(*next))))
                .collect();
            let again = member.consumer.begin_anew(&[partition], &others);
            ensure!(again.len() == 1 && again[0].partition == partition);
            member.starting.push(partition);
        }
        produce(&space).await?;
        let read = tokio::task::spawn_blocking(move || {
            member.read_until(2 * RECORDS)?;
            member.consumer.leave();
            anyhow::Ok(())
        });
        read.await??;
    }
    Ok(())
}

/// Ten records and the marker of their transaction, again and again.
fn produce_in_transactions(connection: &Connection, topic: &str) -> anyhow::Result<Vec<i64>> {
    let mut config = connection.config();
    config.set("transactional.id", "of-a-test");
    let producer: BaseProducer = config.create()?;
    producer.init_transactions(wait::LONG)?;
    for _ in 0..30 {
        producer.begin_transaction()?;
        for line in 0..10 {
            let payload = format!("line {line}");
            let record = BaseRecord::<str, str>::to(topic)
                .payload(&payload)
                .partition(0);
            producer.send(record).map_err(|(error, _)| error)?;
        }
        producer.commit_transaction(wait::LONG)?;
    }
    Ok((0..330).filter(|offset| offset % 11 != 10).collect())
}

/// Records behind those at which a partition is paused are thrown away, and librdkafka's own position is
/// moved past them by the marker that lies there: whoever goes on there would miss them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_is_paused_goes_on_where_it_is_told_to() -> anyhow::Result<()> {
    let space = stack().await?.space_of("paused", 1).await?;
    let membership = Membership {
        topic: space.logs.clone(),
        group: space.group.clone(),
        session_timeout: Duration::from_secs(10),
        assignor: "range".to_owned(),
        protocol: "classic".to_owned(),
        members: 1,
    };
    let connection = space.connection.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let written = produce_in_transactions(&connection, &membership.topic)?;
        let consumer = GroupConsumer::join(&connection, &membership)?;
        let partition = Partition(0);
        let deadline = Instant::now() + wait::LONG;
        let mut read: Vec<i64> = Vec::new();
        let mut assigned = false;
        while read.len() < written.len() {
            ensure!(Instant::now() < deadline, "{read:?}");
            assigned |= !consumer.changes().is_empty();
            let next = read.last().map_or(0, |last| last + 1);
            let next = NextOffset::resume_at(Offset::new(next));
            let start = || consumer.start_at(partition, next, LeaderEpoch::UNKNOWN);
            // Paused once more before anything has come, which is where its position would be kept.
            if assigned && start().is_ok() {
                consumer.pause(partition)?;
                start()?;
            }
            let most = read.len() + 7;
            for _ in 0..20 {
                consumer.poll(Duration::from_millis(20), &mut |polled| {
                    if let Polled::Record(_, record) = polled {
                        read.push(record.offset.raw());
                        if read.len() == most {
                            let _paused = consumer.pause(partition);
                        }
                    }
                });
                if read.len() >= most {
                    break;
                }
            }
        }
        consumer.leave();
        ensure!(read == written, "{read:?}");
        anyhow::Ok(())
    });
    reading.await?
}
