//! `barograph templates show`: everything about one template, and its newest lines.

mod find;

use std::{io, ops::Range, process::ExitCode};

use contracts::Timestamp;
use owo_colors::AnsiColors;
use serde::{Deserialize, Serialize};

use super::{
    Where,
    counts::moment,
    database::Database,
    id::{Id, Prefix},
    mark,
    screen::{self, Side, number, template_text},
};
use crate::{
    moment::{HOUR, age, now},
    text::printable,
};
use command_kit::say;

const NEWEST: usize = 3;
/// Hours of the sparkline.
const HOURS: usize = 24;
/// Characters of a line of the log.
const LINE: usize = 2000;
/// Services in the table.
const NAMED: usize = 10;

/// Everything about one template: how often, where and when it is seen, and its newest lines
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  barograph templates show 4be19c20a3f1d677
  barograph templates show 4be1                   the first digits, as long as they tell it apart
  barograph templates show 4be1 --json | jq .newest")]
pub(super) struct Args {
    #[command(flatten)]
    place: Where,
    /// As `barograph templates list` shows it; the first digits will do, and so will an id that it had before.
    #[arg(value_name = "ID")]
    id: Prefix,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    id: Id,
    /// What was asked for, when that was merged into `id`.
    merged_from: Option<Id>,
    /// `null`: none is stored.
    text: Option<String>,
    sample: Option<String>,
    count: u64,
    errors: u64,
    first_seen: Option<Timestamp>,
    last_seen: Option<Timestamp>,
    services: Vec<OfService>,
    /// Lines of the last 24 hours, the current one last, by the hour.
    hours: Vec<u64>,
    merged_ids: Vec<Id>,
    newest: Vec<Line>,
    sql: String,
}

#[derive(Serialize, Deserialize)]
struct OfService {
    service: String,
    count: u64,
    errors: u64,
    #[serde(deserialize_with = "millis")]
    first_seen: Timestamp,
    #[serde(deserialize_with = "millis")]
    last_seen: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(deserialize_with = "millis")]
    timestamp: Timestamp,
    service: String,
    level: String,
    message: String,
    /// Bytes of the message; `null`: the message does not read as the text does.
    #[serde(skip_deserializing)]
    parameters: Option<Vec<Range<usize>>>,
}

fn millis<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    i64::deserialize(deserializer).map(Timestamp::from_millis)
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let database = args.place.open()?;
    let (id, merged_from) = find::current(&database, &args.id).await?;
    let shown = gather(&database, id, merged_from).await?;
    if args.json {
        say::json(&serde_json::to_string_pretty(&shown)?);
    } else {
        shown.print();
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Deserialize)]
struct Described {
    text: String,
    sample: String,
}

impl Described {
    async fn of(database: &Database, id: Id) -> anyhow::Result<Option<Self>> {
        let statement = format!(
            "SELECT argMax(template_texts.text, (open_places, recorded_at)) AS text, \
             argMax(template_texts.sample, (open_places, recorded_at)) AS sample \
             FROM template_texts WHERE template_id = {} GROUP BY template_id",
            id.0
        );
        Ok(database.rows(&statement, &[]).await?.pop())
    }
}

#[derive(Deserialize)]
struct Hour {
    /// Hours since the epoch.
    number: i64,
    count: u64,
}

async fn gather(database: &Database, id: Id, merged_from: Option<Id>) -> anyhow::Result<Shown> {
    let described = Described::of(database, id).await?;
    let (text, sample) = described.map(|it| (it.text, it.sample)).unzip();
    let merged_ids: Vec<Id> = database
        .rows::<Merged>(
            &format!(
                "SELECT template_id FROM template_ids WHERE current_id = {} ORDER BY template_id",
                id.0
            ),
            &[],
        )
        .await?
        .into_iter()
        .map(|it| it.template_id)
        .collect();
    let ids = std::iter::once(&id).chain(&merged_ids);
    let ids: Vec<_> = ids.map(|id| id.0.to_string()).collect();
    let of_it = format!("template_id IN ({})", ids.join(", "));
    let services: Vec<OfService> = database
        .rows(
            &format!(
                "SELECT service, sum(records) AS count, sum(template_hours.errors) AS errors, \
                 toUnixTimestamp64Milli(min(template_hours.first_seen)) AS first_seen, \
                 toUnixTimestamp64Milli(max(template_hours.last_seen)) AS last_seen \
                 FROM template_hours WHERE {of_it} GROUP BY service ORDER BY count DESC, service"
            ),
            &[],
        )
        .await?;
    // The last 24, and of older ones enough to know where the newest lines are.
    let hours: Vec<Hour> = database
        .rows(
            &format!(
                "SELECT intDiv(toUnixTimestamp(hour), 3600) AS number, sum(records) AS count \
                 FROM template_hours WHERE {of_it} GROUP BY hour ORDER BY hour DESC LIMIT {}",
                HOURS + NEWEST
            ),
            &[],
        )
        .await?;
    let newest = newest(database, &of_it, &hours, text.as_deref()).await?;
    Ok(Shown {
        id,
        merged_from,
        sample,
        count: services.iter().map(|it| it.count).sum(),
        errors: services.iter().map(|it| it.errors).sum(),
        first_seen: services.iter().map(|it| it.first_seen).min(),
        last_seen: services.iter().map(|it| it.last_seen).max(),
        services,
        hours: by_hour(&hours),
        merged_ids,
        newest,
        text,
        sql: sql(id),
    })
}

#[derive(Deserialize)]
struct Merged {
    template_id: Id,
}

/// The newest lines. Where they are is known by the hour, so that few others are read.
async fn newest(
    database: &Database,
    of_it: &str,
    hours: &[Hour],
    text: Option<&str>,
) -> anyhow::Result<Vec<Line>> {
    // An hour has one line at the least.
    let hours = hours.iter().take(NEWEST).map(|it| {
        let [from, until] = [it.number, it.number + 1].map(|number| moment(number * HOUR));
        format!("(logs.timestamp >= {from} AND logs.timestamp < {until})")
    });
    let hours: Vec<_> = hours.collect();
    if hours.is_empty() {
        return Ok(Vec::new());
    }
    let statement = format!(
        "SELECT toUnixTimestamp64Milli(logs.timestamp) AS timestamp, service, toString(level) AS level, message \
         FROM logs WHERE ({}) AND {of_it} \
         AND service IN (SELECT template_hours.service FROM template_hours WHERE {of_it}) \
         ORDER BY logs.timestamp DESC, kafka_partition, kafka_offset DESC LIMIT {NEWEST}",
        hours.join(" OR ")
    );
    let mut lines: Vec<Line> = database.rows(&statement, &[]).await?;
    for line in &mut lines {
        line.parameters = text.and_then(|text| mark::parameters(text, &line.message));
    }
    Ok(lines)
}

fn by_hour(hours: &[Hour]) -> Vec<u64> {
    let current = now().as_millis().div_euclid(HOUR);
    let count = |number: i64| {
        hours
            .iter()
            .find(|it| it.number == number)
            .map_or(0, |it| it.count)
    };
    (current + 1 - HOURS as i64..=current).map(count).collect()
}

/// Its lines, also those that were stored under ids that it had before, or gets to have.
fn sql(id: Id) -> String {
    format!(
        "SELECT timestamp, service, level, message FROM logs
WHERE template_id IN (SELECT template_id FROM template_ids WHERE current_id = {0} UNION ALL SELECT {0})
ORDER BY timestamp DESC LIMIT 100",
        format_args!("0x{id}")
    )
}

impl Shown {
    fn print(&self) {
        let field = |name: &str, value: &str| say::line(format_args!("{name:<12} {value}"));
        let now = now();
        let seen = |moment: Option<Timestamp>| match moment {
            Some(moment) => format!("{moment}, {}", age(moment, now)),
            None => "never".to_owned(),
        };
        field("template", &self.id.to_string());
        if let Some(from) = self.merged_from {
            field("", &format!("{from} was merged into it"));
        }
        field("text", &template_text(self.text.as_deref()));
        field("lines", &number(self.count));
        field("errors", &number(self.errors));
        field("first seen", &seen(self.first_seen));
        field("last seen", &seen(self.last_seen));
        field("last 24 h", &self.day());
        let merged: Vec<_> = self.merged_ids.iter().map(ToString::to_string).collect();
        match merged.as_slice() {
            [] => field("merged ids", "none"),
            [first, others @ ..] => {
                field("merged ids", first);
                for id in others {
                    field("", id);
                }
            }
        }
        let sample = self.sample.as_deref().filter(|it| !it.is_empty());
        let sample = sample.map(|it| printable(it, LINE));
        field("sample", sample.as_deref().unwrap_or("none"));
        self.print_services(now);
        self.print_newest();
        say::line(format_args!("\nIts lines, in SQL:\n\n{}", self.sql));
    }

    fn day(&self) -> String {
        let most = self.hours.iter().max().copied().unwrap_or_default();
        if most == 0 {
            return "no line".to_owned();
        }
        format!(
            "{} {} lines, {} in the hour with the most",
            sparkline(&self.hours),
            number(self.hours.iter().sum()),
            number(most)
        )
    }

    fn print_services(&self, now: Timestamp) {
        if self.services.is_empty() {
            return say::line("\nNo line of it is stored any more.");
        }
        say::line("");
        let heads = [
            ("COUNT", Side::Right),
            ("ERRORS", Side::Right),
            ("FIRST", Side::Right),
            ("LAST", Side::Right),
            ("SERVICE", Side::Left),
        ];
        let rows = self.services.iter().take(NAMED).map(|it| {
            [
                number(it.count),
                number(it.errors),
                age(it.first_seen, now),
                age(it.last_seen, now),
                screen::names([it.service.as_str()].into_iter(), None),
            ]
        });
        screen::table(heads, rows.collect(), screen::width());
        if self.services.len() > NAMED {
            let more = self.services.len() - NAMED;
            say::line(format_args!(
                "and {more} more services; --json has them all"
            ));
        }
    }

    fn print_newest(&self) {
        if self.newest.is_empty() {
            return;
        }
        say::line("\nThe newest lines, their parameters in ‹›:\n");
        for line in &self.newest {
            say::line(format_args!(
                "{} {} {}\n    {}",
                line.timestamp,
                line.level,
                screen::names([line.service.as_str()].into_iter(), None),
                line.marked()
            ));
            if line.parameters.is_none() {
                say::line(
                    "    (does not read as the text does: a partition found more in common than another)",
                );
            }
        }
    }
}

impl Line {
    fn marked(&self) -> String {
        let mut text = String::new();
        let mut at = 0;
        for range in self.parameters.iter().flatten() {
            text.push_str(&printable(&self.message[at..range.start], LINE));
            let parameter = format!("‹{}›", printable(&self.message[range.clone()], LINE));
            text.push_str(&say::painted(&parameter, AnsiColors::Cyan, &io::stdout()));
            at = range.end;
        }
        text.push_str(&printable(&self.message[at..], LINE));
        text
    }
}

/// One character an hour, from none at all to the most.
fn sparkline(counts: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = counts.iter().max().copied().unwrap_or_default();
    let bar = |count: &u64| match *count {
        0 => '·',
        count => BARS[(u128::from(count - 1) * 8 / u128::from(most)) as usize],
    };
    counts.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_go_from_nothing_to_the_most() {
        assert_eq!(sparkline(&[0, 1, 8, 4, 0]), "·▁█▄·");
        assert_eq!(sparkline(&[0, 1]), "·▁");
        assert_eq!(sparkline(&[u64::MAX, 1]), "█▁");
    }
}
