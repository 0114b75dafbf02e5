//! A file of rules, as somebody writes it, gets it wrong, and changes it while the processor runs.

use std::{fs, process::Command};

use local_stack::{Ports, ports::loopback};
use test_kit::{Message, lines, wait};

use crate::space;

const FILE: &str = "
rules:
  - name: disk full
    message: 'disk \\S+ full'
    above: 3
    within: 5m
    severity: critical
  - name: odd
    message: '('
";

fn full(from: u64) -> Vec<Message> {
    let line = |n: u64| {
        let text = format!("disk sd{} full, {} left", n % 7, n);
        lines::line("db", lines::now(), contracts::Level::Info, &text)
    };
    (from..from + 5).map(line).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_are_followed_refused_and_followed_anew() -> anyhow::Result<()> {
    let space = space("rules").await?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("rules.yaml");
    fs::write(&path, FILE)?;
    let service = space
        .service("anomaly-processor", "processor")
        .env("PROCESSOR_RULES", path.display().to_string());
    let processor = space.stack.spawn(service)?;
    let (gateway, address) = space.gateway("gateway")?;
    processor.ready().await?;
    gateway.ready().await?;
    let watcher = space.watch(&address).await?;
    space.produce(full(0)).await?;
    let told = watcher
        .find("the rule is met", |anomaly| {
            anomaly.kind == "rule" && anomaly.service == "db"
        })
        .await?;
    assert_eq!(told.subject.rule.as_deref(), Some("disk full"));
    assert_eq!((told.observed, told.unit.as_str()), (4.0, "lines"));
    assert_eq!(told.severity.as_str(), "critical");
    let log = processor.log()?;
    assert!(
        log.contains(r#"line 8, rule \"odd\": `message` is no regular expression"#)
            || log.contains(r#"line 8, rule "odd": `message` is no regular expression"#),
        "{log}"
    );
    let metric = |state: &str| format!("barograph_rules{{state=\"{state}\"}}");
    let metrics = processor.metrics().await?;
    assert_eq!(metrics.get(&metric("followed")), Some(&1.0));
    assert_eq!(metrics.get(&metric("refused")), Some(&1.0));

    // What is no YAML changes nothing but a metric; what is, is followed within seconds.
    fs::write(&path, "rules: [")?;
    wait::until("it is said to be unreadable", wait::LONG, async || {
        let metrics = processor.metrics().await?;
        Ok((metrics.get("barograph_rules_unreadable") == Some(&1.0)).then_some(()))
    })
    .await?;
    let metrics = processor.metrics().await?;
    assert_eq!(metrics.get(&metric("followed")), Some(&1.0));
    fs::write(&path, FILE.replace("disk full", "no room"))?;
    wait::until("the other file is followed", wait::LONG, async || {
        let metrics = processor.metrics().await?;
        Ok((metrics.get("barograph_rules_unreadable") == Some(&0.0)).then_some(()))
    })
    .await?;
    space.produce(full(100)).await?;
    watcher
        .find("the changed rule is met", |anomaly| {
            anomaly.subject.rule.as_deref() == Some("no room")
        })
        .await?;
    Ok(())
}

#[test]
fn a_file_that_is_not_there_is_an_error_of_the_configuration() -> anyhow::Result<()> {
    let ended = Command::new(test_kit::program("anomaly-processor")?)
        .env(
            "ADMIN_LISTEN",
            loopback(Ports::free()?.processor_admin).to_string(),
        )
        .env("PROCESSOR_RULES", "/nowhere/rules.yaml")
        .output()?;
    let log = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(64), "{log}");
    assert!(
        log.contains("PROCESSOR_RULES: cannot read the rules in /nowhere/rules.yaml"),
        "{log}"
    );
    Ok(())
}
