//! The topic is deleted under processors and load, and made anew under the same name with as many
//! partitions, more and fewer.
//!
//! Invariant: the new topic's records are stored once each, whatever stands in the store and in the
//! group of the old one's.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kafka_io::topics;
use rdkafka::admin::AdminOptions;
use test_kit::{Stack, wait};

use crate::{
    faults::Fault,
    load::{Load, Plan},
    operator::admin,
    report::Tally,
    settle,
    world::{Shape, World},
};

pub(crate) const NAME: &str = "recreated";
/// Partitions before and after; the short form has the first trial.
const TRIALS: [(i32, i32); 3] = [(4, 4), (3, 7), (6, 2)];
const SERVICES: i64 = 20;
/// Windows of event time that the first life has, and the second: in each something happens.
const FIRST: i64 = 40;
const SECOND: i64 = 70;

pub(crate) fn trials(is_full: bool) -> &'static [(i32, i32)] {
    if is_full { &TRIALS } else { &TRIALS[..1] }
}

pub(crate) async fn run(
    stack: &Arc<Stack>,
    (before, after): (i32, i32),
    seed: u64,
) -> anyhow::Result<Tally> {
    let name = format!("chaos-recreated-{before}-{after}");
    let space = stack.space_of(&name, before).await?;
    let plan = Plan {
        // A dead letter does not say of which life of the topic it is.
        unreadable: false,
        ..Plan::usual(seed, SERVICES, Duration::from_millis(60))
    };
    let mut load = Load::new(&space, plan)?;
    load.go_on_whatever_becomes_of_the_topic();
    let mut world = World::start(space, Shape::usual(seed)).await?;
    let mut windows = load.windows_written();
    let over = AtomicBool::new(false);
    let (written, made_anew) = tokio::join!(load.run(|| over.load(Ordering::Relaxed)), async {
        windows.wait_for(|written| *written >= FIRST).await?;
        let made = recreate(&world, after).await;
        let at = *windows.borrow();
        // Kafka takes the second life's lines a moment later than they are written.
        let enough = windows.wait_for(|written| *written >= at + SECOND).await;
        over.store(true, Ordering::Relaxed);
        enough?;
        made
    });
    written?;
    made_anew?;
    let fault = match after.cmp(&before) {
        std::cmp::Ordering::Less => Fault::RecreatedSmaller,
        std::cmp::Ordering::Equal => Fault::Recreated,
        std::cmp::Ordering::Greater => Fault::RecreatedLarger,
    };
    *world.tally.faults.entry(fault.text()).or_default() += 1;
    world.caught_up(fault.text()).await?;
    world.all_ready().await?;
    anyhow::ensure!(
        world.space.partitions().await? == after,
        "the topic was not made anew with {after} partitions"
    );
    Ok(settle(world, &format!("{name}-quiet")).await?.tally)
}

async fn recreate(world: &World, partitions: i32) -> anyhow::Result<()> {
    let space = &world.space;
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
    for answer in admin(space)?
        .delete_topics(&[&space.logs], &options)
        .await?
    {
        answer.map_err(|(topic, code)| anyhow::anyhow!("{topic} cannot be deleted: {code}"))?;
    }
    // It is gone a moment later.
    wait::until("the topic is made anew", wait::LONG, async || {
        let layout = topics::layout(&space.logs, &space.anomalies, partitions, 1);
        let created = topics::ensure(&space.connection, &layout).await;
        Ok(created
            .is_ok_and(|created| !created.is_empty())
            .then_some(()))
    })
    .await
}
