//! What is said of templates that surge or vanish, and of what only looks like it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use detection::{
    Config, Finding, Kind, Lineage, Observation, PartitionDetectors, Phase, time::EventTime,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

const BEGIN: i64 = 1_790_000_000_000;
const HOUR: i64 = 3600;
/// Everything happens after three quiet hours.
const THEN: i64 = 3 * HOUR;
const END: i64 = 4 * HOUR;

/// How many lines a second, what share of each template, and what else.
#[derive(Clone)]
struct Now {
    rate: f64,
    shares: Vec<(u64, f64)>,
    debugging: f64,
    errors: f64,
    /// Seconds from one heartbeat to the next.
    beats_every: i64,
    beat: u64,
}

/// Eight templates, from two in five lines to one in fifty.
fn usual() -> Now {
    let shares = [0.4, 0.2, 0.12, 0.1, 0.08, 0.05, 0.03, 0.02];
    Now {
        rate: 10.0,
        shares: (1..).zip(shares).collect(),
        debugging: 0.5,
        errors: 0.01,
        beats_every: 60,
        beat: 50,
    }
}

struct Known;

impl Lineage for Known {
    fn former(&self, template: u64) -> &[u64] {
        if template == 44 { &[2] } else { &[] }
    }
}

/// What is told of four hours, the fourth of which is not as usual.
fn run(change: impl Fn(i64, &mut Now)) -> Vec<Finding> {
    let mut rng = StdRng::seed_from_u64(3);
    let mut detectors = PartitionDetectors::new(Config::default());
    let (mut findings, mut offset) = (Vec::new(), 0);
    for second in 0..END {
        let mut now = usual();
        if second >= THEN {
            change(second - THEN, &mut now);
        }
        let all: f64 = now.shares.iter().map(|(_, share)| share).sum();
        let mut lines = Vec::new();
        let times =
            |rate: f64, rng: &mut StdRng| (0..40).filter(|_| rng.random_bool(rate / 40.0)).count();
        for _ in 0..times(now.rate * all, &mut rng) {
            let mut at = rng.random::<f64>() * all;
            let picked = now.shares.iter().find(|(_, share)| {
                at -= share;
                at < 0.0
            });
            let is_error = rng.random_bool(now.errors);
            lines.extend(picked.map(|(template, _)| (*template, is_error, false)));
        }
        for _ in 0..times(now.debugging, &mut rng) {
            lines.push((rng.random_range(100..104), false, true));
        }
        if second % now.beats_every == 0 {
            lines.push((now.beat, false, false));
        }
        for (template, is_error, is_quiet) in lines {
            offset += 1;
            let message = format!("what template {template} says, {offset}");
            let seen = Observation {
                service: "orders",
                time: EventTime(BEGIN + second * 1000),
                kafka_time: BEGIN + second * 1000,
                offset,
                is_error,
                is_quiet,
                message: &message,
                template,
                lineage: Some(&Known),
                ..Observation::default()
            };
            detectors.observe(&seen, &mut findings);
        }
    }
    findings
}

fn opened(findings: &[Finding]) -> Vec<(Kind, i64)> {
    let opened = findings.iter().filter(|it| it.phase == Phase::Opened);
    let after = |it: &Finding| (it.detected_at.0 - BEGIN) / 1000 - THEN;
    opened.map(|it| (it.kind, after(it))).collect()
}

fn nothing(findings: &[Finding]) {
    let told: Vec<_> = findings.iter().map(|it| &it.title).collect();
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn a_template_that_comes_more_often_names_the_storm_and_is_told_once() {
    let findings = run(|second, now| {
        if second < 600 {
            now.shares[2].1 += 0.8;
        }
    });
    let told = opened(&findings);
    assert!(
        matches!(told[..], [(Kind::TemplateSurge, after)] if after <= 40),
        "{told:?}"
    );
    let first = &findings[0];
    assert_eq!(first.subject.template.as_ref().unwrap().id, 3);
    assert!(
        first.title.contains("what template 3 says"),
        "{}",
        first.title
    );
    let last = findings.last().unwrap();
    assert_eq!(
        (last.phase, last.kind),
        (Phase::Closed, Kind::TemplateSurge)
    );
    assert!(
        last.samples
            .iter()
            .all(|it| it.message.contains("template 3"))
    );
}

#[test]
fn one_that_doubles_the_volume_is_no_spike_of_the_rate() {
    let findings = run(|second, now| {
        if second < 600 {
            now.shares[3].1 += 2.0;
        }
    });
    let told = opened(&findings);
    assert!(
        matches!(told[..], [(Kind::TemplateSurge, after)] if after <= 10),
        "{told:?}"
    );
}

#[test]
fn more_of_everything_is_no_surge_of_anything() {
    let findings = run(|second, now| {
        if second < 600 {
            now.rate *= 4.0;
        }
    });
    let told = opened(&findings);
    assert!(matches!(told[..], [(Kind::RateSpike, _)]), "{told:?}");
}

#[test]
fn a_template_that_comes_no_more_is_missed_and_its_lines_are_no_drop() {
    let findings = run(|second, now| {
        if second < 1500 {
            now.shares.remove(0);
        }
    });
    let told = opened(&findings);
    assert!(
        matches!(told[..], [(Kind::TemplateVanished, after)] if after <= 120),
        "{told:?}"
    );
    let last = findings.last().unwrap();
    assert_eq!(last.phase, Phase::Closed);
    assert!(
        last.title.contains("was missing for 25 min"),
        "{}",
        last.title
    );
}

#[test]
fn a_heartbeat_that_stops_is_missed_after_a_few_beats() {
    let findings = run(|_, now| now.beats_every = END + 1);
    let told = opened(&findings);
    assert!(
        matches!(told[..], [(Kind::TemplateVanished, after)] if after <= 300),
        "{told:?}"
    );
    let subject = &findings[0].subject;
    assert_eq!(subject.template.as_ref().unwrap().id, 50);
}

#[test]
fn a_heartbeat_in_new_words_is_not_missed() {
    nothing(&run(|_, now| now.beat = 51));
}

#[test]
fn one_that_lasts_is_the_new_normal() {
    let findings = run(|_, now| {
        now.shares.remove(1);
    });
    let phases: Vec<_> = findings.iter().map(|it| (it.kind, it.phase)).collect();
    let vanished = Kind::TemplateVanished;
    assert_eq!(
        phases,
        [(vanished, Phase::Opened), (vanished, Phase::Closed)]
    );
    assert!(
        findings[1].summary.contains("new normal"),
        "{}",
        findings[1].summary
    );
}

#[test]
fn new_words_for_the_same_thing_are_none_missing() {
    nothing(&run(|_, now| now.shares[1].0 = 900));
}

#[test]
fn a_template_that_is_found_out_to_be_another_is_the_same() {
    nothing(&run(|_, now| now.shares[1].0 = 44));
}

#[test]
fn a_quiet_service_and_one_that_is_away_misses_nothing() {
    nothing(&run(|second, now| {
        now.rate = if (20..28).contains(&second) { 0.5 } else { 9.0 };
    }));
}

#[test]
fn debugging_is_no_traffic() {
    nothing(&run(|second, now| {
        if second < 1800 {
            now.debugging = 20.0;
        }
    }));
}

#[test]
fn errors_that_creep_up_over_twenty_minutes_are_told_once() {
    let findings = run(|second, now| {
        now.errors += 0.08 * (second as f64 / 1200.0).min(1.0);
    });
    let told = opened(&findings);
    assert!(
        matches!(told[..], [(Kind::ErrorRateSpike, after)] if (300..1500).contains(&after)),
        "{told:?}"
    );
    assert!(
        findings[0].summary.contains("for hours"),
        "{}",
        findings[0].summary
    );
}
