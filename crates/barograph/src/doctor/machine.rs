//! Checks this machine: programs, cache, disk, ports.

use std::path::{Path, PathBuf};

use local_stack::{
    binaries::Binaries,
    fetch::Fetcher,
    ports::Claim,
    requirements::{self, Tool},
};

use super::finding::Finding;
use crate::place::Place;

const AREA: &str = "machine";
const GIB: u64 = 1 << 30;
/// Below this, a stack under load fills the disk within hours.
const LITTLE_DISK: u64 = 5 * GIB;

/// `running`: a stack of this data directory runs. `elsewhere`: the stores to check are named by
/// the environment, so what `barograph up` would need is not needed.
pub(crate) fn check(place: &Place, running: bool, elsewhere: bool) -> anyhow::Result<Vec<Finding>> {
    let lacking = |problem: String| {
        if elsewhere {
            Finding::note(AREA, problem, "only `barograph up` needs it")
        } else {
            // The sentence ends with its remedy.
            match problem.split_once(": ") {
                Some((what, remedy)) => Finding::wrong(AREA, what, remedy),
                None => Finding::wrong(AREA, problem, "see above"),
            }
        }
    };
    let tool = |name: &str, found: Result<Tool, String>| match found {
        Ok(tool) => Finding::fine(
            AREA,
            format!("{name} {} ({})", tool.version, tool.program.display()),
        ),
        Err(problem) => lacking(problem),
    };

    let mut findings = vec![tool("java", requirements::java())];
    findings.extend(requirements::platform().err().map(lacking));
    let cache = place.cache_dir();
    let binaries = Binaries::find()?;
    let fetcher = Fetcher {
        cache: cache.clone(),
        supervisor: binaries.barograph().clone(),
    };
    if fetcher.has_kafka() {
        findings.push(Finding::fine(
            AREA,
            format!("Kafka is in {}", cache.display()),
        ));
    } else {
        findings.push(tool("Maven", requirements::maven()));
    }
    if fetcher.has_clickhouse() {
        findings.push(Finding::fine(
            AREA,
            format!("ClickHouse is in {}", cache.display()),
        ));
    } else {
        findings.push(tool("npm", requirements::npm()));
        findings.push(tool("tar", requirements::tar()));
    }
    findings.extend(disk("data directory", &place.data.data_dir));
    findings.extend(disk("cache", &cache));
    if !running && !elsewhere {
        findings.extend(ports(place)?);
    }
    Ok(findings)
}

fn ports(place: &Place) -> anyhow::Result<Vec<Finding>> {
    let ports = place.ports()?;
    let claims = [
        &ports.claims_of_stores()[..],
        &ports.claims_of_services()[..],
    ]
    .concat();
    let taken: Vec<Finding> = claims
        .iter()
        .filter_map(Claim::problem)
        .map(|problem| match problem.split_once(": ") {
            Some((what, remedy)) => Finding::wrong(AREA, what, remedy),
            None => Finding::wrong(AREA, problem, "choose another one"),
        })
        .collect();
    if !taken.is_empty() {
        return Ok(taken);
    }
    let numbers: Vec<String> = claims.iter().map(|claim| claim.port.to_string()).collect();
    Ok(vec![Finding::fine(
        AREA,
        format!("ports {} are free", numbers.join(", ")),
    )])
}

fn disk(what: &str, path: &Path) -> Option<Finding> {
    let path = nearest(path)?;
    let found = rustix::fs::statvfs(&path).ok()?;
    let free = found.f_bavail * found.f_frsize;
    let said = format!("{} GiB free for the {what}", free / GIB);
    Some(if free < LITTLE_DISK {
        Finding::warning(
            AREA,
            said,
            format!("free some space, or choose another {what}"),
        )
    } else {
        Finding::fine(AREA, said)
    })
}

/// The path, or the nearest directory above it that exists.
fn nearest(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    path.ancestors()
        .find(|path| path.exists())
        .map(Path::to_owned)
}
