//! The anomaly, `schema_version` 2: what the processor publishes and everybody else passes on.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Level, Timestamp};

/// 1 had no subject and one range of evidence; it is read, and what it lacks is empty.
pub const SCHEMA_VERSION: u32 = 2;

/// One version of one episode. Versions of an `id` replace each other; the highest wins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Anomaly {
    pub schema_version: u32,
    /// UUIDv5 of detector, series, incarnation and partition, episode start and ordinal:
    /// the same on every replay.
    pub id: Uuid,
    /// From 1, without gaps.
    pub version: u32,
    pub state: State,
    pub detector: String,
    pub kind: String,
    pub service: String,
    #[serde(default)]
    pub subject: Subject,
    /// What was measured, e.g. `checkout/errors` or `checkout/errors/host=web-3`.
    pub series: String,
    pub window_start: Timestamp,
    pub window_end: Timestamp,
    /// Event time.
    pub detected_at: Timestamp,
    /// Wall clock; no part of identity.
    pub published_at: Timestamp,
    pub severity: Severity,
    /// Above 1 is anomalous; comparable across detectors.
    pub score: f64,
    pub direction: Direction,
    /// Of `observed`, `expected`, `lower` and `upper`, e.g. `errors`.
    pub unit: String,
    pub observed: f64,
    pub expected: f64,
    pub lower: f64,
    pub upper: f64,
    /// A sentence a person understands.
    pub title: String,
    pub explanation: Explanation,
    #[serde(default)]
    pub samples: Vec<Sample>,
    /// Where its lines are; the record that crossed the line is one of them.
    pub evidence: Evidence,
    /// Where more of them are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_evidence: Vec<Evidence>,
    /// Where several services belong together, all of them.
    #[serde(default)]
    pub services: Vec<String>,
    #[serde(default)]
    pub incident_id: Option<Uuid>,
    /// W3C trace context of the record that crossed the line.
    #[serde(default)]
    pub traceparent: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum State {
    Opened,
    Updated,
    Closed,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Severity {
    #[default]
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Direction {
    Up,
    Down,
}

/// Why this is anomalous, in parts that can be checked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Explanation {
    pub summary: String,
    /// What it was held against.
    pub baseline: String,
    #[serde(default)]
    pub parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Part {
    pub name: String,
    pub text: String,
    /// How much of the anomaly this part makes, 0 to 1.
    pub share: f64,
}

/// One of the lines themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Sample {
    pub timestamp: Timestamp,
    pub level: Level,
    pub message: String,
    #[serde(default)]
    pub trace_id: Option<String>,
    pub partition: i32,
    pub offset: i64,
}

/// What an anomaly is about; nothing but a service: the service as such.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Subject {
    /// As in [`Anomaly::service`]; empty in `schema_version` 1.
    pub service: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateOf>,
    /// The machine that wrote the lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What was called, e.g. `POST /pay`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The address of a client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The name of a rule that somebody wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct TemplateOf {
    /// As in `logs.template_id`, in decimal digits: numbers of JSON do not hold it.
    pub id: String,
    pub text: String,
}

/// A range of lines: offsets are inclusive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Evidence {
    pub topic: String,
    /// Hash of topic id and group name, in hexadecimal: the same as `logs.incarnation`.
    pub incarnation: String,
    pub partition: i32,
    pub first_offset: i64,
    pub last_offset: i64,
}

impl State {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Updated => "updated",
            Self::Closed => "closed",
        }
    }
}

impl Severity {
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl Direction {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// Not one of `low`, `medium`, `high`, `critical`.
#[derive(Debug, thiserror::Error)]
#[error("unknown severity {0:?}: use low, medium, high or critical")]
pub struct UnknownSeverity(String);

impl std::str::FromStr for Severity {
    type Err = UnknownSeverity;
    fn from_str(text: &str) -> Result<Self, UnknownSeverity> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownSeverity(text.to_owned()))
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of_version_1() -> Value {
        let at = "2026-11-26T20:00:00.000Z";
        json!({
            "schema_version": 1, "id": "00000000-0000-5000-8000-000000000001", "version": 1,
            "state": "opened", "detector": "burst", "kind": "error_burst",
            "service": "checkout", "series": "checkout/errors",
            "window_start": at, "window_end": at, "detected_at": at, "published_at": at,
            "severity": "high", "score": 4.2, "direction": "up", "unit": "errors",
            "observed": 12.0, "expected": 0.8, "lower": 0.0, "upper": 5.0,
            "title": "t", "explanation": { "summary": "s", "baseline": "b" },
            "evidence": {
                "topic": "app-logs", "incarnation": "0123456789abcdef", "partition": 3,
                "first_offset": 1, "last_offset": 2,
            },
        })
    }

    #[test]
    fn version_1_is_read_and_what_it_lacks_is_empty() {
        let old: Anomaly = serde_json::from_value(of_version_1()).unwrap();
        assert_eq!((old.schema_version, old.evidence.partition), (1, 3));
        assert_eq!(old.subject, Subject::default());
        assert!(old.more_evidence.is_empty());
        let again: Anomaly = serde_json::from_str(&serde_json::to_string(&old).unwrap()).unwrap();
        assert_eq!(again, old);
    }

    #[test]
    fn an_anomaly_speaks_of_several_services_and_ranges_and_of_one_user() {
        let mut value = of_version_1();
        value["schema_version"] = json!(SCHEMA_VERSION);
        value["more_evidence"] = json!([value["evidence"]]);
        value["services"] = json!(["checkout", "payments"]);
        value["subject"] = json!({
            "service": "checkout", "user": "root",
            "template": { "id": "18446744073709551615", "text": "login of <*>" },
        });
        let anomaly: Anomaly = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(anomaly.more_evidence.len(), 1);
        let written = serde_json::to_value(&anomaly).unwrap();
        for field in ["evidence", "more_evidence", "services", "subject"] {
            assert_eq!(written[field], value[field]);
        }
    }
}
