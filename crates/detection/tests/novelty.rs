//! What is said of templates that are new to a service.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use detection::{
    Config, Finding, Kind, Lineage, Observation, PartitionDetectors, Phase, time::EventTime,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

const BEGIN: i64 = 1_790_000_000_000;
const SECONDS: i64 = 4 * 3600;

#[derive(Clone, Copy)]
struct Line {
    template: u64,
    is_warning: bool,
    is_error: bool,
    message: &'static str,
}

const PLAIN: Line = Line {
    template: 0,
    is_warning: false,
    is_error: false,
    message: "a line",
};

fn warning(template: u64) -> Line {
    Line {
        template,
        is_warning: true,
        message: "leader lease 17 lost, standing by",
        ..PLAIN
    }
}

/// Twelve templates, one of them a warning now and then; every twenty minutes or so a new one, a few times.
fn usual(second: i64, rng: &mut StdRng) -> Vec<Line> {
    let mut lines: Vec<_> = (0..5)
        .map(|_| Line {
            template: 1 + rng.random_range(0..11),
            ..PLAIN
        })
        .collect();
    if rng.random_bool(0.05) {
        lines.push(warning(12));
    }
    let (odd, into) = (second / 1200, second % 1200);
    if into < 30 && rng.random_bool(0.06) {
        lines.push(warning(1000 + odd.cast_unsigned()));
    }
    lines
}

/// A template that was known under another id.
struct Renamed;

impl Lineage for Renamed {
    fn former(&self, template: u64) -> &[u64] {
        if template == 88 { &[98, 99] } else { &[] }
    }
}

fn run(seed: u64, more: impl Fn(i64) -> Vec<Line>) -> Vec<Finding> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut detectors = PartitionDetectors::new(Config::default());
    let mut findings = Vec::new();
    let mut offset = 0;
    for second in 0..SECONDS {
        let mut lines = usual(second, &mut rng);
        lines.extend(more(second));
        for line in lines {
            offset += 1;
            let seen = Observation {
                service: "orders",
                time: EventTime(BEGIN + second * 1000),
                kafka_time: BEGIN + second * 1000,
                offset,
                is_error: line.is_error,
                is_warning: line.is_warning,
                message: line.message,
                template: line.template,
                lineage: Some(&Renamed),
                ..Observation::default()
            };
            detectors.observe(&seen, &mut findings);
        }
    }
    findings
}

fn opened(findings: &[Finding]) -> Vec<Kind> {
    let opened = findings
        .iter()
        .filter(|finding| finding.phase == Phase::Opened);
    opened.map(|finding| finding.kind).collect()
}

#[test]
fn a_new_line_now_and_then_is_no_news() {
    for seed in 0..6 {
        assert_eq!(run(seed, |_| Vec::new()), [], "seed {seed}");
    }
}

#[test]
fn a_warning_that_is_new_and_goes_on_is_told_once_and_never_again() {
    for seed in 0..3 {
        let findings = run(seed, |second| {
            let is_there = (9000..9120).contains(&second) || (12_000..12_120).contains(&second);
            let is_due = is_there && second % 2 == 0;
            vec![warning(77); usize::from(is_due)]
        });
        assert_eq!(opened(&findings), [Kind::NewTemplate], "seed {seed}");
        let (first, last) = (&findings[0], findings.last().unwrap());
        assert_eq!(first.subject.series(), "/template=77");
        let after = (first.detected_at.0 - BEGIN) / 1000 - 9000;
        assert!((20..60).contains(&after), "{}: {after} s", first.title);
        assert_eq!((last.phase, last.observed), (Phase::Closed, 60.0));
    }
}

#[test]
fn harmless_levels_are_no_news_and_words_that_are_not_harmless_are() {
    let says = |message: &'static str| {
        let line = Line {
            template: 77,
            message,
            ..PLAIN
        };
        let findings = run(1, |second| {
            vec![line; usize::from((9000..9060).contains(&second))]
        });
        opened(&findings)
    };
    assert_eq!(says("cache warmed in 7 ms"), []);
    assert_eq!(says("page 7 is corrupt"), [Kind::NewTemplate]);
}

#[test]
fn what_an_error_burst_tells_is_not_told_again() {
    let findings = run(1, |second| {
        let line = Line {
            is_error: true,
            ..warning(77)
        };
        vec![line; if (9000..9060).contains(&second) { 4 } else { 0 }]
    });
    assert_eq!(opened(&findings), [Kind::ErrorBurst]);
}

#[test]
fn a_template_that_gets_another_id_is_not_new() {
    let findings = run(1, |second| {
        let template = if second < 9000 { 99 } else { 88 };
        vec![warning(template); usize::from(second % 2 == 0)]
    });
    assert_eq!(opened(&findings), []);
}
