//! `barograph-bench stages`: what each stage of the processor costs per record.
//!
//! Each stage runs alone, in a process of its own, over the same records: those of one partition of
//! twelve services. Times are CPU times, instructions are counted by callgrind; the ends, which are
//! Kafka's client and ClickHouse, run on a real broker and a real store, and have no instructions:
//! callgrind makes one thread of many, and the client would wait most of the time.
//!
//! Invariant: a stage and its peer get the same records in the same run.

mod driver;
mod ends;

use std::fs;

use anyhow::Context as _;
use serde::Serialize;

use self::{
    driver::Driver,
    ends::{Format, Inserting},
};
use super::{
    bed::{self, Bed, Space},
    count, fill,
    lines::{Lines, noon_of_yesterday},
    output::{self, Common},
};
use command_kit::{
    figures::{Figure, Spread, grouped, hundredths, table},
    say,
};

/// What each stage of the processor costs per record: CPU time and instructions, beside peers
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Records of the topic that is consumed. The other stages have 50,000.
    #[arg(long, value_name = "NUMBER", default_value = "2M", value_parser = count::parse)]
    pub(super) records: u64,
    /// Runs of consume and insert, and of their peers.
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(super) runs: u32,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Records of one batch, and how often a stage is run over them.
const BATCH: usize = 50_000;
const ROUNDS: u32 = 20;
/// Callgrind is some fifty times slower; more records would give the same figure.
const COUNTED: usize = 4_000;
/// Of one partition.
const SERVICES: usize = 12;
/// Lines per second of event time.
const RATE: u64 = 400;
const PARTITIONS: i32 = 4;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Of the topic that was consumed.
    records: u64,
    stages: Vec<Stage>,
}

#[derive(Debug, Serialize)]
struct Stage {
    name: &'static str,
    cost: Cost,
    peer: Option<Peer>,
}

#[derive(Debug, Serialize)]
struct Peer {
    name: &'static str,
    cost: Cost,
}

/// Per record.
#[derive(Debug, Clone, Copy, Serialize)]
struct Cost {
    cpu_ns: Spread,
    instructions: Option<f64>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let report = measure(&args).await?;
    args.common.tell(&report)
}

pub(super) async fn measure(args: &Args) -> anyhow::Result<Report> {
    bed::on(args.common.cache_dir(), async |bed| on_bed(bed, args).await).await
}

async fn on_bed(bed: &Bed, args: &Args) -> anyhow::Result<Report> {
    let driver = Driver::find()?;
    let alone = Alone {
        batch: write_records(bed, "batch", BATCH)?,
        counted: write_records(bed, "counted", COUNTED)?,
        driver,
    };
    say::note("stages alone");
    let decode = alone.cost("decode").await?;
    let value = alone.cost("decode-peer").await?;
    let mine = alone.cost("mine").await?;
    let detect = alone.cost("detect").await?;
    let batch = alone.cost("batch").await?;
    let encode = alone.cost("encode").await?;
    let json = alone.cost("encode-peer").await?;
    let task = alone.cost("task").await?;
    let (consume, kcat) = consume(bed, &alone.driver, args).await?;
    let (native, each_row) = insert(bed, &alone, args.runs).await?;
    let stage = |name, cost| Stage {
        name,
        cost,
        peer: None,
    };
    let beside = |name, cost, peer, peers| Stage {
        name,
        cost,
        peer: Some(Peer {
            name: peer,
            cost: peers,
        }),
    };
    Ok(Report {
        records: args.records,
        stages: vec![
            beside(CONSUME, consume, "kcat", kcat),
            beside(DECODE, decode, "serde_json::Value", value),
            stage("mine", mine),
            stage("detect", detect),
            stage("batch", batch),
            stage("encode", encode),
            beside(WRITE, batch.and(encode), "serde_json to JSONEachRow", json),
            stage("partition task: decode, mine, detect, batch", task),
            stage(ALL, consume.and(task).and(encode)),
            beside(INSERT, native, "JSONEachRow", each_row),
        ],
    })
}

const CONSUME: &str = "consume";
const DECODE: &str = "decode";
const WRITE: &str = "batch and encode";
const ALL: &str = "consume, partition task and encode";
const INSERT: &str = "insert: ClickHouse";

fn lines() -> Lines {
    Lines::new(1, SERVICES, noon_of_yesterday(), RATE)
}

/// One record per line; answers with the path.
fn write_records(bed: &Bed, name: &str, records: usize) -> anyhow::Result<String> {
    let (mut lines, mut line, mut all) = (lines(), String::new(), String::new());
    for _ in 0..records {
        lines.write(&mut line);
        all.push_str(&line);
        all.push('\n');
    }
    let path = bed.dir.path().join(name);
    fs::write(&path, all)?;
    let path = path.into_os_string().into_string().ok();
    path.context("a temporary path that is no text")
}

/// Stages that need neither broker nor store.
struct Alone {
    driver: Driver,
    batch: String,
    counted: String,
}

impl Alone {
    async fn cost(&self, stage: &str) -> anyhow::Result<Cost> {
        let ns = self.driver.times(stage, &self.batch, ROUNDS).await?;
        Ok(Cost {
            // The first round also makes what the others find.
            cpu_ns: Spread::of(ns.into_iter().skip(1)),
            instructions: Some(self.driver.instructions(stage, &self.counted).await?),
        })
    }
}

/// Ours, and kcat's, in turn.
async fn consume(bed: &Bed, driver: &Driver, args: &Args) -> anyhow::Result<(Cost, Cost)> {
    let space = Space {
        logs: "stages".to_owned(),
        anomalies: "stages-anomalies".to_owned(),
        database: "stages".to_owned(),
    };
    bed.topics(&space, PARTITIONS).await?;
    say::note(format_args!("writing {} records", args.records));
    let (topic, records) = (&space.logs, args.records);
    fill::fill(&bed.connection, topic, PARTITIONS, records, lines()).await?;
    let brokers = bed.stores().brokers;
    let (mut own, mut kcat) = (Vec::new(), Vec::new());
    for run in 0..args.runs {
        own.push(driver.consume(&brokers, topic, records).await?);
        kcat.push(ends::kcat(bed, topic, records).await?);
        say::note(format_args!("consumed, run {} of {}", run + 1, args.runs));
    }
    Ok((Cost::without_count(own), Cost::without_count(kcat)))
}

/// The native block, and JSONEachRow, in turn.
async fn insert(bed: &Bed, alone: &Alone, runs: u32) -> anyhow::Result<(Cost, Cost)> {
    let mut inserting = Inserting::new(bed, &alone.driver, &alone.batch).await?;
    // What is made once, by the first insert of each.
    inserting.run(Format::Native).await?;
    inserting.run(Format::Json).await?;
    let (mut native, mut json) = (Vec::new(), Vec::new());
    for run in 0..runs {
        native.push(inserting.run(Format::Native).await?);
        json.push(inserting.run(Format::Json).await?);
        say::note(format_args!("inserted, run {} of {runs}", run + 1));
    }
    inserting.end().await?;
    Ok((Cost::without_count(native), Cost::without_count(json)))
}

impl Cost {
    fn without_count(ns: Vec<f64>) -> Self {
        Self {
            cpu_ns: Spread::of(ns),
            instructions: None,
        }
    }

    /// Of both, one after the other.
    fn and(self, other: Self) -> Self {
        let sum = self.cpu_ns.median + other.cpu_ns.median;
        let both = self.instructions.zip(other.instructions);
        Self {
            cpu_ns: Spread::of([sum]),
            instructions: both.map(|(one, other)| one + other),
        }
    }

    fn cells(&self) -> [String; 2] {
        let instructions = self.instructions.map_or("-".to_owned(), grouped);
        [self.cpu_ns.text(grouped), instructions]
    }
}

impl Report {
    /// CPU time over the peer's.
    fn over_peer(&self, name: &str) -> Option<f64> {
        let stage = self.stages.iter().find(|stage| stage.name == name)?;
        let peer = stage.peer.as_ref()?;
        Some(stage.cost.cpu_ns.median / peer.cost.cpu_ns.median)
    }
}

impl output::Report for Report {
    fn text(&self) -> String {
        let text = format!(
            "\nStages, per record; median (least–most)\n{} records a block; {} were consumed\n\n",
            grouped(BATCH as f64),
            grouped(self.records as f64)
        );
        let header = [
            "stage",
            "CPU ns",
            "instructions",
            "peer",
            "CPU ns",
            "instructions",
        ];
        let rows = self.stages.iter().map(|stage| {
            let mut row = vec![stage.name.to_owned()];
            row.extend(stage.cost.cells());
            if let Some(peer) = &stage.peer {
                row.push(peer.name.to_owned());
                row.extend(peer.cost.cells());
            }
            row
        });
        text + &table(&header, rows)
    }

    fn figures(&self) -> Vec<Figure> {
        let ratios = [
            (CONSUME, "consume: CPU over kcat's"),
            (DECODE, "decode: CPU over serde_json::Value's"),
            (WRITE, "batch and encode: CPU over writing JSONEachRow"),
            (INSERT, "insert: ClickHouse's CPU over JSONEachRow's"),
        ];
        let figure = |(stage, name)| {
            let ratio = self.over_peer(stage)?;
            Some(Figure::below(name, ratio, 1.0, hundredths))
        };
        ratios.into_iter().filter_map(figure).collect()
    }
}
