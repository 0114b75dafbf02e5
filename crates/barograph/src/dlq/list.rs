//! `barograph dlq list`: how many letters, why, and the newest.
//!
//! Invariant: what is kept of a letter doesn't grow with its payload.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    process::ExitCode,
};

use contracts::Timestamp;
use indicatif::HumanBytes;
use serde::Serialize;

use super::{
    Where,
    letter::{Identity, Letter, Position, Spot},
    memory::{Memory, Note},
    pick::Pick,
    reason_text,
    scan::Scan,
};
use crate::text::printable;
use command_kit::say;

/// Characters of the payload in a row.
const BEGINNING: usize = 60;

/// How many dead letters there are, why, and the newest of them
///
/// A letter that is the same record as one before it (the processor reads a record again after it was
/// killed) is marked, and so is one that was replayed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  barograph dlq list
  barograph dlq list --reason broken_json --since 1h
  barograph dlq list --limit 0                    only the counts
  barograph dlq list --json | jq '.reasons'")]
pub(super) struct Args {
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    pick: Pick,
    /// Show so many, the newest.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: usize,
    /// Print one JSON document: {"topic": …, "letters": …, "distinct": …, "reasons": […], "newest": […]}.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Listing {
    topic: String,
    letters: usize,
    distinct: usize,
    reasons: Vec<Count>,
    newest: VecDeque<Row>,
}

#[derive(Serialize)]
struct Count {
    reason: String,
    letters: usize,
    distinct: usize,
    first: Timestamp,
    last: Timestamp,
}

#[derive(Serialize)]
struct Row {
    #[serde(serialize_with = "as_text")]
    position: Position,
    at: Timestamp,
    reason: String,
    source: Option<Spot>,
    /// Kafka's time of the record.
    record_time: Option<Timestamp>,
    /// `None`: the value is null.
    bytes: Option<usize>,
    /// Of the value before it was cut.
    cut_from: Option<u64>,
    headers: usize,
    /// Escaped.
    beginning: String,
    /// The first letter of the same record.
    #[serde(serialize_with = "as_optional_text")]
    duplicate_of: Option<Position>,
    replayed: bool,
    /// The letter whose replay this one is about.
    replay_of: Option<String>,
}

fn as_text<S: serde::Serializer>(position: &Position, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(position)
}

#[expect(clippy::ref_option, reason = "the shape serde asks for")]
fn as_optional_text<S: serde::Serializer>(
    position: &Option<Position>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match position {
        Some(position) => serializer.collect_str(position),
        None => serializer.serialize_none(),
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let queue = args.place.open().await?;
    let memory = Memory::load(&queue).await?;
    let mut scan = Scan::open(&queue.connection, &queue.topic, &queue.ranges)?;
    let mut listing = Listing {
        topic: queue.topic.clone(),
        letters: 0,
        distinct: 0,
        reasons: Vec::new(),
        newest: VecDeque::new(),
    };
    let mut first_of: HashMap<Identity, Position> = HashMap::new();
    let mut reasons: BTreeMap<String, Count> = BTreeMap::new();
    let mut others = 0;
    while let Some(message) = scan.next().await? {
        let letter = Letter::of(&message);
        if !args.pick.takes(&letter) {
            others += 1;
            continue;
        }
        let identity = letter.identity();
        let duplicate_of = first_of.get(&identity).copied();
        listing.letters += 1;
        listing.distinct += usize::from(duplicate_of.is_none());
        let count = reasons
            .entry(letter.reason.clone())
            .or_insert_with(|| Count {
                reason: letter.reason.clone(),
                letters: 0,
                distinct: 0,
                first: letter.at,
                last: letter.at,
            });
        count.letters += 1;
        count.distinct += usize::from(duplicate_of.is_none());
        count.first = count.first.min(letter.at);
        count.last = count.last.max(letter.at);
        let replayed = memory
            .all_of(&identity)
            .any(|(_, note)| matches!(note, Note::Sent { .. }));
        let source = letter.source.clone();
        listing.newest.push_back(Row {
            position: letter.position,
            at: letter.at,
            reason: letter.reason.clone(),
            record_time: letter.record_time,
            bytes: letter.payload.as_ref().map(Vec::len),
            cut_from: letter.cut.value.as_ref().map(|whole| whole.bytes),
            headers: letter.headers.len(),
            beginning: printable(letter.bytes(), BEGINNING),
            duplicate_of,
            replayed,
            replay_of: source
                .as_ref()
                .and_then(|it| memory.came_from(it))
                .map(str::to_owned),
            source,
        });
        keep_newest(&mut listing.newest, args.limit);
        first_of.entry(identity).or_insert(letter.position);
    }
    let by_time = listing.newest.make_contiguous();
    by_time.sort_by_key(|row| (row.at, row.position));
    listing.reasons = reasons.into_values().collect();
    listing
        .reasons
        .sort_by_key(|it| std::cmp::Reverse(it.letters));
    if args.json {
        say::json(&serde_json::to_string_pretty(&listing)?);
    } else {
        print(&listing, others);
    }
    Ok(ExitCode::SUCCESS)
}

/// Partitions come one after another, so the oldest is not always the first.
fn keep_newest(rows: &mut VecDeque<Row>, limit: usize) {
    if rows.len() <= limit {
        return;
    }
    let oldest = rows
        .iter()
        .enumerate()
        .min_by_key(|(_, row)| (row.at, row.position));
    if let Some((place, _)) = oldest {
        rows.remove(place);
    }
}

fn print(listing: &Listing, others: usize) {
    let topic = &listing.topic;
    match (listing.letters, others) {
        (0, 0) => return say::line(format_args!("{topic} is empty: everything could be read.")),
        (0, others) => {
            return say::line(format_args!(
                "None of the {others} letters of {topic} is like that."
            ));
        }
        (letters, others) => {
            let of = match others {
                0 => String::new(),
                others => format!(" of {}", letters + others),
            };
            let distinct = listing.distinct;
            say::line(format_args!(
                "{letters}{of} letters of {topic}, about {distinct} distinct records\n"
            ));
        }
    }
    let mut table = vec![["REASON", "LETTERS", "DISTINCT", "FIRST", "LAST"].map(str::to_owned)];
    table.extend(listing.reasons.iter().map(|it| {
        [
            reason_text(&it.reason),
            it.letters.to_string(),
            it.distinct.to_string(),
            it.first.to_string(),
            it.last.to_string(),
        ]
    }));
    print_table(&table);
    if listing.newest.is_empty() {
        return;
    }
    say::line(format_args!("\nThe newest {}:\n", listing.newest.len()));
    let head = [
        "POSITION",
        "PUT ASIDE",
        "REASON",
        "SOURCE",
        "SIZE",
        "HEADERS",
        "NOTE",
        "BEGINNING",
    ];
    let mut table = vec![head.map(str::to_owned)];
    table.extend(listing.newest.iter().map(|row| {
        let source = row.source.as_ref().map(ToString::to_string);
        [
            row.position.to_string(),
            row.at.to_string(),
            reason_text(&row.reason),
            source.unwrap_or_else(|| "-".to_owned()),
            row.bytes.map_or_else(
                || "null".to_owned(),
                |bytes| HumanBytes(bytes as u64).to_string(),
            ),
            row.headers.to_string(),
            note(row),
            row.beginning.clone(),
        ]
    }));
    print_table(&table);
}

fn note(row: &Row) -> String {
    let mut notes = Vec::new();
    if let Some(first) = row.duplicate_of {
        notes.push(format!("same as {first}"));
    }
    if row.replayed {
        notes.push("replayed".to_owned());
    }
    if let Some(bytes) = row.cut_from {
        notes.push(format!("cut from {}", HumanBytes(bytes)));
    }
    if let Some(letter) = &row.replay_of {
        notes.push(format!("came back, was {letter}"));
    }
    if notes.is_empty() {
        notes.push("-".to_owned());
    }
    notes.join(", ")
}

fn print_table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        let cells: Vec<_> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        say::line(cells.join("  ").trim_end());
    }
}
