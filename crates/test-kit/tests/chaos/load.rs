//! The load: a fleet of services whose history of hours is written in minutes.
//!
//! Every service goes through the same cycle again and again, each a window later than the one
//! before it: calm, an error burst, a raised share of errors, a spike, silence. Records carry their
//! simulated time as their own and as Kafka's, because the silence of a service is measured by the
//! Kafka times of its neighbours.
//!
//! Invariant: what is written depends on the seed and the start alone, never on the pace.

use std::time::Duration;

use crate::clocks;
use contracts::{Level, Timestamp, log_record::LogRecord};
use futures::future::try_join_all;
use kafka_io::{Connection, producer};
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
/// A producer finds out in half a minute that its topic is another one; that is not what is tested.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(3);

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
    /// Services whose clocks go wrong once all others write, one for each partition from the first.
    pub(crate) wrong_clocks: i32,
    /// librdkafka's name of how keys go to partitions.
    pub(crate) partitioner: &'static str,
}

impl Plan {
    /// One cycle of keyed lines with right clocks.
    pub(crate) fn usual(seed: u64, services: i64, pace: Duration) -> Self {
        Self {
            seed,
            services,
            cycles: 1,
            pace,
            keyed: true,
            unreadable: true,
            wrong_clocks: 0,
            partitioner: "consistent_random",
        }
    }

    fn windows(&self) -> i64 {
        self.services + self.cycles * CYCLE
    }
}

struct Record {
    /// Truly.
    at: i64,
    /// For Kafka.
    time: i64,
    service: String,
    payload: Vec<u8>,
    /// What a right clock would have written, and the partition, where a clock is wrong.
    wrong: Option<(Vec<u8>, i32)>,
}

/// Writes one window after the other.
pub(crate) struct Load {
    plan: Plan,
    rng: StdRng,
    start: i64,
    window: i64,
    written: watch::Sender<i64>,
    pace: watch::Sender<Duration>,
    connection: Connection,
    producer: FutureProducer,
    /// Whether a topic that is gone, or is another one, is no end of it.
    goes_on: bool,
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
            written: watch::channel(0).0,
            pace: watch::channel(plan.pace).0,
            producer: connect(&space.connection, plan)?,
            connection: space.connection.clone(),
            goes_on: false,
            topic: space.logs.clone(),
            flows: None,
        })
    }

    /// From now on what Kafka does not take within seconds is lost, and who writes begins anew.
    pub(crate) fn go_on_whatever_becomes_of_the_topic(&mut self) {
        self.goes_on = true;
    }

    /// How many windows Kafka has.
    pub(crate) fn windows_written(&self) -> watch::Receiver<i64> {
        self.written.subscribe()
    }

    /// By which its pace is set: time between two windows.
    pub(crate) fn paces(&self) -> watch::Sender<Duration> {
        self.pace.clone()
    }

    /// Writes only while it is told to.
    pub(crate) fn obey(&mut self, flows: watch::Receiver<bool>) {
        self.flows = Some(flows);
    }

    /// Writes at the plan's pace until everything is written that the plan asks for, and on until
    /// `enough` says so.
    pub(crate) async fn run(&mut self, enough: impl Fn() -> bool) -> anyhow::Result<()> {
        let mut paces = self.pace.subscribe();
        let mut pace = interval_of(*paces.borrow_and_update());
        while self.window < self.plan.windows() || !enough() {
            pace.tick().await;
            if paces.has_changed()? {
                pace = interval_of(*paces.borrow_and_update());
                pace.tick().await;
            }
            if let Some(flows) = &mut self.flows {
                // Who told it to may be gone.
                let _told = flows.wait_for(|flows| *flows).await;
            }
            self.write_window().await?;
            self.written.send_replace(self.window);
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
        for number in 0..self.plan.wrong_clocks {
            self.lines_by_a_wrong_clock(number, &mut records);
        }
        self.window += 1;
        records.sort_by_key(|record| record.at);
        if !self.goes_on {
            return self.send(&records).await;
        }
        let sent = tokio::time::timeout(GIVEN_UP_AFTER, self.send(&records)).await;
        if !matches!(sent, Ok(Ok(()))) {
            self.producer = connect(&self.connection, self.plan)?;
        }
        Ok(())
    }

    async fn send(&self, records: &[Record]) -> anyhow::Result<()> {
        let sends = records.iter().map(|record| {
            let to_send = FutureRecord::to(&self.topic)
                .payload(&record.payload)
                .timestamp(record.time);
            let to_send = match &record.wrong {
                Some((right, partition)) => to_send
                    .partition(*partition)
                    .headers(clocks::with_truth(record.at, right)),
                None => to_send,
            };
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
                readable(&name, own_time, own_time, is_error, line)
            };
            records.push(Record {
                at: time,
                time,
                service: name.clone(),
                payload,
                wrong: None,
            });
        }
    }

    /// Ordinary lines; the times are right until all others write.
    fn lines_by_a_wrong_clock(&mut self, number: i32, records: &mut Vec<Record>) {
        let service = format!("{}{number}", clocks::WRONG);
        let begin = self.start + self.window * WINDOW;
        let wrong_since = self.start + self.plan.services * WINDOW;
        for line in 0..USUAL {
            let span = WINDOW / USUAL.cast_signed();
            let at = begin + line.cast_signed() * span + self.rng.random_range(0..span);
            let (of_line, of_kafka) = if at < wrong_since {
                (0, 0)
            } else {
                clocks::off(number as usize, at - wrong_since, line)
            };
            let is_error = self.rng.random_ratio(1, 500);
            let written = |time| readable(&service, time, at, is_error, line);
            records.push(Record {
                at,
                time: at + of_kafka,
                service: service.clone(),
                payload: written(at + of_line),
                wrong: Some((written(at), number)),
            });
        }
    }
}

/// Time lost while Kafka was away is not made up for in one go.
fn interval_of(pace: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval(pace);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    interval
}

fn connect(connection: &Connection, plan: Plan) -> anyhow::Result<FutureProducer> {
    let mut config = producer::config(connection);
    config
        .set("partitioner", plan.partitioner)
        // A topic that grows is written anew soon.
        .set("topic.metadata.refresh.interval.ms", "1000");
    Ok(config.create()?)
}

fn readable(service: &str, time: i64, of: i64, is_error: bool, line: u64) -> Vec<u8> {
    let message = format!("request {line} of {of} done");
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
