//! `barograph-bench generator`: the generator beside a bare producer of the same bytes.
//!
//! Invariant: the bare producer sends records that the generator wrote, as many as it wrote, with
//! the generator's settings of librdkafka, and is done when the last one is acknowledged.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use kafka_io::{Connection, producer, reader};
use local_stack::Service;
use rdkafka::{
    Message as _,
    producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer},
};
use serde::{Deserialize, Serialize};

use super::{
    bed::{self, Bed, Space},
    count, fill,
    output::{self, Common},
};
use command_kit::{
    figures::{Figure, Spread, grouped, hundredths, table, tenths},
    say,
};

/// The generator's records per second, dry and into Kafka, beside a bare producer of the same bytes
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Records of each run.
    #[arg(long, value_name = "NUMBER", default_value = "1M", value_parser = count::parse)]
    pub(super) records: u64,
    /// Runs of each.
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(super) runs: u32,
    #[command(flatten)]
    pub(super) common: Common,
}

const PARTITIONS: i32 = 4;
/// Records of the generator that the bare producer sends in turn.
const SAMPLE: usize = 200_000;
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Serialize)]
pub(super) struct Report {
    records: u64,
    runs: u32,
    mean_bytes: f64,
    dry_records_per_second: Spread,
    pub(super) records_per_second: Spread,
    bare_producer_records_per_second: Spread,
    /// Into Kafka, over the bare producer's, run by run.
    pub(super) share_of_bare_producer: Spread,
}

/// What the generator prints at its end, as far as it is needed here.
#[derive(Debug, Deserialize)]
struct Generated {
    produced: u64,
    records_per_second: f64,
    bytes: u64,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let report = measure(&args).await?;
    args.common.tell(&report)
}

pub(super) async fn measure(args: &Args) -> anyhow::Result<Report> {
    bed::on(args.common.cache_dir(), async |bed| on_bed(bed, args).await).await
}

async fn on_bed(bed: &Bed, args: &Args) -> anyhow::Result<Report> {
    let (mut dry, mut live, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    let mut mean_bytes = 0.0;
    for run in 0..args.runs {
        let topic = |who: &str| format!("{who}-{run}");
        dry.push(generate(bed, None, args.records).await?.records_per_second);
        let generated = generate(bed, Some(&topic("generator")), args.records).await?;
        live.push(generated.records_per_second);
        mean_bytes = generated.bytes as f64 / generated.produced as f64;
        make_topic(bed, &topic("bare")).await?;
        let (connection, from, to) = (bed.connection.clone(), topic("generator"), topic("bare"));
        let sample = sample(&connection, &from, args.records).await?;
        let records = args.records;
        bare.push(bed::in_thread(move || resend(&connection, &to, &sample, records)).await?);
        say::note(format_args!(
            "run {} of {}: {:.0}/s dry, {:.0}/s into Kafka, {:.0}/s bare",
            run + 1,
            args.runs,
            dry[run as usize],
            live[run as usize],
            bare[run as usize]
        ));
    }
    Ok(Report {
        records: args.records,
        runs: args.runs,
        mean_bytes,
        share_of_bare_producer: Spread::of(live.iter().zip(&bare).map(|(own, bare)| own / bare)),
        dry_records_per_second: Spread::of(dry),
        records_per_second: Spread::of(live),
        bare_producer_records_per_second: Spread::of(bare),
    })
}

async fn make_topic(bed: &Bed, logs: &str) -> anyhow::Result<()> {
    let space = Space {
        logs: logs.to_owned(),
        anomalies: format!("{logs}-anomalies"),
        database: String::new(),
    };
    bed.topics(&space, PARTITIONS).await
}

/// One run of the generator, as fast as it goes; without a topic, it only generates.
async fn generate(bed: &Bed, topic: Option<&str>, records: u64) -> anyhow::Result<Generated> {
    let mut service = Service::new("log-generator");
    for argument in [
        "--json",
        "--rate",
        "500000",
        "--start",
        "-1h",
        "--max-records",
    ] {
        service = service.arg(argument);
    }
    service = service.arg(records.to_string());
    match topic {
        Some(topic) => {
            make_topic(bed, topic).await?;
            service = service.env("KAFKA_TOPIC", topic);
        }
        None => service = service.arg("--dry-run"),
    }
    let generator = bed.spawn(service)?.child;
    let ending = tokio::time::timeout(PATIENCE, generator.ended())
        .await
        .with_context(|| format!("the generator has not ended within {PATIENCE:?}"))?;
    let lines = generator.last_lines(50);
    let report = lines
        .iter()
        .rev()
        .find_map(|line| serde_json::from_str::<Generated>(line).ok());
    let Some(generated) = report.filter(|_| ending.is_success()) else {
        bail!("the generator {ending}:\n{}", lines.join("\n"));
    };
    if let Some(topic) = topic {
        let held = bed.records_in(topic).await?;
        if held != generated.produced {
            bail!(
                "the generator says it produced {}, and the topic holds {held}",
                generated.produced
            );
        }
    }
    Ok(generated)
}

/// A record as it is sent again.
struct Sent {
    key: Vec<u8>,
    payload: Vec<u8>,
}

/// Records of the topic, from its beginning.
async fn sample(connection: &Connection, topic: &str, records: u64) -> anyhow::Result<Vec<Sent>> {
    let wanted = SAMPLE.min(records as usize);
    let consumer = reader::open(connection, topic, &[0; PARTITIONS as usize])?;
    let mut sample = Vec::with_capacity(wanted);
    while sample.len() < wanted {
        let message = tokio::time::timeout(PATIENCE, consumer.recv())
            .await
            .with_context(|| format!("topic {topic} cannot be read within {PATIENCE:?}"))??;
        sample.push(Sent {
            key: message.key().unwrap_or_default().to_vec(),
            payload: message.payload().unwrap_or_default().to_vec(),
        });
    }
    Ok(sample)
}

/// Records per second until the last one is acknowledged. Blocks.
fn resend(
    connection: &Connection,
    topic: &str,
    sample: &[Sent],
    records: u64,
) -> anyhow::Result<f64> {
    let producer: ThreadedProducer<DefaultProducerContext> = producer::config(connection)
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "1000000")
        .set("queue.buffering.max.kbytes", "262144")
        .create()?;
    let begun = Instant::now();
    for record in sample.iter().cycle().take(records as usize) {
        let outgoing = BaseRecord::to(topic)
            .key(&record.key)
            .payload(&record.payload);
        fill::send(&producer, outgoing)?;
    }
    producer.flush(PATIENCE)?;
    Ok(records as f64 / begun.elapsed().as_secs_f64())
}

impl output::Report for Report {
    fn text(&self) -> String {
        let row = |name: &str, spread: &Spread| [name.to_owned(), spread.text(grouped)];
        let rows = [
            row("log-generator, dry", &self.dry_records_per_second),
            row("log-generator into Kafka", &self.records_per_second),
            row(
                "bare producer, same bytes",
                &self.bare_producer_records_per_second,
            ),
        ];
        format!(
            "\nGenerator: {} records of {} bytes into {PARTITIONS} partitions, {} runs each; \
             median (least–most)\n\n{}",
            grouped(self.records as f64),
            tenths(self.mean_bytes),
            self.runs,
            table(&["", "records/s"], rows)
        )
    }

    fn figures(&self) -> Vec<Figure> {
        vec![Figure::without_target(
            "generator into Kafka over a bare producer",
            hundredths(self.share_of_bare_producer.median),
        )]
    }
}
