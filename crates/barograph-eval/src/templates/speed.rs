//! Lines per second of one core, over lines that are all different.
//!
//! Invariant: ours and the peer get the same lines, in turn, each into a fresh miner; time is CPU time
//! of the thread that mines.

use serde::Serialize;
use template_mining::{Limits, Miner};

use super::{
    data::Set,
    peers::{self, DRAIN3, Drain3, LOGDRAIN, Missing, OURS},
    stream::{self, Lines, cpu_seconds},
};
use command_kit::{
    figures::{Figure, Spread, grouped, hundredths, table},
    say,
};

const LINES: usize = 1_000_000;
/// Drain3 is some hundred times slower.
const SAMPLE: usize = 100_000;
const RUNS: usize = 3;
const SEED: u64 = 1;

const LEAST_LINES_PER_SECOND: f64 = 3e6;
const LEAST_OVER_LOGDRAIN: f64 = 1.0;

#[derive(Debug, Serialize)]
pub(super) struct Speed {
    mean_bytes: f64,
    runs: usize,
    /// Ours first.
    miners: Vec<Row>,
    missing: Vec<Missing>,
}

#[derive(Debug, Serialize)]
struct Row {
    miner: &'static str,
    lines: usize,
    lines_per_second: Spread,
    templates: usize,
    /// Our lines per second over those of this one.
    ours_over: f64,
}

/// Lines per second and the templates that were found.
fn ours(lines: &Lines) -> (f64, usize) {
    let mut miner = Miner::new(Limits::default());
    let begun = cpu_seconds();
    for line in lines.iter() {
        miner.observe(line.as_bytes());
    }
    let seconds = cpu_seconds() - begun;
    (lines.len() as f64 / seconds, miner.len())
}

fn logdrain(lines: &Lines) -> (f64, usize) {
    let miner = peers::new_logdrain();
    let begun = cpu_seconds();
    for line in lines.iter() {
        miner.add(line);
    }
    let seconds = cpu_seconds() - begun;
    (lines.len() as f64 / seconds, miner.len())
}

pub(super) fn measure(
    sets: &[Set],
    with_peers: bool,
    drain3: Option<&Result<Drain3, String>>,
) -> anyhow::Result<Speed> {
    let from: Vec<&str> = sets
        .iter()
        .flat_map(|s| &s.lines)
        .map(String::as_str)
        .collect();
    let lines = stream::distinct(&from, LINES, SEED);
    let count = grouped(lines.len() as f64);
    say::note(format_args!("speed: {count} distinct lines"));
    let (mut own, mut peer) = (Vec::new(), Vec::new());
    for run in 0..=RUNS {
        own.push(ours(&lines));
        if with_peers {
            peer.push(logdrain(&lines));
        }
        // The first run does not count: it brings memory and code to where they stay.
        if run == 0 {
            own.clear();
            peer.clear();
        }
    }
    let mut speed = Speed {
        mean_bytes: lines.mean_bytes(),
        runs: RUNS,
        miners: Vec::new(),
        missing: Vec::new(),
    };
    speed.take(OURS, lines.len(), &own);
    if with_peers {
        speed.take(LOGDRAIN, lines.len(), &peer);
    }
    match drain3 {
        Some(Ok(drain3)) => {
            let sample: Vec<&str> = lines.iter().take(SAMPLE).collect();
            let (prediction, seconds) = drain3.mine(&sample)?;
            let run = (sample.len() as f64 / seconds, prediction.texts.len());
            speed.take(DRAIN3, sample.len(), &[run]);
        }
        Some(Err(why)) => speed.missing.push(Missing::new(DRAIN3, why)),
        None => {}
    }
    Ok(speed)
}

impl Speed {
    fn take(&mut self, miner: &'static str, lines: usize, runs: &[(f64, usize)]) {
        let rate = Spread::of(runs.iter().map(|(rate, _)| *rate));
        let ours = self.miners.first();
        self.miners.push(Row {
            miner,
            lines,
            lines_per_second: rate,
            templates: runs.last().map_or(0, |(_, templates)| *templates),
            ours_over: ours.map_or(1.0, |ours| ours.lines_per_second.median / rate.median),
        });
    }

    pub(super) fn text(&self) -> String {
        let rows = self.miners.iter().map(|row| {
            [
                row.miner.to_owned(),
                grouped(row.lines as f64),
                row.lines_per_second.text(grouped),
                hundredths(1e6 / row.lines_per_second.median),
                grouped(row.templates as f64),
                hundredths(row.ours_over),
            ]
        });
        let header = [
            "miner",
            "lines",
            "lines/s of one core",
            "µs/line",
            "templates",
            "barograph over it",
        ];
        format!(
            "\nSpeed over lines that are all different, {:.0} bytes on average; median of {} runs (least–most)\n\n{}{}",
            self.mean_bytes,
            self.runs,
            table(&header, rows),
            peers::missing_text(&self.missing)
        )
    }

    pub(super) fn figures(&self) -> Vec<Figure> {
        let figure = |row: &Row| match row.miner {
            OURS => {
                let rate = row.lines_per_second.median;
                Some(Figure::above(
                    "lines/s of one core",
                    rate,
                    LEAST_LINES_PER_SECOND,
                    grouped,
                ))
            }
            LOGDRAIN => {
                let name = "lines/s over logdrain's";
                Some(Figure::above(
                    name,
                    row.ours_over,
                    LEAST_OVER_LOGDRAIN,
                    hundredths,
                ))
            }
            _ => None,
        };
        self.miners.iter().filter_map(figure).collect()
    }
}
