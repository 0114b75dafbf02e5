//! `barograph up` as an operator uses it, mostly without the services.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use local_stack::Running;
use rustix::process::Signal;

mod processes;
use processes::{all_gone, eventually, kill9, signal};

fn barograph() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_barograph"));
    for name in [
        "KAFKA_BROKERS",
        "KAFKA_BROKER",
        "CLICKHOUSE_URL",
        "CLICKHOUSE_PASSWORD",
    ] {
        command.env_remove(name);
    }
    command
}

/// Starts `barograph up`, waits until it is up.
async fn up(data_dir: &Path, more: &[&str]) -> (Child, Running) {
    let mut owner = barograph()
        .args([
            "up",
            "--free-ports",
            "--without",
            "processor",
            "--without",
            "gateway",
        ])
        .args(more)
        .arg("--data-dir")
        .arg(data_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut note = None;
    eventually("the stack is up", || {
        assert_eq!(owner.try_wait().unwrap(), None, "it ended early");
        // A note of an owner that was killed may be there still.
        note = Running::read(data_dir).filter(|note| note.owner == owner.id());
        note.is_some()
    })
    .await;
    (owner, note.unwrap())
}

async fn ended(owner: &mut Child) -> Option<i32> {
    let mut status = None;
    eventually("barograph up has ended", || {
        status = owner.try_wait().unwrap();
        status.is_some()
    })
    .await;
    status.unwrap().code()
}

fn doctor(data_dir: &Path) -> (Output, serde_json::Value) {
    let output = barograph()
        .args(["doctor", "--json", "--data-dir"])
        .arg(data_dir)
        .output()
        .unwrap();
    let document = serde_json::from_slice(&output.stdout).unwrap();
    (output, document)
}

#[tokio::test]
async fn kill_9_of_the_owner_leaves_nothing_and_the_next_one_starts_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (mut owner, note) = up(dir.path(), &[]).await;
    kill9(owner.id());
    owner.wait().unwrap();
    // Not waiting for the leftovers: the next stack has to.
    let (mut owner, next) = up(dir.path(), &[]).await;
    all_gone(&note.pids).await;
    kill9(owner.id());
    owner.wait().unwrap();
    all_gone(&next.pids).await;
}

#[tokio::test]
async fn ctrl_c_ends_everything_with_code_0() {
    for request in [Signal::INT, Signal::TERM] {
        let dir = tempfile::tempdir().unwrap();
        let (mut owner, note) = up(dir.path(), &[]).await;
        signal(owner.id(), request);
        assert_eq!(ended(&mut owner).await, Some(0));
        all_gone(&note.pids).await;
        assert!(Running::read(dir.path()).is_none());
    }
}

#[tokio::test]
async fn a_store_that_dies_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut owner, note) = up(dir.path(), &[]).await;
    let kafka_port = &note.env["KAFKA_BROKERS"];
    kill9(note.pids[0]);
    all_gone(&note.pids[..1]).await;
    eventually("somebody listens on Kafka's port again", || {
        std::net::TcpStream::connect(kafka_port).is_ok()
    })
    .await;
    signal(owner.id(), Signal::INT);
    assert_eq!(ended(&mut owner).await, Some(0));
}

#[tokio::test]
async fn the_doctor_finds_a_healthy_stack_healthy_and_a_missing_store_missing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut owner, note) = up(dir.path(), &["--partitions", "3"]).await;
    let (output, document) = doctor(dir.path());
    assert_eq!(output.status.code(), Some(0), "{document:#}");
    let text = document.to_string();
    for expected in [
        "topic app-logs has 3 partition(s)",
        "schema is up to date",
        "topic app-logs has no records yet",
    ] {
        assert!(text.contains(expected), "{expected} is not in {document:#}");
    }

    let elsewhere = "http://127.0.0.1:1";
    let output = barograph()
        .env("CLICKHOUSE_URL", elsewhere)
        .env("KAFKA_BROKERS", &note.env["KAFKA_BROKERS"])
        .args(["doctor", "--data-dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains(&format!("{elsewhere} cannot be used")),
        "{text}"
    );

    signal(owner.id(), Signal::INT);
    assert_eq!(ended(&mut owner).await, Some(0));
}

/// The generator needs nothing but Kafka.
#[tokio::test]
async fn a_service_is_ready_its_records_arrive_and_it_comes_back_when_killed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut owner, note) = up(dir.path(), &["--generate", "200"]).await;
    let healthy = |expected: &str| {
        let (_, document) = doctor(dir.path());
        document.to_string().contains(expected)
    };
    eventually("the generator is ready", || {
        healthy("log-generator is ready")
    })
    .await;
    eventually("its records have keys", || {
        healthy("records of app-logs have keys")
    })
    .await;

    let generator = note.pids[4];
    kill9(generator);
    all_gone(&[generator]).await;
    eventually("the generator is ready again", || {
        healthy("log-generator is ready")
    })
    .await;
    signal(owner.id(), Signal::INT);
    assert_eq!(ended(&mut owner).await, Some(0));
    all_gone(&note.pids).await;
}

#[tokio::test]
async fn everything_that_stands_in_the_way_is_said_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = barograph()
        .args([
            "up",
            "--kafka-port",
            &port,
            "--gateway-port",
            &port,
            "--data-dir",
        ])
        .arg(dir.path())
        .env("PATH", "")
        .env_remove("JAVA_HOME")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for expected in [
        "no java found, Barograph's local Kafka needs 17 or newer: install it",
        &format!("port {port}, needed by Kafka, is taken: choose another one with --kafka-port"),
        &format!("port {port}, needed by the gateway, is taken"),
    ] {
        assert!(said.contains(expected), "{expected} is not in {said}");
    }
    assert!(!said.contains("starting"), "{said}");
}
