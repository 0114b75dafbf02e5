//! What others than Barograph do to the group's offsets: an operator with Kafka's own tools, and a
//! stranger who joins the group.
//!
//! Invariant: none of them leaves metadata, as `kafka-consumer-groups` and other consumers do not.

use std::time::Duration;

use anyhow::ensure;
use rand::RngExt as _;
use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
};
use test_kit::{Space, wait};

use crate::world::{World, ends_of};

const ASK: Duration = Duration::from_secs(10);
/// How often a consumer is polled that only wants to be in the group.
const POLL: Duration = Duration::from_millis(100);

/// Where the group's offsets are put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nothing of the group is left.
    Nowhere,
    Earliest,
    /// Some hundred records before where it stands.
    Back,
    /// Some hundred records further, not past the end.
    Forth,
    PastTheEnd,
}

pub(crate) fn admin(space: &Space) -> anyhow::Result<AdminClient<DefaultClientContext>> {
    Ok(space.connection.config().create()?)
}

/// Nobody is a member any more, and nothing of what it committed is left.
pub(crate) async fn forget_group(space: &Space) -> anyhow::Result<()> {
    let admin = admin(space)?;
    let options = AdminOptions::new().request_timeout(Some(ASK));
    // A member that was killed is one until its session ends.
    wait::until("the group can be deleted", wait::LONG, async || {
        let answers = admin.delete_groups(&[&space.group], &options).await?;
        Ok(answers.iter().all(Result::is_ok).then_some(()))
    })
    .await
}

fn consumer_of(space: &Space) -> anyhow::Result<BaseConsumer> {
    let mut config = space.connection.config();
    config.set("group.id", &space.group);
    Ok(config.create()?)
}

/// The offsets that are committed now; a partition without one stands at its first record.
fn standing(consumer: &BaseConsumer, topic: &str, ends: &[(i64, i64)]) -> anyhow::Result<Vec<i64>> {
    let mut asked = TopicPartitionList::new();
    for partition in 0..ends.len() as i32 {
        asked.add_partition(topic, partition);
    }
    let committed = consumer.committed_offsets(asked, ASK)?;
    let at = |(partition, (low, _)): (usize, &(i64, i64))| {
        let found = committed.find_partition(topic, partition as i32);
        match found.map(|found| found.offset()) {
            Some(Offset::Offset(at)) => at,
            _ => *low,
        }
    };
    Ok(ends.iter().enumerate().map(at).collect())
}

fn offsets_for(topic: &str, partitions: &[i32], to: &[i64]) -> anyhow::Result<TopicPartitionList> {
    let mut offsets = TopicPartitionList::new();
    for partition in partitions {
        let to = Offset::Offset(to[*partition as usize]);
        offsets.add_partition_offset(topic, *partition, to)?;
    }
    Ok(offsets)
}

impl World {
    /// `kafka-consumer-groups --reset-offsets`, or `--delete`: Kafka takes it from a group without
    /// members only.
    pub(crate) async fn operate(&mut self, place: Place) -> anyhow::Result<()> {
        self.all_leave().await;
        if place == Place::Nowhere {
            forget_group(&self.space).await?;
        } else {
            let ends = ends_of(&self.space).await?;
            let consumer = consumer_of(&self.space)?;
            let topic = self.space.logs.clone();
            let at = standing(&consumer, &topic, &ends)?;
            let to = self.places(place, &at, &ends);
            let partitions: Vec<_> = (0..ends.len() as i32).collect();
            let offsets = offsets_for(&topic, &partitions, &to)?;
            wait::until("the group's offsets can be set", wait::LONG, async || {
                Ok(consumer.commit(&offsets, CommitMode::Sync).ok())
            })
            .await?;
            let now = standing(&consumer, &topic, &ends)?;
            ensure!(now == to, "set to {to:?}, the group is at {now:?}");
        }
        for member in &self.members {
            member.running.child.start_again()?;
        }
        Ok(())
    }

    fn places(&mut self, place: Place, at: &[i64], ends: &[(i64, i64)]) -> Vec<i64> {
        let some = self.rng.random_range(100..500);
        at.iter()
            .zip(ends)
            .map(|(at, (low, high))| match place {
                Place::Nowhere | Place::Earliest => *low,
                Place::Back => (at - some).max(*low),
                Place::Forth => (at + some).min(*high),
                Place::PastTheEnd => high + 10_000,
            })
            .collect()
    }

    /// Another consumer in the running group: it is given partitions, commits what it likes for them,
    /// and leaves.
    pub(crate) async fn suffer_a_stranger(&mut self) -> anyhow::Result<()> {
        let ends = ends_of(&self.space).await?;
        let place = [Place::Earliest, Place::Back, Place::Forth][self.rng.random_range(0..3)];
        let at = standing(&consumer_of(&self.space)?, &self.space.logs, &ends)?;
        let to = self.places(place, &at, &ends);
        let mut config = self.space.connection.config();
        config
            .set("group.id", &self.space.group)
            .set("session.timeout.ms", "6000")
            .set("enable.auto.commit", "false")
            .set("partition.assignment.strategy", self.assignor());
        let topic = self.space.logs.clone();
        let met = tokio::task::spawn_blocking(move || -> anyhow::Result<usize> {
            let stranger: BaseConsumer = config.create()?;
            stranger.subscribe(&[&topic])?;
            let deadline = std::time::Instant::now() + wait::LONG;
            while std::time::Instant::now() < deadline {
                // What it reads is nobody's.
                let _record = stranger.poll(POLL);
                let own = stranger.assignment()?;
                let partitions: Vec<_> = own
                    .elements()
                    .iter()
                    .map(rdkafka::topic_partition_list::TopicPartitionListElem::partition)
                    .collect();
                if !partitions.is_empty() {
                    let offsets = offsets_for(&topic, &partitions, &to)?;
                    stranger.commit(&offsets, CommitMode::Sync)?;
                    stranger.unsubscribe();
                    return Ok(partitions.len());
                }
            }
            Ok(0)
        });
        let partitions = met.await??;
        ensure!(partitions > 0, "the stranger was given no partition");
        Ok(())
    }
}
