//! What a partition does, and if it does not flow, why.
//!
//! Invariant: a partition that should flow and has not for [`PATIENCE`] turns `/ready` red, with the
//! reason; the others go on.

use std::time::{Duration, Instant};

use pipeline::{Partition, ports::RecordSource};
use service_kit::lifecycle::PartitionReport;

use super::{ConsumerLoop, running::Running};
use crate::partition_task::Sinks;

/// How long a partition may stand still before that is trouble.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Partitions that the reason of `/ready` names; the list beside it has all of them.
const NAMED: usize = 3;
/// Of a reason; what another program says may be long.
const LONGEST_REASON: usize = 400;

/// In the order of `barograph_partition_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Flowing,
    /// Where it begins is being found out.
    Beginning,
    /// Records of before teach the detectors.
    Replaying,
    /// It waits for memory, or for its turn.
    HeldBack,
    Draining,
    /// The topic has no such partition any more; the group takes it away soon.
    Gone,
    CannotBegin,
    StoreFailing,
    NoLeader,
    /// The broker that leads it does not answer.
    NoAnswer,
    /// It has records, and the broker gives none.
    Stuck,
}

impl Condition {
    fn text(self) -> &'static str {
        match self {
            Self::Flowing => "flowing",
            Self::Beginning => "beginning",
            Self::Replaying => "replaying",
            Self::HeldBack => "held_back",
            Self::Draining => "draining",
            Self::Gone => "gone",
            Self::CannotBegin => "cannot_begin",
            Self::StoreFailing => "store_failing",
            Self::NoLeader => "no_leader",
            Self::NoAnswer => "no_answer",
            Self::Stuck => "stuck",
        }
    }

    /// Whether somebody should look when it lasts.
    fn is_trouble(self) -> bool {
        !matches!(self, Self::Flowing | Self::Draining | Self::Gone)
    }
}

/// One partition at one moment.
struct Found {
    condition: Condition,
    reason: String,
    /// How long nothing has come of it although it should.
    stalled: Duration,
    lag: Option<i64>,
}

impl<S: RecordSource, O: Sinks> ConsumerLoop<S, O> {
    /// Tells `/ready` and the metrics how each partition is.
    pub(super) fn show_partitions(&mut self, now: Instant) {
        let mut reports = Vec::new();
        let mut troubled = Vec::new();
        for partition in self.ours() {
            let found = self.condition_of(partition, now);
            let label = partition.to_string();
            let stalled = found.stalled.as_secs();
            let metrics = &self.metrics;
            metrics
                .partition_state
                .of(&label)
                .set(f64::from(found.condition as u8));
            metrics.stalled.of(&label).set(stalled as f64);
            if let Some(lag) = found.lag {
                metrics.lag.of(&label).set(lag as f64);
            }
            if found.condition.is_trouble() && found.stalled >= PATIENCE {
                let state = found.condition.text().replace('_', " ");
                troubled.push(if found.reason.is_empty() {
                    format!("partition {partition} {state}")
                } else {
                    format!("partition {partition} {state}: {}", found.reason)
                });
            }
            reports.push(PartitionReport {
                partition: partition.0,
                state: found.condition.text(),
                reason: found.reason,
                stalled_seconds: stalled,
                lag: found.lag,
            });
        }
        let trouble = (!troubled.is_empty()).then(|| {
            let more = troubled.len().saturating_sub(NAMED);
            troubled.truncate(NAMED);
            if more > 0 {
                troubled.push(format!("and {more} more"));
            }
            troubled.join("; ")
        });
        if trouble.is_some() != self.state.troubled {
            self.state.troubled = trouble.is_some();
            if let Some(trouble) = &trouble {
                tracing::warn!(trouble, "partitions do not flow");
            } else {
                tracing::info!("all partitions flow again");
            }
        }
        self.partitions.show(reports, trouble);
    }

    /// Every partition that the group has given us.
    pub(super) fn ours(&self) -> Vec<Partition> {
        let state = &self.state;
        let all = state.tasks.keys().chain(state.starting.keys());
        let mut all: Vec<_> = all.chain(&state.gone).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn condition_of(&self, partition: Partition, now: Instant) -> Found {
        let state = &self.state;
        let ends = state.ends.get(&partition).copied();
        let leaderless = state.leaderless.get(&partition);
        let (condition, reason, since) = if let Some(since) = leaderless {
            (
                Condition::NoLeader,
                "no broker leads it".to_owned(),
                Some(*since),
            )
        } else if let Some(running) = state.tasks.get(&partition) {
            self.condition_of_task(running, now)
        } else if let Some(starting) = state.starting.get(&partition) {
            let since = Some(starting.since);
            match &starting.why {
                Some(why) => (Condition::CannotBegin, cut(why), since),
                None => (Condition::Beginning, String::new(), since),
            }
        } else {
            let why = "the topic has no such partition any more".to_owned();
            (Condition::Gone, why, None)
        };
        let next = match state.tasks.get(&partition) {
            Some(running) => Some(running.task.builder().next().raw()),
            // Nothing committed: everything is still to be read.
            None => state
                .committed
                .get(&partition)
                .copied()
                .or(ends.map(|(low, _)| low)),
        };
        Found {
            condition,
            reason,
            stalled: since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since)),
            lag: next.zip(ends).map(|(next, (_, high))| (high - next).max(0)),
        }
    }

    /// With its reason, and since when nothing has come of it although it should.
    fn condition_of_task(
        &self,
        running: &Running,
        now: Instant,
    ) -> (Condition, String, Option<Instant>) {
        let lasts = |since: Instant| now.saturating_duration_since(since) >= PATIENCE;
        let under_way = running.flow.under_way_since();
        if running.flow.is_draining() {
            return (Condition::Draining, String::new(), None);
        }
        if let Some(trouble) = self.metrics.troubles.of(running.task.id()) {
            return (Condition::StoreFailing, cut(&trouble), under_way);
        }
        if under_way.is_some_and(lasts) {
            let why = "a batch is on its way, and no answer has come yet".to_owned();
            return (Condition::StoreFailing, why, under_way);
        }
        if running.withheld_since().is_some_and(lasts) {
            let why = "it has records, and the broker gives none".to_owned();
            return (Condition::Stuck, why, running.withheld_since());
        }
        if lasts(running.last_told) && !self.state.unanswered {
            let why = "the broker that leads it does not say where it ends".to_owned();
            return (Condition::NoAnswer, why, Some(running.last_told));
        }
        if running.is_replaying() {
            return (
                Condition::Replaying,
                String::new(),
                Some(running.last_record),
            );
        }
        if running.paused.is_some() {
            // Who waits for its turn stands still only where the store does.
            let since = Some(self.state.last_finished).filter(|since| lasts(*since));
            let why = "what is on its way to the store fills INFLIGHT_BYTES".to_owned();
            return (Condition::HeldBack, why, since);
        }
        (Condition::Flowing, String::new(), None)
    }
}

fn cut(reason: &str) -> String {
    let mut line: String = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    line.truncate(line.floor_char_boundary(LONGEST_REASON));
    line
}
