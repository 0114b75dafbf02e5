//! `barograph-bench growth`: what a record costs the processor as services become more.
//!
//! Invariant: the number of records, their rate in event time and their sizes are the same for
//! every number of services.

use serde::Serialize;

use super::{
    bed::{self, Bed, Space},
    count, fill,
    lines::{EVENT_RATE, Lines, noon_of_yesterday},
    output::{self, Common},
    process,
};
use command_kit::{
    figures::{Figure, MIB, Spread, grouped, hundredths, table, tenths},
    say,
};

/// CPU per record and memory of the processor with 10, 100, 1,000 and 10,000 services
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Records for each number of services.
    #[arg(long, value_name = "NUMBER", default_value = "1M", value_parser = count::parse)]
    pub(super) records: u64,
    /// Runs for each number of services.
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(super) runs: u32,
    #[command(flatten)]
    pub(super) common: Common,
}

const SERVICES: [usize; 4] = [10, 100, 1_000, 10_000];
const PARTITIONS: i32 = 4;
const MOST_MEMORY: u64 = 256 * 1024 * 1024;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    records: u64,
    steps: Vec<Step>,
    /// CPU per record with the most services over that with the fewest.
    pub(super) cpu_ratio: f64,
    /// Of the processor with the most services, bytes.
    pub(super) peak_memory_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Step {
    services: usize,
    mean_bytes: f64,
    cpu_us: Spread,
    cpu_over_fewest: f64,
    peak_bytes: u64,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let report = measure(&args).await?;
    args.common.tell(&report)
}

pub(super) async fn measure(args: &Args) -> anyhow::Result<Report> {
    bed::on(args.common.cache_dir(), async |bed| on_bed(bed, args).await).await
}

async fn on_bed(bed: &Bed, args: &Args) -> anyhow::Result<Report> {
    let mut filled = Vec::new();
    for services in SERVICES {
        let space = space(services, 0);
        bed.topics(&space, PARTITIONS).await?;
        let lines = Lines::new(1, services, noon_of_yesterday(), EVENT_RATE);
        say::note(format_args!(
            "writing {} records of {services} services",
            args.records
        ));
        filled.push(
            fill::fill(
                &bed.connection,
                &space.logs,
                PARTITIONS,
                args.records,
                lines,
            )
            .await?,
        );
    }
    let mut runs: [Vec<(f64, u64)>; SERVICES.len()] = Default::default();
    for run in 0..args.runs {
        for (services, results) in SERVICES.into_iter().zip(&mut runs) {
            let (cpu_us, peak) = one(bed, &space(services, run), args.records).await?;
            say::note(format_args!(
                "run {} of {}, {services} services: {cpu_us:.2} µs/record",
                run + 1,
                args.runs
            ));
            results.push((cpu_us, peak));
        }
    }
    let spreads = runs
        .each_ref()
        .map(|results| Spread::of(results.iter().map(|(cpu_us, _)| *cpu_us)));
    let fewest = spreads[0].median;
    let steps: Vec<_> = SERVICES
        .into_iter()
        .zip(spreads)
        .zip(runs.iter().zip(filled))
        .map(|((services, cpu_us), (results, filled))| Step {
            services,
            mean_bytes: filled.mean_bytes,
            cpu_us,
            cpu_over_fewest: cpu_us.median / fewest,
            peak_bytes: results.iter().map(|(_, peak)| *peak).max().unwrap_or(0),
        })
        .collect();
    let most = steps.last();
    Ok(Report {
        records: args.records,
        cpu_ratio: most.map_or(0.0, |step| step.cpu_over_fewest),
        peak_memory_bytes: most.map_or(0, |step| step.peak_bytes),
        steps,
    })
}

fn space(services: usize, run: u32) -> Space {
    Space {
        logs: format!("services-{services}"),
        anomalies: format!("services-{services}-anomalies"),
        database: format!("services_{services}_{run}"),
    }
}

/// CPU per record in µs until every row is stored, and the largest resident size in bytes.
async fn one(bed: &Bed, space: &Space, records: u64) -> anyhow::Result<(f64, u64)> {
    let client = bed.database(&space.database).await?;
    let processor = bed.fresh_processor(space).await?;
    let pid = processor.pid()?;
    let before = process::cpu_us(pid)?;
    processor.stored_all(records).await?;
    let cpu = process::cpu_us(pid)? - before;
    let peak = process::peak_memory(pid)?;
    processor.stop().await?;
    bed::exactly(&client, "SELECT count() FROM logs", records).await?;
    bed.drop_database(&space.database).await?;
    Ok((cpu as f64 / records as f64, peak))
}

impl output::Report for Report {
    fn text(&self) -> String {
        let text = format!(
            "\nGrowth: {} records for each number of services; median (least–most)\n\n",
            grouped(self.records as f64)
        );
        let header = [
            "services",
            "bytes/record",
            "processor's CPU µs/record",
            "over the fewest",
            "peak memory, MiB",
        ];
        let rows = self.steps.iter().map(|step| {
            [
                grouped(step.services as f64),
                tenths(step.mean_bytes),
                step.cpu_us.text(hundredths),
                hundredths(step.cpu_over_fewest),
                tenths(step.peak_bytes as f64 / MIB),
            ]
        });
        text + &table(&header, rows)
    }

    fn figures(&self) -> Vec<Figure> {
        vec![
            Figure::below(
                "CPU per record, 10,000 services over 10",
                self.cpu_ratio,
                1.3,
                hundredths,
            ),
            Figure::below(
                "processor's memory with 10,000 services, MiB",
                self.peak_memory_bytes as f64 / MIB,
                MOST_MEMORY as f64 / MIB,
                tenths,
            ),
        ]
    }
}
