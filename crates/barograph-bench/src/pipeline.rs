//! `barograph-bench pipeline`: the processor beside the plain pipe, on the same topic.
//!
//! Both read the same records from the same broker into the same ClickHouse, in turn, each run into
//! a new group and a new database. What counts is CPU time per record of everything but the broker,
//! from the first record until the last merge.
//!
//! Invariant: a run with another number of rows than records is an error.

mod meter;
mod plain;
mod report;

use self::{
    meter::{Mark, settle},
    report::{Comparison, Run},
};
use super::{
    bed::{self, Bed, Space},
    count,
    fill::{self, Filled},
    lines::{EVENT_RATE, Lines, noon_of_yesterday},
    output::Common,
    process,
};
use command_kit::say;

pub(super) use report::Report;

/// The processor beside `kcat | curl` into a table of the same columns, on the same topic
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Records to write and read.
    #[arg(long, value_name = "NUMBER", default_value = "2M", value_parser = count::parse)]
    pub(super) records: u64,
    /// Runs of each side.
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(super) runs: u32,
    /// Partitions of the topic.
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..=64))]
    pub(super) partitions: i32,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Records that both sides read once beforehand, at the most; their figures do not count.
const WARM_UP: u64 = 200_000;
const SERVICES: usize = 50;

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let report = measure(&args).await?;
    args.common.tell(&report)
}

pub(super) async fn measure(args: &Args) -> anyhow::Result<Report> {
    bed::on(args.common.cache_dir(), async |bed| on_bed(bed, args).await).await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextIndex {
    AsShipped,
    Dropped,
}

async fn on_bed(bed: &Bed, args: &Args) -> anyhow::Result<Report> {
    let create = plain::create_statement(&bed.database("schema").await?).await?;
    let warm_up = Topic::fill(bed, "warm-up", args.records.min(WARM_UP), args.partitions).await?;
    say::note("warming up");
    processor_run(bed, &warm_up, "own_warm_up", TextIndex::AsShipped).await?;
    plain_run(
        bed,
        &warm_up,
        "plain_warm_up",
        &create,
        TextIndex::AsShipped,
    )
    .await?;

    let topic = Topic::fill(bed, "bench", args.records, args.partitions).await?;
    let mut runs = [const { (Vec::new(), Vec::new()) }; 2];
    for run in 0..args.runs {
        for (at, index) in [TextIndex::AsShipped, TextIndex::Dropped]
            .into_iter()
            .enumerate()
        {
            let (own, plain) = (format!("own_{run}_{at}"), format!("plain_{run}_{at}"));
            let own = async || processor_run(bed, &topic, &own, index).await;
            let plain = async || plain_run(bed, &topic, &plain, &create, index).await;
            // Neither always comes first.
            let (own, plain) = if run % 2 == 0 {
                let own = own().await?;
                (own, plain().await?)
            } else {
                let plain = plain().await?;
                (own().await?, plain)
            };
            say::note(format_args!(
                "run {} of {}, text index {index:?}: {:.2} µs/record at {:.0}/s; plain pipe {:.2} µs/record at {:.0}/s",
                run + 1,
                args.runs,
                own.cpu_us(),
                own.records_per_second,
                plain.cpu_us(),
                plain.records_per_second
            ));
            runs[at].0.push(own);
            runs[at].1.push(plain);
        }
    }
    let [with, without] = runs.map(|(own, plain)| Comparison::of(own, plain));
    Ok(Report::of(topic.filled, args.partitions, with, without))
}

/// A topic full of records, and the one that anomalies go to.
struct Topic {
    name: String,
    filled: Filled,
}

impl Topic {
    async fn fill(bed: &Bed, name: &str, records: u64, partitions: i32) -> anyhow::Result<Self> {
        say::note(format_args!("writing {records} records"));
        let name = name.to_owned();
        bed.topics(&space(&name, ""), partitions).await?;
        let lines = Lines::new(1, SERVICES, noon_of_yesterday(), EVENT_RATE);
        let filled = fill::fill(&bed.connection, &name, partitions, records, lines).await?;
        Ok(Self { name, filled })
    }
}

fn space(topic: &str, database: &str) -> Space {
    Space {
        logs: topic.to_owned(),
        anomalies: format!("{topic}-anomalies"),
        database: database.to_owned(),
    }
}

async fn processor_run(
    bed: &Bed,
    topic: &Topic,
    database: &str,
    index: TextIndex,
) -> anyhow::Result<Run> {
    let (space, records) = (space(&topic.name, database), topic.filled.records);
    let client = bed.database(&space.database).await?;
    if index == TextIndex::Dropped {
        plain::drop_text_index(&client, "logs").await?;
    }
    let anomalies_before = bed.records_in(&space.anomalies).await?;
    let processor = bed.fresh_processor(&space).await?;
    let pid = processor.pid()?;
    let cpu_before = process::cpu_us(pid)?;
    let begin = Mark::now(bed)?;
    let stored_at = processor.stored_all(records).await?;
    let stored = Mark {
        at: stored_at,
        ..Mark::now(bed)?
    };
    let settled = settle(&client).await?;
    let end = Mark::now(bed)?;
    let reader_cpu = process::cpu_us(pid)? - cpu_before;
    let peak = process::peak_memory(pid)?;
    processor.stop().await?;
    bed::exactly(&client, "SELECT count() FROM logs", records).await?;
    bed::exactly(&client, "SELECT sum(records) FROM log_windows", records).await?;
    let anomalies = bed.records_in(&space.anomalies).await? - anomalies_before;
    bed.drop_database(&space.database).await?;
    Ok(Run {
        reader_peak_bytes: Some(peak),
        anomalies,
        ..run_of(records, reader_cpu, &begin, &stored, &end, settled)
    })
}

async fn plain_run(
    bed: &Bed,
    topic: &Topic,
    database: &str,
    create: &str,
    index: TextIndex,
) -> anyhow::Result<Run> {
    let records = topic.filled.records;
    let client = bed.client(database)?;
    bed.client("default")?
        .execute(&format!("CREATE DATABASE `{database}`"), &[])
        .await?;
    client.execute(create, &[]).await?;
    if index == TextIndex::Dropped {
        plain::drop_text_index(&client, plain::TABLE).await?;
    }
    let begin = Mark::now(bed)?;
    let pumped = plain::pump(bed, database, &topic.name, bed::patience(records)).await?;
    let stored = Mark::now(bed)?;
    let settled = settle(&client).await?;
    let end = Mark::now(bed)?;
    let table = plain::TABLE;
    bed::exactly(&client, &format!("SELECT count() FROM {table}"), records).await?;
    bed.drop_database(database).await?;
    let reader_cpu = pumped.kcat + pumped.curl;
    Ok(run_of(records, reader_cpu, &begin, &stored, &end, settled))
}

fn run_of(
    records: u64,
    reader_cpu: u64,
    begin: &Mark,
    stored: &Mark,
    end: &Mark,
    settled: meter::Settled,
) -> Run {
    let per_record = |cpu_us: u64| cpu_us as f64 / records as f64;
    let seconds = (stored.at - begin.at).as_secs_f64();
    Run {
        records_per_second: records as f64 / seconds,
        seconds,
        merge_seconds: (end.at - stored.at).as_secs_f64(),
        reader_cpu_us: per_record(reader_cpu),
        clickhouse_cpu_us: per_record(end.clickhouse - begin.clickhouse),
        clickhouse_cpu_us_until_stored: per_record(stored.clickhouse - begin.clickhouse),
        kafka_cpu_us: per_record(end.kafka - begin.kafka),
        reader_peak_bytes: None,
        parts: settled.parts,
        anomalies: 0,
        still_merging: settled.gave_up,
    }
}
