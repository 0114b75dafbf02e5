//! Stores versions of anomalies.

use contracts::Anomaly;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{Client, Error, logs::insert_settings};

/// One row of `anomalies`, by the names of its columns.
#[derive(Serialize)]
struct Row<'a> {
    id: uuid::Uuid,
    version: u32,
    state: &'a str,
    detector: &'a str,
    kind: &'a str,
    service: &'a str,
    series: &'a str,
    window_start: String,
    window_end: String,
    detected_at: String,
    published_at: String,
    severity: &'a str,
    score: f64,
    direction: &'a str,
    unit: &'a str,
    observed: f64,
    expected: f64,
    lower: f64,
    upper: f64,
    title: &'a str,
    document: String,
    incarnation: &'a str,
    kafka_partition: i32,
    first_offset: i64,
    last_offset: i64,
    traceparent: &'a str,
}

impl<'a> Row<'a> {
    fn of(anomaly: &'a Anomaly) -> Result<Self, Error> {
        let document =
            serde_json::to_string(anomaly).map_err(|error| Error::Unexpected(error.to_string()))?;
        Ok(Self {
            id: anomaly.id,
            version: anomaly.version,
            state: anomaly.state.as_str(),
            detector: &anomaly.detector,
            kind: &anomaly.kind,
            service: &anomaly.service,
            series: &anomaly.series,
            window_start: anomaly.window_start.to_string(),
            window_end: anomaly.window_end.to_string(),
            detected_at: anomaly.detected_at.to_string(),
            published_at: anomaly.published_at.to_string(),
            severity: anomaly.severity.as_str(),
            score: anomaly.score,
            direction: anomaly.direction.as_str(),
            unit: &anomaly.unit,
            observed: anomaly.observed,
            expected: anomaly.expected,
            lower: anomaly.lower,
            upper: anomaly.upper,
            title: &anomaly.title,
            document,
            incarnation: &anomaly.evidence.incarnation,
            kafka_partition: anomaly.evidence.partition,
            first_offset: anomaly.evidence.first_offset,
            last_offset: anomaly.evidence.last_offset,
            traceparent: anomaly.traceparent.as_deref().unwrap_or_default(),
        })
    }
}

/// Inserts versions as one batch; the same ones again change nothing.
pub async fn store(client: &Client, anomalies: &[Anomaly]) -> Result<(), Error> {
    let mut rows = Vec::new();
    let mut hash = Sha256::new();
    for anomaly in anomalies {
        serde_json::to_writer(&mut rows, &Row::of(anomaly)?)
            .map_err(|error| Error::Unexpected(error.to_string()))?;
        rows.push(b'\n');
        hash.update(anomaly.id.as_bytes());
        hash.update(anomaly.version.to_le_bytes());
    }
    let token = format!("anomalies-{:02x?}", &hash.finalize()[..16]);
    let count = anomalies.len().to_string();
    let mut settings = insert_settings(&count, &token).to_vec();
    settings.push(("date_time_input_format", "best_effort"));
    client
        .insert(
            "INSERT INTO anomalies FORMAT JSONEachRow",
            &settings,
            rows.into(),
        )
        .await
}
