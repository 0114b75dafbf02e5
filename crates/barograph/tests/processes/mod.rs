//! Conditions on processes, awaited with a deadline.
#![allow(dead_code, reason = "each test program uses some of it")]
#![allow(clippy::unwrap_used, reason = "only tests call it")]

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for a condition; which one is said when it does not come true.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let met = tokio::time::timeout(DEADLINE, met).await;
    assert!(met.is_ok(), "not within {DEADLINE:?}: {what}");
}

pub(crate) async fn all_gone(pids: &[u32]) {
    assert!(!pids.is_empty(), "nothing to wait for");
    eventually(&format!("processes {pids:?} are gone"), || {
        !pids.iter().copied().any(exists)
    })
    .await;
}

/// Whether the process runs. One that has ended and was not waited for does not.
pub(crate) fn exists(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with('Z'))
    })
}

pub(crate) fn kill9(pid: u32) {
    signal(pid, Signal::KILL);
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    kill_process(pid, signal).unwrap();
}
