//! What one record costs the detectors, by how many services share the partition; and the rest of
//! their work: sweeps over silent services, services that come and go, snapshots.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement that cannot go on has failed"
)]

use std::{hint::black_box, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use detection::{Config, EventTime, Observation, PartitionDetectors};
use primitives::splitmix::SplitMix64;

const SERVICES: [usize; 4] = [10, 100, 1000, 10_000];
/// Lines per second of event time.
const PER_SECOND: i64 = 100_000;
const MESSAGE: &str = "GET /api/v1/orders/8731 answered 200 in 12 ms for client 10.0.4.17";

#[derive(Clone, Copy)]
enum Spread {
    Uniform,
    /// The n-th service has one n-th of the first one's lines.
    Zipf,
}

/// A stream of lines: which service, whether an error. Repeated for as long as it is needed.
struct Stream {
    /// Name and its length beside each other, as in a record that was just decoded.
    lines: Vec<([u8; 30], u8, bool)>,
    at: i64,
}

impl Stream {
    fn of(services: usize, spread: Spread) -> Self {
        let mut weights: Vec<f64> = (1..=services)
            .scan(0.0, |sum, rank| {
                *sum += match spread {
                    Spread::Uniform => 1.0,
                    Spread::Zipf => 1.0 / rank as f64,
                };
                Some(*sum)
            })
            .collect();
        let all = *weights.last().unwrap();
        for weight in &mut weights {
            *weight /= all;
        }
        let mut random = SplitMix64::new(7);
        let lines = (0..1 << 20)
            .map(|_| {
                let at = random.draw() as f64 / u64::MAX as f64;
                let service = weights
                    .partition_point(|weight| *weight < at)
                    .min(services - 1);
                let name = format!("team-{}-service-{service}", service % 17);
                let mut bytes = [0; 30];
                bytes[..name.len()].copy_from_slice(name.as_bytes());
                (bytes, name.len() as u8, random.draw().is_multiple_of(100))
            })
            .collect();
        Self { lines, at: 0 }
    }

    fn feed(&mut self, detectors: &mut PartitionDetectors, lines: i64) {
        let mut findings = Vec::new();
        for _ in 0..lines {
            let (name, length, is_error) = &self.lines[self.at as usize % self.lines.len()];
            let time = 1_700_000_000_000 + self.at * 1000 / PER_SECOND;
            let seen = Observation {
                service: std::str::from_utf8(&name[..usize::from(*length)]).unwrap(),
                time: EventTime(time),
                kafka_time: time,
                offset: self.at,
                is_error: *is_error,
                level: 3,
                message: MESSAGE,
                trace_id: "4bf92f3577b34da6a3ce929d0e0e4736",
                ..Observation::default()
            };
            black_box(detectors.observe(&seen, &mut findings));
            self.at += 1;
        }
        black_box(findings);
    }
}

/// Detectors that have learned for five minutes of event time.
fn warm(services: usize, spread: Spread) -> (Stream, PartitionDetectors) {
    let mut stream = Stream::of(services, spread);
    let mut detectors = PartitionDetectors::new(Config::default());
    stream.feed(&mut detectors, 300 * PER_SECOND);
    (stream, detectors)
}

fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024.0
}

/// Nanoseconds this thread was on a processor: on a machine that others use too, the clock on the
/// wall says little.
fn on_processor() -> f64 {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    times.split(' ').next().unwrap().parse().unwrap()
}

fn memory(_: &mut Criterion) {
    let mut stream = Stream::of(10_000, Spread::Uniform);
    let before = resident_bytes();
    let mut detectors = PartitionDetectors::new(Config::default());
    stream.feed(&mut detectors, 300 * PER_SECOND);
    let grown = (resident_bytes() - before) / 10_000.0;
    eprintln!("10000 services: {grown:.0} resident bytes each");
    black_box(detectors);
}

fn observe(bench: &mut Criterion) {
    let mut group = bench.benchmark_group("observe");
    group.throughput(Throughput::Elements(PER_SECOND as u64));
    for (name, spread) in [("uniform", Spread::Uniform), ("zipf", Spread::Zipf)] {
        for services in SERVICES {
            let (mut stream, mut detectors) = warm(services, spread);
            let before = on_processor();
            stream.feed(&mut detectors, 100 * PER_SECOND);
            let each = (on_processor() - before) / (100 * PER_SECOND) as f64;
            eprintln!("{name} {services}: {each:.0} ns of processor a record");
            group.bench_function(BenchmarkId::new(name, services), |bench| {
                // A second of event time.
                bench.iter(|| stream.feed(&mut detectors, PER_SECOND));
            });
        }
    }
    group.finish();
}

fn around(bench: &mut Criterion) {
    let (mut stream, detectors) = warm(10_000, Spread::Uniform);
    stream.at += 60 * PER_SECOND;
    bench.bench_function("sweep/10000 silent for a minute", |bench| {
        bench.iter_batched(
            || detectors.clone(),
            |mut detectors| {
                stream.feed(&mut detectors, 1);
                detectors
            },
            BatchSize::LargeInput,
        );
    });
    let (mut stream, mut looking) = warm(10_000, Spread::Uniform);
    // One service goes on, a line a second: a look at all others each second.
    bench.bench_function("sweep/10000 a second apart", |bench| {
        bench.iter(|| {
            stream.at += PER_SECOND;
            stream.feed(&mut looking, 1);
        });
    });
    bench.bench_function("snapshot/10000", |bench| {
        bench.iter(|| detectors.snapshot());
    });
    let bytes = detectors.snapshot();
    eprintln!("snapshot: {} bytes a service", bytes.len() / 10_000);
    bench.bench_function("restore/10000", |bench| {
        bench.iter(|| PartitionDetectors::restore(&bytes, Config::default()).unwrap());
    });
    let mut findings = Vec::new();
    let (mut passing, mut at) = (PartitionDetectors::new(Config::default()), 0_i64);
    bench.bench_function("a service never seen before, 10000 kept", |bench| {
        bench.iter(|| {
            at += 1;
            let name = format!("passing-{at}");
            let seen = Observation {
                service: &name,
                time: EventTime(at),
                kafka_time: at,
                offset: at,
                is_error: false,
                level: 3,
                message: MESSAGE,
                trace_id: "",
                ..Observation::default()
            };
            passing.observe(&seen, &mut findings)
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = memory, observe, around
}
criterion_main!(benches);
