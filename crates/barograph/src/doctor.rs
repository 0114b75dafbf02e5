//! `barograph doctor`: what is missing or wrong, and what to do about it.
//!
//! Invariant: looks, and changes nothing. Every finding that is not fine says what to do.

mod clickhouse;
mod finding;
mod kafka;
mod machine;
mod sample;
mod services;

use std::{io, process::ExitCode};

use finding::{Finding, Verdict};
use local_stack::Running;
use owo_colors::AnsiColors;

use crate::{place::Place, text::printable};
use command_kit::{say, stores::Stores};

/// Say what is missing or wrong, and what to do about it
///
/// Checks this machine, and the stack of the data directory, or the Kafka and ClickHouse that
/// KAFKA_BROKERS, CLICKHOUSE_URL, CLICKHOUSE_USER, CLICKHOUSE_PASSWORD and CLICKHOUSE_DATABASE name.
/// Exit code 1 when something is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  barograph doctor
  barograph doctor --json | jq '.findings[] | select(.verdict != \"fine\")'
  KAFKA_BROKERS=kafka:9092 CLICKHOUSE_URL=http://db:8123 barograph doctor")]
pub(crate) struct Args {
    #[command(flatten)]
    place: Place,
    /// Print one JSON document: {\"ok\": …, \"findings\": […]}.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let running = Running::read(&args.place.data.data_dir);
    let stores = Stores::find(running.as_ref());
    let elsewhere = Stores::are_named();

    let mut findings = machine::check(&args.place, running.is_some(), elsewhere)?;
    if running.is_some() || elsewhere {
        let (kafka, clickhouse, services) = tokio::join!(
            kafka::check(&stores.brokers),
            clickhouse::check(&stores),
            services::check(running.as_ref()),
        );
        findings.extend(kafka.into_iter().chain(clickhouse).chain(services));
    } else {
        findings.push(Finding::note(
            "stack",
            format!("no stack runs on {}", args.place.data.data_dir.display()),
            "start one with `barograph up`, or name one with KAFKA_BROKERS and CLICKHOUSE_URL",
        ));
    }

    let ok = findings.iter().all(|it| it.verdict != Verdict::Wrong);
    if args.json {
        let document = serde_json::json!({ "ok": ok, "findings": findings });
        say::json(&serde_json::to_string_pretty(&document)?);
    } else {
        print(&findings);
    }
    Ok(ExitCode::from(u8::from(!ok)))
}

/// Characters of a finding: it may quote what a server answered.
const LONGEST: usize = 2000;

fn print(findings: &[Finding]) {
    let stdout = io::stdout();
    for finding in findings {
        let (mark, color) = match finding.verdict {
            Verdict::Fine => ("ok   ", AnsiColors::Green),
            Verdict::Note => ("note ", AnsiColors::Blue),
            Verdict::Warning => ("warn ", AnsiColors::Yellow),
            Verdict::Wrong => ("WRONG", AnsiColors::Red),
        };
        let mark = say::painted(mark, color, &stdout);
        say::line(format_args!(
            "{mark}  {:<10}  {}",
            finding.area,
            printable(&finding.what, LONGEST)
        ));
        if let Some(remedy) = &finding.remedy {
            say::line(format_args!("{:19}→ {}", "", printable(remedy, LONGEST)));
        }
    }
    let count = |verdict| findings.iter().filter(|it| it.verdict == verdict).count();
    match (count(Verdict::Wrong), count(Verdict::Warning)) {
        (0, 0) => say::line("\nEverything is fine."),
        (wrong, warnings) => say::line(format_args!("\n{wrong} wrong, {warnings} to look at.")),
    }
}
