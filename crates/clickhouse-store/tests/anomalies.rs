//! Anomalies, and the lines that they speak of, on the real engine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in tests a panic is the report"
)]

mod support;

use clickhouse_store::{anomalies, logs::LogStore, migrate::ALL};
use contracts::{
    Anomaly, Severity, State, Timestamp,
    anomaly::{Direction, Evidence, Explanation, SCHEMA_VERSION, Subject},
};
use pipeline::{Incarnation, ports::RowStore as _};
use support::{DAYS, Engine, START, answer, batch};
use uuid::Uuid;

fn evidence(first_offset: i64, last_offset: i64) -> Evidence {
    Evidence {
        topic: "app-logs".to_owned(),
        incarnation: Incarnation::of(Uuid::from_u128(7), "group").to_string(),
        partition: 0,
        first_offset,
        last_offset,
    }
}

/// Of all lines of the service `cart` from offset 0 to 29.
fn anomaly(id: u128) -> Anomaly {
    let at = Timestamp::from_millis(START);
    Anomaly {
        schema_version: SCHEMA_VERSION,
        id: Uuid::from_u128(id),
        version: 1,
        state: State::Opened,
        detector: "rate".to_owned(),
        kind: "rate_spike".to_owned(),
        service: "cart".to_owned(),
        subject: Subject::default(),
        series: "cart/records".to_owned(),
        window_start: at,
        window_end: at,
        detected_at: at,
        // 2100-01-01: it does not expire while anybody runs this.
        published_at: Timestamp::from_millis(4_102_444_800_000),
        severity: Severity::High,
        score: 3.0,
        direction: Direction::Up,
        unit: "records".to_owned(),
        observed: 9.0,
        expected: 1.0,
        lower: 0.0,
        upper: 3.0,
        title: "Cart writes nine times as much".to_owned(),
        explanation: Explanation::default(),
        samples: Vec::new(),
        evidence: evidence(0, 29),
        more_evidence: Vec::new(),
        services: Vec::new(),
        incident_id: None,
        traceparent: None,
    }
}

#[tokio::test]
async fn the_lines_of_an_anomaly_are_those_that_it_speaks_of() {
    let engine = Engine::start();
    let client = engine.database("anomalous", ALL).await;
    // Every third line is the service's, every line is of another host.
    LogStore::new(client.clone())
        .insert(&batch(0, 0, 60), DAYS)
        .await
        .unwrap();
    let told = [
        anomaly(1),
        Anomaly {
            unit: "errors".to_owned(),
            service: String::new(),
            ..anomaly(2)
        },
        Anomaly {
            services: vec!["cart".to_owned(), "búsqueda".to_owned()],
            evidence: evidence(30, 35),
            more_evidence: vec![evidence(0, 8)],
            ..anomaly(3)
        },
        Anomaly {
            subject: Subject {
                host: Some("host-6".to_owned()),
                address: Some("203.0.113.9".to_owned()),
                ..Subject::default()
            },
            ..anomaly(4)
        },
        Anomaly {
            subject: Subject {
                user: Some("nobody".to_owned()),
                ..Subject::default()
            },
            ..anomaly(5)
        },
    ];
    // The same again changes nothing.
    for _ in 0..2 {
        anomalies::store(&client, &told).await.unwrap();
    }
    // As a version of Barograph stores it that knows neither ranges nor subjects.
    let incarnation = evidence(0, 0).incarnation;
    let old = format!(
        r#"{{"id":"00000000-0000-0000-0000-000000000006","version":1,"service":"cart","unit":"records","window_start":"2026-11-21 07:00:00.000","published_at":"2100-01-01 00:00:00.000","incarnation":"{incarnation}","kafka_partition":0,"first_offset":10,"last_offset":20}}"#
    );
    client
        .insert(
            "INSERT INTO anomalies FORMAT JSONEachRow",
            &[("async_insert", "0"), ("wait_end_of_query", "1")],
            old.into_bytes().into(),
        )
        .await
        .unwrap();
    let lines = answer(
        &client,
        "SELECT toUInt128(anomaly_id), count(), min(kafka_offset), max(kafka_offset), uniqExact(service), sum(is_error) \
         FROM anomalous_logs GROUP BY anomaly_id ORDER BY 1",
    )
    .await;
    let lines: Vec<&str> = lines.lines().collect();
    let expected = [
        "1\t10\t0\t27\t1\t0",
        "2\t10\t2\t29\t1\t10",
        "3\t10\t0\t34\t2\t0",
        "4\t1\t6\t6\t1\t0",
        "6\t3\t12\t18\t1\t0",
    ];
    assert_eq!(lines, expected);
}
