//! What the generator can be told, by flag or by environment.
//! Invariant: there is one declaration and one check for both; flags only replace texts.

use std::{collections::BTreeMap, path::PathBuf};

use contracts::Timestamp;
use service_kit::options::{
    Bounded, Environment, FromText, KafkaOptions, Period, Problems, ServiceOptions,
};

use crate::{
    fleet::{MOST_RATE, MOST_SERVICES},
    spec::{self, Spec},
};

const YEAR_MS: u64 = 366 * 86_400_000;

service_kit::options! {
    /// What the generator reads from its environment.
    pub struct Options {
        groups {
            service: ServiceOptions { admin_listen = "127.0.0.1:9103" },
            kafka: KafkaOptions,
        }
        /// Records per second of the whole fleet, before the rhythm of day and week.
        generator_rate: Rate = "1000",
        /// The same seed, start and schedule give the same bytes.
        generator_seed: Bounded<0, 9_007_199_254_740_991> = "1",
        /// Services of the fleet.
        generator_services: Bounded<1, { MOST_SERVICES as i64 }> = "12",
        /// Strength of the daily and weekly rhythm: 0 is flat, 1 is up to 30 % either way.
        generator_rhythm: Share = "1",
        /// Threads that generate. Absent: by the rate.
        generator_threads: Option<Bounded<1, 64>>,
        /// Event time is the wall clock. This is what happens when nothing else is asked for.
        generator_live: bool = "false",
        /// Simulated before it goes live, as fast as possible and without a gap.
        generator_history: Option<Period<1_000, YEAR_MS>>,
        /// Where simulated event time begins: a moment, or how long ago (-3h).
        generator_start: Option<Start>,
        /// How long simulated event time lasts. Without a start: up to now.
        generator_span: Option<Period<1_000, YEAR_MS>>,
        /// How many times faster than the clock simulated event time passes. Absent: no limit.
        generator_speedup: Option<Speedup>,
        /// Injections, separated by semicolons: kind[:service][@offset][+duration] [xMagnitude].
        generator_inject: Option<String>,
        /// How often a random anomaly is injected, on average.
        generator_inject_every: Option<Period<1_000, YEAR_MS>>,
        /// Random anomalies begin only after this time.
        generator_inject_after: Option<Period<0, YEAR_MS>>,
        /// Where commands come from, if anywhere.
        generator_control: Option<Control>,
        /// File that every label is appended to, one JSON object a line.
        generator_truth_file: Option<PathBuf>,
        /// Stops after so many records.
        generator_max_records: Option<Bounded<1, 9_007_199_254_740_991>>,
        /// Stops after this time on the clock, history not counted.
        generator_duration: Option<Period<100, YEAR_MS>>,
        /// Sends records without a key, for topics that are not keyed by service.
        generator_records_without_key: bool = "false",
        /// Only generates, and says how fast. Needs no Kafka.
        generator_dry_run: bool = "false",
        /// Ends with one line of JSON on standard output.
        generator_json: bool = "false",
    }
}

// Problems of `.env` itself, which reading texts alone does not bring up.
service_kit::options! {
    struct NoOptions {}
}

service_kit::choice! {
    /// Where commands come from.
    pub enum Control {
        Stdin = "stdin",
    }
}

/// A decimal number between limits.
macro_rules! number {
    ($(#[doc = $about:literal])+ $Number:ident, $least:expr, $most:expr) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct $Number(pub f64);

        impl FromText for $Number {
            fn expected() -> String {
                format!("a number from {} to {}", $least, $most)
            }

            fn from_text(text: &str) -> Option<Self> {
                let number: f64 = text.trim().parse().ok()?;
                ($least..=$most).contains(&number).then_some(Self(number))
            }
        }
    };
}

number!(
    /// Records per second.
    Rate,
    0.01,
    MOST_RATE
);
number!(
    /// Something between nothing and everything.
    Share,
    0.0,
    1.0
);
number!(
    /// Event time per wall-clock time.
    Speedup,
    0.001,
    1e9
);

/// Where simulated event time begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    At(Timestamp),
    /// Milliseconds before now.
    Ago(i64),
}

impl FromText for Start {
    fn expected() -> String {
        "a moment (2026-11-21T07:00:00Z) or how long ago (-3h)".to_owned()
    }

    fn from_text(text: &str) -> Option<Self> {
        if let Some(ago) = text.strip_prefix('-') {
            return spec::duration_ms(ago).ok().map(Self::Ago);
        }
        // Years that have four digits and for which a tick has a number.
        let sensible = Timestamp::from_millis(0)..Timestamp::from_millis(4_102_444_800_000);
        let at = Timestamp::parse(text).ok()?;
        sensible.contains(&at).then_some(Self::At(at))
    }
}

/// Reads the environment with `flags` over it.
pub(super) fn read(flags: Vec<(String, String)>) -> Result<Options, Problems> {
    let environment = Environment::of_process();
    let mut problems = Problems::default();
    if let Err(of_file) = environment.read::<NoOptions>() {
        take_over(&of_file, &mut problems);
    }
    let mut pairs = BTreeMap::new();
    for variable in Options::variables() {
        // One that cannot be read has been reported, and is as if it were not there.
        let given = environment.text(&variable.name, &variable.aliases, &mut problems);
        if let Ok(Some(text)) = given {
            pairs.insert(variable.name, text.to_owned());
        }
    }
    pairs.extend(flags);
    read_pairs(pairs, problems)
}

/// Reads exactly these. Adds everything that is wrong to what was found before.
fn read_pairs(
    pairs: BTreeMap<String, String>,
    mut problems: Problems,
) -> Result<Options, Problems> {
    fits_together(&pairs, &mut problems);
    if let Some(text) = pairs.get("GENERATOR_INJECT") {
        injections(text, &mut problems);
    }
    let options = Options::from_pairs(pairs);
    if let Err(of_values) = &options {
        take_over(of_values, &mut problems);
    }
    match options {
        Ok(options) if problems.is_empty() => Ok(options),
        _ => Err(problems),
    }
}

fn take_over(found: &Problems, problems: &mut Problems) {
    for line in found.lines() {
        problems.push(line.as_str());
    }
}

/// The injections of `GENERATOR_INJECT`, and what is wrong with them.
pub(super) fn injections(text: &str, problems: &mut Problems) -> Vec<Spec> {
    let mut specs = Vec::new();
    for part in text.split(';').filter(|part| !part.trim().is_empty()) {
        match part.parse() {
            Ok(spec) => specs.push(spec),
            Err(error) => problems.push(format!("GENERATOR_INJECT: {error}")),
        }
    }
    specs
}

/// Looks at what is set, not at the values: a wrong one must not hide that it should not be there.
fn fits_together(pairs: &BTreeMap<String, String>, problems: &mut Problems) {
    let is_set = |name: &str| {
        let text = pairs.get(name).map_or("", String::as_str);
        !text.is_empty() && bool::from_text(text) != Some(false)
    };
    let simulated = ["GENERATOR_START", "GENERATOR_SPAN", "GENERATOR_SPEEDUP"];
    for wanted in ["GENERATOR_LIVE", "GENERATOR_HISTORY"] {
        for other in simulated
            .iter()
            .filter(|other| is_set(wanted) && is_set(other))
        {
            problems.push(format!(
                "{other}: does not go with {wanted}: event time is either simulated or live"
            ));
        }
    }
    let ends = ["SPAN", "MAX_RECORDS", "DURATION", "DRY_RUN"];
    let ends = ends.iter().any(|name| is_set(&format!("GENERATOR_{name}")));
    if !ends && (is_set("GENERATOR_START") || is_set("GENERATOR_SPEEDUP")) {
        problems.push(
            "GENERATOR_SPAN: not set, and neither is GENERATOR_MAX_RECORDS or GENERATOR_DURATION: \
             simulated time would never end",
        );
    }
    if is_set("GENERATOR_INJECT_AFTER") && !is_set("GENERATOR_INJECT_EVERY") {
        problems.push("GENERATOR_INJECT_AFTER: needs GENERATOR_INJECT_EVERY");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(pairs: &[(&str, &str)]) -> Vec<String> {
        let pairs = pairs
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        let read = read_pairs(pairs, Problems::default());
        read.err()
            .map_or_else(Vec::new, |problems| problems.lines().to_vec())
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let wrong = problems(&[
            ("GENERATOR_RATE", "0"),
            ("GENERATOR_SERVICES", "10001"),
            ("GENERATOR_START", "yesterday"),
            ("GENERATOR_CONTROL", "http"),
            ("KAFKA_SECURITY_PROTOCOL", "tls"),
            ("GENERATOR_INJECT", "boom"),
            ("GENERATOR_HISTORY", "3h"),
        ]);
        assert_eq!(wrong.len(), 8, "{wrong:#?}");
        assert!(wrong.contains(
            &"GENERATOR_RATE: expected a number from 0.01 to 500000, got \"0\"".to_owned()
        ));
    }

    #[test]
    fn modes_that_exclude_each_other_are_refused() {
        let both = problems(&[("GENERATOR_HISTORY", "3h"), ("GENERATOR_SPAN", "1h")]);
        assert_eq!(
            both,
            [
                "GENERATOR_SPAN: does not go with GENERATOR_HISTORY: event time is either simulated or live"
            ]
        );
        let endless = problems(&[("GENERATOR_START", "-3h")]);
        assert!(
            endless[0].starts_with("GENERATOR_SPAN: not set"),
            "{endless:?}"
        );
        assert_eq!(
            problems(&[("GENERATOR_START", "-3h"), ("GENERATOR_SPAN", "3h")]),
            [""; 0]
        );
        assert_eq!(problems(&[]), [""; 0]);
    }

    #[test]
    fn every_bad_injection_is_named() {
        let wrong = problems(&[("GENERATOR_INJECT", "boom; silence x2 ;cascade")]);
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(
            wrong
                .iter()
                .all(|line| line.starts_with("GENERATOR_INJECT: "))
        );
    }

    #[test]
    fn a_start_is_a_moment_or_how_long_ago() {
        let at = Timestamp::parse("2026-11-21T07:00:00Z").unwrap();
        assert_eq!(
            Start::from_text("2026-11-21T07:00:00Z"),
            Some(Start::At(at))
        );
        assert_eq!(Start::from_text("-3h"), Some(Start::Ago(10_800_000)));
        for wrong in [
            "-",
            "3h",
            "-3",
            "2026-11-21",
            "9999-12-31T00:00:00Z",
            "1960-01-01T00:00:00Z",
        ] {
            assert_eq!(Start::from_text(wrong), None, "{wrong}");
        }
    }
}
