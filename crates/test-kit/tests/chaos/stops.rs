//! Parts that are there and do nothing, and wires on which nothing comes: what `/ready` says of them
//! meanwhile.
//!
//! Invariant: whoever needs what does not answer says so in `/ready`, with a reason, before it goes on;
//! nobody else's turns red.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use rand::RngExt as _;
use test_kit::{Running, wait};

use crate::{wire::Loss, world::World};

/// It is said within 15 s where the machine has time for it.
const SAID_WITHIN: Duration = Duration::from_secs(45);
/// Past the ten seconds after which a partition that should flow and does not turns `/ready` red.
const LONGER_THAN_PATIENCE: Duration = Duration::from_secs(13);

impl World {
    pub(crate) async fn kafka_stops(&mut self) -> anyhow::Result<()> {
        self.space.stack.local().kafka.child().pause();
        let said = self.all_say("kafka").await;
        self.space.stack.local().kafka.child().resume();
        said
    }

    pub(crate) async fn clickhouse_stops(&mut self) -> anyhow::Result<()> {
        self.space.stack.local().clickhouse.child().pause();
        let said = self.all_say("clickhouse").await;
        self.space.stack.local().clickhouse.child().resume();
        said
    }

    /// Its clients wait, and nobody else does.
    pub(crate) async fn gateway_stops(&mut self) -> anyhow::Result<()> {
        let gateway = self.rng.random_range(0..self.gateways.len());
        let gateway = &self.gateways[gateway];
        gateway.child.pause();
        // An answer may have been on its way when it was stopped.
        let silent = wait::until("the gateway answers no more", SAID_WITHIN, async || {
            Ok(gateway.get("/ready").await.is_err().then_some(()))
        });
        let silent = silent.await;
        let others = self.are_ready(self.members.iter().map(|member| &member.running));
        let others = others.await;
        gateway.child.resume();
        silent?;
        others
    }

    /// Nobody writes: that is no trouble of anybody.
    pub(crate) async fn load_stops(&mut self) -> anyhow::Result<()> {
        self.load_flows.send_replace(false);
        tokio::time::sleep(LONGER_THAN_PATIENCE).await;
        let members = self.members.iter().map(|member| &member.running);
        let ready = self.are_ready(members.chain(&self.gateways)).await;
        self.load_flows.send_replace(true);
        ready
    }

    /// On the processors' wires to ClickHouse. The gateway has another one.
    pub(crate) async fn clickhouse_is_unheard(&mut self, loss: Loss) -> anyhow::Result<()> {
        let lost = |world: &Self| -> u64 {
            let wires = world.members.iter();
            wires.map(|member| member.wire.lost()).sum()
        };
        let before = lost(self);
        self.members
            .iter()
            .for_each(|member| member.wire.lose(loss));
        let said = self.processors_say("clickhouse").await;
        let gateways = self.are_ready(&self.gateways).await;
        self.members
            .iter()
            .for_each(|member| member.wire.lose(Loss::Nothing));
        self.tally.bytes_lost += lost(self) - before;
        said?;
        gateways
    }

    /// On everybody's wire to Kafka but the load's.
    pub(crate) async fn kafka_is_unheard(&mut self, loss: Loss) -> anyhow::Result<()> {
        let wire = self.to_kafka.clone();
        let wire = wire.context("this case has no wire to Kafka")?;
        let before = wire.lost();
        wire.lose(loss);
        let said = self.all_say("kafka").await;
        wire.lose(Loss::Nothing);
        self.tally.bytes_lost += wire.lost() - before;
        said
    }

    /// The reasons of all processors.
    pub(crate) async fn processors_say(&mut self, latch: &str) -> anyhow::Result<Vec<String>> {
        let members = self.members.iter().map(|member| &member.running);
        let said = members.map(|part| part.says_unready(latch, SAID_WITHIN));
        let said = futures::future::try_join_all(said).await?;
        self.tally.reasons_said += said.len() as u64;
        Ok(said)
    }

    async fn all_say(&mut self, latch: &str) -> anyhow::Result<()> {
        self.processors_say(latch).await?;
        let gateways = self.gateways.iter();
        let said = gateways.map(|part| part.says_unready(latch, SAID_WITHIN));
        let said = futures::future::try_join_all(said).await?;
        self.tally.reasons_said += said.len() as u64;
        Ok(())
    }

    async fn are_ready(&self, parts: impl IntoIterator<Item = &Running>) -> anyhow::Result<()> {
        for part in parts {
            let (status, said) = part.get("/ready").await?;
            ensure!(status == 200, "{} is not ready: {said}", part.child.name());
        }
        Ok(())
    }
}
