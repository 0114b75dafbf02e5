//! The topic is deleted under the processors, and made anew under the same name.
//!
//! Invariant: the new topic's records are stored once each, whatever stands in the store and in the
//! group of the old one's.

use std::{sync::Arc, time::Duration};

use kafka_io::topics;
use rdkafka::admin::AdminOptions;
use test_kit::{Stack, wait};

use crate::{
    load::{Load, Plan},
    operator::admin,
    report::Tally,
    settle,
    world::{Shape, World},
};

pub(crate) const NAME: &str = "recreated";
const PARTITIONS: i32 = 4;

pub(crate) async fn run(stack: &Arc<Stack>, seed: u64) -> anyhow::Result<Tally> {
    let space = stack.space_of("chaos-recreated", PARTITIONS).await?;
    let plan = Plan {
        seed,
        services: 20,
        cycles: 1,
        pace: Duration::from_millis(20),
        keyed: true,
        // A dead letter does not say of which life of the topic it is.
        unreadable: false,
    };
    let shape = Shape {
        seed,
        processors: 2,
        gateways: 1,
        clients: 1,
        settings: Vec::new(),
        to_kafka: None,
    };
    let mut first = Load::new(&space, plan)?;
    let mut world = World::start(space, shape).await?;
    first.run(|| true).await?;
    // In the middle of it.
    let produced = world.space.records_in(&world.space.logs).await?;
    wait::until("half of it is stored", wait::LONG, async || {
        let rows = world.space.number("SELECT count() FROM logs").await?;
        Ok((rows >= produced / 2).then_some(()))
    })
    .await
    .map_err(|error| world.with_logs(error))?;
    recreate(&world).await?;

    // Longer than the first one, so that offsets and ranges of both meet.
    let mut second = Load::new(
        &world.space,
        Plan {
            seed: seed + 1,
            services: 25,
            ..plan
        },
    )?;
    second.run(|| true).await?;
    *world
        .tally
        .faults
        .entry("topic deleted and made anew")
        .or_default() += 1;
    world.caught_up("a topic made anew").await?;
    settle(world, "chaos-recreated-quiet").await
}

async fn recreate(world: &World) -> anyhow::Result<()> {
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
        let layout = topics::layout(&space.logs, &space.anomalies, PARTITIONS, 1);
        let created = topics::ensure(&space.connection, &layout).await;
        Ok(created
            .is_ok_and(|created| !created.is_empty())
            .then_some(()))
    })
    .await
}
