//! What the services read from their environment, and what they say when it is wrong.

use std::{collections::BTreeSet, path::Path, process::Command};

use anyhow::Context as _;
use service_kit::options::Variable;
use test_kit::program;

/// What follows this line is read by the services; what comes before, by Compose.
const OF_THE_SERVICES: &str = "# ==== The services";

/// Name and text of every `NAME=text`, commented out or not.
fn assignments(text: &str) -> Vec<(&str, &str)> {
    text.lines()
        .filter_map(|line| line.trim_start_matches("# ").split_once('='))
        .filter(|(name, _)| {
            let mut letters = name.chars();
            !name.is_empty()
                && letters.all(|letter| {
                    letter.is_ascii_uppercase() || letter == '_' || letter.is_ascii_digit()
                })
        })
        .collect()
}

fn variables() -> Vec<Variable> {
    let mut variables = anomaly_processor::options::Options::variables();
    variables.extend(ws_gateway::Options::variables());
    variables.extend(log_generator::service::options::Options::variables());
    variables
}

fn example() -> anyhow::Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.env.example");
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

#[test]
fn the_example_lists_exactly_what_the_services_read() -> anyhow::Result<()> {
    let example = example()?;
    let (_, services) = example
        .split_once(OF_THE_SERVICES)
        .context("no part for the services")?;
    let listed = assignments(services);
    let names: BTreeSet<_> = listed.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names.len(), listed.len(), "one is listed twice");
    let read: BTreeSet<_> = variables()
        .into_iter()
        .map(|variable| variable.name)
        .collect();
    let missing: Vec<_> = read.difference(&names).collect();
    let unknown: Vec<_> = names.difference(&read).collect();
    assert!(missing.is_empty(), "not in .env.example: {missing:?}");
    assert!(
        unknown.is_empty(),
        "in .env.example, and nobody reads it: {unknown:?}"
    );
    Ok(())
}

#[test]
fn a_default_that_the_example_shows_is_the_one_that_counts() -> anyhow::Result<()> {
    let example = example()?;
    let (_, services) = example
        .split_once(OF_THE_SERVICES)
        .context("no part for the services")?;
    let commented: String = services
        .lines()
        .filter(|line| line.starts_with("# "))
        .fold(String::new(), |text, line| text + line + "\n");
    for (name, shown) in assignments(&commented) {
        let defaults: BTreeSet<_> = variables()
            .into_iter()
            .filter(|variable| variable.name == name)
            .map(|variable| variable.default.unwrap_or_default())
            .collect();
        // Where services differ, none is shown.
        if defaults.len() == 1 {
            assert!(defaults.contains(shown), "{name}={shown}, but {defaults:?}");
        } else {
            assert_eq!(shown, "", "{name}: {defaults:?}");
        }
    }
    Ok(())
}

#[test]
fn everything_wrong_is_said_at_once_and_no_secret_with_it() -> anyhow::Result<()> {
    const SECRET: &str = "hunter2-in-the-clear";
    let wrong = [
        ("BATCH_ROWS", "0"),
        ("BATCH_AGE", "soon"),
        ("PROCESSOR_START", "middle"),
        ("ADMIN_LISTEN", "nowhere"),
        ("KAFKA_SECURITY_PROTOCOL", "tls"),
        ("DETECTION_WINDOW", "1ms"),
        ("INFLIGHT_BYTES", "many"),
    ];
    let elsewhere = tempfile::tempdir()?;
    let output = Command::new(program("anomaly-processor")?)
        .current_dir(elsewhere.path())
        .env_clear()
        .envs(wrong)
        .env("CLICKHOUSE_URL", format!("ftp://user:{SECRET}@db"))
        .env("CLICKHOUSE_PASSWORD", SECRET)
        .env("KAFKA_SASL_PASSWORD", SECRET)
        .output()?;
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8(output.stderr)?;
    for (name, _) in wrong.iter().chain(&[("CLICKHOUSE_URL", "")]) {
        let lines = said.lines().filter(|line| line.contains(name)).count();
        assert_eq!(lines, 1, "{name} in:\n{said}");
    }
    assert_eq!(said.lines().count(), wrong.len() + 1, "{said}");
    assert!(!said.contains(SECRET), "{said}");
    assert!(output.stdout.is_empty());
    Ok(())
}
