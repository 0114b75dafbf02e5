//! What is said of how long requests take.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use detection::{Config, Finding, Kind, Observation, PartitionDetectors, Phase, time::EventTime};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use rand_distr::{Distribution as _, LogNormal};

const BEGIN: i64 = 1_790_000_000_000;
const SECONDS: i64 = 7200;

/// Of a second: which share of the requests takes how many times as long, and the share of errors.
type Story = fn(i64) -> (f64, f64, f64);

/// Requests per second; their usual durations are log-normal, about 40 ms, and wander by a tenth in an hour.
struct Service {
    name: &'static str,
    per_second: u32,
    story: Story,
}

const QUIET: Story = |_| (0.0, 1.0, 0.005);
const SHIFT: Story = |second| {
    let is_slow = (5000..5600).contains(&second);
    (1.0, if is_slow { 2.5 } else { 1.0 }, 0.005)
};
const TAIL: Story = |second| {
    let is_slow = (5000..5600).contains(&second);
    (if is_slow { 0.12 } else { 0.0 }, 20.0, 0.005)
};
const SLOW_ERRORS: Story = |second| {
    if (5000..5200).contains(&second) {
        (1.0, 4.0, 0.5)
    } else {
        (0.0, 1.0, 0.005)
    }
};

fn run(seed: u64, fleet: &[Service], shuffled: bool) -> Vec<Finding> {
    let mut rng = StdRng::seed_from_u64(seed);
    let spread = LogNormal::new(40.0_f64.ln(), 0.6).unwrap();
    let mut detectors = PartitionDetectors::new(Config::default());
    let mut findings = Vec::new();
    let mut offset = 0;
    for five_seconds in 0..SECONDS / 5 {
        let mut lines = Vec::new();
        for second in five_seconds * 5..five_seconds * 5 + 5 {
            let wander = 1.0 + 0.1 * (second as f64 / 570.0).sin();
            for service in fleet {
                let (share, times, errors) = (service.story)(second);
                for _ in 0..service.per_second {
                    let is_slow = rng.random_bool(share);
                    let took = spread.sample(&mut rng) * wander * if is_slow { times } else { 1.0 };
                    let at = second * 1000 + rng.random_range(0..1000);
                    lines.push((at, service.name, rng.random_bool(errors), took));
                }
            }
        }
        lines.sort_by_key(|line| line.0);
        if shuffled {
            lines.shuffle(&mut StdRng::seed_from_u64(
                seed ^ five_seconds.cast_unsigned(),
            ));
        }
        for (at, service, is_error, took) in lines {
            offset += 1;
            let seen = Observation {
                service,
                time: EventTime(BEGIN + at),
                kafka_time: BEGIN + five_seconds * 5000,
                offset,
                is_error,
                level: 3,
                message: "a request",
                trace_id: "",
                latency_ms: Some(took),
                ..Observation::default()
            };
            detectors.observe(&seen, &mut findings);
        }
    }
    findings
}

fn opened(findings: &[Finding], service: &str) -> Vec<(Kind, i64)> {
    findings
        .iter()
        .filter(|finding| finding.service == service && finding.phase == Phase::Opened)
        .map(|finding| (finding.kind, (finding.detected_at.0 - BEGIN) / 1000))
        .collect()
}

fn fleet() -> [Service; 5] {
    let service = |name, per_second, story| Service {
        name,
        per_second,
        story,
    };
    [
        service("quiet", 20, QUIET),
        service("few", 1, QUIET),
        service("shift", 10, SHIFT),
        service("tail", 10, TAIL),
        service("errors", 10, SLOW_ERRORS),
    ]
}

#[test]
fn slow_requests_are_told_once_and_by_what_is_most_telling() {
    for seed in 0..4 {
        let findings = run(seed, &fleet(), false);
        for quiet in ["quiet", "few"] {
            assert_eq!(opened(&findings, quiet), [], "seed {seed}");
        }
        for (service, kind, within) in [
            ("shift", Kind::LatencyShift, 40),
            ("tail", Kind::LatencyTail, 90),
            ("errors", Kind::ErrorBurst, 20),
        ] {
            let opened = opened(&findings, service);
            let kinds: Vec<Kind> = opened.iter().map(|(kind, _)| *kind).collect();
            assert_eq!(kinds, [kind], "{service}, seed {seed}");
            assert!(
                (5000..5000 + within).contains(&opened[0].1),
                "{service}: {opened:?}"
            );
        }
    }
}

#[test]
fn the_order_of_lines_within_the_grace_changes_nothing() {
    let of = |shuffled| {
        let findings = run(9, &fleet()[2..4], shuffled);
        let ids = findings.iter().map(|finding| {
            (
                finding.kind,
                finding.service.clone(),
                finding.episode_start,
                finding.ordinal,
                finding.version,
                finding.observed,
            )
        });
        ids.collect::<Vec<_>>()
    };
    let mut in_order = of(false);
    let mut shuffled = of(true);
    for told in [&mut in_order, &mut shuffled] {
        told.sort_by(|one, other| {
            (&one.1, one.0, one.2, one.4).cmp(&(&other.1, other.0, other.2, other.4))
        });
    }
    assert!(!in_order.is_empty());
    assert_eq!(in_order, shuffled);
}
