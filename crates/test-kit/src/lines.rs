//! Log records as other senders write them.

use contracts::{Level, Timestamp, log_record::LogRecord};

use crate::Message;

/// A record of the contract, keyed by its service, at event time `at` (ms since the epoch).
pub fn line(service: &str, at: i64, level: Level, message: &str) -> Message {
    let record = LogRecord {
        timestamp: Timestamp::from_millis(at),
        service,
        level,
        message,
        host: "",
        trace_id: "",
        span_id: "",
        latency_ms: None,
        status: None,
        client_ip: "",
        user: "",
        attributes: &[],
    };
    // A record of plain fields always has a JSON form.
    let payload = serde_json::to_vec(&record).unwrap_or_default();
    Message::of(service, payload)
}

/// Now, in ms since the epoch.
pub fn now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}
