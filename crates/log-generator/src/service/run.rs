//! The loop: a tick is generated, its records are handed over when they are due.
//! Invariant: records go out in the order the simulation gives them, and none is left out while it
//! runs; only a stop or a limit ends a tick early.

use std::{
    sync::{Arc, mpsc::Receiver},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use contracts::{Timestamp, truth::Truth};
use service_kit::lifecycle::{Exit, HasExit};

use super::{
    control::{self, BadCommand},
    metrics::Metrics,
    pace::{Now, Pace},
    plan::{Mode, Plan},
    report::Report,
    sink::Sink,
    truth_file::TruthFile,
};
use crate::{
    batch::Record,
    fleet::Fleet,
    labels::Labels,
    schedule::Refused,
    simulation::{Simulation, Ticked},
    spec::Spec,
    workers::WorkerError,
};

const PROGRESS_EVERY: Duration = Duration::from_secs(10);
/// Records between two looks at the clock when nothing has to wait.
const RECORDS_PER_LOOK: u32 = 512;
/// Of the shutdown budget: the rest is for everything else.
const FLUSH_SHARE: f64 = 0.7;
const FLUSH_SLICE: Duration = Duration::from_millis(100);

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error(transparent)]
    Workers(#[from] WorkerError),
    #[error("kafka: {0}")]
    Kafka(#[from] rdkafka::error::KafkaError),
    #[error("a label cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{what}: {source}")]
    Io {
        what: String,
        source: std::io::Error,
    },
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("{0} records were not acknowledged by kafka when the time to stop ran out")]
    Unacknowledged(u64),
    #[error("kafka refused {0} records")]
    Failed(u64),
    #[error("generating ended unexpectedly")]
    Crashed,
}

impl HasExit for RunError {
    fn exit(&self) -> Exit {
        match self {
            Self::Unacknowledged(_) => Exit::DrainBudget,
            Self::Workers(_)
            | Self::Kafka(_)
            | Self::Json(_)
            | Self::Io { .. }
            | Self::Refused(_)
            | Self::Failed(_)
            | Self::Crashed => Exit::Fatal,
        }
    }
}

pub(super) fn wall_clock() -> Timestamp {
    Timestamp::from_millis(wall_us() / 1000)
}

fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |passed| passed.as_micros() as i64)
}

/// All that hands records over; apart from the simulation, which lends them.
struct Handing<'a, S> {
    sink: S,
    fleet: Arc<Fleet>,
    labels: Labels,
    injected: Vec<Truth>,
    truth_file: Option<TruthFile>,
    metrics: &'a Metrics,
    stop: &'a dyn Fn() -> bool,
    pace: Pace,
    mode: Mode,
    began: Instant,
    /// The clock's limit, once it is set.
    ends: Option<Instant>,
    end: Option<Timestamp>,
    records_left: u64,
    sent: u64,
    /// Everything up to this event time may go now.
    due_us: i64,
    until_look: u32,
    progress: Progress,
}

struct Progress {
    at: Instant,
    sent: u64,
}

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Going {
    On,
    Ended,
}

/// Runs a plan to its end.
pub(super) fn run<S: Sink>(
    plan: Plan,
    mut sink: S,
    metrics: &Metrics,
    stop: &dyn Fn() -> bool,
) -> Result<(), RunError> {
    let truth_file = match &plan.truth_file {
        Some(path) => Some(TruthFile::open(path).map_err(|source| RunError::Io {
            what: format!("the truth file {} cannot be opened", path.display()),
            source,
        })?),
        None => None,
    };
    let commands = if plan.commands {
        Some(control::listen().map_err(|source| RunError::Io {
            what: "commands cannot be read".to_owned(),
            source,
        })?)
    } else {
        None
    };
    let ready = sink.wait_until_ready(stop)?;
    // Live without history begins when Kafka is there, not when the process was.
    let start = match (plan.mode, plan.fleet.settings.anchor == plan.start) {
        (Mode::Wall, true) => wall_clock(),
        _ => plan.start,
    };
    let live_already = plan.mode != Mode::Wall;
    let mut simulation = Simulation::new(plan.fleet, plan.schedule, start, plan.threads)?;
    let began = Instant::now();
    let mut handing = Handing {
        sink,
        fleet: simulation.fleet_shared(),
        labels: Labels::new(),
        injected: Vec::new(),
        truth_file,
        metrics,
        stop,
        pace: Pace::new(plan.mode, start.as_millis() * 1000),
        mode: plan.mode,
        began,
        ends: None,
        end: plan.end,
        records_left: plan.max_records,
        sent: 0,
        due_us: i64::MIN,
        until_look: 0,
        progress: Progress { at: began, sent: 0 },
    };
    tracing::info!(
        %start,
        mode = ?plan.mode,
        rate = handing.fleet.settings.rate,
        services = handing.fleet.services().len(),
        seed = handing.fleet.settings.seed,
        "generating"
    );
    let mut live = false;
    while ready && !stop() {
        if !live && (live_already || simulation.upcoming().end() > wall_clock()) {
            live = true;
            let base = simulation.upcoming().start();
            if start < base {
                tracing::info!(from = %base, records = handing.sent, "history is done, live from here");
            }
            for spec in &plan.injections {
                simulation.inject(spec, base)?;
            }
            if let Some(every) = plan.inject_every {
                let after = plan.inject_after.as_millis() as i64;
                let begin = Timestamp::from_millis(base.as_millis() + after);
                simulation.inject_every(every.as_millis() as i64, begin);
            }
            handing.ends = plan.duration.map(|duration| Instant::now() + duration);
        }
        if let Some(commands) = &commands {
            obey(commands, &mut simulation);
        }
        if plan
            .end
            .is_some_and(|end| simulation.upcoming().start() >= end)
        {
            break;
        }
        if handing.hand_over(&simulation.tick()?)? == Going::Ended {
            break;
        }
    }
    let left = flush(
        &mut handing.sink,
        plan.shutdown_budget.mul_f64(FLUSH_SHARE),
        stop,
    );
    let (totals, took) = (handing.sink.totals(), began.elapsed());
    let report = Report::new(totals, left, took, handing.injected);
    report.log();
    if plan.json {
        report.print().map_err(|source| RunError::Io {
            what: "the report cannot be printed".to_owned(),
            source,
        })?;
    }
    if left > 0 {
        return Err(RunError::Unacknowledged(left));
    }
    if totals.failed > 0 {
        return Err(RunError::Failed(totals.failed));
    }
    Ok(())
}

/// Waits for what is on its way: for ever, or for `budget` once it was told to stop. Returns how
/// much is left.
fn flush(sink: &mut impl Sink, budget: Duration, stop: &dyn Fn() -> bool) -> u64 {
    let mut told_at = None;
    loop {
        let left = sink.flush(FLUSH_SLICE);
        if stop() && told_at.is_none() {
            told_at = Some(Instant::now());
        }
        let over = told_at.is_some_and(|told_at| told_at.elapsed() >= budget);
        if left == 0 || over {
            return left;
        }
    }
}

fn obey(commands: &Receiver<Result<Spec, BadCommand>>, simulation: &mut Simulation) {
    for command in commands.try_iter() {
        match command {
            Ok(spec) => {
                let base = simulation.open_from();
                match simulation.inject(&spec, base) {
                    Ok(injection) => {
                        let service = &simulation.fleet().services()[injection.service].name;
                        tracing::info!(
                            kind = injection.kind.as_str(), service, ordinal = injection.ordinal,
                            start = %injection.start, end = %injection.end, "will inject"
                        );
                    }
                    Err(error) => tracing::warn!(%error, "not injected"),
                }
            }
            Err(error) => tracing::warn!(%error, "not a command"),
        }
    }
}

impl<S: Sink> Handing<'_, S> {
    /// Hands over the records of a tick as they become due.
    fn hand_over(&mut self, ticked: &Ticked<'_>) -> Result<Going, RunError> {
        let base_us = ticked.tick.start().as_millis() * 1000;
        if self.wait_for(base_us) == Going::Ended {
            return Ok(Going::Ended);
        }
        let fleet = Arc::clone(&self.fleet);
        let begun = self
            .labels
            .tick(&fleet, ticked.tick, &ticked.injections, wall_clock);
        for truth in begun {
            self.publish(truth)?;
        }
        for injection in self.labels.take_without_effect() {
            let service = &fleet.services()[injection.service].name;
            tracing::warn!(
                kind = injection.kind.as_str(),
                service,
                ordinal = injection.ordinal,
                "injection changed no record, so it has no label"
            );
        }
        for record in &ticked.records {
            if self.wait_for(base_us + i64::from(record.due_us)) == Going::Ended
                || !self.send(&fleet, &record)?
            {
                return Ok(Going::Ended);
            }
        }
        // A tick lasts until its end also when its last record comes long before.
        Ok(self.wait_for(base_us + crate::TICK_MS * 1000))
    }

    /// `false`: it was stopped.
    fn send(&mut self, fleet: &Fleet, record: &Record<'_>) -> Result<bool, RunError> {
        let label = match record.altered {
            Some(_) => self.labels.record(fleet, record, wall_clock),
            None => None,
        };
        let key = &fleet.services()[record.service].name;
        if !self.sink.send(key, record, self.stop)? {
            return Ok(false);
        }
        self.sent += 1;
        self.records_left -= 1;
        if let Some(truth) = label {
            self.publish(truth)?;
        }
        Ok(true)
    }

    /// Returns when `event_us` is due.
    fn wait_for(&mut self, event_us: i64) -> Going {
        if self.records_left == 0 {
            return Going::Ended;
        }
        if event_us <= self.due_us && self.until_look > 0 {
            self.until_look -= 1;
            return Going::On;
        }
        loop {
            self.until_look = RECORDS_PER_LOOK;
            if (self.stop)() || self.ends.is_some_and(|ends| Instant::now() >= ends) {
                return Going::Ended;
            }
            let now = Now {
                wall_us: wall_us(),
                elapsed: self.began.elapsed(),
            };
            self.due_us = self.pace.due_us(now).unwrap_or(i64::MAX);
            self.say_progress(now, event_us);
            if event_us <= self.due_us {
                return Going::On;
            }
            std::thread::sleep(self.pace.wait(event_us, self.due_us));
        }
    }

    fn publish(&mut self, truth: Truth) -> Result<(), RunError> {
        tracing::info!(
            kind = truth.kind.as_str(), service = truth.service, ordinal = truth.ordinal,
            magnitude = truth.magnitude, start = %truth.start, end = %truth.end, "injected"
        );
        self.metrics.injected.inc();
        if let Some(file) = &mut self.truth_file {
            file.write(&truth).map_err(|source| RunError::Io {
                what: "the truth file cannot be written".to_owned(),
                source,
            })?;
        }
        self.sink.label(&truth, self.stop)?;
        self.injected.push(truth);
        Ok(())
    }

    fn say_progress(&mut self, now: Now, event_us: i64) {
        let behind_us = (now.wall_us - event_us).max(0);
        if self.mode == Mode::Wall {
            self.metrics.behind.set(behind_us as f64 / 1e6);
        }
        let passed = self.progress.at.elapsed();
        if passed < PROGRESS_EVERY {
            return;
        }
        let totals = self.sink.totals();
        let rate = (self.sent - self.progress.sent) as f64 / passed.as_secs_f64();
        tracing::info!(
            acknowledged = totals.acknowledged,
            failed = totals.failed,
            records_per_second = rate.round(),
            event_time = %Timestamp::from_millis(event_us / 1000),
            end = self.end.map(|end| end.to_string()),
            "generating"
        );
        self.progress = Progress {
            at: Instant::now(),
            sent: self.sent,
        };
    }
}
