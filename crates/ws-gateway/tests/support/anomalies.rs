//! Anomalies for tests.

use contracts::anomaly::{Direction, Evidence, Explanation, SCHEMA_VERSION, Sample, Subject};
use contracts::{Anomaly, Level, Severity, State, Timestamp};
use uuid::Uuid;

pub(crate) fn anomaly(id: u128, version: u32) -> Anomaly {
    Anomaly {
        schema_version: SCHEMA_VERSION,
        id: Uuid::from_u128(id),
        version,
        state: if version == 1 {
            State::Opened
        } else {
            State::Updated
        },
        detector: "rate".to_owned(),
        kind: "rate_spike".to_owned(),
        service: "checkout".to_owned(),
        series: "checkout/records".to_owned(),
        window_start: Timestamp::from_millis(0),
        window_end: Timestamp::from_millis(10_000),
        detected_at: Timestamp::from_millis(10_000),
        published_at: Timestamp::from_millis(10_100),
        severity: Severity::High,
        score: 2.5,
        direction: Direction::Up,
        unit: "records".to_owned(),
        observed: 100.0,
        expected: 10.0,
        lower: 5.0,
        upper: 20.0,
        title: "Checkout writes ten times as much".to_owned(),
        explanation: Explanation::default(),
        samples: vec![Sample {
            timestamp: Timestamp::from_millis(9_000),
            level: Level::Error,
            message: "Payment \"81f3\" declined".to_owned(),
            trace_id: None,
            partition: 0,
            offset: 7,
        }],
        subject: Subject::default(),
        evidence: Evidence {
            topic: "app-logs".to_owned(),
            incarnation: "ff".to_owned(),
            partition: 0,
            first_offset: 1,
            last_offset: 9,
        },
        more_evidence: Vec::new(),
        services: vec!["payments".to_owned()],
        incident_id: None,
        traceparent: None,
    }
}
