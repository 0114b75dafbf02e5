//! Which crate of the workspace may know which other one.

use std::{collections::BTreeSet, path::Path, process::Command};

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// A crate, and the crates of the workspace that it may depend on. Tests are not looked at.
const MAY_KNOW: [(&str, &[&str]); 20] = [
    // Pure: no I/O, nobody else's types.
    ("contracts", &[]),
    ("primitives", &[]),
    ("detection", &["primitives"]),
    ("pipeline", &["primitives"]),
    ("template-mining", &["primitives"]),
    ("strangers", &[]),
    ("log-records", &["contracts", "primitives"]),
    ("service-kit", &["contracts", "strangers"]),
    // To the outside.
    ("kafka-io", &["contracts", "pipeline", "service-kit"]),
    (
        "clickhouse-store",
        &["contracts", "pipeline", "primitives", "service-kit"],
    ),
    // Services.
    (
        "anomaly-processor",
        &[
            "clickhouse-store",
            "contracts",
            "detection",
            "kafka-io",
            "log-records",
            "pipeline",
            "primitives",
            "service-kit",
            "template-mining",
        ],
    ),
    (
        "ws-gateway",
        &[
            "clickhouse-store",
            "contracts",
            "kafka-io",
            "pipeline",
            "service-kit",
        ],
    ),
    (
        "log-generator",
        &["contracts", "kafka-io", "primitives", "service-kit"],
    ),
    // Around them.
    ("clickhouse-embedded", &["primitives", "strangers"]),
    ("local-stack", &["contracts"]),
    (
        "command-kit",
        &["clickhouse-store", "contracts", "local-stack", "strangers"],
    ),
    (
        "barograph",
        &[
            "clickhouse-store",
            "command-kit",
            "contracts",
            "kafka-io",
            "local-stack",
            "log-records",
            "pipeline",
            "strangers",
        ],
    ),
    (
        "barograph-bench",
        &[
            "clickhouse-store",
            "command-kit",
            "contracts",
            "kafka-io",
            "local-stack",
            "pipeline",
            "primitives",
        ],
    ),
    (
        "barograph-eval",
        &["command-kit", "local-stack", "strangers", "template-mining"],
    ),
    (
        "test-kit",
        &["clickhouse-store", "contracts", "kafka-io", "local-stack"],
    ),
];

struct Package {
    name: String,
    /// What it is built from, tests left out; whether it lies in the workspace.
    dependencies: Vec<(String, bool)>,
}

fn packages() -> anyhow::Result<Vec<Package>> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .arg("--manifest-path")
        .arg(manifest)
        .output()?;
    ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let text = |value: &Value| value.as_str().map(str::to_owned).context("not a text");
    let package = |value: &Value| {
        let dependencies = value["dependencies"].as_array().context("no list")?;
        let dependencies = dependencies
            .iter()
            .filter(|dependency| dependency["kind"] != "dev")
            .map(|dependency| Ok((text(&dependency["name"])?, dependency["path"].is_string())));
        Ok(Package {
            name: text(&value["name"])?,
            dependencies: dependencies.collect::<anyhow::Result<_>>()?,
        })
    };
    packages.iter().map(package).collect()
}

#[test]
fn every_crate_knows_only_those_it_may() -> anyhow::Result<()> {
    let packages = packages()?;
    let names: BTreeSet<_> = packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let listed: BTreeSet<_> = MAY_KNOW.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, listed, "a crate that the table does not know");
    for package in &packages {
        let allowed = MAY_KNOW.iter().find(|(name, _)| *name == package.name);
        let (_, allowed) = allowed.context("not listed")?;
        for (dependency, in_workspace) in &package.dependencies {
            assert!(
                !in_workspace || allowed.contains(&dependency.as_str()),
                "{} must not depend on {dependency}",
                package.name
            );
        }
    }
    Ok(())
}

/// More in the place where everything is decided needs more trust.
#[test]
fn the_pure_crates_depend_on_two_crates_of_others() -> anyhow::Result<()> {
    let packages = packages()?;
    for (of, expected) in [
        ("detection", ["hashbrown", "statrs"]),
        ("template-mining", ["hashbrown", "memchr"]),
    ] {
        let package = packages.iter().find(|package| package.name == of);
        let mut names: Vec<_> = package
            .with_context(|| format!("no crate named {of}"))?
            .dependencies
            .iter()
            .filter(|(_, is_ours)| !is_ours)
            .map(|(name, _)| name.as_str())
            .collect();
        names.sort_unstable();
        assert_eq!(names, expected, "{of}");
    }
    Ok(())
}
