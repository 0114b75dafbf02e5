//! The command line. Each flag stands for an environment variable and wins over it.
//! Invariant: values are not looked at here, so that all that is wrong with them is said at once.

use std::process::ExitCode;

use clap::{Parser, error::ErrorKind};
use service_kit::lifecycle::Exit;

const EXAMPLES: &str = "\
Examples:
  log-generator --rate 5000
      5,000 records/s from now on, until it is stopped.
  log-generator --history 3h --inject-every 5m
      Three hours of history as fast as possible, then live, with a random anomaly every 5 minutes.
  log-generator --duration 60s --inject 'error_burst:checkout@20s+15s x0.6' --json
      A minute with 15 seconds in which 60 % of checkout's records are errors.
  log-generator --start 2026-11-21T07:00:00Z --span 3h --seed 7 --truth-file truth.jsonl
      The same three hours, byte for byte, every time.
  log-generator --dry-run --rate 500000 --threads 2
      How fast records are generated, without Kafka.
  echo 'inject rate_spike:search+20s x6' | log-generator --control stdin
      Injections by command while it runs.

Injections: kind[:service][@offset][+duration] [xMagnitude], the offset counted from when it goes live.
  error_burst, cascade      x: ratio of errors        rate_spike, rate_drop  x: factor on the rate
  latency_shift             x: factor on latencies    silence                no magnitude
  failed_logins             x: attempts per second    new_template           x: lines per second
  error_creep               x: ratio of errors at last, reached half-way
  template_surge            x: lines of one template beside each usual line
  template_vanished         no magnitude: one of the usual lines comes no more
  status_shift              share of requests that are answered with 404 or 429
  host_silence              no magnitude: one of the machines writes nothing
and what is harmless, and nobody should be told of:
  deploy                    x: share of lines that read new, after a moment without any
  debug_level               x: DEBUG lines beside each usual one

Kafka, logs and admin endpoints come from the environment: KAFKA_BROKERS, KAFKA_TOPIC, ADMIN_LISTEN,
LOG_LEVEL and others. Every flag has a variable: --inject-every is GENERATOR_INJECT_EVERY.

Exit codes: 0 done, or stopped as asked; 64 options; 69 admin port taken; 70 fatal, or refused records;
75 stopped while Kafka had not acknowledged everything.";

/// Simulates the logs of a fleet of services, and injects labelled anomalies.
#[derive(Debug, Parser)]
#[command(name = "log-generator", version, after_help = EXAMPLES)]
struct Flags {
    /// Records per second of the whole fleet, 0.01 to 500000 [default: 1000]
    #[arg(long, value_name = "N")]
    rate: Option<String>,
    /// Same seed, start and schedule: same bytes [default: 1]
    #[arg(long, value_name = "N")]
    seed: Option<String>,
    /// Services of the fleet, 1 to 10000 [default: 12]
    #[arg(long, value_name = "N")]
    services: Option<String>,
    /// Strength of the daily and weekly rhythm, 0 to 1 [default: 1]
    #[arg(long, value_name = "X")]
    rhythm: Option<String>,
    /// Threads that generate; changes nothing but the speed [default: by rate]
    #[arg(long, value_name = "N")]
    threads: Option<String>,
    /// Event time is the wall clock; what happens when nothing else is asked for
    #[arg(long)]
    live: bool,
    /// Simulates this much history as fast as possible, then goes live without a gap
    #[arg(long, value_name = "DURATION")]
    history: Option<String>,
    /// Simulated event time begins here: RFC 3339, or -3h for three hours ago
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    start: Option<String>,
    /// Simulated event time lasts this long [alone: up to now]
    #[arg(long, value_name = "DURATION")]
    span: Option<String>,
    /// Simulated event time passes this many times faster than the clock [default: no limit]
    #[arg(long, value_name = "X")]
    speedup: Option<String>,
    /// Injects an anomaly; may be repeated
    #[arg(long, value_name = "INJECTION")]
    inject: Vec<String>,
    /// Injects a random anomaly this often on average
    #[arg(long, value_name = "DURATION")]
    inject_every: Option<String>,
    /// Random anomalies begin only after this time
    #[arg(long, value_name = "DURATION")]
    inject_after: Option<String>,
    /// Takes commands: stdin
    #[arg(long, value_name = "WHERE")]
    control: Option<String>,
    /// Appends every label to this file, one JSON object a line
    #[arg(long, value_name = "PATH")]
    truth_file: Option<String>,
    /// Stops after so many records
    #[arg(long, value_name = "N")]
    max_records: Option<String>,
    /// Stops after this time on the clock, history not counted
    #[arg(long, value_name = "DURATION")]
    duration: Option<String>,
    /// Sends records without a key
    #[arg(long)]
    records_without_key: bool,
    /// Only generates, as fast as possible, and says how fast
    #[arg(long)]
    dry_run: bool,
    /// Ends with one line of JSON on standard output
    #[arg(long)]
    json: bool,
}

/// What the command line asks for, as variables.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) pairs: Vec<(String, String)>,
}

impl Asked {
    /// `Err`: help or version was printed, or the flags cannot be read.
    pub(super) fn from_command_line() -> Result<Self, ExitCode> {
        Self::from_arguments(std::env::args_os()).map_err(|error| {
            // Nobody to tell that standard output is closed.
            let _ = error.print();
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Clean.into(),
                _ => Exit::Options.into(),
            }
        })
    }

    fn from_arguments<T: Into<std::ffi::OsString> + Clone>(
        arguments: impl IntoIterator<Item = T>,
    ) -> Result<Self, clap::Error> {
        let flags = Flags::try_parse_from(arguments)?;
        let set = |flag: bool| flag.then(|| "true".to_owned());
        let injections = Some(flags.inject.join(";")).filter(|text| !text.is_empty());
        let values = [
            ("RATE", flags.rate),
            ("SEED", flags.seed),
            ("SERVICES", flags.services),
            ("RHYTHM", flags.rhythm),
            ("THREADS", flags.threads),
            ("LIVE", set(flags.live)),
            ("HISTORY", flags.history),
            ("START", flags.start),
            ("SPAN", flags.span),
            ("SPEEDUP", flags.speedup),
            ("INJECT", injections),
            ("INJECT_EVERY", flags.inject_every),
            ("INJECT_AFTER", flags.inject_after),
            ("CONTROL", flags.control),
            ("TRUTH_FILE", flags.truth_file),
            ("MAX_RECORDS", flags.max_records),
            ("DURATION", flags.duration),
            ("RECORDS_WITHOUT_KEY", set(flags.records_without_key)),
            ("DRY_RUN", set(flags.dry_run)),
            ("JSON", set(flags.json)),
        ];
        let given =
            |(name, value): (&str, Option<String>)| Some((format!("GENERATOR_{name}"), value?));
        Ok(Self {
            pairs: values.into_iter().filter_map(given).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::options::Options;

    #[test]
    fn every_flag_is_a_variable_that_is_read() {
        let variables = Options::variables();
        let line = "g --rate 1 --seed 2 --services 3 --rhythm 1 --threads 1 --live --history 1h \
            --start -3h --span 1h --speedup 2 --inject silence --inject-every 1m --inject-after 1m \
            --control stdin --truth-file t --max-records 5 --duration 1m --records-without-key \
            --dry-run --json";
        let asked = Asked::from_arguments(line.split_whitespace()).unwrap();
        let own = variables
            .iter()
            .filter(|variable| variable.name.starts_with("GENERATOR_"));
        let mut names: Vec<_> = asked.pairs.iter().map(|(name, _)| name.as_str()).collect();
        let mut declared: Vec<_> = own.map(|variable| variable.name.as_str()).collect();
        names.sort_unstable();
        declared.sort_unstable();
        assert_eq!(names, declared);
    }

    #[test]
    fn the_default_in_the_help_is_the_one_that_counts() {
        let help = <Flags as clap::CommandFactory>::command()
            .render_long_help()
            .to_string();
        for variable in Options::variables() {
            let Some(name) = variable.name.strip_prefix("GENERATOR_") else {
                continue;
            };
            assert!(help.contains(&format!("--{}", name.to_lowercase().replace('_', "-"))));
            if ["RATE", "SEED", "SERVICES", "RHYTHM"].contains(&name) {
                let default = variable.default.unwrap();
                assert!(
                    help.contains(&format!("[default: {default}]")),
                    "{name} {default}"
                );
            }
        }
    }

    #[test]
    fn repeated_injections_are_all_kept() {
        let arguments = [
            "g",
            "--inject",
            "silence:cart@1s",
            "--inject",
            "cascade:payments x0.5",
        ];
        let asked = Asked::from_arguments(arguments).unwrap();
        let inject = (
            "GENERATOR_INJECT".to_owned(),
            "silence:cart@1s;cascade:payments x0.5".to_owned(),
        );
        assert_eq!(asked.pairs, [inject]);
    }
}
