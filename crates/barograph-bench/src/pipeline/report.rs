//! What the runs came to, side by side.

use std::fmt::Write as _;

use serde::Serialize;

use crate::{fill::Filled, output};
use command_kit::figures::{self, Figure, MIB, Spread, grouped, hundredths, tenths};

/// One run of one side. CPU times are microseconds per record, from the first record until all is
/// stored and merged.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Run {
    pub(super) records_per_second: f64,
    /// From the first record until every row is stored.
    pub(super) seconds: f64,
    /// From then until ClickHouse had merged.
    pub(super) merge_seconds: f64,
    /// The processor, or kcat and curl.
    pub(super) reader_cpu_us: f64,
    pub(super) clickhouse_cpu_us: f64,
    /// The share of it until every row was stored.
    pub(super) clickhouse_cpu_us_until_stored: f64,
    /// In no sum: both sides read the same topic from it.
    pub(super) kafka_cpu_us: f64,
    pub(super) reader_peak_bytes: Option<u64>,
    pub(super) parts: u64,
    pub(super) anomalies: u64,
    /// ClickHouse was still merging when the wait for it ended.
    pub(super) still_merging: bool,
}

impl Run {
    pub(super) fn cpu_us(&self) -> f64 {
        self.reader_cpu_us + self.clickhouse_cpu_us
    }
}

/// Runs of one side.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Side {
    pub(super) records_per_second: Spread,
    /// Reader and ClickHouse together, µs per record.
    pub(super) cpu_us: Spread,
    pub(super) reader_cpu_us: Spread,
    pub(super) clickhouse_cpu_us: Spread,
    pub(super) clickhouse_cpu_us_until_stored: Spread,
    pub(super) kafka_cpu_us: Spread,
    pub(super) reader_records_per_cpu_second: f64,
    pub(super) clickhouse_records_per_cpu_second: f64,
    /// Largest of all runs.
    pub(super) reader_peak_bytes: Option<u64>,
    pub(super) runs: Vec<Run>,
}

impl Side {
    fn of(runs: Vec<Run>) -> Self {
        let spread = |figure: fn(&Run) -> f64| Spread::of(runs.iter().map(figure));
        let reader = spread(|run| run.reader_cpu_us);
        let clickhouse = spread(|run| run.clickhouse_cpu_us);
        Self {
            records_per_second: spread(|run| run.records_per_second),
            cpu_us: spread(Run::cpu_us),
            reader_cpu_us: reader,
            clickhouse_cpu_us: clickhouse,
            clickhouse_cpu_us_until_stored: spread(|run| run.clickhouse_cpu_us_until_stored),
            kafka_cpu_us: spread(|run| run.kafka_cpu_us),
            reader_records_per_cpu_second: 1e6 / reader.median,
            clickhouse_records_per_cpu_second: 1e6 / clickhouse.median,
            reader_peak_bytes: runs.iter().filter_map(|run| run.reader_peak_bytes).max(),
            runs,
        }
    }
}

/// The processor beside the plain pipe.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Comparison {
    pub(super) processor: Side,
    pub(super) plain_pipe: Side,
    /// CPU per record of the processor and ClickHouse over that of the plain pipe, run by run.
    pub(super) cpu_ratio: Spread,
}

impl Comparison {
    pub(super) fn of(processor: Vec<Run>, plain_pipe: Vec<Run>) -> Self {
        let pairs = processor.iter().zip(&plain_pipe);
        Self {
            cpu_ratio: Spread::of(pairs.map(|(own, plain)| own.cpu_us() / plain.cpu_us())),
            processor: Side::of(processor),
            plain_pipe: Side::of(plain_pipe),
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The headline: with the text index, as shipped.
    pub(super) records_per_second: f64,
    pub(super) cpu_ratio_vs_plain_pipe: f64,
    pub(super) peak_memory_bytes: u64,
    pub(super) records: u64,
    pub(super) mean_bytes: f64,
    pub(super) partitions: i32,
    pub(super) with_text_index: Comparison,
    pub(super) without_text_index: Comparison,
}

impl Report {
    pub(super) fn of(
        filled: Filled,
        partitions: i32,
        with_text_index: Comparison,
        without_text_index: Comparison,
    ) -> Self {
        let own = &with_text_index.processor;
        Self {
            records_per_second: own.records_per_second.median,
            cpu_ratio_vs_plain_pipe: with_text_index.cpu_ratio.median,
            peak_memory_bytes: own.reader_peak_bytes.unwrap_or_default(),
            records: filled.records,
            mean_bytes: filled.mean_bytes,
            partitions,
            with_text_index,
            without_text_index,
        }
    }
}

impl output::Report for Report {
    fn text(&self) -> String {
        let mut text = format!(
            "\nPipeline: {} records of {:.1} bytes in {} partitions, {} runs a side, in turn; \
             median (least–most)\n",
            grouped(self.records as f64),
            self.mean_bytes,
            self.partitions,
            self.with_text_index.processor.runs.len()
        );
        for (title, comparison) in [
            ("as shipped, with the text index", &self.with_text_index),
            ("both without the text index", &self.without_text_index),
        ] {
            // Writing to a string does not fail.
            let _ = write!(text, "\n{}", table(title, comparison));
        }
        text
    }

    fn figures(&self) -> Vec<Figure> {
        vec![
            Figure::above("records/s", self.records_per_second, 250_000.0, grouped),
            Figure::below(
                "CPU per record over the plain pipe's",
                self.cpu_ratio_vs_plain_pipe,
                1.0,
                hundredths,
            ),
        ]
    }
}

fn table(title: &str, comparison: &Comparison) -> String {
    let (own, plain) = (&comparison.processor, &comparison.plain_pipe);
    let row = |name: &str, figure: &dyn Fn(&Side) -> String| {
        [name.to_owned(), figure(own), figure(plain)].to_vec()
    };
    let mut rows = vec![
        row("records/s", &|side| side.records_per_second.text(grouped)),
        row("CPU µs/record", &|side| side.cpu_us.text(hundredths)),
        row("  processor, or kcat and curl", &|side| {
            side.reader_cpu_us.text(hundredths)
        }),
        row("  ClickHouse", &|side| {
            side.clickhouse_cpu_us.text(hundredths)
        }),
        row("    of it until all was stored", &|side| {
            side.clickhouse_cpu_us_until_stored.text(hundredths)
        }),
        row("  Kafka, in no sum", &|side| {
            side.kafka_cpu_us.text(hundredths)
        }),
        row("records per CPU-second, reader", &|side| {
            grouped(side.reader_records_per_cpu_second)
        }),
        row("records per CPU-second, ClickHouse", &|side| {
            grouped(side.clickhouse_records_per_cpu_second)
        }),
        row("peak memory, MiB", &|side| {
            let peak = side.reader_peak_bytes;
            peak.map_or_else(|| "-".to_owned(), |bytes| tenths(bytes as f64 / MIB))
        }),
    ];
    let anomalies = Spread::of(own.runs.iter().map(|run| run.anomalies as f64));
    rows.push(vec![
        "anomalies published".to_owned(),
        anomalies.text(grouped),
    ]);
    let ratio = comparison.cpu_ratio.text(hundredths);
    rows.push(vec!["CPU over the plain pipe's".to_owned(), ratio]);
    let mut text = figures::table(&[title, "barograph", "kcat | curl"], rows);
    let runs = || own.runs.iter().chain(&plain.runs);
    if runs().any(|run| run.still_merging) {
        text += "  ClickHouse was still merging when the wait for it ended: its CPU time is not all there.\n";
    }
    text
}
