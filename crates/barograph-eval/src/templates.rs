//! `barograph-eval templates`: template mining on labelled lines, beside logdrain and Drain3.
//!
//! Invariant: nothing is chosen by the set, and no label reaches a miner.

mod accuracy;
mod data;
mod explain;
mod growth;
mod mined;
mod order;
mod peers;
mod score;
mod speed;
mod stream;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use serde::Serialize;

use self::{accuracy::Accuracy, growth::Growth, order::Order, peers::Drain3, speed::Speed};
use command_kit::{
    figures::{self, Figure},
    say,
};

/// Template mining on labelled lines: accuracy, speed, growth and order, beside logdrain and Drain3
///
/// A fresh miner for each set, with the settings it ships with, gets the lines of the column Content in
/// order; scored is the template that each line ends with. Drain3 is Python:
/// scripts/eval-peers.sh fetches it into the cache.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  barograph-eval templates --data ./loghub2k
  BAROGRAPH_DATA_DIR=./data barograph-eval templates      the sets are in ./data/loghub2k
  barograph-eval templates --only accuracy --explain --no-peers
  barograph-eval templates --json out.json")]
pub(super) struct Args {
    /// Folder of the sets, each a folder with a structured_corrected.csv that has the columns Content
    /// and EventTemplate [default: $BAROGRAPH_DATA_DIR/loghub2k].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where predictions are written, <Set>.tsv with `id TAB template` for each line [default: a new
    /// folder among the temporary ones].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only these.
    #[arg(long, value_name = "SUBJECT,…", value_delimiter = ',')]
    only: Vec<Subject>,
    /// Show every label whose lines are grouped or written otherwise, with one of the lines.
    #[arg(long)]
    explain: bool,
    /// Leave logdrain and Drain3 out.
    #[arg(long)]
    no_peers: bool,
    /// Write everything as JSON to that file; without one, to standard output, and the tables to
    /// standard error.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    json: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Subject {
    Accuracy,
    Speed,
    Growth,
    Order,
}

#[derive(Debug, Serialize)]
struct Report {
    data: PathBuf,
    drain3_version: Option<String>,
    accuracy: Option<Accuracy>,
    speed: Option<Speed>,
    growth: Option<Growth>,
    order: Option<Order>,
    figures: Vec<Figure>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let sets = data::folder(args.data.as_deref()).and_then(|dir| Ok((data::read(&dir)?, dir)));
    let (sets, dir) = match sets {
        Ok(found) => found,
        Err(error) => {
            say::problem(&error.into());
            return Ok(ExitCode::from(command_kit::WRONG_COMMAND_LINE));
        }
    };
    let report = measure(args, &sets, dir)?;
    figures::tell(
        report.text(),
        &report.figures,
        &report,
        args.json.as_deref(),
    )?;
    Ok(ExitCode::SUCCESS)
}

fn measure(args: &Args, sets: &[data::Set], data: PathBuf) -> anyhow::Result<Report> {
    let with_peers = !args.no_peers;
    let drain3 = with_peers.then(Drain3::find);
    let drain3 = drain3.as_ref();
    let is_asked = |subject| args.only.is_empty() || args.only.contains(&subject);
    let mut report = Report {
        data,
        drain3_version: drain3.and_then(|it| it.as_ref().ok().map(|it| it.version.clone())),
        accuracy: None,
        speed: None,
        growth: None,
        order: None,
        figures: Vec::new(),
    };
    if is_asked(Subject::Accuracy) {
        let plan = accuracy::Plan {
            out: out(args.out.as_deref())?,
            with_peers,
            drain3,
            explain: args.explain,
        };
        let accuracy = accuracy::measure(sets, plan)?;
        report.figures.extend(accuracy.figures());
        report.accuracy = Some(accuracy);
    }
    if is_asked(Subject::Speed) {
        let speed = speed::measure(sets, with_peers, drain3)?;
        report.figures.extend(speed.figures());
        report.speed = Some(speed);
    }
    if is_asked(Subject::Growth) {
        let growth = growth::measure(with_peers);
        report.figures.extend(growth.figures());
        report.growth = Some(growth);
    }
    if is_asked(Subject::Order) {
        let order = order::measure(sets, with_peers)?;
        report.figures.extend(order.figures());
        report.order = Some(order);
    }
    Ok(report)
}

fn out(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(dir) = named {
        return Ok(dir.to_owned());
    }
    let dir = tempfile::Builder::new().prefix("barograph-eval-").tempdir();
    Ok(dir.context("no folder for the predictions")?.keep())
}

impl Report {
    fn text(&self) -> String {
        let texts = [
            self.accuracy.as_ref().map(Accuracy::text),
            self.speed.as_ref().map(Speed::text),
            self.growth.as_ref().map(Growth::text),
            self.order.as_ref().map(Order::text),
        ];
        texts.into_iter().flatten().collect()
    }
}
