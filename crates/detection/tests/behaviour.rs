//! What the detectors say of simulated services: found, quiet, one episode, the same on replay.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use detection::{Config, Finding, Kind, Observation, PartitionDetectors, Phase, time::EventTime};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rand_distr::{Distribution, Gamma, Poisson};

/// Lines per second, share of errors, over-dispersion of one simulated service.
#[derive(Clone, Copy)]
struct Traffic {
    service: &'static str,
    per_second: f64,
    errors: f64,
    dispersion: f64,
}

/// What happens at a second: factor on the rate, and on top a share of errors.
type Story = fn(second: i64) -> (f64, f64);

/// When the simulated day begins, ms since the epoch.
const BEGIN: i64 = 1_790_000_000_000;

const QUIET: Story = |_| (1.0, 0.0);

fn run(seed: u64, fleet: &[(Traffic, Story)], seconds: i64) -> Vec<Finding> {
    run_with(Config::default(), seed, fleet, seconds)
}

fn run_with(config: Config, seed: u64, fleet: &[(Traffic, Story)], seconds: i64) -> Vec<Finding> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut detectors = PartitionDetectors::new(config);
    let mut findings = Vec::new();
    let mut offset = 0;
    for second in 0..seconds {
        let mut lines = Vec::new();
        for (traffic, story) in fleet {
            let (factor, extra_errors) = story(second);
            let rate = traffic.per_second * factor;
            if rate <= 0.0 {
                continue;
            }
            let shape = 1.0 / traffic.dispersion;
            let mixed = rate * Gamma::new(shape, 1.0 / shape).unwrap().sample(&mut rng);
            let count = if mixed > 0.0 {
                Poisson::new(mixed).unwrap().sample(&mut rng) as u64
            } else {
                0
            };
            for _ in 0..count {
                let millis = second * 1000 + rng.random_range(0..1000);
                let error = rng.random_bool((traffic.errors + extra_errors).min(1.0));
                lines.push((millis, traffic.service, error));
            }
        }
        lines.sort_unstable();
        for (millis, service, is_error) in lines {
            let seen = Observation {
                service,
                time: EventTime(BEGIN + millis),
                kafka_time: BEGIN + millis,
                offset,
                is_error,
                level: if is_error { 5 } else { 3 },
                message: "a line",
                trace_id: "",
                ..Observation::default()
            };
            detectors.observe(&seen, &mut findings);
            offset += 1;
        }
    }
    findings
}

fn traffic(service: &'static str, per_second: f64, errors: f64) -> Traffic {
    Traffic {
        service,
        per_second,
        errors,
        dispersion: 0.03,
    }
}

fn opened(findings: &[Finding], kind: Kind, service: &str) -> Vec<i64> {
    findings
        .iter()
        .filter(|finding| {
            finding.kind == kind && finding.service == service && finding.phase == Phase::Opened
        })
        .map(|finding| (finding.detected_at.0 - BEGIN) / 1000)
        .collect()
}

#[test]
fn stays_quiet_for_hours_when_nothing_is_wrong() {
    let fleet = [
        (traffic("loud", 200.0, 0.01), QUIET),
        (traffic("middle", 20.0, 0.02), QUIET),
        (traffic("small", 2.0, 0.005), QUIET),
        (traffic("rare", 0.2, 0.02), QUIET),
        (
            Traffic {
                service: "wild",
                per_second: 20.0,
                errors: 0.01,
                dispersion: 0.3,
            },
            QUIET,
        ),
    ];
    let findings: Vec<_> = (0..3)
        .flat_map(|seed| run(seed, &fleet, 3 * 3600))
        .collect();
    // Five services for nine hours have a budget of a quarter of an alert.
    assert!(
        findings.len() <= 1,
        "{:#?}",
        findings
            .iter()
            .map(|finding| &finding.title)
            .collect::<Vec<_>>()
    );
}

#[test]
fn an_error_burst_is_found_within_seconds_and_is_one_episode() {
    let burst: Story = |second| {
        (
            1.0,
            if (3600..3620).contains(&second) {
                0.5
            } else {
                0.0
            },
        )
    };
    let fleet = [
        (traffic("loud", 100.0, 0.01), burst),
        (traffic("small", 3.0, 0.01), burst),
    ];
    let findings = run(1, &fleet, 3800);
    for service in ["loud", "small"] {
        let at = opened(&findings, Kind::ErrorBurst, service);
        assert_eq!(at.len(), 1, "{service}: {at:?}");
        assert!((3600..3610).contains(&at[0]), "{service}: {at:?}");
        let versions: Vec<_> = findings
            .iter()
            .filter(|finding| finding.service == service && finding.kind == Kind::ErrorBurst)
            .map(|finding| (finding.version, finding.phase))
            .collect();
        assert!(
            versions
                .iter()
                .enumerate()
                .all(|(at, (version, _))| *version as usize == at + 1),
            "{versions:?}"
        );
        assert_eq!(versions.last().unwrap().1, Phase::Closed);
        assert!(versions.len() <= 8, "{versions:?}");
    }
    assert!(
        findings
            .iter()
            .all(|finding| finding.kind == Kind::ErrorBurst),
        "one storm is told once"
    );
}

/// What was told of one service, each episode once.
fn kinds(findings: &[Finding], service: &str) -> Vec<Kind> {
    findings
        .iter()
        .filter(|finding| finding.service == service && finding.phase == Phase::Opened)
        .map(|finding| finding.kind)
        .collect()
}

/// Twice as many errors as there are lines usually, on top of them.
const ERRORS_ON_TOP: Story = |second| {
    if (3600..3630).contains(&second) {
        (3.0, 2.0 / 3.0)
    } else {
        (1.0, 0.0)
    }
};

#[test]
fn a_storm_of_additional_errors_is_told_as_errors_alone() {
    let fleet = [
        (traffic("loud", 100.0, 0.01), ERRORS_ON_TOP),
        (traffic("middle", 10.0, 0.01), ERRORS_ON_TOP),
        (traffic("small", 2.0, 0.01), ERRORS_ON_TOP),
        (traffic("faulty", 50.0, 0.2), ERRORS_ON_TOP),
    ];
    for seed in 0..8 {
        let findings = run(seed, &fleet, 3900);
        for (Traffic { service, .. }, _) in fleet {
            let told = kinds(&findings, service);
            assert_eq!(told, [Kind::ErrorBurst], "{service}, seed {seed}");
        }
    }
}

#[test]
fn a_storm_is_told_once_however_long_windows_take_late_lines() {
    for grace_ms in [0, 5_000, 30_000, 120_000] {
        let config = Config {
            grace_ms,
            ..Config::default()
        };
        let fleet = [
            (traffic("stormy", 20.0, 0.01), ERRORS_ON_TOP),
            // Its last error is in the storm's last window.
            (traffic("spotless", 20.0, 0.0), ERRORS_ON_TOP),
            (traffic("steady", 50.0, 0.01), QUIET),
        ];
        let findings = run_with(config, 9, &fleet, 4200);
        for service in ["stormy", "spotless"] {
            let told = kinds(&findings, service);
            assert_eq!(told, [Kind::ErrorBurst], "{service}, {grace_ms} ms");
        }
        let last = findings.last().map(|finding| finding.phase);
        assert_eq!(last, Some(Phase::Closed), "{grace_ms}");
    }
}

#[test]
fn a_spike_that_comes_with_a_burst_of_errors_is_told_too() {
    let both: Story = |second| {
        if (3600..3640).contains(&second) {
            (8.0, 0.5)
        } else {
            (1.0, 0.0)
        }
    };
    let fleet = [
        (traffic("loud", 100.0, 0.01), both),
        (traffic("middle", 10.0, 0.01), both),
        (traffic("small", 2.0, 0.01), both),
    ];
    for seed in 0..8 {
        let findings = run(seed, &fleet, 3900);
        for (Traffic { service, .. }, _) in fleet {
            let mut told = kinds(&findings, service);
            told.sort_unstable();
            let expected = [Kind::ErrorBurst, Kind::RateSpike];
            assert_eq!(told, expected, "{service}, seed {seed}");
        }
        let spike = |finding: &&Finding| finding.kind == Kind::RateSpike;
        let last = findings.iter().rfind(spike).unwrap();
        assert!(last.summary.contains("told as a burst"), "{}", last.summary);
    }
}

#[test]
fn a_storm_is_not_learned_and_what_comes_after_it_is_judged_as_before() {
    let storm_then_spike: Story = |second| match second {
        3600..4200 => (3.0, 2.0 / 3.0),
        4300..4330 => (3.0, 0.0),
        _ => (1.0, 0.0),
    };
    let fleet = [(traffic("loud", 50.0, 0.01), storm_then_spike)];
    let findings = run(10, &fleet, 4500);
    let told = kinds(&findings, "loud");
    assert_eq!(told, [Kind::ErrorBurst, Kind::RateSpike]);
    let spike = |finding: &&Finding| finding.kind == Kind::RateSpike;
    let expected = findings.iter().find(spike).unwrap().expected;
    assert!((400.0..600.0).contains(&expected), "{expected}");
}

#[test]
fn the_order_of_lines_within_a_window_does_not_make_a_storm_a_spike() {
    // Of the errors that come on top: before the other lines of a second, after them, in between.
    type Order = fn(usize) -> bool;
    let orders: [Order; 3] = [|at| at < 20, |at| at >= 10, |at| at % 3 != 0];
    for is_error in orders {
        let mut detectors = PartitionDetectors::new(Config::default());
        let mut findings = Vec::new();
        for second in 0..900_i64 {
            let storms = (600..630).contains(&second);
            let lines = if storms { 30 } else { 10 };
            for at in 0..lines {
                let millis = second * 1000 + at * 1000 / lines;
                let seen = Observation {
                    service: "ordered",
                    time: EventTime(BEGIN + millis),
                    kafka_time: BEGIN + millis,
                    offset: second * 100 + at,
                    is_error: storms && is_error(at as usize),
                    level: 3,
                    message: "a line",
                    trace_id: "",
                    ..Observation::default()
                };
                detectors.observe(&seen, &mut findings);
            }
        }
        assert_eq!(kinds(&findings, "ordered"), [Kind::ErrorBurst]);
    }
}

#[test]
fn a_burst_of_a_service_never_seen_before_is_found() {
    let late_errors: Story = |second| {
        if (600..606).contains(&second) {
            (1.0, 1.0)
        } else {
            (0.0, 0.0)
        }
    };
    let fleet = [
        (traffic("loud", 100.0, 0.01), QUIET),
        (traffic("new", 5.0, 0.0), late_errors),
    ];
    let findings = run(2, &fleet, 700);
    assert_eq!(opened(&findings, Kind::ErrorBurst, "new").len(), 1);
}

#[test]
fn a_spike_is_found_in_a_quiet_service_and_in_a_loud_one() {
    let spike: Story = |second| {
        (
            if (3600..3640).contains(&second) {
                4.0
            } else {
                1.0
            },
            0.0,
        )
    };
    let fleet = [
        (traffic("loud", 300.0, 0.01), spike),
        (traffic("quiet", 1.0, 0.0), spike),
    ];
    let findings = run(3, &fleet, 3800);
    for service in ["loud", "quiet"] {
        let at = opened(&findings, Kind::RateSpike, service);
        assert_eq!(at.len(), 1, "{service} {at:?}");
        assert!((3600..3615).contains(&at[0]), "{service} {at:?}");
    }
}

#[test]
fn a_drop_and_a_silence_are_found_and_end_when_the_service_is_back() {
    let drop: Story = |second| {
        (
            if (3600..3660).contains(&second) {
                0.1
            } else {
                1.0
            },
            0.0,
        )
    };
    let silence: Story = |second| {
        (
            if (3600..3660).contains(&second) {
                0.0
            } else {
                1.0
            },
            0.0,
        )
    };
    let fleet = [
        (traffic("dropping", 50.0, 0.01), drop),
        (traffic("silent", 10.0, 0.01), silence),
        (traffic("steady", 50.0, 0.01), QUIET),
    ];
    let findings = run(4, &fleet, 3900);
    for service in ["dropping", "silent"] {
        let at = opened(&findings, Kind::RateDrop, service);
        assert_eq!(at.len(), 1, "{service} {at:?}");
        assert!(
            (3610..3660).contains(&at[0]),
            "{service} is found while it lasts: {at:?}"
        );
        let last = findings
            .iter()
            .rfind(|finding| finding.service == service)
            .unwrap();
        assert_eq!(last.phase, Phase::Closed);
    }
    assert!(opened(&findings, Kind::RateDrop, "steady").is_empty());
}

#[test]
fn an_anomaly_does_not_become_its_own_baseline() {
    let spikes: Story = |second| {
        (
            if second % 900 > 840 && second > 1800 {
                4.0
            } else {
                1.0
            },
            0.0,
        )
    };
    let findings = run(5, &[(traffic("loud", 50.0, 0.01), spikes)], 5400);
    assert_eq!(
        opened(&findings, Kind::RateSpike, "loud").len(),
        4,
        "the last spike is found like the first"
    );
}

#[test]
fn a_lasting_change_is_adopted_after_half_an_hour() {
    let shift: Story = |second| (if second > 3600 { 4.0 } else { 1.0 }, 0.0);
    let findings = run(6, &[(traffic("loud", 50.0, 0.01), shift)], 9000);
    let phases: Vec<_> = findings
        .iter()
        .map(|finding| finding.phase)
        .filter(|phase| *phase != Phase::Updated)
        .collect();
    assert_eq!(phases, [Phase::Opened, Phase::Closed]);
    assert!(findings.last().unwrap().summary.contains("new normal"));
}

#[test]
fn what_was_adopted_ends_without_a_word_and_what_comes_after_it_is_found() {
    const UP: Story = |second| match second {
        3600..6600 | 8400..8460 => (4.0, 0.0),
        _ => (1.0, 0.0),
    };
    const DOWN: Story = |second| match second {
        3600..6600 => (0.25, 0.0),
        8400..8460 => (4.0, 0.0),
        _ => (1.0, 0.0),
    };
    for (story, kind) in [(UP, Kind::RateSpike), (DOWN, Kind::RateDrop)] {
        let findings = run(6, &[(traffic("loud", 50.0, 0.01), story)], 9000);
        let told = findings.iter().filter(|it| it.phase == Phase::Opened);
        let told: Vec<_> = told.map(|it| it.kind).collect();
        assert_eq!(told, [kind, Kind::RateSpike]);
    }
}

#[test]
fn an_outage_after_a_change_that_was_adopted_is_told() {
    const DIES: Story = |second| match second {
        3600..6603 => (2.0, 0.0),
        6603..7500 => (0.0, 0.0),
        _ => (1.0, 0.0),
    };
    for seed in 0..6 {
        let fleet = [
            (traffic("loud", 50.0, 0.01), DIES),
            (traffic("other", 20.0, 0.01), QUIET),
            (traffic("third", 20.0, 0.01), QUIET),
        ];
        let findings = run(seed, &fleet, 8000);
        let told = findings.iter().filter(|it| it.phase == Phase::Opened);
        let told: Vec<_> = told.map(|it| (it.service.as_str(), it.kind)).collect();
        assert_eq!(
            told,
            [("loud", Kind::RateSpike), ("loud", Kind::RateDrop)],
            "seed {seed}"
        );
    }
}

#[test]
fn the_same_records_give_the_same_findings() {
    let burst: Story = |second| (1.0, if second == 1800 { 0.9 } else { 0.0 });
    let fleet = [
        (traffic("loud", 100.0, 0.01), burst),
        (traffic("small", 3.0, 0.01), QUIET),
    ];
    let findings = run(7, &fleet, 2000);
    assert!(!findings.is_empty());
    assert_eq!(findings, run(7, &fleet, 2000));
}

#[test]
fn more_traffic_with_the_usual_share_of_errors_is_no_error_burst() {
    let spike: Story = |second| (if second > 3600 { 5.0 } else { 1.0 }, 0.0);
    let findings = run(8, &[(traffic("loud", 50.0, 0.05), spike)], 3700);
    assert!(opened(&findings, Kind::ErrorBurst, "loud").is_empty());
    assert_eq!(opened(&findings, Kind::RateSpike, "loud").len(), 1);
}

#[test]
fn services_are_bounded_and_evictions_counted() {
    let mut detectors = PartitionDetectors::new(Config {
        max_services: 100,
        ..Config::default()
    });
    let mut findings = Vec::new();
    for offset in 0..1000 {
        let service = format!("service-{offset}");
        let seen = Observation {
            service: &service,
            time: EventTime(BEGIN + offset),
            kafka_time: BEGIN + offset,
            offset,
            is_error: false,
            level: 3,
            message: "hello",
            trace_id: "",
            ..Observation::default()
        };
        detectors.observe(&seen, &mut findings);
    }
    assert_eq!((detectors.services(), detectors.evicted()), (100, 900));
}

/// From the second hour on nothing, for an hour, and then as before.
const OUTAGE: Story = |second| {
    (
        if (7200..10_800).contains(&second) {
            0.0
        } else {
            1.0
        },
        0.0,
    )
};

#[test]
fn a_silence_is_told_however_quiet_the_service_and_lasts_until_lines_come() {
    let rates = [0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 20.0];
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    for seed in 0..3 {
        let mut fleet: Vec<_> = names
            .iter()
            .zip(rates)
            .map(|(name, rate)| {
                let one = Traffic {
                    dispersion: 0.01,
                    ..traffic(name, rate, 0.0)
                };
                (one, OUTAGE)
            })
            .collect();
        fleet.push((traffic("steady", 5.0, 0.0), QUIET));
        let findings = run(20 + seed, &fleet, 14_400);
        for (name, rate) in names.iter().zip(rates) {
            let of_it: Vec<_> = findings
                .iter()
                .filter(|finding| finding.service == *name && finding.kind == Kind::RateDrop)
                .filter(|finding| finding.phase != Phase::Updated)
                .collect();
            let after = |finding: &&Finding| finding.detected_at.0 - BEGIN > 10_800_000;
            let spikes = opened(&findings, Kind::RateSpike, name);
            let end_is_a_spike = spikes.iter().any(|at| (10_790..10_900).contains(at));
            assert!(!end_is_a_spike, "{rate}, seed {seed}: {spikes:?}");
            assert_eq!(of_it.iter().copied().filter(after).count(), 1);
            let told: Vec<_> = of_it
                .iter()
                .map(|finding| (finding.kind, finding.phase))
                .collect();
            let expected = [
                (Kind::RateDrop, Phase::Opened),
                (Kind::RateDrop, Phase::Closed),
            ];
            assert_eq!(
                told, expected,
                "{rate} lines a second, seed {seed}: {of_it:#?}"
            );
            let closed = (of_it[1].detected_at.0 - BEGIN) / 1000;
            // Two windows of ten seconds, or of a span in which five lines are expected, and those in
            // which it begins and ends.
            let span = if rate >= 0.8 { 10 } else { 60 };
            assert!(
                (10_800..10_800 + 4 * span).contains(&closed),
                "{rate}, seed {seed}: closed at {closed}"
            );
            assert!(
                of_it[1].observed < 0.1 * of_it[1].expected,
                "the worst, not the calm"
            );
        }
        assert_eq!(kinds(&findings, "steady"), []);
    }
}

#[test]
fn a_share_of_errors_that_lasts_is_adopted_and_what_is_worse_is_told_again() {
    let worse_and_worse: Story = |second| {
        let extra = match second {
            ..3600 => 0.0,
            9000..9060 => 0.9,
            _ => 0.3,
        };
        (1.0, extra)
    };
    let findings = run(
        11,
        &[(traffic("loud", 30.0, 0.01), worse_and_worse)],
        10_800,
    );
    let told: Vec<_> = findings
        .iter()
        .filter(|finding| finding.phase != Phase::Updated)
        .map(|finding| {
            let minute = (finding.detected_at.0 - BEGIN) / 60_000;
            (finding.kind, finding.phase, minute)
        })
        .collect();
    let expected = [
        (Kind::ErrorBurst, Phase::Opened, 60),
        (Kind::ErrorBurst, Phase::Closed, 90),
        (Kind::ErrorBurst, Phase::Opened, 150),
        (Kind::ErrorBurst, Phase::Closed, 151),
    ];
    assert_eq!(told, expected);
    let closed = |at: usize| {
        let closed = findings
            .iter()
            .filter(|finding| finding.phase == Phase::Closed);
        closed.collect::<Vec<_>>()[at]
    };
    assert!(closed(0).summary.contains("new normal"));
    // Of the minute, not of the calm after it.
    assert!(
        closed(1).observed > 0.8 * closed(1).expected / 0.32,
        "{:?}",
        closed(1)
    );
}

/// Three times as many lines from two o'clock for twenty minutes, by the time of day.
const EVERY_NIGHT: Story = |second| {
    let of_day = (BEGIN / 1000 + second).rem_euclid(86_400);
    (
        if (7_200..8_400).contains(&of_day) {
            3.0
        } else {
            1.0
        },
        0.0,
    )
};

/// The second of [`BEGIN`]'s day at which it begins; a day later it has one night behind it.
fn nights(findings: &[Finding], service: &str) -> [usize; 3] {
    let mut nights = [0; 3];
    let first_night = (BEGIN / 86_400_000 + 1) * 86_400_000;
    for finding in findings
        .iter()
        .filter(|finding| finding.service == service && finding.phase == Phase::Opened)
    {
        let night = (finding.episode_start.0 - first_night).div_euclid(86_400_000);
        nights[usize::try_from(night).unwrap_or(0).min(2)] += 1;
    }
    nights
}

#[test]
fn what_comes_every_night_is_told_the_first_night_alone() {
    let fleet = [
        (traffic("loud", 10.0, 0.0), EVERY_NIGHT),
        (traffic("small", 2.0, 0.0), EVERY_NIGHT),
        (traffic("other", 2.0, 0.0), QUIET),
    ];
    let day = (86_400_000 - BEGIN % 86_400_000) / 1000;
    let findings = run(3, &fleet, day + 2 * 86_400 + 4 * 3600);
    for service in ["loud", "small"] {
        let nights = nights(&findings, service);
        assert_eq!(nights, [1, 0, 0], "{service}: {findings:#?}");
    }
}

#[test]
fn who_is_away_for_twelve_seconds_is_not_told_and_for_thirty_is() {
    const RESTARTS: Story = |second| {
        let is_away = second > 1200 && second % 1207 < 12;
        (if is_away { 0.1 } else { 1.0 }, 0.0)
    };
    const HALF_A_MINUTE: Story = |second| {
        let is_away = (7205..7235).contains(&second);
        (if is_away { 0.1 } else { 1.0 }, 0.0)
    };
    let fleet = [
        (traffic("restarts", 10.0, 0.0), RESTARTS),
        (traffic("away", 10.0, 0.0), HALF_A_MINUTE),
    ];
    let findings = run(4, &fleet, 14_400);
    assert_eq!(kinds(&findings, "restarts"), []);
    assert_eq!(kinds(&findings, "away"), [Kind::RateDrop]);
}

#[test]
fn what_wavers_is_one_episode() {
    const HALF: Story = |second| {
        let is_low = (7200..8400).contains(&second);
        (if is_low { 0.5 } else { 1.0 }, 0.0)
    };
    const TWICE_AND_A_HALF: Story = |second| {
        let is_high = (7200..8400).contains(&second);
        (if is_high { 2.5 } else { 1.0 }, 0.0)
    };
    for seed in 0..5 {
        let fleet = [
            (traffic("half", 3.0, 0.0), HALF),
            (traffic("more", 3.0, 0.0), TWICE_AND_A_HALF),
        ];
        let findings = run(seed, &fleet, 10_800);
        assert_eq!(kinds(&findings, "half"), [Kind::RateDrop], "seed {seed}");
        assert_eq!(kinds(&findings, "more"), [Kind::RateSpike], "seed {seed}");
    }
}
