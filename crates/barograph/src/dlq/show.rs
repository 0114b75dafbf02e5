//! `barograph dlq show`: everything about one letter, and what would be right.

use std::process::ExitCode;

use anyhow::bail;
use contracts::dead_letter::Reason;
use serde_json::json;

use super::{
    Where,
    letter::{Letter, Position},
    memory::{Memory, Note},
    reason_text,
    scan::Scan,
};
use crate::text::{hex, hex_dump, printable};
use command_kit::say;

/// Bytes of the payload that are shown.
const SHOWN: usize = 16 * 1024;
/// Characters of a header, a key, an error.
const LINE: usize = 2000;

/// Everything about one dead letter: why it could not be read, what would be right, its bytes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  barograph dlq show 0:17
  barograph dlq show 0:17 --json
  barograph dlq show 0:17 --raw > record.bin      the original bytes and nothing else")]
pub(super) struct Args {
    #[command(flatten)]
    place: Where,
    /// As `barograph dlq list` names it: partition:offset.
    #[arg(value_name = "P:O")]
    position: Position,
    /// Print one JSON document; what is not UTF-8 stands in it as hex.
    #[arg(long)]
    json: bool,
    /// Write the original bytes, as they are.
    #[arg(long, conflicts_with = "json")]
    raw: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let queue = args.place.open().await?;
    let Position { partition, offset } = args.position;
    let Some((first, next)) = queue.ranges.get(partition as usize).copied() else {
        bail!(
            "{} has no partition {partition}; it has {}",
            queue.topic,
            queue.ranges.len()
        );
    };
    if !(first..next).contains(&offset) {
        let holds = match next - first {
            0 => "is empty".to_owned(),
            _ => format!("holds {first} to {}", next - 1),
        };
        bail!(
            "{} has no letter at {}: partition {partition} {holds}",
            queue.topic,
            args.position
        );
    }
    let mut ranges = vec![(0, 0); queue.ranges.len()];
    ranges[partition as usize] = (offset, offset + 1);
    let Some(message) = Scan::open(&queue.connection, &queue.topic, &ranges)?
        .next()
        .await?
    else {
        bail!(
            "{} has no letter at {} any more",
            queue.topic,
            args.position
        );
    };
    let letter = Letter::of(&message);
    if args.raw {
        say::raw(letter.bytes());
        return Ok(ExitCode::SUCCESS);
    }
    let memory = Memory::load(&queue).await?;
    if args.json {
        say::json(&serde_json::to_string_pretty(&document(&letter, &memory))?);
    } else {
        print(&letter, &queue.topic, &memory);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(letter: &Letter, topic: &str, memory: &Memory) {
    let field = |name: &str, value: &str| say::line(format_args!("{name:<12} {value}"));
    let text = |bytes: &[u8]| printable(bytes, LINE);
    let maybe = |bytes: Option<&[u8]>| match bytes {
        None => "(null)".to_owned(),
        Some([]) => "(empty)".to_owned(),
        Some(bytes) => text(bytes),
    };
    let source = match &letter.source {
        Some(source) => source.to_string(),
        None => "not said".to_owned(),
    };
    field("letter", &format!("{topic} {}", letter.position));
    field("put aside", &letter.at.to_string());
    field("source", &source);
    if let Some(time) = letter.record_time {
        field("kafka time", &time.to_string());
    }
    field("reason", &reason_text(&letter.reason));
    field("error", &text(letter.error.as_bytes()));
    field("why", why(letter));
    for hint in hints(letter) {
        field("", &hint);
    }
    field("what to do", remedy(&letter.reason));
    for (target, note) in memory.all_of(&letter.identity()) {
        field(
            "replay",
            &match note {
                Note::Sent { landed, at, .. } => {
                    format!("sent to {landed} at {at}")
                }
                Note::Sending { .. } => {
                    format!(
                        "to {target} was interrupted; the next replay finds out whether it was sent"
                    )
                }
                Note::Run { .. } => continue,
            },
        );
    }
    if let Some(first) = letter.source.as_ref().and_then(|it| memory.came_from(it)) {
        field(
            "came back",
            &format!("its record was sent by the replay of {first}"),
        );
    }
    field("key", &maybe(letter.key.as_deref()));
    for (name, value) in &letter.headers {
        field(
            "header",
            &format!("{} = {}", text(name), maybe(value.as_deref())),
        );
    }
    for line in cuts(letter) {
        field("cut", &line);
    }
    payload(letter);
}

/// What was too large to be put aside.
fn cuts(letter: &Letter) -> Vec<String> {
    let cut = &letter.cut;
    let mut lines: Vec<String> = [("value", &cut.value), ("key", &cut.key)]
        .into_iter()
        .filter_map(|(name, part)| Some((name, part.as_ref()?)))
        .map(|(name, whole)| {
            let sha256 = printable(&whole.sha256, 64);
            format!("the {name} had {} bytes, SHA-256 {sha256}", whole.bytes)
        })
        .collect();
    if let Some(whole) = &cut.headers {
        lines.push(format!(
            "there were {} headers of {} bytes, SHA-256 {}",
            cut.header_count.unwrap_or_default(),
            whole.bytes,
            printable(&whole.sha256, 64)
        ));
    }
    if !lines.is_empty() {
        lines.push("the source has the record whole for as long as its topic keeps it".to_owned());
    }
    lines
}

fn payload(letter: &Letter) {
    let Some(bytes) = &letter.payload else {
        return say::line("\nno payload: the value is null (a tombstone)");
    };
    let shown = bytes.get(..SHOWN).unwrap_or(bytes);
    let kind = if std::str::from_utf8(bytes).is_ok() {
        "text"
    } else {
        "not UTF-8"
    };
    say::line(format_args!("\npayload, {} bytes, {kind}:\n", bytes.len()));
    if kind == "text" {
        for line in shown.split(|byte| *byte == b'\n') {
            say::line(printable(line, SHOWN));
        }
    } else {
        say::line(hex_dump(shown).trim_end());
    }
    if shown.len() < bytes.len() {
        say::line(format_args!(
            "… {} more bytes; --raw writes all of them",
            bytes.len() - shown.len()
        ));
    }
}

fn reason_of(letter: &Letter) -> Option<Reason> {
    Reason::ALL
        .into_iter()
        .find(|it| it.as_str() == letter.reason)
}

fn why(letter: &Letter) -> &'static str {
    match reason_of(letter) {
        Some(Reason::Empty) => "the record has no payload, or nothing but white space",
        Some(Reason::NotUtf8) => "the payload is not text in UTF-8",
        Some(Reason::BrokenJson) => "the payload begins with { and is not exactly one JSON object",
        Some(Reason::NoMessage) => {
            "the JSON object has none of the names of a message: message, msg, body, log, …"
        }
        Some(Reason::SeveralRecords) => "the payload holds several records",
        Some(Reason::TooLarge) => "the line is longer than 32 MiB",
        Some(Reason::RejectedRow) => "the record was read, and ClickHouse refused its row",
        None => "a reason that this version does not know",
    }
}

fn remedy(reason: &str) -> &'static str {
    match Reason::ALL.into_iter().find(|it| it.as_str() == reason) {
        Some(Reason::Empty) => {
            "let the sender leave out empty records; there is nothing in this one to replay"
        }
        Some(Reason::NotUtf8) => {
            "let the sender encode as UTF-8, without compression of its own (Kafka's does not matter), \
             and send the record anew"
        }
        Some(Reason::BrokenJson) => {
            "let the sender write one whole JSON object a record, or plain text that does not begin \
             with {; correct the bytes (--raw) and send them anew"
        }
        Some(Reason::NoMessage) => {
            "let the sender name the log line's text `message`; correct the bytes (--raw) and send them \
             anew"
        }
        Some(Reason::SeveralRecords) => {
            "let the sender write each as a Kafka record of its own: rows are counted by offsets, and these \
             would share one; take them apart (--raw) and send them anew"
        }
        Some(Reason::TooLarge) => {
            "let the sender write lines, not files; the source has this one for as long as its topic \
             keeps it"
        }
        Some(Reason::RejectedRow) => {
            "mend what the error names (`barograph migrate --status`, `barograph doctor`), then \
             `barograph dlq replay --reason rejected_row`"
        }
        None => "look at the error; use the version that wrote the letter",
    }
}

/// What the bytes themselves say.
fn hints(letter: &Letter) -> Vec<String> {
    let bytes = letter.bytes();
    match reason_of(letter) {
        Some(Reason::NotUtf8) => {
            let mut hints = Vec::new();
            if let Err(error) = std::str::from_utf8(bytes) {
                hints.push(format!(
                    "byte {} is the first that is not",
                    error.valid_up_to()
                ));
            }
            if let Some(format) = format_of(bytes) {
                hints.push(format!("the first bytes are those of {format}"));
            }
            hints
        }
        Some(Reason::BrokenJson) => broken_json(bytes).into_iter().collect(),
        Some(
            Reason::Empty
            | Reason::NoMessage
            | Reason::SeveralRecords
            | Reason::TooLarge
            | Reason::RejectedRow,
        )
        | None => Vec::new(),
    }
}

fn broken_json(bytes: &[u8]) -> Option<String> {
    let error = serde_json::from_slice::<serde::de::IgnoredAny>(bytes).err()?;
    let text = error.to_string();
    let place = format!("near line {}, column {}", error.line(), error.column());
    Some(if error.is_eof() {
        "it ends before the object does: cut off".to_owned()
    } else if text.starts_with("trailing characters") {
        format!("{place}: something follows the object; several records in one, perhaps")
    } else if text.starts_with("control character") {
        format!("{place}: a control character in a string must be escaped")
    } else {
        place
    })
}

/// By the magic numbers of what is often sent by mistake.
fn format_of(bytes: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 6] = [
        (b"\x1f\x8b", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"\xff\xfe", "UTF-16, little-endian"),
        (b"\xfe\xff", "UTF-16, big-endian"),
        (
            b"\x00\x00\x00\x00",
            "a schema registry's frame (Avro, Protobuf)",
        ),
    ];
    let found = known.iter().find(|(magic, _)| bytes.starts_with(magic));
    found.map(|(_, name)| *name)
}

/// A text as it is, anything else as `{"hex": …}`.
fn value(bytes: Option<&[u8]>) -> serde_json::Value {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => serde_json::Value::Null,
        Some((_, Ok(text))) => json!(text),
        Some((bytes, Err(_))) => json!({ "hex": hex(bytes) }),
    }
}

fn document(letter: &Letter, memory: &Memory) -> serde_json::Value {
    let headers: Vec<_> = letter
        .headers
        .iter()
        .map(|(name, header)| json!({ "name": value(Some(name)), "value": value(header.as_deref()) }))
        .collect();
    let replays: Vec<_> = memory
        .all_of(&letter.identity())
        .map(|(target, note)| json!({ "target": target, "note": note }))
        .collect();
    json!({
        "position": letter.position.to_string(),
        "at": letter.at,
        "reason": letter.reason,
        "error": letter.error,
        "why": why(letter),
        "remedy": remedy(&letter.reason),
        "source": letter.source,
        "record_time": letter.record_time,
        "cut": letter.cut.is_something().then_some(&letter.cut),
        "replays": replays,
        "replay_of": letter.source.as_ref().and_then(|it| memory.came_from(it)),
        "key": value(letter.key.as_deref()),
        "headers": headers,
        "payload": value(letter.payload.as_deref()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_json_is_told_apart() {
        let check = |text: &str, expected: &str| {
            assert_eq!(
                broken_json(text.as_bytes()).as_deref(),
                Some(expected),
                "{text}"
            );
        };
        check(
            "{\"message\":\"m",
            "it ends before the object does: cut off",
        );
        check(
            "{}{}",
            "near line 1, column 3: something follows the object; several records in one, perhaps",
        );
        check(
            "{\"a\":\"\t\"}",
            "near line 1, column 6: a control character in a string must be escaped",
        );
        check("{'a':1}", "near line 1, column 2");
    }

    #[test]
    fn every_reason_has_its_own_words() {
        let texts: std::collections::BTreeSet<_> =
            Reason::ALL.iter().map(|it| remedy(it.as_str())).collect();
        assert_eq!(texts.len(), Reason::ALL.len());
        assert!(!texts.contains(remedy("something new")));
    }
}
