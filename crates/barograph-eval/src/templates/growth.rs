//! What a line costs as templates become more.
//!
//! Invariant: the number of lines is the same for every number of templates; ours and the peer get the
//! same lines, each into a fresh miner; time is CPU time of the thread that mines.

use serde::Serialize;
use template_mining::{Limits, Miner};

use super::{
    peers,
    stream::{self, cpu_seconds},
};
use command_kit::{
    figures::{Figure, Spread, grouped, hundredths, table},
    say,
};

const LINES: usize = 1_000_000;
const RUNS: usize = 3;
const SEED: u64 = 1;
const TEMPLATES: [usize; 4] = [100, 1_000, 10_000, 20_000];
/// Of a line with the most templates over one with the fewest.
const MOST_GROWTH: f64 = 1.3;

#[derive(Debug, Serialize)]
pub(super) struct Growth {
    lines: usize,
    runs: usize,
    steps: Vec<Step>,
    /// CPU time of a line with the most templates over that with the fewest.
    cost_ratio: f64,
}

#[derive(Debug, Serialize)]
struct Step {
    templates: usize,
    found: usize,
    /// For each template's first line.
    new_us: Spread,
    /// Of templates that are known.
    lines_per_second: Spread,
    over_fewest: f64,
    logdrain_lines_per_second: Option<Spread>,
    logdrain_over_fewest: Option<f64>,
}

pub(super) fn measure(with_peers: bool) -> Growth {
    let mut steps: Vec<Step> = Vec::new();
    for templates in TEMPLATES {
        say::note(format_args!("growth: {templates} templates"));
        let (each, lines) = stream::synthetic(templates, LINES, SEED);
        let (mut new, mut own, mut peer) = (Vec::new(), Vec::new(), Vec::new());
        let mut found = 0;
        for _ in 0..RUNS {
            let mut miner = Miner::new(Limits::default());
            let begun = cpu_seconds();
            for line in each.iter() {
                miner.observe(line.as_bytes());
            }
            let known = cpu_seconds();
            for line in lines.iter() {
                miner.observe(line.as_bytes());
            }
            own.push(lines.len() as f64 / (cpu_seconds() - known));
            new.push((known - begun) * 1e6 / templates as f64);
            found = miner.len();
            if with_peers {
                let miner = peers::new_logdrain();
                for line in each.iter() {
                    miner.add(line);
                }
                let known = cpu_seconds();
                for line in lines.iter() {
                    miner.add(line);
                }
                peer.push(lines.len() as f64 / (cpu_seconds() - known));
            }
        }
        let lines_per_second = Spread::of(own);
        let peer = with_peers.then(|| Spread::of(peer));
        let fewest = steps.first();
        let over_fewest = fewest.map_or(1.0, |fewest| {
            lines_per_second.median / fewest.lines_per_second.median
        });
        let peer_fewest = fewest.map_or(peer, |fewest| fewest.logdrain_lines_per_second);
        steps.push(Step {
            templates,
            found,
            new_us: Spread::of(new),
            lines_per_second,
            over_fewest,
            logdrain_lines_per_second: peer,
            logdrain_over_fewest: peer.zip(peer_fewest).map(|(a, b)| a.median / b.median),
        });
    }
    Growth {
        lines: LINES,
        runs: RUNS,
        cost_ratio: steps.last().map_or(1.0, |most| 1.0 / most.over_fewest),
        steps,
    }
}

impl Growth {
    pub(super) fn text(&self) -> String {
        let rows = self.steps.iter().map(|step| {
            let peer = step.logdrain_lines_per_second;
            let none = || "–".to_owned();
            [
                grouped(step.templates as f64),
                grouped(step.found as f64),
                hundredths(step.new_us.median),
                step.lines_per_second.text(grouped),
                hundredths(step.over_fewest),
                peer.map_or_else(none, |peer| peer.text(grouped)),
                step.logdrain_over_fewest.map_or_else(none, hundredths),
            ]
        });
        let header = [
            "templates",
            "found",
            "µs for a new one",
            "lines/s of known ones",
            "over the fewest",
            "logdrain's lines/s",
            "over the fewest",
        ];
        format!(
            "\nGrowth: {} lines of templates taken by chance; median of {} runs (least–most)\n\n{}",
            grouped(self.lines as f64),
            self.runs,
            table(&header, rows)
        )
    }

    pub(super) fn figures(&self) -> Vec<Figure> {
        let name = "cost of a line, 20,000 templates over 100";
        vec![Figure::below(
            name,
            self.cost_ratio,
            MOST_GROWTH,
            hundredths,
        )]
    }
}
