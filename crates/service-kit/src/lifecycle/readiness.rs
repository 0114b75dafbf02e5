//! Whether the service can take work, and if not, what it waits for.
//! Invariant: ready means that every latch is ready and that no shutdown has begun.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::partitions::PartitionReport;

#[derive(Default)]
struct State {
    stopping: bool,
    latches: Vec<LatchState>,
    /// By member of the latch that they belong to.
    partitions: Vec<Vec<PartitionReport>>,
}

struct LatchState {
    name: &'static str,
    /// Why each member is not ready; `None`: it is.
    members: Vec<Option<String>>,
}

impl LatchState {
    fn is_ready(&self) -> bool {
        self.members.iter().all(Option::is_none)
    }

    fn report(&self) -> LatchReport {
        let mut reasons: Vec<&str> = self.members.iter().flatten().map(String::as_str).collect();
        reasons.sort_unstable();
        reasons.dedup();
        LatchReport {
            name: self.name,
            ready: reasons.is_empty(),
            reason: reasons.join("; "),
        }
    }
}

/// The latches of one process. Clones are the same readiness.
#[derive(Clone, Default)]
pub struct Readiness {
    state: Arc<Mutex<State>>,
}

/// One latch, as `/ready` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LatchReport {
    pub name: &'static str,
    pub ready: bool,
    /// Why it is not ready; empty when it is.
    pub reason: String,
}

/// The body of `/ready`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadinessReport {
    pub ready: bool,
    /// A shutdown has begun; it will not be ready again.
    pub stopping: bool,
    pub latches: Vec<LatchReport>,
    /// Of a service that has partitions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<PartitionReport>,
}

impl State {
    fn is_ready(&self) -> bool {
        !self.stopping && self.latches.iter().all(LatchState::is_ready)
    }
}

const STARTING: &str = "starting";

impl Readiness {
    pub fn new() -> Self {
        Self::default()
    }

    /// A new latch, not ready. Make all of them before `run`, or `/ready` is green in between.
    pub fn latch(&self, name: &'static str) -> Latch {
        let latch = LatchState {
            name,
            members: vec![Some(STARTING.to_owned())],
        };
        let index = self.with(|state| {
            state.latches.push(latch);
            state.latches.len() - 1
        });
        Latch {
            readiness: self.clone(),
            index,
            member: 0,
        }
    }

    pub fn report(&self) -> ReadinessReport {
        self.with(|state| ReadinessReport {
            ready: state.is_ready(),
            stopping: state.stopping,
            latches: state.latches.iter().map(LatchState::report).collect(),
            partitions: {
                let mut all: Vec<_> = state.partitions.iter().flatten().cloned().collect();
                all.sort_unstable_by_key(|report| report.partition);
                all
            },
        })
    }

    pub fn is_ready(&self) -> bool {
        self.with(|state| state.is_ready())
    }

    /// Red from now on.
    pub(super) fn stop(&self) {
        self.with(|state| state.stopping = true);
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        // A panic elsewhere leaves nothing half-done here.
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One thing that must be right before the service takes work.
#[derive(Clone)]
pub struct Latch {
    readiness: Readiness,
    index: usize,
    member: usize,
}

impl Latch {
    /// One more that has to be ready before the latch is, not ready: for parts of a process that each
    /// know of the same thing. As with any latch, before `run`.
    #[must_use]
    pub fn another(&self) -> Self {
        let member = self.readiness.with(|state| {
            let members = &mut state.latches[self.index].members;
            members.push(Some(STARTING.to_owned()));
            members.len() - 1
        });
        Self {
            member,
            ..self.clone()
        }
    }

    pub fn set_ready(&self) {
        self.set(true, "");
    }

    /// The reason is shown to whoever asks `/ready`: no secrets, no content of log lines.
    pub fn set_unready(&self, reason: impl Into<String>) {
        self.set(false, &reason.into());
    }

    /// Replaces what this member has said of partitions.
    pub(super) fn show(&self, reports: Vec<PartitionReport>) {
        self.readiness.with(|state| {
            if state.partitions.len() <= self.member {
                state.partitions.resize_with(self.member + 1, Vec::new);
            }
            state.partitions[self.member] = reports;
        });
    }

    fn set(&self, ready: bool, reason: &str) {
        let changed = self.readiness.with(|state| {
            let latch = &mut state.latches[self.index];
            let before = latch.is_ready();
            latch.members[self.member] = (!ready).then(|| reason.to_owned());
            (latch.is_ready() != before).then_some(latch.name)
        });
        if let Some(latch) = changed {
            tracing::info!(latch, ready, reason, "readiness changed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_needs_every_latch_and_no_shutdown() {
        let readiness = Readiness::new();
        assert!(readiness.is_ready(), "nothing to wait for");
        let (kafka, clickhouse) = (readiness.latch("kafka"), readiness.latch("clickhouse"));
        assert!(!readiness.is_ready());
        kafka.set_ready();
        assert!(!readiness.is_ready());
        clickhouse.set_ready();
        assert!(readiness.is_ready());
        kafka.set_unready("no broker answers");
        assert!(!readiness.is_ready());
        kafka.set_ready();
        readiness.stop();
        assert!(!readiness.is_ready());
    }

    #[test]
    fn a_latch_of_several_is_ready_when_all_are_and_says_each_reason_once() {
        let readiness = Readiness::new();
        let first = readiness.latch("kafka");
        let others = [first.another(), first.another()];
        first.set_ready();
        assert!(!readiness.is_ready());
        for other in &others {
            other.set_unready("no broker answers");
        }
        let report = readiness.report();
        assert_eq!(report.latches.len(), 1);
        assert_eq!(report.latches[0].reason, "no broker answers");
        others.iter().for_each(Latch::set_ready);
        assert!(readiness.is_ready());
    }

    #[test]
    fn the_report_names_each_latch_with_its_reason() {
        let readiness = Readiness::new();
        let (kafka, _clickhouse) = (readiness.latch("kafka"), readiness.latch("clickhouse"));
        kafka.set_unready("no broker answers");
        kafka.set_ready();
        let report = serde_json::to_value(readiness.report()).unwrap();
        let expected = serde_json::json!({ "ready": false, "stopping": false, "latches": [
            { "name": "kafka", "ready": true, "reason": "" },
            { "name": "clickhouse", "ready": false, "reason": "starting" },
        ]});
        assert_eq!(report, expected);
    }
}
