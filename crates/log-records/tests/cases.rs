//! Records that others had trouble with, and what is right to read in them. They lie beside the repository, in
//! `BAROGRAPH_DATA_DIR`; without them this test says so and checks nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use jiff::{Timestamp, tz::TimeZone};
use log_records::{RecordContext, decode};
use serde_json::{Map, Value, json};

/// A minute after the records' own times.
const KAFKA_TIME: &str = "2026-11-26T17:01:00Z";
/// Further ahead of Kafka than this, a record's time is held back (the processor's rule).
const FUTURE_MS: i64 = 5 * 60_000;

fn folder() -> PathBuf {
    std::env::var_os("BAROGRAPH_DATA_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    )
}

/// What becomes of a record, in the columns that cases name.
fn columns(payload: &[u8], key: Option<&str>) -> Map<String, Value> {
    let kafka_time = KAFKA_TIME.parse::<Timestamp>().unwrap().as_millisecond();
    let columns = match decode(payload, &RecordContext { key, kafka_time }) {
        Err(unreadable) => json!({ "dlq": unreadable.reason.as_str() }),
        Ok(line) => {
            let source = match line.timestamp {
                None => "kafka",
                Some(time) if time > kafka_time + FUTURE_MS => "clamped",
                Some(_) => "record",
            };
            let time = Timestamp::from_millisecond(line.timestamp.unwrap_or(kafka_time)).unwrap();
            let time = time.to_zoned(TimeZone::UTC);
            let attributes: Map<String, Value> = line
                .attributes
                .iter()
                .map(|(name, value)| (name.to_string(), Value::from(&**value)))
                .collect();
            json!({
                "ts": time.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string(),
                "tsrc": source,
                "service": line.service,
                "level": line.level.as_str(),
                "message": line.message,
                "is_error": line.is_error(),
                "host": line.host,
                "status": line.status,
                "latency_ms": line.latency_ms,
                "attrs": attributes,
            })
        }
    };
    columns.as_object().unwrap().clone()
}

#[test]
fn what_others_had_trouble_with_is_read_as_it_should_be() {
    let Ok(cases) = fs::read_dir(folder().join("cases")) else {
        eprintln!("no cases in {}: nothing was checked", folder().display());
        return;
    };
    let (mut checked, mut wrong) = (0, Vec::new());
    for case in cases.flatten().map(|case| case.path()) {
        let expected = fs::read_to_string(case.join("expected.json")).unwrap_or_default();
        // Those of the detectors and of templates have another shape, and tests of their own.
        let Ok(expected) = serde_json::from_str::<Vec<Value>>(&expected) else {
            continue;
        };
        for one in expected {
            let name = format!("{}/{}", case.file_name().unwrap().display(), one["input"]);
            let path = case.join(format!("input-{}.bin", one["input"]));
            // A tombstone is no payload: the processor's own test has it.
            let Ok(payload) = fs::read(path) else {
                continue;
            };
            let read = columns(&payload, one["key"].as_str());
            for (column, right) in one["expect"].as_object().unwrap() {
                let (found, right) = match column.as_str() {
                    // The value that a query finds under a name.
                    "sql_attr" => (&read["attrs"][right[0].as_str().unwrap()], &right[1]),
                    column => (read.get(column).unwrap_or(&Value::Null), right),
                };
                if found != right {
                    wrong.push(format!("{name}: {column} is {found}, and {right} is right"));
                }
            }
            checked += 1;
        }
    }
    assert!(checked > 50, "{checked}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
