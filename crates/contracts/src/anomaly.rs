//! The anomaly, `schema_version` 1: what the processor publishes and everybody else passes on.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Level, Timestamp};

pub const SCHEMA_VERSION: u32 = 1;

/// One version of one episode. Versions of an `id` replace each other; the highest wins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// What was measured, e.g. `checkout/errors`.
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
    pub evidence: Evidence,
    /// Where several services belong together.
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
pub enum State {
    Opened,
    Updated,
    Closed,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    #[default]
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Up,
    Down,
}

/// Why this is anomalous, in parts that can be checked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Explanation {
    pub summary: String,
    /// What it was held against.
    pub baseline: String,
    #[serde(default)]
    pub parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub name: String,
    pub text: String,
    /// How much of the anomaly this part makes, 0 to 1.
    pub share: f64,
}

/// One of the lines themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub timestamp: Timestamp,
    pub level: Level,
    pub message: String,
    #[serde(default)]
    pub trace_id: Option<String>,
    pub partition: i32,
    pub offset: i64,
}

/// Where the lines are: offsets are inclusive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
