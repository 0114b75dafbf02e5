//! A broker that lost a partition's disk: it is killed, the partition's directory is gone when it comes
//! back, and offsets begin at 0 again under the same topic id.
//!
//! Invariant: everything that Kafka took afterwards is stored once, apart from the old rows, which stay;
//! what is gone is said as a number.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use test_kit::{Space, Stack, wait};

use crate::{
    account,
    faults::Fault,
    load::{Load, Plan},
    report::Tally,
    world::{Shape, World, ends_of, incarnation_of},
};

pub(crate) const NAME: &str = "lost-disk";
const PARTITIONS: i32 = 3;
const LOST: i32 = 1;
/// Windows of event time before and after: the new log outgrows the old one.
const BEFORE: i64 = 30;
const AFTER: i64 = 60;

pub(crate) async fn run(stack: &Arc<Stack>, seed: u64) -> anyhow::Result<Tally> {
    let space = stack.space_of("chaos-lost-disk", PARTITIONS).await?;
    let plan = Plan {
        // A dead letter does not say of which life of the log it is.
        unreadable: false,
        ..Plan::usual(seed, 20, Duration::from_millis(100))
    };
    let mut load = Load::new(&space, plan)?;
    // An idempotent producer is refused by a partition that has forgotten it.
    load.go_on_whatever_becomes_of_the_topic();
    let mut world = World::start(space, Shape::usual(seed)).await?;
    load.obey(world.load_flows.subscribe());
    let mut windows = load.windows_written();
    let over = AtomicBool::new(false);
    let (written, lost) = tokio::join!(load.run(|| over.load(Ordering::Relaxed)), async {
        windows.wait_for(|written| *written >= BEFORE).await?;
        let lost = lose(&mut world).await;
        world.load_flows.send_replace(true);
        let at = *windows.borrow();
        let enough = windows.wait_for(|written| *written >= at + AFTER).await;
        over.store(true, Ordering::Relaxed);
        enough?;
        lost
    });
    written?;
    let before = lost?;
    let faults = &mut world.tally.faults;
    *faults.entry(Fault::DiskLost.text()).or_default() += 1;
    all_stored(&mut world).await?;
    world.all_ready().await?;
    world.stop_processors().await?;
    apart(&mut world, before).await?;
    account::nothing_twice(&world.space, &mut world.tally).await?;
    account::anomalies(&mut world).await?;
    Ok(world.tally)
}

/// Once everything is stored, so that what is gone is known. Returns how many records were there.
async fn lose(world: &mut World) -> anyhow::Result<u64> {
    world.load_flows.send_replace(false);
    all_stored(world).await?;
    let before = length(&ends_of(&world.space).await?, LOST);
    let kafka = &world.space.stack.local().kafka;
    kafka.child().kill9().await;
    let directory = directory_of(&world.space, LOST);
    std::fs::remove_dir_all(&directory).with_context(|| directory.display().to_string())?;
    kafka.start_again().await?;
    Ok(before)
}

fn directory_of(space: &Space, partition: i32) -> PathBuf {
    let data = space.stack.local().data_dir().join("kafka").join("data");
    data.join(format!("{}-{partition}", space.logs))
}

fn length(ends: &[(i64, i64)], partition: i32) -> u64 {
    let (low, high) = ends.get(partition as usize).copied().unwrap_or_default();
    (high - low).cast_unsigned()
}

/// Different rows of a partition in the given life of its log.
async fn rows(space: &Space, partition: i32, life: u32) -> anyhow::Result<u64> {
    let incarnation = incarnation_of(space).await?.in_life(life);
    let query = format!(
        "SELECT uniqExact(kafka_offset) FROM logs WHERE incarnation = '{incarnation}' \
         AND kafka_partition = {partition}"
    );
    space.number(&query).await
}

/// Waits until as many rows stand in each partition's newest life as records in its log; in vain, if
/// some are lost.
async fn all_stored(world: &mut World) -> anyhow::Result<()> {
    let has_lost = world.tally.faults.contains_key(Fault::DiskLost.text());
    let ends = ends_of(&world.space).await?;
    let stored = wait::until("every record has arrived", wait::LONG, async || {
        world.revive()?;
        for partition in 0..PARTITIONS {
            let life = u32::from(has_lost && partition == LOST);
            let rows = rows(&world.space, partition, life).await?;
            if rows < length(&ends, partition) {
                return Ok(None);
            }
        }
        Ok(Some(()))
    });
    if let Err(error) = stored.await {
        let error = world.with_logs(error);
        world.tally.violations.push(format!("{error:#}"));
    }
    Ok(())
}

async fn apart(world: &mut World, before: u64) -> anyhow::Result<()> {
    let ends = ends_of(&world.space).await?;
    for partition in 0..PARTITIONS {
        let (old, new) = (
            rows(&world.space, partition, 0).await?,
            rows(&world.space, partition, 1).await?,
        );
        let now = length(&ends, partition);
        let expected = if partition == LOST {
            (before, now)
        } else {
            (now, 0)
        };
        let tally = &mut world.tally;
        tally.records += expected.0 + expected.1;
        tally.rows += old + new;
        if (old, new) != expected {
            tally.violations.push(format!(
                "partition {partition} has {old} old rows and {new} new ones, and should have {expected:?}"
            ));
        }
    }
    let said = world.tally.lost_with_a_log;
    if said != before {
        world.tally.violations.push(format!(
            "{before} records were lost with the log, and {said} were said to be"
        ));
    }
    Ok(())
}
