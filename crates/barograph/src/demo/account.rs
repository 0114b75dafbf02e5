//! The sums of a demo, counted where things happened.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use clickhouse_store::Client;
use contracts::{
    State,
    topics::{ANOMALIES, APP_LOGS},
    truth::{Fault, Truth},
};
use kafka_io::{Connection, topics};
use local_stack::{Child, ports::loopback};
use serde::{Deserialize, Serialize};

use super::{
    plan::Plan,
    watch::{Received, Watch},
};
use crate::audit;
use command_kit::http;

/// The generator's own report.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Generated {
    pub(super) produced: u64,
    pub(super) injected: Vec<Truth>,
}

/// What stands where, at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) produced: u64,
    pub(super) stored: u64,
    pub(super) dead_lettered: u64,
    pub(super) anomalies: u64,
}

impl Counts {
    pub(super) fn lag(&self) -> u64 {
        self.produced
            .saturating_sub(self.stored + self.dead_lettered)
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Account {
    pub(super) produced: u64,
    pub(super) stored: u64,
    pub(super) dead_lettered: u64,
    pub(super) anomalies_published: u64,
    pub(super) anomalies_received: u64,
    /// Episodes by kind.
    pub(super) anomalies_by_kind: BTreeMap<String, u64>,
    pub(super) injected: Vec<Found>,
    /// Episodes that belong to no injected anomaly, in the history too: title, kind, event time.
    pub(super) unexpected: Vec<String>,
    /// From the producer's timestamp of the record that crossed the line to the frame's arrival.
    pub(super) latency_ms: Latency,
    /// Every line is counted by windows too.
    pub(super) counted_in_windows: u64,
    pub(super) audit: Audit,
}

/// What was stored, held against the account of what became of each offset.
#[derive(Debug, Serialize)]
pub(super) struct Audit {
    /// Looks of the processor's own, and what it finds at the end.
    pub(super) looks: u64,
    pub(super) told: u64,
    /// Rows and offsets that differ, counted at the end.
    pub(super) differing: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Found {
    pub(super) kind: Fault,
    pub(super) service: String,
    pub(super) detected: bool,
    /// From the first altered record to the frame's arrival.
    pub(super) delay_ms: Option<i64>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Latency {
    pub(super) p50: Option<i64>,
    pub(super) p99: Option<i64>,
    pub(super) frames: usize,
}

impl Account {
    pub(super) fn is_exact(&self) -> bool {
        self.produced == self.stored + self.dead_lettered && self.counted_in_windows == self.stored
    }

    pub(super) fn is_good(&self) -> bool {
        self.is_exact()
            && self.anomalies_published == self.anomalies_received
            && self.injected.iter().all(|one| one.detected)
            && self.audit.is_content()
    }
}

impl Audit {
    pub(super) const fn is_content(&self) -> bool {
        self.looks > 0 && self.told == 0 && self.differing == 0
    }

    async fn look(client: &Client, processor: u16) -> anyhow::Result<Self> {
        let url = format!("http://{}/metrics", loopback(processor));
        let answer = http::client()?.get(&url).send().await?;
        let metrics = answer.error_for_status()?.text().await?;
        let sum = |name: &str| {
            let values = metrics.lines().filter_map(|line| {
                let (series, value) = line.rsplit_once(' ')?;
                (series.split('{').next() == Some(name)).then(|| value.parse::<f64>().ok())?
            });
            values.sum::<f64>() as u64
        };
        Ok(Self {
            looks: sum("barograph_audit_seconds_count"),
            told: sum("barograph_audit_difference_rows"),
            differing: audit::differing(client).await?,
        })
    }
}

/// The generator ends with one line of JSON.
pub(super) fn generated(generator: &Child) -> anyhow::Result<Generated> {
    generator
        .last_lines(50)
        .iter()
        .rev()
        .find_map(|line| serde_json::from_str(line).ok())
        .with_context(|| {
            format!(
                "no report in the generator's log {}",
                generator.log().display()
            )
        })
}

pub(super) async fn counts(client: &Client, connection: &Connection) -> anyhow::Result<Counts> {
    let connection = connection.clone();
    let offsets = tokio::task::spawn_blocking(move || {
        let total = |topic: &str| {
            topics::offsets(&connection, topic, Duration::from_secs(5)).map(|partitions| {
                partitions
                    .iter()
                    .map(|(low, high)| (high - low).cast_unsigned())
                    .sum::<u64>()
            })
        };
        Ok::<_, kafka_io::Error>((
            total(APP_LOGS)?,
            total(&super::dead_letters())?,
            total(ANOMALIES)?,
        ))
    });
    let stored = client
        .typed()
        .query("SELECT count() FROM logs")
        .fetch_one::<u64>()
        .await?;
    let (produced, dead_lettered, anomalies) = offsets.await??;
    Ok(Counts {
        produced,
        stored,
        dead_lettered,
        anomalies,
    })
}

/// Waits until everything has arrived where it belongs, then adds it up.
#[expect(
    clippy::too_many_arguments,
    reason = "one caller, which has just made all of it"
)]
pub(super) async fn settle(
    client: &Client,
    connection: &Connection,
    watch: &Watch,
    services: &[(Arc<Child>, u16)],
    generated: Generated,
    unreadable: u64,
    plan: &Plan,
    patience: Duration,
) -> anyhow::Result<Account> {
    let deadline = tokio::time::Instant::now() + patience;
    // An anomaly that is still open at the end closes after the fleet has fallen silent, and that
    // silence is noticed too: what counts ends with the last line.
    let counted = loop {
        let counted = counts(client, connection).await?;
        let caught_up = counted.lag() == 0 && counted.anomalies <= watch.received() as u64;
        if caught_up || tokio::time::Instant::now() >= deadline {
            break counted;
        }
        if let Some((dead, _)) = services.iter().find(|(child, _)| !child.is_running()) {
            bail!(
                "{} has ended:\n{}",
                dead.name(),
                dead.last_lines(20).join("\n")
            );
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    };
    if counted.produced != generated.produced + unreadable {
        bail!(
            "the generator says it wrote {} lines, and the topic holds {}",
            generated.produced,
            counted.produced - unreadable
        );
    }
    let frames = watch.frames();
    let counted_in_windows = client
        .typed()
        .query("SELECT sum(records) FROM log_windows")
        .fetch_one::<u64>()
        .await?;
    let opened: Vec<_> = frames
        .iter()
        .filter(|frame| frame.anomaly.state == State::Opened)
        .collect();
    let mut by_kind = BTreeMap::new();
    for frame in &opened {
        *by_kind.entry(frame.anomaly.kind.clone()).or_default() += 1;
    }
    let (_, processor) = services.first().context("no processor was started")?;
    Ok(Account {
        audit: Audit::look(client, *processor).await?,
        produced: counted.produced,
        stored: counted.stored,
        dead_lettered: counted.dead_lettered,
        anomalies_published: counted.anomalies,
        anomalies_received: frames.len() as u64,
        anomalies_by_kind: by_kind,
        injected: generated
            .injected
            .iter()
            .map(|truth| found(truth, &opened, plan))
            .collect(),
        unexpected: unexpected(&generated.injected, &opened, plan),
        latency_ms: latency(client, &frames).await?,
        counted_in_windows,
    })
}

/// An episode belongs to a fault of its service, of a fitting kind, that had begun and was not long over.
fn belongs(frame: &Received, truth: &Truth, plan: &Plan) -> bool {
    let slack = 3 * plan.window.as_millis() as i64 + 2000;
    let service =
        frame.anomaly.service == truth.service || truth.affected.contains(&frame.anomaly.service);
    let detected = frame.anomaly.detected_at.as_millis();
    service
        && truth
            .kind
            .detected_by()
            .contains(&frame.anomaly.kind.as_str())
        && detected >= truth.start.as_millis()
        && detected <= truth.end.as_millis() + slack
}

fn found(truth: &Truth, opened: &[&Received], plan: &Plan) -> Found {
    let first = opened
        .iter()
        .filter(|frame| belongs(frame, truth, plan))
        .map(|frame| frame.at)
        .min();
    Found {
        kind: truth.kind,
        service: truth.service.clone(),
        detected: first.is_some(),
        delay_ms: first.map(|at| at - truth.injected_at.as_millis()),
    }
}

fn unexpected(truths: &[Truth], opened: &[&Received], plan: &Plan) -> Vec<String> {
    opened
        .iter()
        .filter(|frame| !truths.iter().any(|truth| belongs(frame, truth, plan)))
        .map(|frame| {
            let anomaly = &frame.anomaly;
            format!(
                "{} ({}, {})",
                anomaly.title, anomaly.kind, anomaly.detected_at
            )
        })
        .collect()
}

/// Over the frames that one record set off, of the live part: its time at the producer is Kafka's.
async fn latency(client: &Client, frames: &[Received]) -> anyhow::Result<Latency> {
    let mut latencies = Vec::new();
    for frame in frames {
        let evidence = &frame.anomaly.evidence;
        let by_record = matches!(frame.anomaly.kind.as_str(), "error_burst" | "rate_spike")
            && frame.anomaly.state != State::Closed;
        if !by_record {
            continue;
        }
        let sent = client
            .typed()
            .query("SELECT toUnixTimestamp64Milli(kafka_timestamp) FROM logs WHERE kafka_partition = ? AND kafka_offset = ?")
            .bind(evidence.partition)
            .bind(evidence.last_offset)
            .fetch_optional::<i64>()
            .await?;
        latencies.extend(sent.map(|sent| frame.at - sent));
    }
    latencies.sort_unstable();
    let quantile = |q: f64| {
        let rank = (q * latencies.len() as f64).ceil() as usize;
        latencies.get(rank.saturating_sub(1)).copied()
    };
    Ok(Latency {
        p50: quantile(0.5),
        p99: quantile(0.99),
        frames: latencies.len(),
    })
}
