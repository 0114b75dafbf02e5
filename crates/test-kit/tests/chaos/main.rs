//! Faults of every kind under load, on a real Kafka and a real ClickHouse: nothing lost, nothing
//! twice, every anomaly told as if nothing had happened.
//!
//! `make chaos` runs all of it (`CHAOS=full`), `make test` a short form with every kind of fault.
//! `CHAOS_SEED` gives load and schedule again as they were, as far as processes can be repeated;
//! `CHAOS_CASE` runs one case, `CHAOS_FAULT` only the faults whose text contains it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed; the report is for people"
)]

mod account;
mod faults;
mod load;
mod operator;
mod proxy;
mod recreated;
mod report;
mod told;
mod world;

use std::{sync::Arc, sync::atomic::AtomicBool, sync::atomic::Ordering, time::Duration};

use faults::Fault;
use load::{Load, Plan};
use report::Tally;
use test_kit::Stack;
use world::{Shape, World};

/// A session of the newer group protocol is the broker's to choose; its default is 45 s.
const KAFKA: [(&str, &str); 4] = [
    ("group.consumer.session.timeout.ms", "6000"),
    ("group.consumer.min.session.timeout.ms", "6000"),
    ("group.consumer.heartbeat.interval.ms", "1500"),
    ("group.consumer.min.heartbeat.interval.ms", "1500"),
];

struct Case {
    name: &'static str,
    settings: &'static [(&'static str, &'static str)],
    partitions: i32,
    processors: usize,
    services: i64,
    keyed: bool,
    short: &'static [(Fault, usize)],
    full: &'static [(Fault, usize)],
}

const CASES: [Case; 4] = [
    Case {
        name: "cooperative",
        settings: &[("KAFKA_ASSIGNOR", "cooperative-sticky")],
        partitions: 8,
        processors: 3,
        services: 40,
        keyed: true,
        short: &[
            (Fault::Kill, 1),
            (Fault::KillAll, 1),
            (Fault::Stall, 1),
            (Fault::Join, 1),
            (Fault::Leave, 1),
            (Fault::KafkaKilled, 1),
            (Fault::KafkaRestarted, 1),
            (Fault::ClickHouseKilled, 1),
            (Fault::ConnectionsRefused, 1),
            (Fault::RequestsCut, 1),
            (Fault::AnswersSwallowed, 1),
            (Fault::GatewayKilled, 1),
            (Fault::OffsetsBack, 1),
        ],
        full: &[
            (Fault::Kill, 3),
            (Fault::KillAll, 3),
            (Fault::Stall, 3),
            (Fault::Join, 1),
            (Fault::Leave, 1),
            (Fault::KafkaKilled, 1),
            (Fault::KafkaRestarted, 1),
            (Fault::ClickHouseKilled, 2),
            (Fault::ConnectionsRefused, 1),
            (Fault::RequestsCut, 2),
            (Fault::AnswersSwallowed, 2),
            (Fault::GatewayKilled, 3),
            (Fault::OffsetsDeleted, 1),
            (Fault::OffsetsBack, 1),
            (Fault::OffsetsPastTheEnd, 1),
            (Fault::Stranger, 1),
        ],
    },
    Case {
        name: "range",
        settings: &[("KAFKA_ASSIGNOR", "range")],
        partitions: 6,
        processors: 2,
        services: 40,
        keyed: true,
        short: &[],
        full: &[
            (Fault::Kill, 1),
            (Fault::KillAll, 1),
            (Fault::Stall, 2),
            (Fault::Join, 1),
            (Fault::Leave, 1),
            (Fault::KafkaRestarted, 1),
            (Fault::AnswersSwallowed, 1),
            (Fault::GatewayKilled, 1),
            (Fault::OffsetsToEarliest, 1),
            (Fault::Stranger, 1),
        ],
    },
    Case {
        name: "consumer-protocol",
        settings: &[("KAFKA_GROUP_PROTOCOL", "consumer")],
        partitions: 6,
        processors: 2,
        services: 40,
        keyed: true,
        short: &[],
        full: &[
            (Fault::Kill, 1),
            (Fault::KillAll, 1),
            (Fault::Stall, 2),
            (Fault::Join, 1),
            (Fault::Leave, 1),
            (Fault::KafkaKilled, 1),
            (Fault::ClickHouseKilled, 1),
            (Fault::AnswersSwallowed, 1),
            (Fault::OffsetsForth, 1),
        ],
    },
    Case {
        name: "unkeyed",
        settings: &[("KAFKA_ASSIGNOR", "cooperative-sticky")],
        partitions: 6,
        processors: 2,
        services: 20,
        keyed: false,
        short: &[(Fault::Kill, 1)],
        full: &[
            (Fault::Kill, 1),
            (Fault::KillAll, 1),
            (Fault::AnswersSwallowed, 1),
            (Fault::GatewayKilled, 1),
        ],
    },
];

async fn run(stack: &Arc<Stack>, case: &Case, is_full: bool, seed: u64) -> anyhow::Result<Tally> {
    let faults = if is_full { case.full } else { case.short };
    let name = format!("chaos-{}", case.name);
    let space = stack.space_of(&name, case.partitions).await?;
    let plan = Plan {
        seed,
        services: case.services,
        cycles: 1,
        // Some two thousand records a second.
        pace: Duration::from_millis(10) * case.services as u32,
        keyed: case.keyed,
        unreadable: true,
    };
    let mut load = Load::new(&space, plan)?;
    let shape = Shape {
        seed,
        processors: case.processors,
        gateways: if is_full { 2 } else { 1 },
        clients: 2,
        settings: case.settings.to_vec(),
    };
    let mut world = World::start(space, shape).await?;
    let mut schedule = faults::shuffled(&mut world, faults);
    if let Ok(only) = std::env::var("CHAOS_FAULT") {
        schedule.retain(|fault| fault.text().contains(&only));
    }
    let over = AtomicBool::new(false);
    let (written, suffered) = tokio::join!(load.run(|| over.load(Ordering::Relaxed)), async {
        let suffered = world.suffer(&schedule).await;
        over.store(true, Ordering::Relaxed);
        suffered
    });
    suffered?;
    written?;
    println!("  the load is written");
    settle(world, &format!("{name}-quiet")).await
}

/// What stands where in the end.
async fn settle(mut world: World, quiet: &str) -> anyhow::Result<Tally> {
    account::all_arrived(&mut world).await?;
    world.stop_processors().await?;
    let World { space, tally, .. } = &mut world;
    account::records(space, tally).await?;
    account::anomalies(&mut world).await?;
    told::undisturbed(&mut world, quiet).await?;
    Ok(world.tally)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_breaks_every_record_is_stored_once_and_every_anomaly_told() -> anyhow::Result<()>
{
    let is_full = std::env::var("CHAOS").is_ok_and(|form| form == "full");
    let seed = match std::env::var("CHAOS_SEED") {
        Ok(seed) => seed.parse()?,
        Err(_) => test_kit::lines::now().cast_unsigned() % 1_000_000,
    };
    let only = std::env::var("CHAOS_CASE").ok();
    let is_asked = |name: &str| only.as_ref().is_none_or(|only| only == name);
    println!("CHAOS_SEED={seed}");

    let begun = tokio::time::Instant::now();
    let stack = Stack::start_with_kafka(&KAFKA).await?;
    let mut total = Tally::default();
    for case in &CASES {
        let faults = if is_full { case.full } else { case.short };
        if !is_asked(case.name) || faults.is_empty() {
            continue;
        }
        println!("{}", case.name);
        let tally = run(&stack, case, is_full, seed).await?;
        tally.print(case.name);
        total.add(tally);
    }
    if is_asked(recreated::NAME) {
        println!("{}", recreated::NAME);
        let tally = recreated::run(&stack, seed).await?;
        tally.print(recreated::NAME);
        total.add(tally);
    }
    let took = begun.elapsed().as_secs();
    total.print(&format!("all of it, CHAOS_SEED={seed}, {took} s"));

    let minima = if is_full { report::FULL } else { report::SHORT };
    let mut problems = std::mem::take(&mut total.violations);
    if only.is_none() && std::env::var("CHAOS_FAULT").is_err() {
        problems.extend(total.below(&minima));
    }
    let ended = std::mem::take(&mut total.ended_by_themselves);
    problems.extend(ended.iter().map(|ending| format!("ended: {ending}")));
    assert!(problems.is_empty(), "CHAOS_SEED={seed}: {problems:#?}");
    Ok(())
}
