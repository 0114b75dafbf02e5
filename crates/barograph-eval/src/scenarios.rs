//! `barograph-eval scenarios`: the shipped detectors on days of a simulated fleet, storms and harmless events
//! among them.
//!
//! The generator knows nothing of the detectors: its traffic follows day and week, is over-dispersed, and
//! wanders. What it writes are the bytes that it would send to Kafka; what reads them is the processor's
//! own way from a record to a finding, one partition, in event time, as fast as it goes.
//!
//! Invariants: one configuration for all seeds; a storm's label is used for scoring alone.

mod fed;
mod plan;
mod score;

use std::{path::PathBuf, process::ExitCode};

use command_kit::{
    figures::{self, Figure, Spread, table},
    say,
};
use serde::Serialize;

use self::{plan::Plan, score::Score};

/// The shipped detectors on simulated days, storms and harmless events among them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  barograph-eval scenarios
  barograph-eval scenarios --seeds 1,2,3,4,5 --days 2
  barograph-eval scenarios --seeds 7 --days 7 --explain")]
pub(super) struct Args {
    /// Each is a fleet and its days.
    #[arg(
        long,
        value_name = "NUMBER,…",
        value_delimiter = ',',
        default_value = "1,2,3"
    )]
    seeds: Vec<u64>,
    /// How many days each; they begin on a Monday.
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=28))]
    days: u32,
    /// Services of the fleet.
    #[arg(long, value_name = "NUMBER", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=200))]
    services: u32,
    /// Lines per second of the fleet at noon.
    #[arg(long, value_name = "NUMBER", default_value_t = 60.0)]
    rate: f64,
    /// False alerts that a service may have in a week.
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0)]
    budget: f64,
    /// Also what was missed, and what was told for nothing.
    #[arg(long)]
    explain: bool,
    /// Writes the figures as JSON to this file; `-`: standard output.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    days: u32,
    services: u32,
    budget: f64,
    lines: u64,
    by_seed: Vec<Score>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut report = Report {
        days: args.days,
        services: args.services,
        budget: args.budget,
        lines: 0,
        by_seed: Vec::new(),
    };
    for seed in &args.seeds {
        let plan = Plan::of(*seed, args)?;
        let events = plan.events.clone();
        let fed = fed::through_the_processor(plan, args.budget)?;
        report.lines += fed.lines;
        let score = Score::of(*seed, &events, &fed, args);
        if args.explain {
            say::note(score.explained());
        }
        report.by_seed.push(score);
    }
    let of_each = |of: fn(&Score) -> f64| report.by_seed.iter().map(of);
    let mean = |of| of_each(of).sum::<f64>() / report.by_seed.len().max(1) as f64;
    let f1_least = of_each(Score::f1).fold(f64::INFINITY, f64::min);
    let false_most = of_each(Score::false_per_service_week).fold(0.0, f64::max);
    let share = |value: f64| format!("{value:.2}");
    let figures = [
        Figure::above("F1, mean of the seeds", mean(Score::f1), 0.95, share),
        Figure::above("F1, worst seed", f1_least, 0.90, share),
        Figure::below(
            "false alerts per service-week, mean",
            mean(Score::false_per_service_week),
            0.5,
            share,
        ),
        Figure::below(
            "false alerts per service-week, worst seed",
            false_most,
            1.0,
            share,
        ),
        Figure::below(
            "alerts too many per storm told",
            mean(Score::duplicates),
            0.1,
            share,
        ),
        Figure::above(
            "right family, of the storms told",
            mean(Score::right_family),
            0.90,
            share,
        ),
    ];
    let text = format!(
        "{} seeds of {} days, {} services, {} lines\n\n{}",
        args.seeds.len(),
        args.days,
        args.services,
        figures::grouped(report.lines as f64),
        by_kind(&report.by_seed),
    );
    figures::tell(text, &figures, &report, args.json.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

/// A row for each kind of storm, over all seeds.
fn by_kind(scores: &[Score]) -> String {
    let mut rows = Vec::new();
    let storms = contracts::truth::Fault::ALL.into_iter();
    for kind in storms.filter(|kind| !kind.is_harmless()) {
        let found = scores
            .iter()
            .filter_map(|score| score.by_kind.get(kind.as_str()));
        let found: Vec<&score::Storms> = found.collect();
        let of = |count: fn(&score::Storms) -> usize| {
            let counts = found.iter().map(|storms| count(storms));
            counts.sum::<usize>()
        };
        let delays: Vec<f64> = found
            .iter()
            .flat_map(|storms| storms.delays_s.iter().copied())
            .collect();
        let delay = if delays.is_empty() {
            "-".to_owned()
        } else {
            Spread::of(delays).text(|seconds| format!("{seconds:.0} s"))
        };
        rows.push([
            kind.as_str().to_owned(),
            of(|storms| storms.all).to_string(),
            of(|storms| storms.told).to_string(),
            of(|storms| storms.as_its_kind).to_string(),
            of(|storms| storms.too_many).to_string(),
            delay,
        ]);
    }
    let header = [
        "storm",
        "there",
        "told",
        "as such",
        "too many",
        "told after",
    ];
    table(&header, rows)
}
