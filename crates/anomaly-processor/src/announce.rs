//! From a finding to an anomaly that others can see: published at once, stored, acknowledged.
//!
//! Invariant: the id depends on what was found and where, never on when it was told; the
//! acknowledgement resolves when broker and store both have it.

use std::{sync::Arc, time::Duration};

use clickhouse_store::{Client, anomalies};
use contracts::{
    Anomaly, Level, Severity, State, Timestamp,
    anomaly::{
        Direction, Evidence, Explanation, Part, SCHEMA_VERSION, Sample, Subject, TemplateOf,
    },
    topics::TRACEPARENT,
};
use detection::{Finding, Kind, Phase};
use kafka_io::{headers::Header, insist::Insisting, producer::Outgoing};
use pipeline::{
    Incarnation, Partition, TaskId,
    backoff::Backoff,
    batch::Acknowledgement,
    ports::{self, StoreError},
};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::{
    metrics::{Found, Metrics},
    partition_task::SinkError,
    shorten::shorten,
};

const NAMESPACE: Uuid = Uuid::from_u128(0x3f0a_8d1c_52b7_5e64_9a0e_71c2_d4b8_6f15);

/// An anomaly on its way to ClickHouse, and who waits for it.
type Waiting = (Anomaly, oneshot::Sender<Result<(), String>>);

/// Publishes anomalies, and has them stored.
pub struct Announcer {
    pub producer: Insisting,
    pub topic: Arc<str>,
    pub runtime: tokio::runtime::Handle,
    pub metrics: Metrics,
    keeping: mpsc::UnboundedSender<Waiting>,
}

impl Announcer {
    /// Its own task stores what is announced, one insert at a time, as long as it lives.
    pub fn new(producer: Insisting, store: Client, topic: &str, metrics: Metrics) -> Self {
        let runtime = tokio::runtime::Handle::current();
        let (keeping, kept) = mpsc::unbounded_channel();
        runtime.spawn(keep(store, metrics.clone(), kept));
        Self {
            producer,
            topic: topic.into(),
            runtime,
            metrics,
            keeping,
        }
    }

    /// What was found in this partition of `topic`. Never blocks on the network.
    pub fn announce(
        &self,
        finding: Finding,
        topic: &str,
        task: TaskId,
        traceparent: Option<&str>,
    ) -> Result<Acknowledgement, SinkError> {
        if finding.phase == Phase::Opened {
            self.metrics.anomalies.at(found(finding.kind)).inc();
        }
        let span =
            tracing::info_span!("anomaly", kind = finding.kind.as_str(), phase = ?finding.phase);
        if let Some(traceparent) = traceparent {
            service_kit::telemetry::link_parent(&span, traceparent);
        }
        let _inside = span.enter();
        // The anomaly belongs to the trace of the record that crossed the line.
        let context = service_kit::telemetry::current_traceparent()
            .or_else(|| traceparent.map(str::to_owned));
        let anomaly = anomaly_of(finding, topic, task, now(), context);
        let failed =
            |error: &dyn std::fmt::Display| SinkError(format!("anomaly {}: {error}", anomaly.id));
        let payload = serde_json::to_vec(&anomaly).map_err(|error| failed(&error))?;
        let headers: Vec<Header<'_>> = anomaly
            .traceparent
            .iter()
            .map(|context| (TRACEPARENT.as_bytes(), Some(context.as_bytes())))
            .collect();
        let message = Outgoing {
            topic: &self.topic,
            key: Some(anomaly.service.as_bytes()),
            payload: Some(&payload),
            headers: &headers,
        };
        let published = self.producer.send(message, shorten);
        let (answer, acknowledgement) = oneshot::channel();
        let (stored, storing) = oneshot::channel();
        // Without the task that stores, nobody answers, and that is an error where it is awaited.
        let _stopped = self.keeping.send((anomaly, stored));
        self.runtime.spawn(async move {
            let stopped = |_| Err("the processor is stopping".to_owned());
            let stored = storing.await.unwrap_or_else(stopped);
            let published = published.await.unwrap_or_else(stopped);
            // Nobody has to listen: a partition that went away is somebody else's to finish.
            let _unheard = answer.send(stored.and(published));
        });
        Ok(acknowledgement)
    }
}

/// Anomalies of one insert: a storm is stored in some inserts, not in thousands at once.
const MOST_AT_ONCE: usize = 500;
/// From the first anomaly of an insert to the insert. An insert costs ClickHouse about the same for one
/// anomaly as for fifty, and where they share a machine, whoever is told next waits for it.
const GATHERING: Duration = Duration::from_millis(250);

async fn keep(store: Client, metrics: Metrics, mut waiting: mpsc::UnboundedReceiver<Waiting>) {
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, MOST_AT_ONCE).await > 0 {
        gather(&mut batch, &mut waiting).await;
        let (anomalies, answers): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
        let outcome = keep_storing(&store, &anomalies).await;
        if anomalies.len() > 1
            && matches!(&outcome, Err(error) if error.kind == ports::Kind::Rejected)
        {
            // One of them is to blame: each for itself.
            for (anomaly, answer) in anomalies.iter().zip(answers) {
                let outcome = keep_storing(&store, std::slice::from_ref(anomaly)).await;
                let _unheard = answer.send(settled(anomaly, outcome, &metrics));
            }
            continue;
        }
        for (anomaly, answer) in anomalies.iter().zip(answers) {
            let _unheard = answer.send(settled(anomaly, outcome.clone(), &metrics));
        }
    }
}

/// What follows the first ones within [`GATHERING`].
async fn gather(batch: &mut Vec<Waiting>, waiting: &mut mpsc::UnboundedReceiver<Waiting>) {
    let until = tokio::time::Instant::now() + GATHERING;
    while batch.len() < MOST_AT_ONCE {
        let room = MOST_AT_ONCE - batch.len();
        match tokio::time::timeout_at(until, waiting.recv_many(batch, room)).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// An anomaly that ClickHouse rejects for what is in it was published all the same: it is counted, and
/// holds nothing up.
fn settled(
    anomaly: &Anomaly,
    outcome: Result<(), StoreError>,
    metrics: &Metrics,
) -> Result<(), String> {
    match outcome {
        Ok(()) => Ok(()),
        Err(error) if error.kind == ports::Kind::Rejected => {
            metrics.anomalies_unstored.inc();
            tracing::error!(id = %anomaly.id, version = anomaly.version, %error, "clickhouse rejects an anomaly; it is published and not stored");
            Ok(())
        }
        Err(error) => Err(format!("anomaly {} cannot be stored: {error}", anomaly.id)),
    }
}

async fn keep_storing(store: &Client, batch: &[Anomaly]) -> Result<(), StoreError> {
    let mut backoff = Backoff::new(
        Duration::from_millis(200),
        Duration::from_secs(10),
        batch.len() as u64,
    );
    let mut patience = ports::Patience::default();
    loop {
        match anomalies::store(store, batch).await {
            Ok(()) => return Ok(()),
            Err(error) if patience.bears(error.kind()) => {
                tokio::time::sleep(backoff.delay()).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

const fn found(kind: Kind) -> Found {
    match kind {
        Kind::ErrorBurst => Found::ErrorBurst,
        Kind::ErrorRateSpike => Found::ErrorRateSpike,
        Kind::RateSpike => Found::RateSpike,
        Kind::RateDrop => Found::RateDrop,
        Kind::LatencyShift => Found::LatencyShift,
        Kind::LatencyTail => Found::LatencyTail,
        Kind::NewTemplate => Found::NewTemplate,
        Kind::FailedLogins => Found::FailedLogins,
        Kind::PasswordSpray => Found::PasswordSpray,
        Kind::DistributedBruteForce => Found::DistributedBruteForce,
        Kind::TemplateSurge => Found::TemplateSurge,
        Kind::TemplateVanished => Found::TemplateVanished,
        Kind::StatusShift => Found::StatusShift,
        Kind::Silence => Found::Silence,
        Kind::Rule => Found::Rule,
    }
}

fn series_of(finding: &Finding) -> String {
    let subject = finding.subject.series();
    format!("{}/{}{subject}", finding.service, finding.kind.metric())
}

/// UUIDv5 of detector, series, incarnation and partition, episode start and ordinal.
pub fn id_of(finding: &Finding, incarnation: Incarnation, partition: Partition) -> Uuid {
    let name = format!(
        "{}\n{}\n{}\n{incarnation}\n{partition}\n{}\n{}",
        finding.kind.detector(),
        finding.kind.as_str(),
        series_of(finding),
        finding.episode_start.0,
        finding.ordinal
    );
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}

const fn severity_of(severity: detection::Severity) -> Severity {
    match severity {
        detection::Severity::Low => Severity::Low,
        detection::Severity::Medium => Severity::Medium,
        detection::Severity::High => Severity::High,
        detection::Severity::Critical => Severity::Critical,
    }
}

fn subject_of(service: String, subject: detection::Subject) -> Subject {
    let detection::Subject {
        template,
        host,
        endpoint,
        address,
        user,
        rule,
    } = subject;
    Subject {
        service,
        template: template.map(|template| TemplateOf {
            id: template.id.to_string(),
            text: template.text,
        }),
        host,
        endpoint,
        address,
        user,
        rule,
    }
}

fn anomaly_of(
    finding: Finding,
    topic: &str,
    task: TaskId,
    published_at: Timestamp,
    traceparent: Option<String>,
) -> Anomaly {
    let series = series_of(&finding);
    let id = id_of(&finding, task.incarnation, task.assignment.partition);
    let severity = severity_of(finding.severity());
    let time = |moment: detection::EventTime| Timestamp::from_millis(moment.0);
    let partition = task.assignment.partition.0;
    let mut ranges = finding.ranges;
    let lines = |(first_offset, last_offset)| Evidence {
        topic: topic.to_owned(),
        incarnation: task.incarnation.to_string(),
        partition,
        first_offset,
        last_offset,
    };
    Anomaly {
        schema_version: SCHEMA_VERSION,
        id,
        version: finding.version,
        state: match finding.phase {
            Phase::Opened => State::Opened,
            Phase::Updated => State::Updated,
            Phase::Closed => State::Closed,
        },
        detector: finding.kind.detector().to_owned(),
        kind: finding.kind.as_str().to_owned(),
        window_start: time(finding.window_start),
        window_end: time(finding.window_end),
        detected_at: time(finding.detected_at),
        published_at,
        severity,
        score: finding.score.value(),
        direction: if finding.kind.is_up() {
            Direction::Up
        } else {
            Direction::Down
        },
        unit: finding.kind.metric().to_owned(),
        observed: finding.observed,
        expected: finding.expected,
        lower: finding.lower,
        upper: finding.upper,
        title: finding.title,
        explanation: Explanation {
            summary: finding.summary,
            baseline: finding.baseline,
            parts: finding
                .parts
                .into_iter()
                .map(|part| Part {
                    name: part.name.to_owned(),
                    text: part.text,
                    share: part.share,
                })
                .collect(),
        },
        samples: finding
            .samples
            .into_iter()
            .map(|line| Sample {
                timestamp: time(line.time),
                level: Level::ALL
                    .get(usize::from(line.level))
                    .copied()
                    .unwrap_or_default(),
                message: line.message,
                trace_id: (!line.trace_id.is_empty()).then_some(line.trace_id),
                partition,
                offset: line.offset,
            })
            .collect(),
        // The record that crossed the line came last.
        evidence: lines(ranges.pop().unwrap_or_default()),
        more_evidence: ranges.into_iter().map(lines).collect(),
        subject: subject_of(finding.service.clone(), finding.subject),
        service: finding.service,
        series,
        services: finding.services,
        incident_id: None,
        traceparent,
    }
}
