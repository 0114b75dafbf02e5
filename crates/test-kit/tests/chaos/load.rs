//! The load: a fleet of services whose history of hours is written in minutes.
//!
//! Every service goes through the same cycle again and again, each a window later than the one
//! before it: calm, an error burst, a raised share of errors, a spike, silence. Records carry their
//! simulated time as their own and as Kafka's, because the silence of a service is measured by the
//! Kafka times of its neighbours.
//!
//! Invariant: what is written depends on the seed and the start alone, never on the pace.

use std::time::Duration;

use contracts::{Level, Timestamp, log_record::LogRecord};
use futures::future::try_join_all;
use kafka_io::producer;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rdkafka::producer::{FutureProducer, FutureRecord};
use test_kit::{Space, lines::now};
use tokio::sync::watch;

/// Of event time, ms: the detectors' default.
const WINDOW: i64 = 10_000;
/// Windows of one cycle, and what happens in which of them.
const CYCLE: i64 = 70;
const BURST: i64 = 24;
const RAISED: std::ops::Range<i64> = 36..48;
const SPIKE: std::ops::Range<i64> = 58..60;
const SILENCE: std::ops::Range<i64> = 65..68;
const USUAL: u64 = 20;

/// What is written, and how fast.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) services: i64,
    /// Windows in which everything has happened to every service at least so often.
    pub(crate) cycles: i64,
    /// Time between two windows of event time.
    pub(crate) pace: Duration,
    pub(crate) keyed: bool,
    /// Whether one record in two hundred or so cannot be read.
    pub(crate) unreadable: bool,
}

impl Plan {
    fn windows(&self) -> i64 {
        self.services + self.cycles * CYCLE
    }
}

struct Record {
    time: i64,
    service: String,
    payload: Vec<u8>,
}

/// Writes one window after the other.
pub(crate) struct Load {
    plan: Plan,
    rng: StdRng,
    start: i64,
    window: i64,
    producer: FutureProducer,
    topic: String,
    /// Whether it is written now.
    flows: Option<watch::Receiver<bool>>,
}

impl Load {
    pub(crate) fn new(space: &Space, plan: Plan) -> anyhow::Result<Self> {
        // Far enough back for any length of run; a record of the future would be held back.
        let start = now() - 20 * 3_600_000;
        Ok(Self {
            plan,
            rng: StdRng::seed_from_u64(plan.seed),
            start: start - start % WINDOW,
            window: 0,
            producer: producer::config(&space.connection).create()?,
            topic: space.logs.clone(),
            flows: None,
        })
    }

    /// Writes only while it is told to.
    pub(crate) fn obey(&mut self, flows: watch::Receiver<bool>) {
        self.flows = Some(flows);
    }

    /// Writes at the plan's pace until everything is written that the plan asks for, and on until
    /// `enough` says so.
    pub(crate) async fn run(&mut self, enough: impl Fn() -> bool) -> anyhow::Result<()> {
        let mut pace = tokio::time::interval(self.plan.pace);
        // Time lost while Kafka was away is not made up for in one go.
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while self.window < self.plan.windows() || !enough() {
            pace.tick().await;
            if let Some(flows) = &mut self.flows {
                // Who told it to may be gone.
                let _told = flows.wait_for(|flows| *flows).await;
            }
            self.write_window().await?;
        }
        Ok(())
    }

    /// Returns when Kafka has the whole window.
    async fn write_window(&mut self) -> anyhow::Result<()> {
        let mut records = Vec::new();
        for service in 0..self.plan.services.min(self.window + 1) {
            let age = self.window - service;
            self.lines_of(service, age, &mut records);
        }
        self.window += 1;
        records.sort_by_key(|record| record.time);
        let sends = records.iter().map(|record| {
            let to_send = FutureRecord::to(&self.topic)
                .payload(&record.payload)
                .timestamp(record.time);
            let to_send = if self.plan.keyed {
                to_send.key(&record.service)
            } else {
                to_send
            };
            self.producer
                .send_result(to_send)
                .map_err(|(error, _)| error)
        });
        let sends: Vec<_> = sends.collect::<Result<_, _>>()?;
        for delivered in try_join_all(sends).await? {
            delivered.map_err(|(error, _)| error)?;
        }
        Ok(())
    }

    fn lines_of(&mut self, service: i64, age: i64, records: &mut Vec<Record>) {
        let phase = age % CYCLE;
        let lines = match phase {
            phase if SPIKE.contains(&phase) => 4 * USUAL,
            phase if SILENCE.contains(&phase) => return,
            _ => self.rng.random_range(USUAL - 2..=USUAL + 2),
        };
        let name = format!("service-{service:02}");
        let begin = self.start + self.window * WINDOW;
        for line in 0..lines {
            let is_error = match phase {
                BURST => line % 4 != 0,
                // A share that is too high, and rises so slowly that it is no burst.
                phase if RAISED.contains(&phase) && phase < RAISED.start + 2 => line % 5 == 2,
                phase if RAISED.contains(&phase) => matches!(line % 7, 2 | 5),
                _ => self.rng.random_ratio(1, 500),
            };
            let span = WINDOW / lines.cast_signed();
            let time = begin + line.cast_signed() * span + self.rng.random_range(0..span);
            // A line that comes too late for its window, as happens.
            let own_time = if self.rng.random_ratio(1, 500) {
                time - 60_000
            } else {
                time
            };
            let payload = if self.plan.unreadable && self.rng.random_ratio(1, 200) {
                format!("{{\"message\":\"cut off at {time}").into_bytes()
            } else {
                readable(&name, own_time, is_error, line)
            };
            records.push(Record {
                time,
                service: name.clone(),
                payload,
            });
        }
    }
}

fn readable(service: &str, time: i64, is_error: bool, line: u64) -> Vec<u8> {
    let message = format!("request {line} of {time} done");
    let record = LogRecord {
        timestamp: Timestamp::from_millis(time),
        service,
        level: if is_error { Level::Error } else { Level::Info },
        message: &message,
        host: "",
        trace_id: "",
        span_id: "",
        latency_ms: Some(12.5),
        status: None,
        client_ip: "",
        user: "",
        attributes: &[],
    };
    serde_json::to_vec(&record).expect("plain fields have a JSON form")
}
