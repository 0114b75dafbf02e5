//! What the supervisor promises, with small commands as parts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use local_stack::child::{Child, Ending, Part, Phase};

mod processes;
use processes::{all_gone, eventually};

fn part(dir: &Path, script: &str) -> Part {
    Part {
        name: "part".to_owned(),
        program: PathBuf::from("/bin/sh"),
        args: vec!["-c".into(), script.into()],
        env: vec![("GREETING".to_owned(), "hello".to_owned())],
        log: dir.join("part.log"),
        grace: Duration::from_millis(300),
        alive: Some(dir.join("alive")),
        supervisor: PathBuf::from(env!("CARGO_BIN_EXE_barograph")),
    }
}

/// Waits until the part wrote that line.
async fn wrote(child: &Child, line: &str) {
    eventually("the line is in the log", || {
        child.last_lines(10).iter().any(|found| found == line)
    })
    .await;
}

#[tokio::test]
async fn the_exit_code_is_passed_on_and_the_output_is_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let child = Child::start(part(dir.path(), "echo $GREETING; echo oops >&2; exit 7")).unwrap();
    assert_eq!(child.ended().await, Ending::Exited(7));
    assert_eq!(child.last_lines(10), ["hello", "oops"]);
}

#[test]
fn the_supervisor_exits_as_its_part_did() {
    for (script, code) in [("exit 7", 7), ("kill -9 $$", 128 + 9)] {
        let dir = tempfile::tempdir().unwrap();
        let mut supervisor = Command::new(env!("CARGO_BIN_EXE_barograph"))
            .args(["supervise", "--log"])
            .arg(dir.path().join("part.log"))
            .args(["--", "/bin/sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // `wait` would close the pipe, which asks the part to end.
        let _control = supervisor.stdin.take();
        assert_eq!(supervisor.wait().unwrap().code(), Some(code), "{script}");
    }
}

#[tokio::test]
async fn a_command_that_does_not_exist_ends_at_once_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut part = part(dir.path(), "");
    part.program = PathBuf::from("/no/such/program");
    let child = Child::start(part).unwrap();
    assert_eq!(child.ended().await, Ending::Exited(1));
    let lines = child.last_lines(10).join("\n");
    assert!(lines.contains("cannot run /no/such/program"), "{lines}");
}

#[tokio::test]
async fn stopping_lets_the_part_finish() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap 'echo finished; exit 3' TERM; echo ready; while :; do sleep 0.01; done";
    let child = Child::start(part(dir.path(), script)).unwrap();
    wrote(&child, "ready").await;
    assert_eq!(child.stop().await, Ending::Exited(3));
    wrote(&child, "finished").await;
}

#[tokio::test]
async fn a_part_that_ignores_the_request_is_killed_after_the_grace() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap '' TERM; echo ready; while :; do sleep 0.01; done";
    let child = Child::start(part(dir.path(), script)).unwrap();
    wrote(&child, "ready").await;
    assert_eq!(child.stop().await, Ending::Killed(9));
}

#[tokio::test]
async fn a_paused_part_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done";
    let mut part = part(dir.path(), script);
    part.grace = Duration::from_secs(60);
    let child = Child::start(part).unwrap();
    wrote(&child, "ready").await;
    child.pause();
    assert_eq!(child.stop().await, Ending::Exited(3));
}

#[tokio::test]
async fn a_killed_part_can_be_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let child = Child::start(part(dir.path(), "echo ready; exec sleep 1000")).unwrap();
    let first = child.pid();
    assert_eq!(child.kill9().await, Ending::Killed(9));
    child.restart().await.unwrap();
    assert_ne!(child.pid(), first);
    assert_eq!(child.state().run, 2);
    assert!(matches!(child.state().phase, Phase::Running { .. }));
}

#[tokio::test]
async fn dropping_the_handle_ends_the_part() {
    let dir = tempfile::tempdir().unwrap();
    let child = Child::start(part(dir.path(), "exec sleep 1000")).unwrap();
    let pids = [child.pid().unwrap(), child.supervisor_pid().unwrap()];
    drop(child);
    all_gone(&pids).await;
}

/// Would catch a death order that is lost between the supervisor and the part.
#[tokio::test]
async fn a_part_dies_with_its_killed_supervisor() {
    let dir = tempfile::tempdir().unwrap();
    let child = Child::start(part(dir.path(), "echo ready; exec sleep 1000")).unwrap();
    wrote(&child, "ready").await;
    let pid = child.pid().unwrap();
    processes::kill9(child.supervisor_pid().unwrap());
    assert_eq!(child.ended().await, Ending::SupervisorGone);
    all_gone(&[pid]).await;
}
