//! Instructions of a stage, counted by valgrind's callgrind.
//!
//! Invariant: only what a round does is in the count. The stage runs twice, with unlike numbers of
//! rounds; what comes before and after the rounds is in both runs and falls out of the difference.

use std::process::Command;

use crate::{Failure, stage::Stage};

/// The first round also makes what the others find: buffers, services, hash tables.
const FEW: u32 = 1;
const MANY: u32 = 3;

pub(crate) fn per_record(stage: Stage, path: &str, records: usize) -> Result<f64, Failure> {
    let few = count(stage, path, FEW)?;
    let many = count(stage, path, MANY)?;
    let rounds = f64::from(MANY - FEW);
    Ok((many as f64 - few as f64) / (rounds * records as f64))
}

fn count(stage: Stage, path: &str, rounds: u32) -> Result<u64, Failure> {
    let own = std::env::current_exe().map_err(|source| Failure::file("own program", source))?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(own)
        .args(["rounds", stage.name(), path, &rounds.to_string()])
        // jemalloc gives pages back by the clock, unless it is told not to.
        .env("MALLOC_CONF", "dirty_decay_ms:-1,muzzy_decay_ms:-1")
        .output()
        .map_err(Failure::NoValgrind)?;
    let said = String::from_utf8_lossy(&output.stderr);
    let counted = said
        .lines()
        .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    match counted {
        Some(counted) if output.status.success() => Ok(counted),
        _ => Err(Failure::NoCount(said.into_owned())),
    }
}
