//! `barograph records`: how a record is read, for whoever wonders about one.
//!
//! Invariant: it reads as the processor does, since it is the same code, and touches nothing.

use std::{
    io::{IsTerminal as _, Read as _},
    process::ExitCode,
};

use anyhow::Context as _;
use contracts::Timestamp;
use log_records::{Field, Line, NoTime, Note, RecordContext, ServiceFrom, Unreadable, Verdict};

use crate::moment;
use command_kit::say;

/// See how a record is read, field by field, and why
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  barograph records explain < line.json
  barograph records explain --key checkout < line.txt
  kcat -C -b localhost:9092 -t app-logs -p 3 -o 81 -c 1 -e | barograph records explain
  barograph records explain --json < line.json")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Explain(Explain),
}

/// Read one record from standard input, as its value stands in Kafka, and say what becomes of it
///
/// Exit code 1: it would go to the dead letters.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  barograph records explain < line.json
  barograph records explain --key checkout --kafka-time 2026-11-26T17:00:00Z < line.txt")]
struct Explain {
    /// The record's key
    #[arg(long)]
    key: Option<String>,
    /// Kafka's time of the record, beside which its own has to be plausible [default: now]
    #[arg(long, value_name = "RFC3339", value_parser = Timestamp::parse)]
    kafka_time: Option<Timestamp>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Action::Explain(args) = &args.action;
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        say::note("the record's value from the terminal, up to Ctrl-D:");
    }
    let mut payload = Vec::new();
    stdin
        .read_to_end(&mut payload)
        .context("the record cannot be read from standard input")?;
    let context = RecordContext {
        key: args.key.as_deref(),
        kafka_time: args.kafka_time.unwrap_or_else(moment::now).as_millis(),
    };
    let (read, notes) = log_records::explain(&payload, &context);
    match read {
        Ok(line) => {
            if args.json {
                say::json(&serde_json::to_string_pretty(&as_json(&line, &notes))?);
            } else {
                print(&line, &notes);
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(Unreadable { reason, error }) => {
            if args.json {
                let refused = serde_json::json!({ "dead_letter": reason.as_str(), "error": error });
                say::json(&serde_json::to_string_pretty(&refused)?);
            } else {
                say::line(format_args!(
                    "it would go to the dead letters, {reason}: {error}"
                ));
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

/// A field's value, and where it comes from.
type Row = (Field, String, String);

fn rows(line: &Line<'_>, notes: &[Note]) -> Vec<Row> {
    let from = |field: Field, otherwise: &str| {
        // The last of them stands nearest to the message.
        let taken = notes.iter().rev();
        let mut taken = taken.filter(|note| note.field == field && note.verdict == Verdict::Taken);
        taken
            .next()
            .map_or_else(|| otherwise.to_owned(), |note| note.name.clone())
    };
    let (time, otherwise) = match (line.timestamp, line.no_time) {
        (Some(millis), _) => {
            let time = Timestamp::from_millis(millis).to_string();
            (time, "what carries the record")
        }
        (None, why) => {
            let why = match why {
                NoTime::Absent => "no member is a time",
                NoTime::Unreadable => "none of the times can be read",
                NoTime::Implausible => "the number is no moment anywhere near Kafka's time",
            };
            ("Kafka's".to_owned(), why)
        }
    };
    let service = match line.service_from {
        ServiceFrom::Name => from(Field::Service, "its record"),
        ServiceFrom::Key => "the record's key".to_owned(),
        ServiceFrom::Source => from(Field::Source, "source"),
        ServiceFrom::Nobody => "nobody names it".to_owned(),
    };
    let level = from(
        Field::Level,
        &from(Field::SeverityNumber, "the words of the message"),
    );
    let mut rows = vec![
        (Field::Timestamp, time, from(Field::Timestamp, otherwise)),
        (Field::Service, line.service.to_string(), service),
        (Field::Level, line.level.as_str().to_owned(), level),
        (
            Field::Message,
            line.message.to_string(),
            from(Field::Message, "the whole text"),
        ),
    ];
    let status = Some(line.status).filter(|status| *status > 0);
    for (field, value) in [
        (Field::Host, Some(line.host.to_string())),
        (Field::TraceId, Some(line.trace_id.to_string())),
        (Field::SpanId, Some(line.span_id.to_string())),
        (Field::Latency, line.latency_ms.map(|ms| ms.to_string())),
        (Field::Status, status.map(|status| status.to_string())),
        (Field::ClientIp, Some(line.client_ip.to_string())),
        (Field::User, Some(line.user.to_string())),
    ] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            rows.push((field, value, from(field, "its record")));
        }
    }
    rows
}

/// Members that could have been a field and are not.
fn passed_over(notes: &[Note]) -> impl Iterator<Item = (&Note, &'static str)> {
    notes.iter().filter_map(|note| match note.verdict {
        Verdict::Taken => None,
        Verdict::Unreadable => Some((note, "its value cannot be one")),
        Verdict::Outranked => Some((note, "another name is better")),
    })
}

fn print(line: &Line<'_>, notes: &[Note]) {
    for (field, value, from) in rows(line, notes) {
        say::line(format_args!("{:<12} {value}   [{from}]", field.as_str()));
    }
    let error = match (line.level.is_error(), line.is_error()) {
        (true, _) => "yes, by its level",
        (false, true) => "yes, by its status",
        (false, false) => "no",
    };
    say::line(format_args!("{:<12} {error}", "error"));
    for (note, why) in passed_over(notes) {
        let Note {
            field, name, value, ..
        } = note;
        say::line(format_args!(
            "not {:<12} {name} = {value}   [{why}; it is an attribute]",
            field.as_str()
        ));
    }
    if !line.attributes.is_empty() {
        say::line("attributes");
    }
    for (name, value) in &line.attributes {
        say::line(format_args!("  {name} = {value}"));
    }
}

fn as_json(line: &Line<'_>, notes: &[Note]) -> serde_json::Value {
    let fields = rows(line, notes).into_iter().map(|(field, value, from)| {
        let row = serde_json::json!({ "value": value, "from": from });
        (field.as_str().to_owned(), row)
    });
    let passed = passed_over(notes).map(|(note, why)| {
        serde_json::json!({
            "field": note.field.as_str(),
            "name": note.name,
            "value": note.value,
            "why": why,
        })
    });
    let attributes = line
        .attributes
        .iter()
        .map(|(name, value)| (name.to_string(), serde_json::Value::from(&**value)));
    serde_json::json!({
        "fields": fields.collect::<serde_json::Map<_, _>>(),
        "is_error": line.is_error(),
        "not_taken": passed.collect::<Vec<_>>(),
        "attributes": attributes.collect::<serde_json::Map<_, _>>(),
    })
}
