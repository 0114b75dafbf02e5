//! Stores versions of anomalies.

use contracts::{Anomaly, anomaly::Evidence};
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
    services: &'a [String],
    template_id: u64,
    host: &'a str,
    endpoint: &'a str,
    client_ip: &'a str,
    user: &'a str,
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
    ranges: Vec<(&'a str, i32, i64, i64)>,
    traceparent: &'a str,
}

impl<'a> Row<'a> {
    fn of(anomaly: &'a Anomaly) -> Result<Self, Error> {
        let unexpected = |what: &str| Error::Unexpected(format!("anomaly {}: {what}", anomaly.id));
        let document =
            serde_json::to_string(anomaly).map_err(|error| unexpected(&error.to_string()))?;
        let subject = &anomaly.subject;
        let template_id = match &subject.template {
            None => 0,
            Some(template) => template
                .id
                .parse()
                .map_err(|_| unexpected("the id of its template is no number"))?,
        };
        let first = &anomaly.evidence;
        let ranges = [first].into_iter().chain(&anomaly.more_evidence);
        let ranges = ranges.map(|range| {
            let Evidence {
                incarnation,
                partition,
                first_offset,
                last_offset,
                ..
            } = range;
            (
                incarnation.as_str(),
                *partition,
                *first_offset,
                *last_offset,
            )
        });
        let text = |text: &'a Option<String>| text.as_deref().unwrap_or_default();
        Ok(Self {
            id: anomaly.id,
            version: anomaly.version,
            state: anomaly.state.as_str(),
            detector: &anomaly.detector,
            kind: &anomaly.kind,
            service: &anomaly.service,
            services: &anomaly.services,
            template_id,
            host: text(&subject.host),
            endpoint: text(&subject.endpoint),
            client_ip: text(&subject.address),
            user: text(&subject.user),
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
            incarnation: &first.incarnation,
            kafka_partition: first.partition,
            first_offset: first.first_offset,
            last_offset: first.last_offset,
            ranges: ranges.collect(),
            traceparent: text(&anomaly.traceparent),
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
