//! `barograph-bench all`: every measurement in a small size, and one table at the end.
//!
//! Invariant: under ten minutes on two cores.

use std::time::Instant;

use serde::Serialize;

use super::{
    fanout, generator, growth, latency,
    output::{self, Common, Report as _},
    pipeline, stages,
};
use command_kit::{figures::Figure, say};

/// Everything in a small size, under ten minutes, with one table of figures and targets at the end
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Serialize)]
struct Report {
    seconds: f64,
    figures: Vec<Figure>,
    pipeline: pipeline::Report,
    generator: generator::Report,
    latency: latency::Report,
    fanout: fanout::Report,
    growth: growth::Report,
    stages: stages::Report,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let begun = Instant::now();
    let common = || args.common.without_json();
    let pipeline = pipeline::measure(&pipeline::Args {
        records: 1_000_000,
        runs: 2,
        partitions: 4,
        common: common(),
    })
    .await?;
    told(&pipeline);
    let generator = generator::measure(&generator::Args {
        records: 1_000_000,
        runs: 1,
        common: common(),
    })
    .await?;
    told(&generator);
    let latency = latency::measure(&latency::Args {
        rates: vec![1_000, 10_000, 50_000],
        frames: 1_000,
        common: common(),
    })
    .await?;
    told(&latency);
    let fanout = fanout::measure(&fanout::Args {
        connections: 18_000,
        seconds: 15,
        common: common(),
    })
    .await?;
    told(&fanout);
    let growth = growth::measure(&growth::Args {
        records: 500_000,
        runs: 1,
        common: common(),
    })
    .await?;
    told(&growth);
    let stages = stages::measure(&stages::Args {
        records: 500_000,
        runs: 1,
        common: common(),
    })
    .await?;
    told(&stages);
    let figures = [
        pipeline.figures(),
        generator.figures(),
        latency.figures(),
        fanout.figures(),
        growth.figures(),
        stages.figures(),
    ];
    args.common.tell(&Report {
        seconds: begun.elapsed().as_secs_f64(),
        figures: figures.concat(),
        pipeline,
        generator,
        latency,
        fanout,
        growth,
        stages,
    })
}

/// While the others go on, to standard error.
fn told(report: &impl output::Report) {
    say::note(report.text());
}

impl output::Report for Report {
    fn text(&self) -> String {
        format!("\nEverything, in {:.0} s\n", self.seconds)
    }

    fn figures(&self) -> Vec<Figure> {
        self.figures.clone()
    }
}
