//! `barograph-bench threads`: several members of the group in one process, beside several processes.
//!
//! Invariant: every layout reads the same topic from its beginning, and stores all of it.

use std::time::{Duration, Instant};

use anyhow::bail;
use serde::Serialize;

use super::{
    bed::{self, Bed, Running, Space},
    count, fill,
    lines::{EVENT_RATE, Lines, noon_of_yesterday},
    output::{self, Common},
    process,
};
use command_kit::{
    figures::{Figure, MIB, Spread, grouped, hundredths, table, tenths},
    say,
};

/// Several members of the group in one process, beside as many processes
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Records to write and read.
    #[arg(long, value_name = "NUMBER", default_value = "2M", value_parser = count::parse)]
    pub(super) records: u64,
    /// Runs of each layout.
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(super) runs: u32,
    /// Members of the group in the layouts that have several.
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u32).range(2..=16))]
    pub(super) members: u32,
    #[command(flatten)]
    pub(super) common: Common,
}

const PARTITIONS: i32 = 16;
const SERVICES: usize = 100;

/// Processes, and members of the group in each.
#[derive(Debug, Clone, Copy, Serialize)]
struct Layout {
    processes: u32,
    members: u32,
}

#[derive(Debug, Serialize)]
pub(super) struct Report {
    records: u64,
    layouts: Vec<Measured>,
}

#[derive(Debug, Serialize)]
struct Measured {
    layout: Layout,
    records_per_second: Spread,
    cpu_us: Spread,
    /// Of all processes, bytes.
    peak_bytes: u64,
}

struct Run {
    records_per_second: f64,
    cpu_us: f64,
    peak_bytes: u64,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let report = bed::on(args.common.cache_dir(), async |bed| {
        on_bed(bed, &args).await
    })
    .await?;
    args.common.tell(&report)
}

async fn on_bed(bed: &Bed, args: &Args) -> anyhow::Result<Report> {
    let layouts = [(1, 1), (1, args.members), (args.members, 1)]
        .map(|(processes, members)| Layout { processes, members });
    let space = |layout: Layout, run| Space {
        logs: "threads".to_owned(),
        anomalies: "threads-anomalies".to_owned(),
        database: format!("threads_{}_{}_{run}", layout.processes, layout.members),
    };
    let topic = space(layouts[0], 0);
    bed.topics(&topic, PARTITIONS).await?;
    say::note(format_args!("writing {} records", args.records));
    let lines = Lines::new(1, SERVICES, noon_of_yesterday(), EVENT_RATE);
    fill::fill(
        &bed.connection,
        &topic.logs,
        PARTITIONS,
        args.records,
        lines,
    )
    .await?;
    let mut runs: [Vec<Run>; 3] = Default::default();
    for run in 0..args.runs {
        for (layout, results) in layouts.into_iter().zip(&mut runs) {
            let one = one(bed, &space(layout, run), layout, args.records).await?;
            say::note(format_args!(
                "run {} of {}, {} × {}: {} records/s",
                run + 1,
                args.runs,
                layout.processes,
                layout.members,
                grouped(one.records_per_second)
            ));
            results.push(one);
        }
    }
    let layouts = layouts.into_iter().zip(&runs);
    Ok(Report {
        records: args.records,
        layouts: layouts
            .map(|(layout, runs)| Measured {
                layout,
                records_per_second: Spread::of(runs.iter().map(|run| run.records_per_second)),
                cpu_us: Spread::of(runs.iter().map(|run| run.cpu_us)),
                peak_bytes: runs.iter().map(|run| run.peak_bytes).max().unwrap_or(0),
            })
            .collect(),
    })
}

/// From when all are ready, so that the starts are not counted.
async fn one(bed: &Bed, space: &Space, layout: Layout, records: u64) -> anyhow::Result<Run> {
    let client = bed.database(&space.database).await?;
    let mut processors: Vec<Running> = Vec::new();
    for number in 0..layout.processes {
        processors.push(bed.processor_of(space, number, Some(layout.members))?);
    }
    for processor in &processors {
        processor.ready().await?;
    }
    let cpu = || -> anyhow::Result<u64> {
        let of_one = |processor: &Running| process::cpu_us(processor.pid()?);
        processors.iter().map(of_one).sum()
    };
    let (begun, cpu_before, before) = (Instant::now(), cpu()?, stored(&processors).await?);
    while stored(&processors).await? < records {
        if begun.elapsed() > bed::patience(records) {
            bail!("not all of {records} records were stored");
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let (took, cpu) = (begun.elapsed(), cpu()? - cpu_before);
    let mut peak_bytes = 0;
    for processor in &processors {
        peak_bytes += process::peak_memory(processor.pid()?)?;
        processor.stop().await?;
    }
    bed::exactly(&client, "SELECT count() FROM logs", records).await?;
    bed.drop_database(&space.database).await?;
    let read = (records - before) as f64;
    Ok(Run {
        records_per_second: read / took.as_secs_f64(),
        cpu_us: cpu as f64 / read,
        peak_bytes,
    })
}

async fn stored(processors: &[Running]) -> anyhow::Result<u64> {
    let mut all = 0;
    for processor in processors {
        all += processor.stored().await?;
    }
    Ok(all)
}

impl output::Report for Report {
    fn text(&self) -> String {
        let text = format!(
            "\nThreads: {} records in {PARTITIONS} partitions; median (least–most)\n\n",
            grouped(self.records as f64)
        );
        let header = [
            "processes × members",
            "records/s",
            "processors' CPU µs/record",
            "peak memory of all, MiB",
        ];
        let rows = self.layouts.iter().map(|measured| {
            let Layout { processes, members } = measured.layout;
            [
                format!("{processes} × {members}"),
                measured.records_per_second.text(grouped),
                measured.cpu_us.text(hundredths),
                tenths(measured.peak_bytes as f64 / MIB),
            ]
        });
        text + &table(&header, rows)
    }

    fn figures(&self) -> Vec<Figure> {
        Vec::new()
    }
}
