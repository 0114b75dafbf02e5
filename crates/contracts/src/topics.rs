//! Topic names, header names and limits. The names of topics are defaults; the environment decides.

/// Log records, keyed by service.
pub const APP_LOGS: &str = "app-logs";
/// Anomalies, keyed by service.
pub const ANOMALIES: &str = "anomalies";
/// The generator's labels, for scoring; no service reads it.
pub const APP_LOGS_TRUTH: &str = "app-logs.truth";

/// The dead-letter topic that belongs to a topic of log records.
pub fn dead_letters_of(topic: &str) -> String {
    format!("{topic}.dlq")
}

/// The one that is configured, or the one of the topic of logs.
pub fn dead_letters(configured: Option<&str>, logs: &str) -> String {
    configured.map_or_else(|| dead_letters_of(logs), str::to_owned)
}

/// The topic of truth labels that belongs to a topic of log records.
pub fn truth_of(topic: &str) -> String {
    format!("{topic}.truth")
}

/// Largest log record, bytes.
pub const MAX_RECORD_BYTES: usize = 16 * 1024 * 1024;
/// Longest line that is read. A record that is compressed well can be much larger than its topic
/// allows: the broker's limit is for batches as they are sent.
pub const MAX_LINE_BYTES: usize = 2 * MAX_RECORD_BYTES;
/// Largest dead letter: a record with its headers beside it.
pub const MAX_DEAD_LETTER_BYTES: usize = MAX_RECORD_BYTES + 64 * 1024;

/// W3C trace context, on every message.
pub const TRACEPARENT: &str = "traceparent";
pub const TRACESTATE: &str = "tracestate";
