//! `barograph-bench latency`: from `send()` of the record that crosses the line to the frame.
//!
//! One thread writes calm services at a steady rate, and now and then a burst of errors of a
//! service never seen before. The anomaly names the offset of the record that set it off, the
//! delivery report names the offset of each record sent: so the two moments are of one record, and
//! both are read from one clock in this process.
//!
//! Invariant: every burst opens exactly one episode; what did not arrive is counted, and printed.

mod writer;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use contracts::{State, websocket::Filter};
use local_stack::{Ports, ports::loopback};
use serde::Serialize;

use self::writer::{Sent, Written};
use super::{
    bed::{self, Bed, Space},
    output::{self, Common},
};
use command_kit::stream::{Follower, News};
use command_kit::{
    figures::{Figure, grouped, quantile, table, tenths},
    say,
};

/// From a record's `send()` to the WebSocket frame it sets off, while others stream by
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Records per second, one measurement each.
    #[arg(long, value_name = "RATE", value_delimiter = ',', default_value = "1000,10000,50000", value_parser = clap::value_parser!(u32).range(100..=500_000))]
    pub(super) rates: Vec<u32>,
    /// Bursts, and so frames, of each measurement.
    #[arg(long, value_name = "NUMBER", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(10..=20_000))]
    pub(super) frames: u32,
    #[command(flatten)]
    pub(super) common: Common,
}

const PARTITIONS: i32 = 4;
const MOST_BURSTS_PER_SECOND: u32 = 50;
/// Calm traffic before the first burst.
const WARM_UP: Duration = Duration::from_secs(3);
/// For the last frames, after the last record.
const PATIENCE: Duration = Duration::from_secs(10);
const TARGET_RATE: u32 = 10_000;
const TARGET_MS: f64 = 50.0;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) rates: Vec<AtRate>,
}

#[derive(Debug, Serialize)]
pub(super) struct AtRate {
    pub(super) records_per_second: u32,
    /// What the writing thread came to.
    achieved_per_second: f64,
    bursts: u64,
    frames: u64,
    p50_ms: f64,
    pub(super) p99_ms: f64,
    p999_ms: f64,
    max_ms: f64,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let report = measure(&args).await?;
    args.common.tell(&report)
}

pub(super) async fn measure(args: &Args) -> anyhow::Result<Report> {
    let mut rates = Vec::new();
    for rate in &args.rates {
        // Each on a stack of its own: what one leaves to be merged is no burden on the next.
        let at_rate = bed::on(args.common.cache_dir(), async |bed| {
            on_bed(bed, *rate, args.frames).await
        });
        rates.push(at_rate.await?);
    }
    Ok(Report { rates })
}

async fn on_bed(bed: &Bed, rate: u32, bursts: u32) -> anyhow::Result<AtRate> {
    let space = Space {
        logs: "latency-logs".to_owned(),
        anomalies: "latency-anomalies".to_owned(),
        database: "latency".to_owned(),
    };
    bed.topics(&space, PARTITIONS).await?;
    bed.database(&space.database).await?;
    let processor = bed.processor(&space)?;
    let listen = loopback(Ports::free()?.gateway);
    let gateway = bed.gateway(&space, listen)?;
    processor.ready().await?;
    gateway.ready().await?;

    let frames = Frames::follow(&format!("http://{listen}")).await?;
    let plan = writer::Plan {
        rate,
        bursts,
        bursts_per_second: (rate / 40).clamp(1, MOST_BURSTS_PER_SECOND),
        warm_up: WARM_UP,
    };
    say::note(format_args!(
        "{rate} records/s, {} of them bursts each second, {bursts} in all",
        plan.bursts_per_second
    ));
    let (connection, topic) = (bed.connection.clone(), space.logs.clone());
    let written = bed::in_thread(move || writer::write(&connection, &topic, &plan)).await?;
    frames.at_least(bursts as usize, PATIENCE).await?;
    let produced = bed.records_in(&space.logs).await?;
    if produced != written.records {
        bail!(
            "{} records were sent, and the topic holds {produced}",
            written.records
        );
    }
    gateway.stop().await?;
    processor.stop().await?;
    Ok(account(rate, &written, &frames.taken()))
}

/// An episode of a burst that was opened.
#[derive(Debug, Clone)]
struct Frame {
    service: String,
    partition: i32,
    /// Of the record that crossed the line.
    offset: i64,
    at: Instant,
}

/// Takes down every frame of a burst, in a task of its own.
struct Frames {
    taken: Arc<Mutex<Vec<Frame>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Frames {
    async fn follow(gateway: &str) -> anyhow::Result<Self> {
        let mut follower = Follower::new(gateway, Filter::default(), None);
        let connected = tokio::time::timeout(PATIENCE, async {
            while !matches!(follower.next().await?, News::Connected) {}
            anyhow::Ok(())
        });
        connected.await.context("the gateway does not answer")??;
        let taken = Arc::new(Mutex::new(Vec::new()));
        let inbox = taken.clone();
        let task = tokio::spawn(async move {
            while let Ok(news) = follower.next().await {
                let at = Instant::now();
                if let News::Anomaly(anomaly) = news
                    && anomaly.state == State::Opened
                    && anomaly.service.starts_with(writer::BURST)
                {
                    let frame = Frame {
                        partition: anomaly.evidence.partition,
                        offset: anomaly.evidence.last_offset,
                        service: anomaly.service,
                        at,
                    };
                    let mut frames = inbox.lock().unwrap_or_else(PoisonError::into_inner);
                    frames.push(frame);
                }
            }
        });
        Ok(Self { taken, task })
    }

    fn taken(&self) -> Vec<Frame> {
        let frames = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        frames.clone()
    }

    /// Waits for so many, for so long; fewer are told by the account. None at all is an error.
    async fn at_least(&self, wanted: usize, within: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let count = self.taken().len();
            if count >= wanted || (begun.elapsed() > within && count > 0) {
                return Ok(());
            }
            if begun.elapsed() > within {
                bail!("no burst was told within {within:?} of the last record");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn account(rate: u32, written: &Written, frames: &[Frame]) -> AtRate {
    let sent: HashMap<(i32, i64), Instant> = written
        .sent
        .iter()
        .map(
            |Sent {
                 partition,
                 offset,
                 at,
             }| ((*partition, *offset), *at),
        )
        .collect();
    let mut seen = HashSet::new();
    let mut latencies: Vec<f64> = frames
        .iter()
        .filter(|frame| seen.insert(&frame.service))
        .filter_map(|frame| Some(frame.at - *sent.get(&(frame.partition, frame.offset))?))
        .map(|latency| latency.as_secs_f64() * 1e3)
        .collect();
    latencies.sort_unstable_by(f64::total_cmp);
    let at = |q| quantile(&latencies, q).unwrap_or_default();
    AtRate {
        records_per_second: rate,
        achieved_per_second: written.records as f64 / written.took.as_secs_f64(),
        bursts: written.bursts,
        frames: latencies.len() as u64,
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        p999_ms: at(0.999),
        max_ms: at(1.0),
    }
}

impl output::Report for Report {
    fn text(&self) -> String {
        let header = [
            "records/s",
            "reached",
            "bursts",
            "frames",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "most ms",
        ];
        let rows = self.rates.iter().map(|at| {
            [
                grouped(f64::from(at.records_per_second)),
                grouped(at.achieved_per_second),
                grouped(at.bursts as f64),
                grouped(at.frames as f64),
                tenths(at.p50_ms),
                tenths(at.p99_ms),
                tenths(at.p999_ms),
                tenths(at.max_ms),
            ]
        });
        format!(
            "\nLatency: from send() of the record that crosses the line to the WebSocket frame\n\n{}",
            table(&header, rows)
        )
    }

    fn figures(&self) -> Vec<Figure> {
        let wanted = self
            .rates
            .iter()
            .find(|at| at.records_per_second == TARGET_RATE);
        wanted
            .map(|at| {
                Figure::below(
                    "produce to WebSocket frame at 10,000 records/s, p99 ms",
                    at.p99_ms,
                    TARGET_MS,
                    tenths,
                )
            })
            .into_iter()
            .collect()
    }
}
