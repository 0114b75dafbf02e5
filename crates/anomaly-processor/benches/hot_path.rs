//! What one record costs between Kafka's bytes and the encoded batch, stage by stage.
//!
//! Peers in the same run: `serde_json` into its own tree for the decoder, which is what a reader
//! without a borrowed parser would do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that cannot go on has failed"
)]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use anomaly_processor::{
    metrics::Metrics, partition_state::PartitionState, partition_task::PartitionTask, sinks,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use log_records::{RecordContext, decode};
use pipeline::{
    Assignment, Epoch, Incarnation, Limits, NextOffset, Offset, Partition, TaskId,
    ports::{Bare, Record},
    resume::ResumePoint,
};
use service_kit::metrics::Registry;

const RECORDS: usize = 10_000;

/// About 250 bytes each, 12 services, one error in a hundred.
fn records() -> Vec<String> {
    (0..RECORDS)
        .map(|at| {
            let level = if at % 100 == 0 { "ERROR" } else { "INFO" };
            format!(
                r#"{{"timestamp":"2026-11-21T07:{:02}:{:02}.{:03}Z","service":"service-{}","level":"{level}","message":"GET /items/{at} 200 {}.2ms from primary","host":"ip-10-0-1-{}","trace_id":"4bf92f3577b34da6a3ce929d{at:08x}","latency_ms":{}.4,"status":200}}"#,
                at / 60 % 60,
                at % 60,
                at % 1000,
                at % 12,
                at % 90,
                at % 7,
                at % 250
            )
        })
        .collect()
}

/// About 340 bytes each: every field of the contract, and two attributes.
fn full_records() -> Vec<String> {
    let complete = |(at, record): (usize, String)| {
        let rest = format!(
            r#","span_id":"00f067aa{at:08x}","client_ip":"203.0.113.{}","user":"u-{}","attributes":{{"region":"eu-1","method":"GET"}}}}"#,
            at % 256,
            at % 1000
        );
        record.trim_end_matches('}').to_owned() + &rest
    };
    records().into_iter().enumerate().map(complete).collect()
}

fn hot_path(criterion: &mut Criterion) {
    let records = records();
    let mut group = criterion.benchmark_group("hot_path");
    group.throughput(Throughput::Elements(RECORDS as u64));
    for (suffix, records) in [("", &records), ("_full", &full_records())] {
        group.bench_function(format!("decode{suffix}"), |bencher| {
            bencher.iter(|| {
                for record in records {
                    black_box(
                        decode(black_box(record.as_bytes()), &RecordContext::UNKNOWN).unwrap(),
                    );
                }
            });
        });
        group.bench_function(format!("decode{suffix}_peer_serde_json_value"), |bencher| {
            bencher.iter(|| {
                for record in records {
                    let payload = black_box(record.as_bytes());
                    black_box(serde_json::from_slice::<serde_json::Value>(payload).unwrap());
                }
            });
        });
    }
    let metrics = Metrics::new(&Registry::new());
    group.bench_function("lane_decode_mine_detect_gather_encode", |bencher| {
        bencher.iter(|| {
            let resume = NextOffset::resume_at(Offset::new(0));
            let id = TaskId {
                assignment: Assignment {
                    partition: Partition(0),
                    epoch: Epoch(1),
                },
                incarnation: Incarnation::of(uuid::Uuid::from_u128(1), "bench"),
            };
            let start = ResumePoint {
                replay_from: resume,
                take_from: resume,
                announced: None,
                unsettled: None,
            };
            let now = Instant::now();
            let mining = template_mining::Limits::default();
            let state = PartitionState::none(detection::Config::default(), mining);
            let snapshot_every = Duration::from_secs(3600);
            let mut task =
                PartitionTask::new(id, Limits::default(), state, start, snapshot_every, now);
            for (offset, payload) in records.iter().enumerate() {
                let record = Record {
                    offset: Offset::new(offset as i64),
                    leader_epoch: pipeline::LeaderEpoch::UNKNOWN,
                    kafka_time: 1_795_244_400_000 + offset as i64,
                    key: None,
                    value: Some(payload.as_bytes()),
                    rest: &Bare,
                };
                task.take(&record, now, &metrics, &mut sinks::Closed)
                    .unwrap();
            }
            let batch = task.close().unwrap();
            black_box(
                batch
                    .rows
                    .encode("0123456789abcdef", 0, pipeline::Day::new(20_000)),
            );
        });
    });
    group.finish();
}

criterion_group!(benches, hot_path);
criterion_main!(benches);
