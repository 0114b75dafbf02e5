//! The stages, each over the same records, and the peers of two of them.
//!
//! Invariant: a round is the work on all records once; nothing else is in its time.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use anomaly_processor::{
    metrics::Metrics, partition_state::PartitionState, partition_task::PartitionTask, sinks,
};
use clickhouse_store::{LogRow, LogRows, log_rows::TimestampSource};
use contracts::{Level, Timestamp};
use detection::{Finding, Observation, PartitionDetectors, time::EventTime};
use log_records::{Line, RecordContext, decode};
use pipeline::{
    Assignment, Day, Epoch, Incarnation, LeaderEpoch, Limits, NextOffset, Offset, Partition,
    TaskId,
    batch_builder::BatchBuilder,
    ports::{Bare, Record},
    resume::ResumePoint,
};
use serde::Serialize;
use service_kit::metrics::Registry;
use template_mining::Miner;

use crate::Failure;

pub(crate) const INCARNATION: &str = "0123456789abcdef";
/// Until the detectors judge every service by everything they have.
const WARM_UP_ROUNDS: i64 = 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Decode,
    /// Peer of [`Self::Decode`]: `serde_json` into its own tree.
    DecodePeer,
    /// `Miner::observe`, and the question whether there is news.
    Mine,
    /// `PartitionDetectors::observe`, warmed up, event time going on from round to round.
    Detect,
    /// `BatchBuilder` and `LogRows::push`, a batch per round.
    BatchBuilder,
    /// `LogRows::encode`.
    Encode,
    /// Peer of [`Self::BatchBuilder`] and [`Self::Encode`] together: lines of JSONEachRow.
    EncodePeer,
    /// `PartitionTask::take`: decode, mine and detect from nothing, keep, and what lies between.
    PartitionTask,
}

const STAGES: [(&str, Stage); 8] = [
    ("decode", Stage::Decode),
    ("decode-peer", Stage::DecodePeer),
    ("mine", Stage::Mine),
    ("detect", Stage::Detect),
    ("batch", Stage::BatchBuilder),
    ("encode", Stage::Encode),
    ("encode-peer", Stage::EncodePeer),
    ("task", Stage::PartitionTask),
];

impl Stage {
    pub(crate) fn named(name: &str) -> Option<Self> {
        let found = STAGES.iter().find(|(known, _)| *known == name);
        found.map(|(_, stage)| *stage)
    }

    pub(crate) fn name(self) -> &'static str {
        let found = STAGES.iter().find(|(_, known)| *known == self);
        found.map_or("", |(name, _)| name)
    }

    pub(crate) fn names() -> String {
        STAGES.map(|(name, _)| name).join(", ")
    }

    /// Nanoseconds per record by that clock of nanoseconds, of each round.
    pub(crate) fn run(self, inputs: &Inputs<'_>, rounds: u32, clock: impl Fn() -> u64) -> Vec<f64> {
        let count = inputs.len() as f64;
        let timed = |work: &mut dyn FnMut()| {
            let times = (0..rounds).map(|_| {
                let begun = clock();
                work();
                (clock() - begun) as f64 / count
            });
            times.collect()
        };
        match self {
            Self::Decode => timed(&mut || {
                for input in &inputs.0 {
                    let _ = black_box(decode(black_box(input.payload), &RecordContext::UNKNOWN));
                }
            }),
            Self::DecodePeer => timed(&mut || {
                for input in &inputs.0 {
                    let payload = black_box(input.payload);
                    let _ = black_box(serde_json::from_slice::<serde_json::Value>(payload));
                }
            }),
            Self::Mine => {
                let mut miner = Miner::new(template_mining::Limits::default());
                timed(&mut || {
                    for input in &inputs.0 {
                        let message = black_box(input.line.message.as_bytes());
                        black_box(miner.observe(message));
                        black_box(miner.take_changes());
                    }
                })
            }
            Self::Detect => {
                let mut detecting = Detecting::new(inputs);
                for _ in 0..WARM_UP_ROUNDS {
                    detecting.round();
                }
                timed(&mut || detecting.round())
            }
            Self::BatchBuilder => timed(&mut || {
                black_box(inputs.batched());
            }),
            Self::Encode => {
                let rows = inputs.batched();
                timed(&mut || {
                    black_box(black_box(&rows).encode(INCARNATION, 0, Day::new(20_000)));
                })
            }
            Self::EncodePeer => timed(&mut || {
                black_box(inputs.json_each_row());
            }),
            Self::PartitionTask => {
                let metrics = Metrics::new(&Registry::new());
                timed(&mut || {
                    black_box(inputs.through_a_lane(&metrics));
                })
            }
        }
    }
}

/// A record as a stage finds it: as bytes, and decoded.
struct Input<'a> {
    payload: &'a [u8],
    line: Line<'a>,
    /// Of the record itself, ms.
    time: i64,
}

pub(crate) struct Inputs<'a>(Vec<Input<'a>>);

impl<'a> Inputs<'a> {
    /// `path`: where the text is from, for errors.
    pub(crate) fn of(path: &str, text: &'a str) -> Result<Self, Failure> {
        let inputs = text.lines().zip(1..).map(|(payload, number)| {
            let refuse = |why: &str| Failure::Record {
                path: path.to_owned(),
                line: number,
                why: why.to_owned(),
            };
            let payload = payload.as_bytes();
            let line = decode(payload, &RecordContext::UNKNOWN)
                .map_err(|unreadable| refuse(&unreadable.error))?;
            let time = line.timestamp.ok_or_else(|| refuse("no timestamp"))?;
            Ok(Input {
                payload,
                line,
                time,
            })
        });
        Ok(Self(inputs.collect::<Result<_, Failure>>()?))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them in one batch.
    pub(crate) fn batched(&self) -> LogRows {
        let now = Instant::now();
        let mut builder = BatchBuilder::<LogRows>::new(task_id(), Limits::default(), resume());
        for (offset, input) in (0..).map(Offset::new).zip(&self.0) {
            builder.see(offset);
            let open = builder.open(&input.record(offset), now);
            open.bytes += input.payload.len();
            open.rows.push(&input.row(offset.raw()), input.attributes());
        }
        builder.close().map(|batch| batch.rows).unwrap_or_default()
    }

    /// The same rows, as text.
    pub(crate) fn json_each_row(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let first = self.0.first().map_or(0, |input| input.time);
        let day = Timestamp::from_millis(first).to_string();
        let day = day.split('T').next().unwrap_or_default();
        for (offset, input) in (0..).zip(&self.0) {
            // A vector takes everything, and names are strings.
            let _ = serde_json::to_writer(&mut out, &JsonRow::of(input, offset, day));
            out.push(b'\n');
        }
        out
    }

    fn through_a_lane(&self, metrics: &Metrics) -> Option<pipeline::Batch<LogRows>> {
        let now = Instant::now();
        let mining = template_mining::Limits::default();
        let state = PartitionState::none(detection::Config::default(), mining);
        let never = Duration::MAX;
        let limits = Limits::default();
        let mut task = PartitionTask::new(task_id(), limits, state, resume(), never, now);
        for (offset, input) in (0..).map(Offset::new).zip(&self.0) {
            let record = input.record(offset);
            // The sinks below never refuse.
            let _ = task.take(&record, now, metrics, &mut sinks::Closed);
        }
        task.close()
    }
}

impl Input<'_> {
    fn record(&self, offset: Offset) -> Record<'_> {
        Record {
            offset,
            kafka_time: self.time,
            leader_epoch: LeaderEpoch::UNKNOWN,
            key: Some(self.line.service.as_bytes()),
            value: Some(self.payload),
            rest: &Bare,
        }
    }

    fn row(&self, kafka_offset: i64) -> LogRow<'_> {
        let line = &self.line;
        LogRow {
            timestamp: self.time,
            timestamp_source: TimestampSource::Record,
            service: &line.service,
            level: line.level,
            is_error: line.is_error(),
            message: &line.message,
            template_id: 0,
            host: &line.host,
            trace_id: &line.trace_id,
            span_id: &line.span_id,
            latency_ms: line.latency_ms,
            status: line.status,
            client_ip: &line.client_ip,
            user: &line.user,
            late: false,
            kafka_timestamp: self.time,
            kafka_offset,
        }
    }

    fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.line.attributes.iter();
        pairs.map(|(name, value)| (&**name, &**value))
    }
}

/// Detectors that see the same records again and again, later each time.
struct Detecting<'a> {
    inputs: &'a Inputs<'a>,
    /// The template of each.
    templates: Vec<u64>,
    detectors: PartitionDetectors,
    findings: Vec<Finding>,
    rounds: i64,
    /// Event time of one round, ms.
    span: i64,
}

impl<'a> Detecting<'a> {
    fn new(inputs: &'a Inputs<'a>) -> Self {
        let times = || inputs.0.iter().map(|input| input.time);
        let span = times().max().unwrap_or(0) - times().min().unwrap_or(0) + 1;
        let mut miner = Miner::new(template_mining::Limits::default());
        let mut template_of = |input: &Input<'_>| {
            let id = miner.observe(input.line.message.as_bytes());
            id.0.max(1)
        };
        Self {
            inputs,
            templates: inputs.0.iter().map(&mut template_of).collect(),
            detectors: PartitionDetectors::new(detection::Config::default()),
            findings: Vec::new(),
            rounds: 0,
            span,
        }
    }

    fn round(&mut self) {
        let later = self.rounds * self.span;
        let first = self.rounds * self.inputs.len() as i64;
        let inputs = self.inputs.0.iter().zip(&self.templates);
        for (offset, (input, template)) in (first..).zip(inputs) {
            let line = &input.line;
            let time = input.time + later;
            let observation = Observation {
                service: &line.service,
                time: EventTime(time),
                kafka_time: time,
                offset,
                is_error: line.is_error(),
                is_quiet: matches!(line.level, Level::Trace | Level::Debug),
                is_warning: line.level >= Level::Warn,
                level: line.level as u8,
                message: &line.message,
                trace_id: &line.trace_id,
                latency_ms: line.latency_ms,
                template: *template,
                lineage: None,
                status: line.status,
                host: &line.host,
                rules: None,
                address: &line.client_ip,
                user: &line.user,
            };
            black_box(self.detectors.observe(&observation, &mut self.findings));
            self.findings.clear();
        }
        self.rounds += 1;
    }
}

/// What goes into `logs`, as a sender of JSON would write it.
#[derive(Serialize)]
struct JsonRow<'a> {
    timestamp: i64,
    timestamp_source: i8,
    service: &'a str,
    level: u8,
    is_error: bool,
    message: &'a str,
    host: &'a str,
    trace_id: &'a str,
    span_id: &'a str,
    latency_ms: Option<f64>,
    status: u16,
    client_ip: &'a str,
    user: &'a str,
    attributes: Attributes<'a>,
    late: bool,
    kafka_timestamp: i64,
    incarnation: &'static str,
    kafka_partition: i32,
    kafka_offset: i64,
    block_day: &'a str,
}

impl<'a> JsonRow<'a> {
    fn of(input: &'a Input<'a>, offset: i64, block_day: &'a str) -> Self {
        let row = input.row(offset);
        Self {
            timestamp: row.timestamp,
            timestamp_source: row.timestamp_source as i8,
            service: row.service,
            level: row.level as u8,
            is_error: row.is_error,
            message: row.message,
            host: row.host,
            trace_id: row.trace_id,
            span_id: row.span_id,
            latency_ms: row.latency_ms,
            status: row.status,
            client_ip: row.client_ip,
            user: row.user,
            attributes: Attributes(input),
            late: row.late,
            kafka_timestamp: row.kafka_timestamp,
            incarnation: INCARNATION,
            kafka_partition: 0,
            kafka_offset: row.kafka_offset,
            block_day,
        }
    }
}

struct Attributes<'a>(&'a Input<'a>);

impl Serialize for Attributes<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.attributes())
    }
}

fn task_id() -> TaskId {
    TaskId {
        assignment: Assignment {
            partition: Partition(0),
            epoch: Epoch(1),
        },
        incarnation: Incarnation::of(uuid::Uuid::from_u128(1), "processor-stages"),
    }
}

fn resume() -> ResumePoint {
    let first = NextOffset::resume_at(Offset::new(0));
    ResumePoint {
        replay_from: first,
        take_from: first,
        announced: None,
        unsettled: None,
    }
}
