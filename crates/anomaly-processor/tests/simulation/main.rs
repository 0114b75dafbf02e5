//! The shipped pipeline against a simulated broker, store and clock, driven by a seed.
//!
//! A seed that fails is run alone with `SIMULATION_SEED=<seed> cargo test --release -p
//! anomaly-processor --test simulation`; `SIMULATION_SEEDS=<count>` sets how many are run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a simulation that cannot go on has failed"
)]

mod executor;
mod mutants;
mod ports;
mod process;
mod scenario;
mod templates;
mod world;

use std::ops::Range;

use mutants::Mutant;
use world::Tally;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seeds() -> Range<u64> {
    if let Some(seed) = number("SIMULATION_SEED") {
        return seed..seed + 1;
    }
    1..1 + number("SIMULATION_SEEDS").unwrap_or(2000)
}

#[test]
fn nothing_is_lost_or_doubled_whatever_happens() {
    if number("SIMULATION_SEED").is_some() {
        tracing_subscriber::fmt()
            .without_time()
            .with_test_writer()
            .init();
    }
    let mut total = Tally::default();
    let mut failed = Vec::new();
    for seed in seeds() {
        match scenario::run(seed, None) {
            Ok(tally) => total.add(&tally),
            Err(why) => failed.push(format!("seed {seed}: {why}")),
        }
        assert!(failed.len() < 10, "{failed:#?}");
    }
    assert!(failed.is_empty(), "{failed:#?}");
    println!("{total:#?}");
    if seeds().count() >= 1000 {
        // Rare, or idle time runs ahead of the records.
        assert!(total.told_otherwise * 50 <= total.anomalies, "{total:#?}");
        // A simulation in which nothing happens proves nothing.
        for (what, count) in [
            ("crashes", total.crashes),
            ("members taken for dead", total.kicked),
            ("intents found", total.intents_found),
            ("lost answers", total.lost_answers),
            ("requests that were never answered", total.deadlines),
            ("parts lost behind their token", total.lost_parts),
            ("deduplicated inserts", total.deduplicated),
            ("rejected blocks", total.rejected),
            ("restored detectors", total.restored),
            ("changes made a whole", total.folded),
            ("miners that were lost", total.mined_anew),
            ("merges of templates", total.merges),
            ("topics made anew", total.remade_topics),
            ("logs that were lost", total.lost_logs),
            ("logs that were found to be lost", total.lives),
            ("offsets set by an operator", total.offsets_set),
            ("offsets of others found", total.foreign),
            ("stretches with rows that nobody announced", total.unsettled),
            ("commits refused by the fence", total.stale_commits_refused),
            ("anomalies", total.anomalies),
        ] {
            assert!(count >= 100, "only {count} {what}");
        }
    }
}

#[test]
fn a_seed_gives_the_same_run_every_time() {
    for seed in 1..20 {
        let (one, other) = (scenario::run(seed, None), scenario::run(seed, None));
        assert_eq!(format!("{one:?}"), format!("{other:?}"), "seed {seed}");
    }
}

#[test]
fn every_planted_bug_is_found() {
    let most = number("SIMULATION_SEEDS").unwrap_or(2000);
    let mut missed = Vec::new();
    for mutant in Mutant::ALL {
        let found = (1..=most).find_map(|seed| {
            let outcome = scenario::run(seed, Some(mutant));
            outcome.err().map(|why| (seed, why))
        });
        match found {
            Some((seed, why)) => println!("{mutant:?} is found by seed {seed}: {why}"),
            None => missed.push(mutant),
        }
    }
    assert!(missed.is_empty(), "not found in {most} seeds: {missed:?}");
}
