//! What a row costs on its way into a block: gathering it into columns, and encoding the block.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that cannot go on has failed"
)]

use std::hint::black_box;

use clickhouse_store::{LogRow, LogRows, log_rows::TimestampSource};
use contracts::Level;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const ROWS: usize = 100_000;
const START: i64 = 1_795_244_400_000;

struct Line {
    service: String,
    host: String,
    message: String,
    trace_id: String,
}

/// As many services as given, four hosts each, ids that never repeat.
fn lines(services: usize) -> Vec<Line> {
    (0..ROWS)
        .map(|at| Line {
            service: format!("service-{}", at * 7919 % services),
            host: format!("ip-10-0-{}-{}", at * 7919 % services, at % 4),
            message: format!("GET /items/{at} 200 {}.2ms from primary", at % 90),
            trace_id: format!("4bf92f3577b34da6a3ce929d{at:08x}"),
        })
        .collect()
}

fn gather(lines: &[Line]) -> LogRows {
    let mut rows = LogRows::default();
    for (at, line) in lines.iter().enumerate() {
        rows.push(
            &LogRow {
                timestamp: START + at as i64,
                timestamp_source: TimestampSource::Record,
                service: &line.service,
                level: Level::Info,
                is_error: false,
                message: &line.message,
                template_id: 0,
                host: &line.host,
                trace_id: &line.trace_id,
                span_id: "",
                latency_ms: Some(12.4),
                status: 200,
                client_ip: "203.0.113.9",
                user: "",
                late: false,
                kafka_timestamp: START + at as i64,
                kafka_offset: at as i64,
            },
            [("region", "eu-1")],
        );
    }
    rows
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("block");
    group.throughput(Throughput::Elements(ROWS as u64));
    for services in [12, 10_000] {
        let lines = lines(services);
        group.bench_function(format!("gather, {services} services"), |bencher| {
            bencher.iter(|| gather(black_box(&lines)));
        });
        let rows = gather(&lines);
        group.bench_function(format!("encode, {services} services"), |bencher| {
            bencher.iter(|| {
                black_box(&rows).encode("0123456789abcdef", 3, pipeline::Day::new(20_000))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
