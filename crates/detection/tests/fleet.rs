//! What is said of answers with a status, and of machines that stop writing; and of what only looks like it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use detection::{Config, Finding, Kind, Observation, PartitionDetectors, Phase, time::EventTime};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

const BEGIN: i64 = 1_790_000_000_000;
const HOUR: i64 = 3600;
/// Everything happens after two quiet hours.
const THEN: i64 = 2 * HOUR;
const END: i64 = 3 * HOUR;

#[derive(Clone)]
struct Now {
    /// Lines a second.
    rate: f64,
    /// Share of answers that are 404, and further ones a second.
    not_found: f64,
    more_not_found: f64,
    /// Share of answers that are 302.
    elsewhere: f64,
    hosts: Vec<String>,
}

fn usual() -> Now {
    Now {
        rate: 12.0,
        not_found: 0.03,
        more_not_found: 0.0,
        elsewhere: 0.1,
        hosts: (1..=5).map(|number| format!("web-{number}")).collect(),
    }
}

/// What is told of three hours, the third of which is not as usual.
fn run(change: impl Fn(i64, &mut Now)) -> Vec<Finding> {
    let mut rng = StdRng::seed_from_u64(5);
    let mut detectors = PartitionDetectors::new(Config::default());
    let (mut findings, mut offset) = (Vec::new(), 0);
    for second in 0..END {
        let mut now = usual();
        change(second - THEN, &mut now);
        let times =
            |rate: f64, rng: &mut StdRng| (0..60).filter(|_| rng.random_bool(rate / 60.0)).count();
        let mut statuses = Vec::new();
        for _ in 0..times(now.rate, &mut rng) {
            statuses.push(match rng.random::<f64>() {
                at if at < now.not_found => 404,
                at if at < now.not_found + now.elsewhere => 302,
                _ => 200,
            });
        }
        statuses.extend((0..times(now.more_not_found, &mut rng)).map(|_| 404));
        for status in statuses {
            offset += 1;
            let host = &now.hosts[rng.random_range(0..now.hosts.len())];
            let message = format!("GET /a/{offset} {status}");
            detectors.observe(
                &Observation {
                    service: "web",
                    time: EventTime(BEGIN + second * 1000),
                    kafka_time: BEGIN + second * 1000,
                    offset,
                    message: &message,
                    status,
                    host,
                    template: 1,
                    ..Observation::default()
                },
                &mut findings,
            );
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
fn a_third_of_answers_that_find_nothing_is_told_once_with_the_code() {
    let findings = run(|second, now| {
        if (0..600).contains(&second) {
            now.not_found = 0.33;
        }
    });
    let told = opened(&findings);
    assert!(
        matches!(told[..], [(Kind::StatusShift, after)] if after <= 70),
        "{told:?}"
    );
    let first = &findings[0];
    assert!(
        first.title.contains("web answers far more often 404"),
        "{}",
        first.title
    );
    assert!(first.samples.iter().all(|it| it.message.ends_with("404")));
    assert!(!first.samples.is_empty());
    let last = findings.last().unwrap();
    assert_eq!(last.phase, Phase::Closed);
    assert!(last.title.contains("4xx at its worst"), "{}", last.title);
}

#[test]
fn who_looks_for_what_is_not_there_makes_no_spike() {
    let findings = run(|second, now| {
        if (0..300).contains(&second) {
            now.more_not_found = 30.0;
        }
    });
    let told = opened(&findings);
    assert!(
        matches!(told[..], [(Kind::StatusShift, after)] if after <= 15),
        "{told:?}"
    );
}

#[test]
fn answers_that_send_everybody_elsewhere_are_told_and_what_lasts_is_adopted() {
    let findings = run(|second, now| {
        if second >= 0 {
            now.elsewhere = 0.9;
        }
    });
    let told: Vec<_> = findings.iter().map(|it| (it.kind, it.phase)).collect();
    assert!(
        matches!(
            told[..],
            [
                (Kind::StatusShift, Phase::Opened),
                (Kind::StatusShift, Phase::Closed)
            ]
        ),
        "{told:?}"
    );
}

#[test]
fn some_more_and_more_of_everything_are_no_shift() {
    nothing(&run(|second, now| {
        if (0..900).contains(&second) {
            now.not_found = 0.045;
        }
    }));
    let findings = run(|second, now| {
        if (0..300).contains(&second) {
            now.rate = 50.0;
        }
    });
    let told = opened(&findings);
    assert!(matches!(told[..], [(Kind::RateSpike, _)]), "{told:?}");
}

#[test]
fn a_machine_that_is_silent_while_the_others_write_is_missed_until_it_is_back() {
    let findings = run(|second, now| {
        if (0..1500).contains(&second) {
            now.hosts.remove(2);
        }
    });
    let told = opened(&findings);
    assert!(
        matches!(told[..], [(Kind::Silence, after)] if (100..=200).contains(&after)),
        "{told:?}"
    );
    assert_eq!(findings[0].subject.host.as_deref(), Some("web-3"));
    assert!(
        findings[0].title.contains("web-3 is silent"),
        "{}",
        findings[0].title
    );
    let last = findings.last().unwrap();
    assert_eq!(last.phase, Phase::Closed);
    assert!(
        last.title.contains("wrote nothing for 25 min"),
        "{}",
        last.title
    );
}

#[test]
fn who_is_started_anew_and_who_comes_and_goes_is_not_missed() {
    nothing(&run(|second, now| {
        if (0..90).contains(&second) {
            now.hosts.remove(0);
        }
    }));
    // Every ten minutes two of five are others.
    nothing(&run(|second, now| {
        let round = (second + THEN) / 600;
        for place in 0..2 {
            now.hosts[place] = format!("pod-{round}-{place}");
        }
    }));
}

#[test]
fn a_machine_that_another_one_replaces_is_not_missed() {
    for machines in [2, 5] {
        nothing(&run(|second, now| {
            now.hosts.truncate(machines);
            if second >= 0 {
                now.hosts[0] = "web-9".to_owned();
            }
        }));
    }
}

#[test]
fn more_machines_than_are_known_keep_nobody_from_being_missed() {
    let findings = run(|second, now| {
        now.rate = 40.0;
        now.hosts = (1..=70).map(|number| format!("web-{number}")).collect();
        if second >= 0 {
            now.hosts.remove(2);
        }
    });
    let told = opened(&findings);
    assert!(matches!(told[..], [(Kind::Silence, _)]), "{told:?}");
}

#[test]
fn a_new_version_on_machines_with_other_names_misses_nobody() {
    nothing(&run(|second, now| {
        let after = usize::try_from((second / 60).clamp(0, 5)).unwrap();
        for (place, host) in now.hosts.iter_mut().enumerate().take(after) {
            *host = format!("web-b-{place}");
        }
    }));
}
