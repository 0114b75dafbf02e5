//! `barograph templates list`: which templates there are, and how often each is seen.

use std::{cmp::Reverse, fmt::Write as _, process::ExitCode};

use contracts::Timestamp;
use serde::Serialize;

use super::{
    Where,
    counts::{self, Counted, Counts, Period, Question},
    id::Id,
    screen::{self, Side, names, number, percent, template_text},
};
use crate::{
    moment::{age, moment, now},
    text::printable,
};
use command_kit::say;

/// Which lines there are: templates, how often each is seen, and by which services
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  barograph templates list
  barograph templates list --service checkout --since 1h
  barograph templates list --errors --sort last-seen      what has just gone wrong
  barograph templates list --sort first-seen --limit 5    the newest templates
  barograph templates list --json | jq -r '.listed[].text'")]
pub(super) struct Args {
    #[command(flatten)]
    place: Where,
    /// Only lines of this service.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only lines since then: 30m, 1h, 2d ago, or an RFC 3339 moment.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Only templates with errors among their lines.
    #[arg(long)]
    errors: bool,
    /// Only templates with this in their text, in upper or lower case.
    #[arg(long, value_name = "TEXT")]
    contains: Option<String>,
    /// What comes first.
    #[arg(long, value_name = "ORDER", default_value = "count")]
    sort: Order,
    /// Show so many; 0 shows only the sums.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,
    /// Print one JSON document: {"lines": …, "not_mined": …, "templates": …, "matching": …, "listed": […]}.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Order {
    /// The most lines.
    Count,
    /// Seen most recently.
    LastSeen,
    /// The newest templates.
    FirstSeen,
    /// The most errors.
    Errors,
}

#[derive(Serialize)]
struct Listing<'a> {
    service: Option<&'a str>,
    since: Option<Timestamp>,
    /// Of the service, since then; those that were not mined are not among them.
    lines: u64,
    not_mined: u64,
    templates: usize,
    /// Of these, the ones that the other flags ask for.
    matching: usize,
    listed: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    id: Id,
    /// `null`: none is stored.
    text: Option<&'a str>,
    count: u64,
    /// Of the lines, 0 to 1.
    share: f64,
    errors: u64,
    services: Vec<Service<'a>>,
    first_seen: Timestamp,
    last_seen: Timestamp,
}

#[derive(Serialize)]
struct Service<'a> {
    service: &'a str,
    count: u64,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let database = args.place.open()?;
    let period = Period {
        from: args.since.map(Timestamp::as_millis),
        until: None,
    };
    let question = Question {
        service: args.service.as_deref(),
        period,
        before: None,
    };
    let mut counts = counts::ask(&database, question).await?;
    counts.templates.retain(|it| it.lines > 0);
    args.sort.apply(&mut counts.templates);
    let listing = args.pick(&counts);
    if args.json {
        say::json(&serde_json::to_string_pretty(&listing)?);
    } else {
        listing.print();
    }
    Ok(ExitCode::SUCCESS)
}

impl Order {
    fn apply(self, templates: &mut [Counted]) {
        templates.sort_by_key(|it| {
            let first = match self {
                Self::Count => it.lines as i64,
                Self::Errors => it.errors as i64,
                Self::LastSeen => it.last_seen().as_millis(),
                Self::FirstSeen => it.first_seen().as_millis(),
            };
            (Reverse(first), Reverse(it.lines), it.id)
        });
    }
}

impl Args {
    fn takes(&self, template: &Counted) -> bool {
        let contains = self.contains.as_ref().is_none_or(|wanted| {
            let text = template.text().unwrap_or_default();
            text.to_lowercase().contains(&wanted.to_lowercase())
        });
        contains && (!self.errors || template.errors > 0)
    }

    fn pick<'a>(&'a self, counts: &'a Counts) -> Listing<'a> {
        let lines = counts.templates.iter().map(|it| it.lines).sum();
        let matching: Vec<_> = counts
            .templates
            .iter()
            .filter(|it| self.takes(it))
            .collect();
        let row = |it: &&'a Counted| Row {
            id: it.id,
            text: it.text(),
            count: it.lines,
            share: it.lines as f64 / lines as f64,
            errors: it.errors,
            services: it
                .services
                .iter()
                .map(|(service, count)| Service {
                    service,
                    count: *count,
                })
                .collect(),
            first_seen: it.first_seen(),
            last_seen: it.last_seen(),
        };
        Listing {
            service: self.service.as_deref(),
            since: self.since,
            lines,
            not_mined: counts.not_mined.as_ref().map_or(0, |it| it.lines),
            templates: counts.templates.len(),
            matching: matching.len(),
            listed: matching.iter().take(self.limit).map(row).collect(),
        }
    }
}

impl Listing<'_> {
    fn print(&self) {
        let asked = self.asked();
        let not_mined = match self.not_mined {
            0 => String::new(),
            count => format!(
                "; {} more were stored before templates were mined",
                number(count)
            ),
        };
        if self.templates == 0 {
            let no = if self.not_mined > 0 {
                "No line has a template"
            } else if asked.is_empty() {
                "No line is stored"
            } else {
                "There is no line"
            };
            return say::line(format_args!("{no}{asked}{not_mined}."));
        }
        say::line(format_args!(
            "{} templates of {} lines{asked}{not_mined}",
            number(self.templates as u64),
            number(self.lines),
        ));
        if self.matching == 0 {
            return say::line("None of them is like that.");
        }
        if self.listed.len() < self.matching {
            let shown = self.listed.len();
            say::line(format_args!(
                "{shown} of {} shown; --limit shows more",
                number(self.matching as u64)
            ));
        } else if self.matching < self.templates {
            say::line(format_args!(
                "{} of them are like that",
                number(self.matching as u64)
            ));
        }
        if !self.listed.is_empty() {
            say::line("");
            self.print_table();
        }
    }

    fn asked(&self) -> String {
        let mut asked = String::new();
        if let Some(service) = self.service {
            let _ = write!(asked, " of {}", printable(service, 80));
        }
        if let Some(since) = self.since {
            let _ = write!(asked, " since {since}");
        }
        asked
    }

    fn print_table(&self) {
        let width = screen::width();
        let now = now();
        let rows = self.listed.iter().map(|row| {
            [
                row.id.to_string(),
                number(row.count),
                percent(row.count, self.lines),
                number(row.errors),
                names(row.services.iter().map(|it| it.service), width),
                age(row.first_seen, now),
                age(row.last_seen, now),
                template_text(row.text),
            ]
        });
        let heads = [
            ("ID", Side::Left),
            ("COUNT", Side::Right),
            ("SHARE", Side::Right),
            ("ERRORS", Side::Right),
            ("SERVICES", Side::Left),
            ("FIRST", Side::Right),
            ("LAST", Side::Right),
            ("TEXT", Side::Left),
        ];
        screen::table(heads, rows.collect(), width);
    }
}
