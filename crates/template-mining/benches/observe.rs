//! What a line costs: of a known form, of a known pattern, and one never seen.

#![allow(clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use template_mining::{Limits, Miner};

const NAMES: [&str; 12] = [
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory",
    "niaj",
];

fn line(n: usize) -> String {
    format!(
        "request {n:x} from 10.0.{}.{}:{} took {}.{} ms status={} path=/api/v1/orders/{n}",
        n % 256,
        n * 7 % 256,
        1024 + n % 50_000,
        n % 900,
        n % 10,
        200 + n % 5
    )
}

fn observe(c: &mut Criterion) {
    let mut group = c.benchmark_group("observe");
    group.throughput(Throughput::Elements(1));

    let lines: Vec<_> = (0..10_000).map(line).collect();
    let mut miner = Miner::new(Limits::default());
    let mut next = lines.iter().cycle();
    group.bench_function("a known form", |b| {
        b.iter(|| miner.observe(black_box(next.next().unwrap().as_bytes())));
    });

    let mut miner = Miner::new(Limits::default());
    for name in NAMES {
        miner.observe(format!("session opened for user {name} by cron").as_bytes());
    }
    let lines: Vec<_> = (0..10_000_u32)
        .map(|n| {
            let name: String = (0..5)
                .map(|k| char::from(b'g' + (n >> (3 * k)) as u8 % 16))
                .collect();
            format!("session opened for user {name} by cron")
        })
        .collect();
    let mut next = lines.iter().cycle();
    group.bench_function("a known pattern", |b| {
        b.iter(|| miner.observe(black_box(next.next().unwrap().as_bytes())));
    });

    let mut n = 0_u64;
    group.bench_function("a new form", |b| {
        b.iter_batched(
            || {
                n += 1;
                let word: String = (0..8)
                    .map(|k| char::from(b'g' + (n >> (4 * k)) as u8 % 16))
                    .collect();
                format!("{word} of {word} has {word}")
            },
            |line| miner.observe(black_box(line.as_bytes())),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, observe);
criterion_main!(benches);
