//! The topic gets more partitions while it is written and read, and the producer hashes its keys anew.
//!
//! Invariant: every record is stored, and no service is told silent on the partition that it left.
//!
//! What is told afterwards is no function of the topic alone: an undisturbed run would know of all
//! partitions from the first record on. So it is held against where the services' lines lie.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Context as _;
use contracts::{Anomaly, Timestamp};
use rdkafka::admin::{AdminOptions, NewPartitions};
use test_kit::{Space, Stack, wait};

use crate::{
    account,
    faults::Fault,
    load::{Load, Plan},
    operator::admin,
    report::Tally,
    told,
    world::{Shape, World, incarnation_of},
};

pub(crate) const NAME: &str = "grown";
const BEFORE: usize = 4;
const AFTER: usize = 10;
const SERVICES: i64 = 30;
/// Windows of event time in which all services have learned what is usual, and are in the middle of it.
const SETTLED: i64 = 60;
/// A processor asks every two seconds how many partitions there are, and finds a silence when some twenty
/// seconds of event time have gone by: that much must not fit into these two seconds, as it does not
/// where time is not simulated. So slowly time goes on, and for so many windows, while the topic grows.
const SLOWLY: Duration = Duration::from_millis(2500);
const WHILE_IT_GROWS: i64 = 5;
/// A gap between lines that is no silence, ms: two windows.
const USUAL_GAP: i64 = 20_000;

/// `partitioner`: as librdkafka's default has it, or Java's.
pub(crate) async fn run(
    stack: &Arc<Stack>,
    partitioner: &'static str,
    seed: u64,
) -> anyhow::Result<Tally> {
    let name = format!("chaos-grown-{}", partitioner.replace('_', "-"));
    let space = stack.space_of(&name, BEFORE as i32).await?;
    let plan = Plan {
        partitioner,
        ..Plan::usual(seed, SERVICES, Duration::from_millis(100))
    };
    let mut load = Load::new(&space, plan)?;
    let mut world = World::start(space, Shape::usual(seed)).await?;
    let (mut windows, pace) = (load.windows_written(), load.paces());
    let (written, grown) = tokio::join!(load.run(|| true), async {
        windows.wait_for(|written| *written >= SETTLED).await?;
        pace.send_replace(SLOWLY);
        grow(&world.space).await?;
        let at = *windows.borrow();
        let later = windows.wait_for(|written| *written >= at + WHILE_IT_GROWS);
        later.await?;
        pace.send_replace(plan.pace);
        anyhow::Ok(())
    });
    written?;
    grown?;
    let faults = &mut world.tally.faults;
    *faults.entry(Fault::PartitionsAdded.text()).or_default() += 1;
    account::all_arrived(&mut world).await?;
    if let Err(error) = world.all_ready().await {
        world.tally.violations.push(format!("{error:#}"));
    }
    world.stop_processors().await?;
    account::records(&world.space, &mut world.tally).await?;
    account::anomalies(&mut world).await?;
    nobody_who_moved_is_silent(&mut world).await?;
    Ok(world.tally)
}

async fn grow(space: &Space) -> anyhow::Result<()> {
    let more = NewPartitions::new(&space.logs, AFTER);
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
    for answer in admin(space)?.create_partitions([&more], &options).await? {
        answer.map_err(|(topic, code)| anyhow::anyhow!("{topic} cannot grow: {code}"))?;
    }
    wait::until("the topic has grown", wait::LONG, async || {
        Ok((space.partitions().await? == AFTER as i32).then_some(()))
    })
    .await
}

/// Where a service's lines lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stay {
    partition: i32,
    /// Kafka's times of its first and last line there.
    first: i64,
    last: i64,
}

async fn stays(space: &Space) -> anyhow::Result<BTreeMap<String, Vec<Stay>>> {
    let incarnation = incarnation_of(space).await?;
    let query = format!(
        "SELECT service, kafka_partition, toUnixTimestamp64Milli(min(kafka_timestamp)), \
         toUnixTimestamp64Milli(max(kafka_timestamp)) FROM logs \
         WHERE incarnation = '{incarnation}' AND service != '' GROUP BY ALL ORDER BY 1, 3"
    );
    let mut stays = BTreeMap::<String, Vec<Stay>>::new();
    for row in space.rows(&query).await? {
        let columns: Vec<_> = row.split('\t').collect();
        let [service, partition, first, last] = columns[..] else {
            anyhow::bail!("four columns: {row}");
        };
        stays.entry(service.to_owned()).or_default().push(Stay {
            partition: partition.parse()?,
            first: first.parse()?,
            last: last.parse()?,
        });
    }
    Ok(stays)
}

/// The partition that a service left while it wrote, and its last line there. One that was silent when
/// the topic grew may be told so.
fn left(stays: &[Stay]) -> Option<Stay> {
    let [old, new] = stays else { return None };
    (new.first - old.last <= USUAL_GAP).then_some(*old)
}

/// Whether this says that the service has been silent since it left.
fn tells_silent(anomaly: &Anomaly, old: Stay) -> bool {
    anomaly.kind == "rate_drop"
        && anomaly.evidence.partition == old.partition
        && anomaly.window_end > Timestamp::from_millis(old.last)
}

async fn nobody_who_moved_is_silent(world: &mut World) -> anyhow::Result<()> {
    let stays = stays(&world.space).await?;
    let told = told::versions(&world.space, &mut Tally::default()).await?;
    let moved: BTreeMap<_, _> = stays
        .iter()
        .filter_map(|(service, stays)| Some((service.as_str(), left(stays)?)))
        .collect();
    let stayed = stays.values().filter(|stays| stays.len() == 1).count();
    println!("  {} services moved, {stayed} stayed", moved.len());
    world.tally.moved += moved.len() as u64;
    for anomaly in told.values() {
        let old = moved.get(anomaly.service.as_str());
        if old.is_some_and(|old| tells_silent(anomaly, *old)) {
            world.tally.violations.push(format!(
                "{} moved, and was told silent where it was: {}",
                anomaly.service, anomaly.title
            ));
        }
    }
    let partitions: std::collections::BTreeSet<_> = (stays.values().flatten())
        .map(|stay| stay.partition)
        .collect();
    if partitions.len() <= BEFORE {
        let violation = format!("{partitions:?} hold all lines: the producer has not followed");
        world.tally.violations.push(violation);
    }
    stays.first_key_value().context("no service has a line")?;
    Ok(())
}

#[test]
fn a_service_that_moved_is_told_from_one_that_fell_silent() {
    let stay = |partition, first, last| Stay {
        partition,
        first,
        last,
    };
    let moved = [stay(1, 0, 500_000), stay(7, 501_000, 900_000)];
    assert_eq!(left(&moved), Some(moved[0]));
    // Silent when the topic grew; and one that stayed.
    assert_eq!(
        left(&[stay(1, 0, 500_000), stay(7, 560_000, 900_000)]),
        None
    );
    assert_eq!(left(&[stay(1, 0, 900_000)]), None);
}
