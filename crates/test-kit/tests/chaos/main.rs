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
mod cases;
mod clocks;
mod disk;
mod faults;
mod grown;
mod load;
mod lost;
mod operator;
mod poison;
mod proxy;
mod recreated;
mod report;
mod stops;
mod told;
mod wire;
mod world;

use std::{sync::Arc, sync::atomic::AtomicBool, sync::atomic::Ordering, time::Duration};

use anyhow::Context as _;
use cases::{CASES, Case};
use disk::SmallDisk;
use load::{Load, Plan};
use local_stack::{Ports, StackConfig, ports::loopback};
use report::Tally;
use test_kit::Stack;
use wire::Wire;
use world::{Shape, World};

/// A session of the newer group protocol is the broker's to choose; its default is 45 s.
const KAFKA: [(&str, &str); 4] = [
    ("group.consumer.session.timeout.ms", "6000"),
    ("group.consumer.min.session.timeout.ms", "6000"),
    ("group.consumer.heartbeat.interval.ms", "1500"),
    ("group.consumer.min.heartbeat.interval.ms", "1500"),
];

/// Kafka tells each client to come back by the door it came in by.
fn with_two_doors(config: &mut StackConfig, ports: Ports, wire: &Wire) {
    let line = |name: &str, value: String| (name.to_owned(), value);
    let (broker, controller) = (loopback(ports.kafka), loopback(ports.kafka_controller));
    let (door, wire) = (loopback(ports.gateway), wire.address());
    config.kafka.properties = vec![
        line(
            "listeners",
            format!("PLAINTEXT://{broker},WIRE://{door},CONTROLLER://{controller}"),
        ),
        line(
            "advertised.listeners",
            format!("PLAINTEXT://{broker},WIRE://{wire}"),
        ),
        line(
            "listener.security.protocol.map",
            "PLAINTEXT:PLAINTEXT,WIRE:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned(),
        ),
    ];
    let settings = KAFKA.iter();
    let settings = settings.map(|(name, value)| line(name, (*value).to_owned()));
    config.kafka.properties.extend(settings);
    config.ports = ports;
}

/// In this order, so that the disk outlives the stack that stands on it.
async fn with_a_small_disk() -> anyhow::Result<(SmallDisk, Arc<Stack>)> {
    let mut disk = None;
    let stack = Stack::start_with(|config| {
        disk = Some(SmallDisk::at(&config.data_dir.join("clickhouse")));
        config.kafka.properties = KAFKA
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
    });
    let stack = stack.await?;
    let disk = disk.context("the stack was started as it was told")??;
    Ok((disk, stack))
}

async fn run(
    stack: &Arc<Stack>,
    case: &Case,
    to_kafka: Option<Arc<Wire>>,
    is_full: bool,
    seed: u64,
) -> anyhow::Result<Tally> {
    let faults = if is_full { case.full } else { case.short };
    let name = format!("chaos-{}", case.name);
    let space = stack.space_of(&name, case.partitions).await?;
    let plan = Plan {
        seed,
        services: case.services,
        cycles: 1,
        pace: Duration::from_millis(case.pace) * case.services as u32,
        keyed: case.keyed,
        unreadable: true,
        wrong_clocks: if case.wrong_clocks {
            case.partitions
        } else {
            0
        },
        partitioner: "consistent_random",
    };
    let mut load = Load::new(&space, plan)?;
    let shape = Shape {
        seed,
        processors: case.processors,
        gateways: if is_full { 2 } else { 1 },
        clients: 2,
        settings: case.settings.to_vec(),
        to_kafka,
    };
    let mut world = World::start(space, shape).await?;
    load.obey(world.load_flows.subscribe());
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
    let mut world = settle(world, &format!("{name}-quiet")).await?;
    if case.wrong_clocks {
        clocks::change_nothing_for_others(&mut world).await?;
    }
    Ok(world.tally)
}

/// What stands where in the end.
async fn settle(mut world: World, quiet: &str) -> anyhow::Result<World> {
    account::all_arrived(&mut world).await?;
    world.stop_processors().await?;
    let World {
        space,
        tally,
        placed,
        ..
    } = &mut world;
    account::records(space, tally).await?;
    poison::check(space, placed, tally).await?;
    account::anomalies(&mut world).await?;
    told::undisturbed(&mut world, quiet).await?;
    Ok(world)
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
    let ports = Ports::free()?;
    // Kafka has a second door, and the wire leads to it; nothing else uses these two ports.
    let (wire, door) = (loopback(ports.gateway_admin), loopback(ports.gateway));
    let to_kafka = Arc::new(Wire::start_at(wire, door).await?);
    let stack = Stack::start_with(|config| with_two_doors(config, ports, &to_kafka)).await?;
    let mut total = Tally::default();
    for case in &CASES {
        let faults = if is_full { case.full } else { case.short };
        if !is_asked(case.name) || faults.is_empty() {
            continue;
        }
        println!("{}", case.name);
        let wire = case.wired.then(|| Arc::clone(&to_kafka));
        let tally = if case.small_disk {
            if std::env::var("CHAOS_WITHOUT").is_ok_and(|without| without == case.name) {
                println!("{} is left out", case.name);
                continue;
            }
            let (_disk, stack) = with_a_small_disk().await?;
            run(&stack, case, wire, is_full, seed).await?
        } else {
            run(&stack, case, wire, is_full, seed).await?
        };
        tally.print(case.name);
        total.add(tally);
    }
    if is_asked(recreated::NAME) {
        for trial in recreated::trials(is_full) {
            println!(
                "{}, {} partitions and {}",
                recreated::NAME,
                trial.0,
                trial.1
            );
            let tally = recreated::run(&stack, *trial, seed).await?;
            tally.print(recreated::NAME);
            total.add(tally);
        }
    }
    if is_full && is_asked(lost::NAME) {
        println!("{}", lost::NAME);
        let tally = lost::run(&stack, seed).await?;
        tally.print(lost::NAME);
        total.add(tally);
    }
    if is_full && is_asked(grown::NAME) {
        for partitioner in ["consistent_random", "murmur2_random"] {
            println!("{}, {partitioner}", grown::NAME);
            let tally = grown::run(&stack, partitioner, seed).await?;
            tally.print(grown::NAME);
            total.add(tally);
        }
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
