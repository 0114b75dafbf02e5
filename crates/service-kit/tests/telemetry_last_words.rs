//! No line is lost because of what was asked, or said and filtered out, before it on its thread.
//!
//! Logs are global to a process and go to standard error: each case is a process of its own, which is
//! this program again.
#![allow(
    clippy::unwrap_used,
    reason = "a case that cannot be started has failed"
)]

use std::process::{Command, Stdio};

use service_kit::Telemetry;
use service_kit::options::ServiceOptions;

const CASE: &str = "SERVICE_KIT_TEST_LAST_WORDS";
const TIMES: usize = 20;

/// What is started as a process of its own; by itself it does nothing.
#[test]
fn child() {
    let Ok(case) = std::env::var(CASE) else {
        return;
    };
    let pairs = case.split(';').filter_map(|pair| pair.split_once('='));
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let options = ServiceOptions::from_pairs(pairs).unwrap();
    let telemetry = Telemetry::start("child", &options);
    for time in 0..TIMES {
        // As librdkafka's wrapper does whenever it makes a client, and then for each line of the library.
        let _asked = tracing::enabled!(target: "librdkafka", tracing::Level::DEBUG)
            || tracing::enabled!(target: "librdkafka", tracing::Level::INFO)
            || tracing::enabled!(target: "librdkafka", tracing::Level::WARN);
        tracing::error!(time, "asked before");
        tracing::warn!(target: "librdkafka", "it is filtered out");
        tracing::error!(time, "filtered before");
        // A library that is not traced.
        let _asked = tracing::enabled!(target: "hyper", tracing::Level::WARN);
        tracing::error!(time, "asked for another");
    }
    telemetry.shutdown();
}

#[track_caller]
fn check(case: &str, is_filtered: bool) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(CASE, case)
        .stdout(Stdio::null())
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{case}: {log}");
    for words in ["asked before", "filtered before", "asked for another"] {
        let said = log.lines().filter(|line| line.contains(words)).count();
        assert_eq!(said, TIMES, "{case}: {words:?} in {log}");
    }
    assert_eq!(
        !log.contains("it is filtered out"),
        is_filtered,
        "{case}: {log}"
    );
}

#[test]
fn the_line_after_a_question_and_after_a_filtered_line_is_logged() {
    // Nobody listens there: spans are lost, lines are not.
    const TRACED: &str = "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1";
    check("", true);
    check("LOG_FORMAT=json", true);
    check("LOG_LEVEL=error", true);
    check("LOG_LEVEL=warn,librdkafka=off,rdkafka=off", true);
    check(TRACED, true);
    check(&format!("{TRACED};LOG_FORMAT=json"), true);
    check(&format!("{TRACED};LOG_LEVEL=error"), true);
    check("LOG_LEVEL=info", false);
    check(&format!("{TRACED};LOG_LEVEL=debug"), false);
}
