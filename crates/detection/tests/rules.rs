//! Rules that somebody wrote: what is told, once, and what becomes of it when they are changed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use detection::{
    Config, Finding, Kind, Observation, PartitionDetectors, Phase, Rule, Rules, Severity, Weight,
    time::EventTime,
};

const BEGIN: i64 = 1_790_000_000_000;

fn rule(above: u32) -> Rule {
    Rule {
        name: "disk".to_owned(),
        message: "disk .* full".to_owned(),
        service: Some("^(db|cache)$".to_owned()),
        above,
        within_ms: 60_000,
        weight: Weight::High,
    }
}

fn written(rules: Vec<Rule>) -> Rules {
    let (rules, bad) = Rules::of(rules);
    assert!(bad.is_empty(), "{bad:?}");
    rules
}

struct Play {
    detectors: PartitionDetectors,
    findings: Vec<Finding>,
    offset: i64,
}

impl Play {
    fn new() -> Self {
        Self {
            detectors: PartitionDetectors::new(Config::default()),
            findings: Vec::new(),
            offset: 0,
        }
    }

    /// One line a second of each of two services, those of `is_full` say that a disk is.
    fn run(&mut self, seconds: std::ops::Range<i64>, rules: &Rules, is_full: impl Fn(i64) -> bool) {
        for second in seconds {
            let message = if is_full(second) {
                "disk 7 is full"
            } else {
                "all is well"
            };
            for service in ["db", "web"] {
                self.line(second, service, message, rules);
            }
        }
    }

    fn line(&mut self, second: i64, service: &str, message: &str, rules: &Rules) {
        self.offset += 1;
        self.detectors.observe(
            &Observation {
                service,
                time: EventTime(BEGIN + second * 1000),
                kafka_time: BEGIN + second * 1000,
                offset: self.offset,
                message,
                rules: Some(rules),
                ..Observation::default()
            },
            &mut self.findings,
        );
    }

    fn told(&self) -> Vec<(Kind, Phase)> {
        let told = self.findings.iter().map(|it| (it.kind, it.phase));
        told.collect()
    }
}

#[test]
fn a_rule_is_met_on_the_line_that_crosses_and_told_once() {
    let mut play = Play::new();
    let rules = written(vec![rule(3)]);
    play.run(0..600, &rules, |second| (100..110).contains(&second));
    let told = play.told();
    assert_eq!(told.first(), Some(&(Kind::Rule, Phase::Opened)));
    assert_eq!(told.last(), Some(&(Kind::Rule, Phase::Closed)));
    let opened = told.iter().filter(|(_, phase)| *phase == Phase::Opened);
    assert_eq!(opened.count(), 1, "{told:?}");
    let first = &play.findings[0];
    assert_eq!((first.service.as_str(), first.observed), ("db", 4.0));
    assert_eq!(first.detected_at, EventTime(BEGIN + 103_000));
    assert_eq!(first.severity(), Severity::High);
    assert_eq!(first.subject.rule.as_deref(), Some("disk"));
    assert_eq!(
        first.title,
        "db: rule “disk” is met, 4 lines in 1 min, 3 are let pass, since 14:15:00 UTC"
    );
    assert_eq!(first.samples.len(), 4);
    assert_eq!(first.ranges, [(201, 207)]);
}

#[test]
fn a_rule_that_is_changed_or_gone_ends_what_it_had_told() {
    let mut play = Play::new();
    play.run(0..100, &written(vec![rule(3)]), |_| true);
    let open = play.told().len();
    play.run(100..110, &written(vec![rule(50)]), |_| true);
    assert_eq!(play.told()[open], (Kind::Rule, Phase::Closed));
    let mut play = Play::new();
    play.run(0..100, &written(vec![rule(3)]), |_| true);
    let open = play.told().len();
    play.run(100..101, &written(vec![]), |_| true);
    assert_eq!(play.told()[open..], [(Kind::Rule, Phase::Closed)]);
}

#[test]
fn what_goes_on_is_told_once_however_short_the_span() {
    let mut play = Play::new();
    let rules = written(vec![Rule {
        within_ms: 1000,
        ..rule(0)
    }]);
    play.run(0..600, &rules, |second| second % 5 == 3);
    assert_eq!(play.told(), [(Kind::Rule, Phase::Opened)]);
}

#[test]
fn what_a_service_that_is_silent_all_day_does_every_night_is_told_every_night() {
    let mut play = Play::new();
    let rules = written(vec![Rule {
        within_ms: 2 * 3_600_000,
        ..rule(3)
    }]);
    for second in 0..4 * 86_400 {
        if second % 10 == 0 {
            play.line(second, "web", "all is well", &rules);
            play.line(second, "mail", "all is well", &rules);
        }
        if (7200..7205).contains(&(second % 86_400)) {
            play.line(second, "db", "disk 7 is full", &rules);
        }
    }
    let told = play.told();
    let opened = told
        .iter()
        .filter(|(kind, phase)| (*kind, *phase) == (Kind::Rule, Phase::Opened));
    assert_eq!(opened.count(), 4, "{told:?}");
}
