//! What is done to the parts, under load.
//!
//! Invariant: a fault ends with everything healed, every part ready and the backlog of that moment stored; if that
//! does not happen in time, the run has failed.

use std::time::Duration;

use rand::{RngExt as _, seq::SliceRandom as _};
use test_kit::wait;

use crate::{operator::Place, proxy::Trick, wire::Loss, world::World};

/// How long a processor sleeps; its session ends after six seconds.
const LONGER_THAN_THE_SESSION: Duration = Duration::from_secs(8);
/// Inserts that one trick is played on, per processor.
const TRICKED: u64 = 6;
/// A processor without partitions has no inserts to wait for.
const UNTIL_AN_INSERT_IS_HELD: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// `kill -9` of one processor with an insert in its hands.
    Kill,
    /// Of all at once.
    KillAll,
    /// SIGSTOP past the session with inserts in its hands; these reach ClickHouse late.
    Stall,
    Join,
    Leave,
    KafkaKilled,
    KafkaRestarted,
    ClickHouseKilled,
    ConnectionsRefused,
    RequestsCut,
    AnswersSwallowed,
    GatewayKilled,
    /// The group's offsets, while no processor runs.
    OffsetsDeleted,
    OffsetsToEarliest,
    OffsetsBack,
    OffsetsForth,
    OffsetsPastTheEnd,
    /// Another consumer joins the running group and commits.
    Stranger,
    /// SIGSTOP until everybody concerned says so, then SIGCONT.
    KafkaStopped,
    ClickHouseStopped,
    GatewayStopped,
    /// Nobody writes for a while.
    LoadStopped,
    /// A wire on which nothing arrives, in no direction.
    KafkaUnreached,
    /// One on which no answer arrives.
    KafkaUnheard,
    ClickHouseUnreached,
    ClickHouseUnheard,
    /// What is too large, too long, or of a time that means nothing.
    Odd,
    Undecodable,
    /// ClickHouse's.
    DiskFull,
    /// Cases of their own.
    PartitionsAdded,
    Recreated,
    RecreatedLarger,
    RecreatedSmaller,
    DiskLost,
}

impl Fault {
    /// All but those of a case that is run by name alone.
    pub(crate) const ALL: [Self; 33] = [
        Self::Kill,
        Self::KillAll,
        Self::Stall,
        Self::Join,
        Self::Leave,
        Self::KafkaKilled,
        Self::KafkaRestarted,
        Self::ClickHouseKilled,
        Self::ConnectionsRefused,
        Self::RequestsCut,
        Self::AnswersSwallowed,
        Self::GatewayKilled,
        Self::OffsetsDeleted,
        Self::OffsetsToEarliest,
        Self::OffsetsBack,
        Self::OffsetsForth,
        Self::OffsetsPastTheEnd,
        Self::Stranger,
        Self::KafkaStopped,
        Self::ClickHouseStopped,
        Self::GatewayStopped,
        Self::LoadStopped,
        Self::KafkaUnreached,
        Self::KafkaUnheard,
        Self::ClickHouseUnreached,
        Self::ClickHouseUnheard,
        Self::Odd,
        Self::Undecodable,
        Self::Recreated,
        Self::RecreatedLarger,
        Self::RecreatedSmaller,
        Self::DiskFull,
        Self::DiskLost,
    ];

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Kill => "processor killed",
            Self::KillAll => "all processors killed at once",
            Self::Stall => "processor stalled past its session",
            Self::Join => "processor joined",
            Self::Leave => "processor left (SIGTERM)",
            Self::KafkaKilled => "Kafka killed",
            Self::KafkaRestarted => "Kafka restarted",
            Self::ClickHouseKilled => "ClickHouse killed",
            Self::ConnectionsRefused => "connections to ClickHouse refused",
            Self::RequestsCut => "inserts cut in the middle",
            Self::AnswersSwallowed => "answers to inserts swallowed",
            Self::GatewayKilled => "gateway killed",
            Self::OffsetsDeleted => "group's offsets deleted",
            Self::OffsetsToEarliest => "offsets set to the earliest",
            Self::OffsetsBack => "offsets set back",
            Self::OffsetsForth => "offsets set forth",
            Self::OffsetsPastTheEnd => "offsets set past the end",
            Self::Stranger => "stranger joined the group and committed",
            Self::KafkaStopped => "Kafka stopped (SIGSTOP)",
            Self::ClickHouseStopped => "ClickHouse stopped (SIGSTOP)",
            Self::GatewayStopped => "gateway stopped (SIGSTOP)",
            Self::LoadStopped => "nothing written for a while",
            Self::KafkaUnreached => "nothing passed to or from Kafka",
            Self::KafkaUnheard => "answers of Kafka not passed",
            Self::ClickHouseUnreached => "nothing passed to or from ClickHouse",
            Self::ClickHouseUnheard => "answers of ClickHouse not passed",
            Self::Odd => "odd records among the others",
            Self::Undecodable => "batch that cannot be unpacked",
            Self::PartitionsAdded => "partitions added",
            Self::Recreated => "topic made anew with as many partitions",
            Self::RecreatedLarger => "topic made anew with more partitions",
            Self::RecreatedSmaller => "topic made anew with fewer partitions",
            Self::DiskFull => "ClickHouse's disk full",
            Self::DiskLost => "broker lost a partition's disk",
        }
    }
}

/// Each fault as often as it is named, in an order of the world's own.
pub(crate) fn shuffled(world: &mut World, faults: &[(Fault, usize)]) -> Vec<Fault> {
    let mut schedule: Vec<_> = faults
        .iter()
        .flat_map(|(fault, times)| std::iter::repeat_n(*fault, *times))
        .collect();
    schedule.shuffle(&mut world.rng);
    schedule
}

impl World {
    pub(crate) async fn suffer(&mut self, schedule: &[Fault]) -> anyhow::Result<()> {
        self.caught_up("the start").await?;
        for fault in schedule {
            let begun = tokio::time::Instant::now();
            self.inflict(*fault).await?;
            self.caught_up(fault.text()).await?;
            self.release();
            self.all_ready().await?;
            *self.tally.faults.entry(fault.text()).or_default() += 1;
            println!(
                "  {:5.1} s  {}",
                begun.elapsed().as_secs_f64(),
                fault.text()
            );
        }
        Ok(())
    }

    async fn inflict(&mut self, fault: Fault) -> anyhow::Result<()> {
        match fault {
            Fault::Kill => {
                let victim = self.victim();
                let trick = self.either_hold();
                self.hold(&[victim], trick).await;
                self.members[victim].running.kill_and_restart().await
            }
            Fault::KillAll => {
                let all: Vec<_> = (0..self.members.len()).collect();
                let trick = self.either_hold();
                self.hold(&all, trick).await;
                for member in &self.members {
                    member.running.child.kill9().await;
                }
                for member in &self.members {
                    member.running.child.start_again()?;
                }
                Ok(())
            }
            Fault::Stall => self.stall().await,
            Fault::Join => self.join().await,
            Fault::Leave => {
                let victim = self.victim();
                let ending = self.members[victim].running.stop().await;
                if !ending.is_success() {
                    let member = self.members[victim].running.child.name();
                    let ending = format!("{member}, told to stop, {ending}");
                    self.tally.ended_by_themselves.push(ending);
                }
                if self.members.len() <= 2 {
                    self.members[victim].running.child.start_again()?;
                    return Ok(());
                }
                let gone = self.members.remove(victim);
                self.remember(&gone)
            }
            Fault::KafkaKilled => {
                let kafka = &self.space.stack.local().kafka;
                kafka.child().kill9().await;
                Ok(kafka.start_again().await?)
            }
            Fault::KafkaRestarted => Ok(self.space.stack.local().kafka.restart().await?),
            Fault::ClickHouseKilled => {
                let clickhouse = &self.space.stack.local().clickhouse;
                clickhouse.child().kill9().await;
                Ok(clickhouse.start_again().await?)
            }
            Fault::ConnectionsRefused => {
                self.members
                    .iter()
                    .for_each(|member| member.proxy.set_open(false));
                tokio::time::sleep(Duration::from_secs(3)).await;
                self.members
                    .iter()
                    .for_each(|member| member.proxy.set_open(true));
                Ok(())
            }
            Fault::RequestsCut => self.trick_inserts(Trick::Cut).await,
            Fault::AnswersSwallowed => self.trick_inserts(Trick::Swallow).await,
            Fault::GatewayKilled => {
                let gateway = self.rng.random_range(0..self.gateways.len());
                self.gateways[gateway].kill_and_restart().await?;
                self.gateways[gateway].ready().await
            }
            Fault::OffsetsDeleted => self.operate(Place::Nowhere).await,
            Fault::OffsetsToEarliest => self.operate(Place::Earliest).await,
            Fault::OffsetsBack => self.operate(Place::Back).await,
            Fault::OffsetsForth => self.operate(Place::Forth).await,
            Fault::OffsetsPastTheEnd => self.operate(Place::PastTheEnd).await,
            Fault::Stranger => self.suffer_a_stranger().await,
            Fault::KafkaStopped => self.kafka_stops().await,
            Fault::ClickHouseStopped => self.clickhouse_stops().await,
            Fault::GatewayStopped => self.gateway_stops().await,
            Fault::LoadStopped => self.load_stops().await,
            Fault::KafkaUnreached => self.kafka_is_unheard(Loss::Everything).await,
            Fault::KafkaUnheard => self.kafka_is_unheard(Loss::Answers).await,
            Fault::ClickHouseUnreached => self.clickhouse_is_unheard(Loss::Everything).await,
            Fault::ClickHouseUnheard => self.clickhouse_is_unheard(Loss::Answers).await,
            Fault::Odd => self.is_fed_what_is_odd().await,
            Fault::Undecodable => self.is_fed_what_cannot_be_unpacked().await,
            Fault::DiskFull => self.disk_fills().await,
            Fault::PartitionsAdded
            | Fault::Recreated
            | Fault::RecreatedLarger
            | Fault::RecreatedSmaller
            | Fault::DiskLost => anyhow::bail!("{} is a case of its own", fault.text()),
        }
    }

    /// A zombie: asleep until others have its partitions, then its inserts arrive, then it wakes up.
    async fn stall(&mut self) -> anyhow::Result<()> {
        let victim = self.victim();
        let trick = self.either_hold();
        self.hold(&[victim], trick).await;
        self.members[victim].running.child.pause();
        tokio::time::sleep(LONGER_THAN_THE_SESSION).await;
        let others = self.caught_up("a stall, before its end").await;
        self.members[victim].proxy.let_go();
        self.members[victim].running.child.resume();
        others
    }

    /// Whether ClickHouse has the insert when its sender is struck, or gets it later.
    fn either_hold(&mut self) -> Trick {
        if self.rng.random_bool(0.5) {
            Trick::HoldAnswer
        } else {
            Trick::HoldRequest
        }
    }

    /// Until each of them has an insert under way that gets no answer; every further one has none
    /// either.
    async fn hold(&mut self, members: &[usize], trick: Trick) {
        let before: Vec<_> = members
            .iter()
            .map(|member| self.members[*member].proxy.played(trick))
            .collect();
        for member in members {
            self.members[*member].proxy.arm(trick, u64::MAX);
        }
        let held = wait::until("inserts are held", UNTIL_AN_INSERT_IS_HELD, async || {
            let all = members
                .iter()
                .zip(&before)
                .all(|(member, before)| self.members[*member].proxy.played(trick) >= before + 2);
            Ok(all.then_some(()))
        });
        // Less than that is a fault, too.
        let _less = held.await;
        for member in members {
            self.members[*member].proxy.disarm();
        }
    }

    async fn trick_inserts(&mut self, trick: Trick) -> anyhow::Result<()> {
        let played = |world: &Self| -> u64 {
            let proxies = world.members.iter();
            proxies.map(|member| member.proxy.played(trick)).sum()
        };
        let before = played(self);
        for member in &self.members {
            member.proxy.arm(trick, TRICKED);
        }
        wait::until("inserts are tricked", wait::LONG, async || {
            self.revive()?;
            Ok((played(self) >= before + 2 * TRICKED).then_some(()))
        })
        .await
        .map_err(|error| self.with_logs(error))
    }

    /// Nothing is held or tricked any more.
    fn release(&mut self) {
        for member in &self.members {
            member.proxy.disarm();
            member.proxy.let_go();
        }
    }
}
