//! Which crate of the workspace may know which other one.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use anyhow::{Context as _, ensure};

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
        // What it judges, and what it judges it by.
        &[
            "anomaly-processor",
            "command-kit",
            "contracts",
            "detection",
            "local-stack",
            "log-generator",
            "pipeline",
            "service-kit",
            "strangers",
            "template-mining",
        ],
    ),
    (
        "test-kit",
        &["clickhouse-store", "contracts", "kafka-io", "local-stack"],
    ),
];

/// What no pure crate may reach, by whatever way: I/O, threads that wait, other people's formats.
const OUTSIDE: [&str; 10] = [
    "clickhouse",
    "hyper",
    "libloading",
    "mio",
    "rdkafka",
    "reqwest",
    "rustix",
    "socket2",
    "tokio",
    "tracing",
];

const PURE: [&str; 5] = [
    "contracts",
    "primitives",
    "detection",
    "template-mining",
    "log-records",
];

/// Who depends on whom for what is built on this machine; tests, build scripts and macros, which are
/// not part of a program, are left out.
struct Graph {
    ours: BTreeSet<String>,
    direct: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// As `cargo` resolves it.
    fn read() -> anyhow::Result<Self> {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--workspace", "--offline", "--locked"])
            .args(["--edges", "normal,no-proc-macro", "--charset", "ascii"])
            .args(["--prefix", "depth", "--format", " {p}"])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
            .output()?;
        ensure!(
            output.status.success(),
            "cargo tree: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Self::parse(std::str::from_utf8(&output.stdout)?)
    }

    /// Lines like `2 hyper v1.8.1`: under the last one of depth 1, and with `(*)` behind it where what is
    /// under it has stood before.
    fn parse(tree: &str) -> anyhow::Result<Self> {
        let mut graph = Self {
            ours: BTreeSet::new(),
            direct: BTreeMap::new(),
        };
        let mut path: Vec<String> = Vec::new();
        for line in tree.lines().filter(|line| !line.is_empty()) {
            let mut words = line.split(' ');
            let (depth, name) = (words.next(), words.next());
            let depth: usize = depth.context("no depth")?.parse()?;
            let name = name.context("no name")?.to_owned();
            path.truncate(depth);
            match path.last() {
                Some(parent) => {
                    let known = graph.direct.entry(parent.clone()).or_default();
                    known.insert(name.clone());
                }
                None => {
                    graph.ours.insert(name.clone());
                }
            }
            path.push(name);
        }
        Ok(graph)
    }

    fn direct(&self, of: &str) -> impl Iterator<Item = &str> {
        self.direct
            .get(of)
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// Every crate that comes with it, and by which way.
    fn reached(&self, from: &str) -> BTreeMap<&str, String> {
        let mut ways = BTreeMap::new();
        let mut left = vec![(from, from.to_owned())];
        while let Some((name, way)) = left.pop() {
            for next in self.direct(name) {
                let way = format!("{way} > {next}");
                if ways.insert(next, way.clone()).is_none() {
                    left.push((next, way));
                }
            }
        }
        ways
    }

    fn assert_kept_out(&self, of: &str, outside: &[&str]) {
        let reached = self.reached(of);
        for name in outside {
            if let Some(way) = reached.get(name) {
                panic!("{of} draws in {name}: {way}");
            }
        }
    }
}

#[test]
fn every_crate_knows_only_those_it_may() -> anyhow::Result<()> {
    let graph = Graph::read()?;
    let listed: BTreeSet<_> = MAY_KNOW
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(graph.ours, listed, "a crate that the table does not know");
    for (name, allowed) in MAY_KNOW {
        let ours = graph.direct(name).filter(|it| graph.ours.contains(*it));
        for dependency in ours {
            assert!(
                allowed.contains(&dependency),
                "{name} must not depend on {dependency}"
            );
        }
    }
    Ok(())
}

/// A crate that is pure by itself and draws in one that is not, is not.
#[test]
fn nothing_of_the_outside_comes_in_through_dependencies() -> anyhow::Result<()> {
    let graph = Graph::read()?;
    for name in PURE {
        graph.assert_kept_out(name, &OUTSIDE);
    }
    graph.assert_kept_out("pipeline", &["clickhouse", "hyper", "rdkafka"]);
    graph.assert_kept_out("service-kit", &["clickhouse", "rdkafka"]);
    graph.assert_kept_out("ws-gateway", &["detection", "template-mining"]);
    graph.assert_kept_out("log-generator", &["clickhouse", "detection"]);
    Ok(())
}

/// More in the place where everything is decided needs more trust.
#[test]
fn the_pure_crates_depend_on_few_crates_of_others() -> anyhow::Result<()> {
    let graph = Graph::read()?;
    for (of, expected) in [
        // Words of logins are searched for in every message, and so is what rules are about.
        (
            "detection",
            &["aho-corasick", "hashbrown", "regex", "statrs"][..],
        ),
        ("template-mining", &["hashbrown", "memchr"]),
    ] {
        let others = graph.direct(of).filter(|it| !graph.ours.contains(*it));
        assert_eq!(others.collect::<Vec<_>>(), expected, "{of}");
    }
    Ok(())
}

#[test]
fn what_stands_in_a_tree_is_read() -> anyhow::Result<()> {
    let graph = Graph::parse("0 a v1 (/a)\n1 b v2\n2 c v3\n1 c v3\n\n0 d v1 (/d)\n1 b v2 (*)\n")?;
    assert_eq!(graph.ours, ["a", "d"].map(str::to_owned).into());
    assert_eq!(graph.reached("d")["c"], "d > b > c");
    Ok(())
}
