//! `barograph templates diff`: what is new, what is gone, and what comes more or less often than before.
//!
//! Invariant: a template stands in one of the four lists at the most, and only a new one stands there
//! without being more than chance explains ([`super::surprise`]).

use std::process::ExitCode;

use contracts::Timestamp;
use serde::Serialize;

use super::{
    Where,
    counts::{self, Counted, Counts, Period, Question},
    id::Id,
    screen::{self, Side, names, number, template_text},
    surprise::Change,
};
use crate::{
    moment::{MINUTE, age, length, length_text, moment, now},
    text::printable,
};
use command_kit::say;

/// What has changed since a moment: templates that are new, gone, or seen more or less often
///
/// Compares the lines since then with those of as long a time before (or of --baseline), by the
/// time that the lines themselves have. The most surprising comes first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  barograph templates diff --since 30m            since the roll-out half an hour ago
  barograph templates diff --since 1h --baseline 2d --service checkout
  barograph templates diff --since 2026-11-21T07:00:00Z --until 2026-11-21T07:30:00Z
  barograph templates diff --since 30m --json | jq '.new[].text'")]
pub(super) struct Args {
    #[command(flatten)]
    place: Where,
    /// Where the change is looked for: 30m, 1h, 2d ago, or an RFC 3339 moment.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Timestamp,
    /// Up to where [default: now].
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// Compare with so long before --since: 30m, 1h, 2d [default: as long as from --since to --until].
    #[arg(long, value_name = "LENGTH", value_parser = length)]
    baseline: Option<i64>,
    /// Only lines of this service.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Show so many of each kind.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: usize,
    /// Print one JSON document: {"before": …, "after": …, "new": […], "vanished": […], "vanished_by_chance": …, "grown": […], "shrunk": […]}.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Diff<'a> {
    service: Option<&'a str>,
    before: Span,
    after: Span,
    new: Section<'a>,
    vanished: Section<'a>,
    /// Seen before and not since, so seldom that it may be chance.
    vanished_by_chance: usize,
    grown: Section<'a>,
    shrunk: Section<'a>,
}

/// A time, and the lines in it that have a template.
#[derive(Serialize)]
struct Span {
    from: Timestamp,
    until: Timestamp,
    lines: u64,
    /// Lines that were stored before templates were mined.
    not_mined: u64,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Section<'a> {
    rows: Vec<Row<'a>>,
    #[serde(skip)]
    more: usize,
}

#[derive(Serialize)]
struct Row<'a> {
    id: Id,
    /// `null`: none is stored.
    text: Option<&'a str>,
    before: u64,
    after: u64,
    errors_before: u64,
    errors_after: u64,
    per_minute_before: f64,
    per_minute_after: f64,
    /// Of the rates, near 1 where there are only a few lines.
    ratio: f64,
    /// G statistic.
    surprise: f64,
    services: Vec<&'a str>,
    first_seen: Timestamp,
    last_seen: Timestamp,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let now = now();
    let until = args.until.map_or(now, |until| until.min(now)).as_millis();
    let since = args.since.as_millis();
    if since >= until {
        say::problem(&anyhow::anyhow!(
            "--since {} is not before {}; --since names the earlier of the two, and neither lies in the future",
            args.since,
            match args.until {
                Some(until) => format!("--until {until}"),
                None => "now".to_owned(),
            }
        ));
        return Ok(ExitCode::from(command_kit::WRONG_COMMAND_LINE));
    }
    let database = args.place.open()?;
    let ends = |from, until| Period {
        from: Some(from),
        until: Some(until),
    };
    let baseline = args.baseline.unwrap_or(until - since);
    let question = Question {
        service: args.service.as_deref(),
        period: ends(since, until),
        before: Some(ends(since - baseline, since)),
    };
    let counts = counts::ask(&database, question).await?;
    let oldest = counts.oldest().filter(|oldest| *oldest < since);
    // Of a time that nothing is stored of, nothing is known: it is no time without lines.
    let begins = oldest.map_or(i64::MIN, |oldest| oldest - oldest.rem_euclid(MINUTE));
    let from = (since - baseline).max(begins);
    let diff = args.compare(&counts, [from, since, until]);
    if args.json {
        say::json(&serde_json::to_string_pretty(&diff)?);
    } else {
        diff.print(oldest.is_some(), since - baseline < from);
    }
    Ok(ExitCode::SUCCESS)
}

enum Kind {
    New,
    Vanished,
    VanishedByChance,
    Grown,
    Shrunk,
}

fn kind(template: &Counted, change: Change, since: i64) -> Option<Kind> {
    match (template.lines_before, template.lines) {
        (0, 0) => None,
        (0, _) if template.first_seen().as_millis() >= since => Some(Kind::New),
        (_, 0) if change.is_surprising() => Some(Kind::Vanished),
        (_, 0) => Some(Kind::VanishedByChance),
        _ if change.has_grown() => Some(Kind::Grown),
        _ if change.has_shrunk() => Some(Kind::Shrunk),
        _ => None,
    }
}

impl Counts {
    /// The moment of the oldest line that is stored.
    fn oldest(&self) -> Option<i64> {
        let all = self.templates.iter().chain(&self.not_mined);
        all.map(|it| it.first_seen().as_millis()).min()
    }
}

impl Args {
    fn compare<'a>(&'a self, counts: &'a Counts, [from, since, until]: [i64; 3]) -> Diff<'a> {
        let minutes = |from: i64, until: i64| (until - from) as f64 / 60_000.0;
        let (length_before, length_after) = (minutes(from, since), minutes(since, until));
        let [mut new, mut vanished, mut grown, mut shrunk] = [const { Vec::new() }; 4];
        let mut vanished_by_chance = 0;
        for template in &counts.templates {
            let change = Change {
                before: template.lines_before,
                after: template.lines,
                length_before,
                length_after,
            };
            let rows = match kind(template, change, since) {
                None => continue,
                Some(Kind::New) => &mut new,
                Some(Kind::Vanished) => &mut vanished,
                Some(Kind::VanishedByChance) => {
                    vanished_by_chance += 1;
                    continue;
                }
                Some(Kind::Grown) => &mut grown,
                Some(Kind::Shrunk) => &mut shrunk,
            };
            rows.push(Row {
                id: template.id,
                text: template.text(),
                before: template.lines_before,
                after: template.lines,
                errors_before: template.errors_before,
                errors_after: template.errors,
                per_minute_before: template.lines_before as f64 / length_before,
                per_minute_after: template.lines as f64 / length_after,
                ratio: change.ratio(),
                surprise: change.surprise(),
                services: template
                    .services
                    .iter()
                    .map(|(name, _)| name.as_str())
                    .collect(),
                first_seen: template.first_seen(),
                last_seen: template.last_seen(),
            });
        }
        let not_mined = counts.not_mined.as_ref();
        let span = |from, until, lines: fn(&Counted) -> u64| Span {
            from: Timestamp::from_millis(from),
            until: Timestamp::from_millis(until),
            lines: counts.templates.iter().map(lines).sum(),
            not_mined: not_mined.map_or(0, lines),
        };
        Diff {
            service: self.service.as_deref(),
            before: span(from, since, |it| it.lines_before),
            after: span(since, until, |it| it.lines),
            new: Section::of(new, self.limit),
            vanished: Section::of(vanished, self.limit),
            vanished_by_chance,
            grown: Section::of(grown, self.limit),
            shrunk: Section::of(shrunk, self.limit),
        }
    }
}

impl<'a> Section<'a> {
    fn of(mut rows: Vec<Row<'a>>, limit: usize) -> Self {
        rows.sort_by(|a, b| b.surprise.total_cmp(&a.surprise).then(a.id.cmp(&b.id)));
        let more = rows.len().saturating_sub(limit);
        rows.truncate(limit);
        Self { rows, more }
    }

    fn print(&self, title: &str, seen: (&str, fn(&Row<'_>) -> Timestamp)) {
        if self.rows.is_empty() {
            return;
        }
        let all = number((self.rows.len() + self.more) as u64);
        say::line(format_args!("\n{title}: {all}\n"));
        let width = screen::width();
        let now = now();
        let (head, moment) = seen;
        let heads = [
            ("ID", Side::Left),
            ("BEFORE", Side::Right),
            ("AFTER", Side::Right),
            ("PER MINUTE", Side::Right),
            ("RATIO", Side::Right),
            ("ERRORS", Side::Right),
            ("SERVICES", Side::Left),
            (head, Side::Right),
            ("TEXT", Side::Left),
        ];
        let rows = self.rows.iter().map(|row| {
            [
                row.id.to_string(),
                number(row.before),
                number(row.after),
                format!(
                    "{} → {}",
                    rate(row.per_minute_before),
                    rate(row.per_minute_after)
                ),
                row.ratio_text(),
                format!(
                    "{} → {}",
                    number(row.errors_before),
                    number(row.errors_after)
                ),
                names(row.services.iter().copied(), width),
                age(moment(row), now),
                template_text(row.text),
            ]
        });
        screen::table(heads, rows.collect(), width);
        if self.more > 0 {
            say::line(format_args!(
                "and {} more; --limit shows them",
                number(self.more as u64)
            ));
        }
    }
}

impl Row<'_> {
    fn ratio_text(&self) -> String {
        match self.ratio {
            _ if self.before == 0 || self.after == 0 => "-".to_owned(),
            ratio @ 10.0.. => format!("×{ratio:.0}"),
            ratio @ 1.0.. => format!("×{ratio:.1}"),
            ratio => format!("×{ratio:.2}"),
        }
    }
}

fn rate(per_minute: f64) -> String {
    match per_minute {
        0.0 => "0".to_owned(),
        10.0.. => number(per_minute.round() as u64),
        0.1.. => format!("{per_minute:.1}"),
        _ => "<0.1".to_owned(),
    }
}

impl Diff<'_> {
    fn print(&self, has_before: bool, is_cut: bool) {
        let of = self
            .service
            .map(|name| format!(" of {}", printable(name, 80)));
        let of = of.unwrap_or_default();
        let Span {
            from, until, lines, ..
        } = self.after;
        say::line(format_args!(
            "since  {from} ({} until {until}): {} lines{of}",
            length_text(until.as_millis() - from.as_millis()),
            number(lines)
        ));
        let Span {
            from, until, lines, ..
        } = self.before;
        let length = length_text(until.as_millis() - from.as_millis());
        if has_before {
            let oldest = if is_cut {
                ", as far back as lines are stored"
            } else {
                ""
            };
            say::line(format_args!(
                "before {from} ({length}{oldest}): {} lines{of}",
                number(lines)
            ));
        }
        let not_mined = self.before.not_mined + self.after.not_mined;
        if not_mined > 0 {
            say::line(format_args!(
                "{} more were stored before templates were mined; what these said is not known, and what \
                 seems new may be among them",
                number(not_mined)
            ));
        }
        if self.before.lines + self.after.lines == 0 {
            return say::line(format_args!(
                "\nThere is nothing to compare: no line{of} is stored of that time."
            ));
        }
        if self.before.lines == 0 {
            say::line("\nNo line was stored before: everything is new.");
        }
        let sections = [&self.new, &self.vanished, &self.grown, &self.shrunk];
        if sections.iter().all(|it| it.rows.is_empty() && it.more == 0) {
            say::line("\nNothing has changed that chance would not explain.");
        }
        self.new.print("New", ("FIRST", |row| row.first_seen));
        self.vanished
            .print("Vanished", ("LAST", |row| row.last_seen));
        if self.vanished_by_chance > 0 {
            say::line(format_args!(
                "\n{} more were seen before and not since, so seldom that it may be chance",
                number(self.vanished_by_chance as u64)
            ));
        }
        self.grown.print("Grown", ("LAST", |row| row.last_seen));
        self.shrunk.print("Shrunk", ("LAST", |row| row.last_seen));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_short() {
        for (per_minute, text) in [
            (0.0, "0"),
            (0.01, "<0.1"),
            (0.25, "0.2"),
            (9.96, "10.0"),
            (1234.4, "1,234"),
        ] {
            assert_eq!(rate(per_minute), text);
        }
    }
}
