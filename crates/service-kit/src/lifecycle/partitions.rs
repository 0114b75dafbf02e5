//! What each partition of a service does, as `/ready` shows it.

use serde::Serialize;

use super::readiness::{Latch, Readiness};

/// One partition, as `/ready` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    pub partition: i32,
    /// One word of a fixed list.
    pub state: &'static str,
    /// Why, where that is more than the state says. No secrets, no content of log lines.
    pub reason: String,
    /// For how long nothing has come of it although it should; 0 where there is nothing to do.
    pub stalled_seconds: u64,
    /// Records between what was read and the end; absent where nobody has said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<i64>,
}

/// The partitions of a process, and the latch that is red when one of them does not flow.
#[derive(Clone)]
pub struct Partitions {
    latch: Latch,
}

impl Partitions {
    pub(super) fn of(latch: Latch) -> Self {
        Self { latch }
    }

    /// For one more part of the process that has partitions: see [`Latch::another`].
    #[must_use]
    pub fn another(&self) -> Self {
        Self::of(self.latch.another())
    }

    /// Replaces what this part has shown. `trouble`: what does not flow although it should.
    pub fn show(&self, reports: Vec<PartitionReport>, trouble: Option<String>) {
        self.latch.show(reports);
        match trouble {
            None => self.latch.set_ready(),
            Some(trouble) => self.latch.set_unready(trouble),
        }
    }
}

impl Readiness {
    /// A latch for all partitions, not ready. As with any latch, before `run`.
    pub fn partitions(&self) -> Partitions {
        Partitions::of(self.latch("partitions"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_shown_with_their_state_and_one_that_does_not_flow_turns_it_red() {
        let readiness = Readiness::new();
        let partitions = readiness.partitions();
        assert!(!readiness.is_ready());
        let report = PartitionReport {
            partition: 3,
            state: "cannot_begin",
            reason: "the offset has metadata of somebody else".to_owned(),
            stalled_seconds: 12,
            lag: None,
        };
        partitions.show(vec![report], Some("partition 3 cannot begin".to_owned()));
        let shown = serde_json::to_value(readiness.report()).unwrap();
        assert_eq!(shown["ready"], false);
        assert_eq!(
            shown["partitions"],
            serde_json::json!([{ "partition": 3, "state": "cannot_begin",
                "reason": "the offset has metadata of somebody else", "stalled_seconds": 12 }])
        );
        let others = partitions.another();
        let flowing = PartitionReport {
            partition: 1,
            state: "flowing",
            reason: String::new(),
            stalled_seconds: 0,
            lag: Some(0),
        };
        others.show(vec![flowing], None);
        let report = readiness.report();
        let shown: Vec<i32> = report.partitions.iter().map(|one| one.partition).collect();
        assert_eq!((report.ready, shown), (false, vec![1, 3]));
        partitions.show(Vec::new(), None);
        assert!(readiness.is_ready());
        assert_eq!(readiness.report().partitions.len(), 1);
    }
}
