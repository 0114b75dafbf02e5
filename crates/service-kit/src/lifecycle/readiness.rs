//! Whether the service can take work, and if not, what it waits for.
//! Invariant: ready means that every latch is ready and that no shutdown has begun.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::partitions::PartitionReport;

#[derive(Default)]
struct State {
    stopping: bool,
    latches: Vec<LatchReport>,
    partitions: Vec<PartitionReport>,
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

impl Readiness {
    pub fn new() -> Self {
        Self::default()
    }

    /// A new latch, not ready. Make all of them before `run`, or `/ready` is green in between.
    pub fn latch(&self, name: &'static str) -> Latch {
        let latch = LatchReport {
            name,
            ready: false,
            reason: "starting".to_owned(),
        };
        let index = self.with(|state| {
            state.latches.push(latch);
            state.latches.len() - 1
        });
        Latch {
            readiness: self.clone(),
            index,
        }
    }

    pub fn report(&self) -> ReadinessReport {
        self.with(|state| ReadinessReport {
            ready: !state.stopping && state.latches.iter().all(|latch| latch.ready),
            stopping: state.stopping,
            latches: state.latches.clone(),
            partitions: state.partitions.clone(),
        })
    }

    pub fn is_ready(&self) -> bool {
        self.with(|state| !state.stopping && state.latches.iter().all(|latch| latch.ready))
    }

    pub(super) fn show(&self, partitions: Vec<PartitionReport>) {
        self.with(|state| state.partitions = partitions);
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
}

impl Latch {
    pub fn set_ready(&self) {
        self.set(true, "");
    }

    /// The reason is shown to whoever asks `/ready`: no secrets, no content of log lines.
    pub fn set_unready(&self, reason: impl Into<String>) {
        self.set(false, &reason.into());
    }

    pub(super) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    fn set(&self, ready: bool, reason: &str) {
        let index = self.index;
        let changed = self.readiness.with(|state| {
            let latch = &mut state.latches[index];
            let changed = latch.ready != ready;
            latch.ready = ready;
            reason.clone_into(&mut latch.reason);
            changed.then_some(latch.name)
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
