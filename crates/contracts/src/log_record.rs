//! The log record as Barograph itself writes it to `app-logs`. The reader is more tolerant
//! than this (`anomaly-processor::decode`).

use serde::Serialize;

use crate::{Level, Timestamp};

/// One log line. Only `message` is required of other senders; absent fields are left out.
#[derive(Debug, Clone, Serialize)]
pub struct LogRecord<'a> {
    pub timestamp: Timestamp,
    pub service: &'a str,
    pub level: Level,
    pub message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub host: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub trace_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub span_id: &'a str,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub client_ip: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub user: &'a str,
    #[serde(skip_serializing_if = "slice_is_empty", serialize_with = "as_map")]
    pub attributes: &'a [(&'a str, &'a str)],
}

fn slice_is_empty(attributes: &&[(&str, &str)]) -> bool {
    attributes.is_empty()
}

fn as_map<S: serde::Serializer>(
    attributes: &&[(&str, &str)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(attributes.iter().copied())
}
