//! Records that others had trouble with, and what is right to say of them. They lie beside the
//! repository, in `BAROGRAPH_DATA_DIR`; without them this test says so and checks nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use detection::{Config, EventTime, Finding, Observation, PartitionDetectors, Phase};
use serde_json::Value;

const BEGIN: i64 = 1_790_000_000_000;

fn folder() -> PathBuf {
    std::env::var_os("BAROGRAPH_DATA_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    )
}

fn findings_of(input: &str) -> Vec<Finding> {
    let mut detectors = PartitionDetectors::new(Config::default());
    let mut findings = Vec::new();
    for (offset, line) in (0..).zip(input.lines()) {
        let record: Value = serde_json::from_str(line).unwrap();
        let value = &record["value"];
        let seen = Observation {
            service: value["service"].as_str().unwrap(),
            time: EventTime(BEGIN + value["timestamp"].as_i64().unwrap()),
            kafka_time: BEGIN + record["kafka_ms"].as_i64().unwrap(),
            offset,
            is_error: value["level"] == "ERROR",
            level: 3,
            message: value["message"].as_str().unwrap(),
            trace_id: "",
            ..Observation::default()
        };
        detectors.observe(&seen, &mut findings);
    }
    for minute in 1..=30 {
        detectors.idle(minute * 60_000, &mut findings);
    }
    findings
}

#[test]
fn what_others_had_trouble_with_is_told_as_it_should_be() {
    let Ok(entries) = folder().join("cases").read_dir() else {
        eprintln!("skipped: there are no cases in {}", folder().display());
        return;
    };
    let mut wrong = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        let case = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !case.starts_with("detect-") {
            continue;
        }
        let input = std::fs::read_to_string(path.join("input.ndjson")).unwrap();
        let expected = std::fs::read_to_string(path.join("expected.json")).unwrap();
        let expected: BTreeMap<String, Vec<String>> = serde_json::from_str(&expected).unwrap();
        let findings = findings_of(&input);
        for (service, kinds) in expected {
            let told: Vec<_> = findings
                .iter()
                .filter(|finding| finding.service == service && finding.phase == Phase::Opened)
                .map(|finding| finding.kind.as_str())
                // That everything ends with the input is no fault of the service.
                .collect();
            let accepts =
                |kinds: &str, told: &str| kinds == "?" || kinds.split('|').any(|kind| kind == told);
            let ends_in_silence = |told: &&str| **told == *"rate_drop";
            let (silences, others): (Vec<&str>, Vec<&str>) =
                told.iter().copied().partition(ends_in_silence);
            let all_right = kinds
                .iter()
                .all(|kinds| kinds == "?" || told.iter().any(|told| accepts(kinds, told)))
                && others
                    .iter()
                    .all(|told| kinds.iter().any(|kinds| accepts(kinds, told)));
            if !all_right || silences.len() > 1 {
                wrong.push(format!(
                    "{case}, {service}: told {told:?}, right is {kinds:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
