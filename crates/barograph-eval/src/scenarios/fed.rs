//! The generator's records through the processor's way from a record to a finding.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anomaly_processor::{
    announce,
    metrics::Metrics,
    partition_state::PartitionState,
    partition_task::{PartitionTask, SinkError, Sinks},
};
use contracts::dead_letter::Reason;
use detection::{Config, Finding, Phase};
use log_generator::Simulation;
use pipeline::{
    Assignment, Epoch, Incarnation, LeaderEpoch, Limits, NextOffset, Offset, Partition, TaskId,
    batch::Acknowledgement,
    ports::{Bare, Record},
    resume::ResumePoint,
};
use service_kit::metrics::Registry;

use super::plan::Plan;

pub(super) struct Fed {
    pub(super) lines: u64,
    pub(super) alerts: Vec<Alert>,
}

/// An episode, as far as it was told; times in ms since the epoch.
#[derive(Debug, Clone)]
pub(super) struct Alert {
    pub(super) service: String,
    pub(super) kind: &'static str,
    pub(super) title: String,
    /// The first window that it speaks of.
    pub(super) from: i64,
    pub(super) told_at: i64,
    /// When it was told to be over, or the last that was heard of it.
    pub(super) until: i64,
}

#[derive(Default)]
struct Listening(BTreeMap<uuid::Uuid, Alert>);

impl Sinks for Listening {
    fn dead_letter(
        &mut self,
        _task: &TaskId,
        _record: &Record<'_>,
        _reason: Reason,
        error: &str,
    ) -> Result<Acknowledgement, SinkError> {
        Err(SinkError(format!(
            "a line of the generator is unreadable: {error}"
        )))
    }

    fn announce(
        &mut self,
        task: &TaskId,
        finding: Finding,
        _traceparent: Option<&str>,
    ) -> Result<Acknowledgement, SinkError> {
        let id = announce::id_of(&finding, task.incarnation, task.assignment.partition);
        let (now, end) = (finding.detected_at.0, finding.window_end.0);
        let alert = self.0.entry(id).or_insert_with(|| Alert {
            service: finding.service.clone(),
            kind: finding.kind.as_str(),
            title: finding.title.clone(),
            from: finding.window_start.0,
            told_at: now,
            until: end,
        });
        alert.until = match finding.phase {
            // A calm window or two belong to every end.
            Phase::Closed => alert.until.max(end),
            Phase::Opened | Phase::Updated => alert.until.max(now),
        };
        Ok(tokio::sync::oneshot::channel().1)
    }
}

pub(super) fn through_the_processor(plan: Plan, budget: f64) -> anyhow::Result<Fed> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let Plan {
        fleet,
        schedule,
        begin,
        end,
        ..
    } = plan;
    let names: Vec<String> = fleet.services().iter().map(|it| it.name.clone()).collect();
    let mut simulation = Simulation::new(fleet, schedule, begin, threads)?;
    let mut task = task(budget);
    let metrics = Metrics::new(&Registry::new());
    let mut told = Listening::default();
    let now = Instant::now();
    let mut lines = 0_u64;
    while simulation.upcoming().end() <= end {
        let ticked = simulation.tick()?;
        let tick = ticked.tick.start().as_millis();
        for line in &ticked.records {
            let record = Record {
                offset: Offset::new(lines as i64),
                leader_epoch: LeaderEpoch::UNKNOWN,
                kafka_time: tick + i64::from(line.due_us / 1000),
                key: names.get(line.service).map(String::as_bytes),
                value: Some(line.value),
                rest: &Bare,
            };
            task.take(&record, now, &metrics, &mut told)?;
            lines += 1;
            if task.builder().is_full() {
                // Nobody stores it.
                drop(task.close());
            }
        }
    }
    Ok(Fed {
        lines,
        alerts: told.0.into_values().collect(),
    })
}

fn task(budget: f64) -> PartitionTask {
    let id = TaskId {
        assignment: Assignment {
            partition: Partition(0),
            epoch: Epoch(0),
        },
        incarnation: Incarnation::of(uuid::Uuid::nil(), "scenarios"),
    };
    let begin = NextOffset::resume_at(Offset::new(0));
    let resume = ResumePoint {
        replay_from: begin,
        take_from: begin,
        announced: None,
        unsettled: None,
    };
    let detection = Config {
        false_alerts_per_week: budget,
        ..Config::default()
    };
    let state = PartitionState::none(detection, template_mining::Limits::default());
    let (limits, never) = (Limits::default(), Duration::MAX);
    PartitionTask::new(id, limits, state, resume, never, Instant::now())
}
