//! What services log of strangers' text, as the subscriber writes it.

#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

use std::{
    io,
    sync::{Arc, Mutex},
};

use strangers::{
    logs::{JsonLines, Sampled, fields},
    steers,
};
use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt as _};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// What is logged while `work` runs, as text and as JSON.
fn logged(work: impl Fn()) -> [String; 2] {
    let (text, json) = (Log::default(), Log::default());
    let format = tracing_subscriber::fmt::format().with_ansi(false);
    let as_text = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .fmt_fields(fields())
        .event_format(Sampled::text(format))
        .with_writer(text.clone());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(as_text), &work);
    let format = tracing_subscriber::fmt::format().json().flatten_event(true);
    let as_json = tracing_subscriber::fmt::layer()
        .json()
        .event_format(Sampled::json(format))
        .with_writer(JsonLines(json.clone()));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(as_json), &work);
    [text, json].map(|log| String::from_utf8(log.0.lock().unwrap().clone()).unwrap())
}

const EVIL: &str = "a\n2026-01-01T00:00:00Z  INFO forged: b\r\x1b[2J\x1b]0;x\x07\u{9b}1m\u{202e}\u{200b}\u{2028}\x7f";

#[test]
fn an_event_is_one_line_that_steers_nothing() {
    let evil = EVIL.to_owned();
    let [text, json] = logged(|| {
        tracing::warn!(display = %evil, debug = ?evil, text = evil.as_str(), "said {evil}");
        let span = tracing::info_span!("span", name = %evil);
        span.in_scope(|| tracing::error!(error = %io::Error::other(evil.clone()), "failed"));
    });
    for log in [&text, &json] {
        assert_eq!(log.lines().count(), 2, "{log:?}");
        assert!(!log.chars().any(|c| steers(c) && c != '\n'), "{log:?}");
    }
    assert!(text.contains(r"said a\n2026-01-01"), "{text}");
    for line in json.lines() {
        let document: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(document["message"].is_string());
    }
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(first["display"], EVIL);
}

#[test]
fn a_field_of_megabytes_is_cut() {
    let long = "x\u{9b}".repeat(5_000_000);
    let [text, json] =
        logged(|| tracing::warn!(display = %long, text = long.as_str(), "said {long}"));
    for log in [&text, &json] {
        assert_eq!(log.lines().count(), 1);
        assert!(log.len() < 64 * 1024, "{}", log.len());
        assert!(log.contains('…'));
    }
    let _document: serde_json::Value = serde_json::from_str(&json).unwrap();
}

#[test]
fn a_place_that_logs_without_end_is_sampled_and_what_is_left_out_is_counted() {
    let [text, json] = logged(|| {
        for at in 0..1000 {
            tracing::warn!(at, "again");
        }
        tracing::error!("the last word");
    });
    for log in [&text, &json] {
        let again = log.lines().filter(|line| line.contains("again")).count();
        assert_eq!(again, 100);
        assert!(
            log.lines().last().unwrap().contains("the last word"),
            "{log}"
        );
    }
}
