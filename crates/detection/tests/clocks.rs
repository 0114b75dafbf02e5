//! Wrong clocks: whoever's times are wrong changes nothing that is said of the others, and what a
//! service's own lines bear out is found whatever one of its lines or hosts says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use detection::{
    Arrival, Config, EventTime, Finding, Kind, Moves, Observation, PartitionDetectors, Phase,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rand_distr::{Distribution, Poisson};

/// When the simulated day begins, ms since the epoch.
const BEGIN: i64 = 1_790_000_000_000;

/// A line as it happened: who wrote it, truly when, and what its clocks say, ms after the beginning.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    at: i64,
    service: usize,
    host: usize,
    time: i64,
    kafka: i64,
    is_error: bool,
}

/// Lines per second of a service, and what it does at a second: factor on the rate, share of errors.
#[derive(Clone, Copy)]
struct Service {
    per_second: f64,
    hosts: usize,
    story: fn(i64) -> (f64, f64),
}

fn quiet(_: i64) -> (f64, f64) {
    (1.0, 0.005)
}

fn service(per_second: f64) -> Service {
    Service {
        per_second,
        hosts: 2,
        story: quiet,
    }
}

/// What right clocks say.
fn lines(seed: u64, fleet: &[Service], seconds: i64) -> Vec<Line> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut lines = Vec::new();
    for second in 0..seconds {
        for (number, one) in fleet.iter().enumerate() {
            let (factor, errors) = (one.story)(second);
            let mean = one.per_second * factor;
            let count = if mean > 0.0 {
                Poisson::new(mean).unwrap().sample(&mut rng) as u64
            } else {
                0
            };
            for _ in 0..count {
                let at = second * 1000 + rng.random_range(0..1000);
                lines.push(Line {
                    at,
                    service: number,
                    host: rng.random_range(0..one.hosts),
                    time: at,
                    kafka: at,
                    is_error: rng.random_bool(errors),
                });
            }
        }
    }
    lines.sort_by_key(|line| line.at);
    lines
}

/// Feeds the lines in the order in which they happened.
fn feed(
    detectors: &mut PartitionDetectors,
    lines: &[Line],
) -> (Vec<Finding>, Vec<(usize, Arrival)>) {
    feed_from(0, detectors, lines)
}

/// The same; `first` is the first line's offset.
fn feed_from(
    first: i64,
    detectors: &mut PartitionDetectors,
    lines: &[Line],
) -> (Vec<Finding>, Vec<(usize, Arrival)>) {
    let mut findings = Vec::new();
    let mut seen_all = Vec::new();
    for (offset, line) in (first..).zip(lines) {
        let service = format!("service-{}", line.service);
        let seen = Observation {
            service: &service,
            time: EventTime(BEGIN + line.time),
            kafka_time: BEGIN + line.kafka,
            offset,
            is_error: line.is_error,
            level: if line.is_error { 5 } else { 3 },
            message: "a line",
            trace_id: "",
            ..Observation::default()
        };
        seen_all.push((line.service, detectors.observe(&seen, &mut findings)));
    }
    (findings, seen_all)
}

fn run(lines: &[Line]) -> Vec<Finding> {
    feed(&mut PartitionDetectors::new(Config::default()), lines).0
}

/// What was opened, by service and kind.
fn opened(findings: &[Finding]) -> Vec<(String, Kind)> {
    let opened = findings
        .iter()
        .filter(|finding| finding.phase == Phase::Opened);
    opened
        .map(|finding| (finding.service.clone(), finding.kind))
        .collect()
}

/// Everything that is told of one service but where in the topic it was.
fn told(findings: &[Finding], service: usize) -> Vec<Finding> {
    let name = format!("service-{service}");
    let of_it = findings.iter().filter(|finding| finding.service == name);
    of_it
        .map(|finding| Finding {
            ranges: Vec::new(),
            samples: Vec::new(),
            ..finding.clone()
        })
        .collect()
}

#[track_caller]
fn check(lines: &[Line], expected: &[(usize, Kind)]) {
    let mut told = opened(&run(lines));
    told.sort();
    let mut expected: Vec<_> = expected
        .iter()
        .map(|(service, kind)| (format!("service-{service}"), *kind))
        .collect();
    expected.sort();
    assert_eq!(told, expected);
}

fn burst(second: i64) -> (f64, f64) {
    (
        1.0,
        if (900..910).contains(&second) {
            0.9
        } else {
            0.005
        },
    )
}

fn silence(second: i64) -> (f64, f64) {
    (
        if (1200..1500).contains(&second) {
            0.0
        } else {
            1.0
        },
        0.005,
    )
}

/// A wrong clock: what becomes of a line's times.
type Fault = fn(&mut Line);

/// Of service 0 alone, or of one of its hosts, or of one line.
const FAULTS: [(&str, Fault); 14] = [
    ("one record's Kafka time is an hour ahead", |line| {
        if (600_000..600_600).contains(&line.at) {
            line.kafka += 3_600_000;
        }
    }),
    ("no Kafka time", |line| line.kafka = -1 - BEGIN),
    ("Kafka time in seconds", |line| {
        line.kafka = (BEGIN + line.at) / 1000 - BEGIN;
    }),
    ("Kafka time 40 days old", |line| {
        line.kafka -= 40 * 86_400_000;
    }),
    ("an hour fast", |line| {
        line.time += 3_600_000;
        line.kafka += 3_600_000;
    }),
    ("an hour slow", |line| {
        line.time -= 3_600_000;
        line.kafka -= 3_600_000;
    }),
    ("a step of an hour on", |line| {
        if line.at > 1_000_000 {
            line.time += 3_600_000;
            line.kafka += 3_600_000;
        }
    }),
    ("a step of an hour back", |line| {
        if line.at > 1_000_000 {
            line.time -= 3_600_000;
        }
    }),
    ("steps to and fro", |line| {
        if line.at / 100_000 % 2 == 1 {
            line.time += 300_000;
            line.kafka += 300_000;
        }
    }),
    ("drifts a second a minute", |line| {
        line.time += line.at / 60;
        line.kafka += line.at / 60;
    }),
    ("drifts back", |line| line.time -= line.at / 60),
    ("a minute behind for a while", |line| {
        if (600_000..1_000_000).contains(&line.at) {
            line.time -= 60_000;
            line.kafka = line.time;
        }
    }),
    ("any time at all", |line| {
        line.time = line.at * 7919 % 100_000_007;
        line.kafka = line.at * 104_729 % 1_000_000_007;
    }),
    ("the end of all time", |line| {
        line.time = 1 << 51;
        line.kafka = 1 << 51;
    }),
];

/// One key, host or producer whose times are wrong changes nothing that is said about the others, as
/// long as theirs are right.
#[test]
fn a_wrong_clock_changes_nothing_that_is_said_of_others() {
    let fleet = [
        service(5.0),
        Service {
            story: burst,
            ..service(3.0)
        },
        Service {
            story: silence,
            ..service(4.0)
        },
        service(2.0),
    ];
    let right = lines(1, &fleet, 2100);
    let expected = run(&right);
    assert_eq!(
        opened(&expected),
        [
            ("service-1".to_owned(), Kind::ErrorBurst),
            ("service-2".to_owned(), Kind::RateDrop)
        ]
    );
    for (name, fault) in FAULTS {
        for whole_service in [true, false] {
            let mut wrong = right.clone();
            for line in &mut wrong {
                if line.service == 0 && (whole_service || line.host == 1) {
                    fault(line);
                }
            }
            let findings = run(&wrong);
            for other in 1..fleet.len() {
                assert_eq!(
                    told(&findings, other),
                    told(&expected, other),
                    "{name}, whole service: {whole_service}, of service {other}"
                );
            }
        }
    }
}

/// Fleets, stories and faults by a seed; `SIMULATION_SEEDS` sets how many, `SIMULATION_SEED` runs one.
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    match number("SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..1 + number("SIMULATION_SEEDS").unwrap_or(200),
    }
}

fn falls_silent(service: &Service) -> bool {
    (0..1800).any(|second| (service.story)(second).0 == 0.0)
}

/// Which version of which episode it is, whatever it says.
fn episode(finding: &Finding) -> (Kind, EventTime, u32, u32, Phase) {
    let Finding {
        kind,
        episode_start,
        ordinal,
        version,
        phase,
        ..
    } = finding;
    (*kind, *episode_start, *ordinal, *version, *phase)
}

/// What is said of the others with right clocks and with a wrong one. The mutant: one clock for all.
fn others_hear_nothing_of_it(seed: u64, one_clock_for_all: bool) -> Result<(), String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let stories: [fn(i64) -> (f64, f64); 4] = [quiet, quiet, burst, silence];
    let fleet: Vec<_> = (0..rng.random_range(4..9))
        .map(|_| Service {
            per_second: rng.random_range(1.0..6.0),
            hosts: 2,
            story: stories[rng.random_range(0..4)],
        })
        .collect();
    let right = lines(seed, &fleet, 1800);
    let (name, fault) = FAULTS[rng.random_range(0..FAULTS.len())];
    let from = rng.random_range(0..1_500_000);
    let until = from + rng.random_range(1000..1_500_000);
    let wrong_host = rng.random_bool(0.5).then_some(1);
    let mut wrong = right.clone();
    let mut newest = i64::MIN;
    for line in &mut wrong {
        let is_of_it = line.service == 0 && wrong_host.is_none_or(|host| line.host == host);
        if is_of_it && (from..until).contains(&line.at) {
            fault(line);
        }
        if one_clock_for_all {
            newest = newest.max(line.time);
            line.time = newest;
        }
    }
    let (expected, findings) = (run(&right), run(&wrong));
    // With one right clock or none beside the wrong one there is nobody to compare with, and what cannot be
    // decided waits: that a silence is over may be told some windows sooner or later then. What is told is
    // the same.
    let has_neighbours = fleet[1..]
        .iter()
        .filter(|other| !falls_silent(other))
        .count()
        >= 2;
    for other in 1..fleet.len() {
        let (now, usual) = (told(&findings, other), told(&expected, other));
        let is_same = if has_neighbours {
            now == usual
        } else {
            now.iter().map(episode).eq(usual.iter().map(episode))
        };
        if !is_same {
            return Err(format!("{name} from {from} until {until}: service {other}"));
        }
    }
    Ok(())
}

#[test]
fn a_wrong_clock_changes_nothing_for_others_whatever_the_seed() {
    let failed: Vec<_> = seeds()
        .filter_map(|seed| {
            let outcome = others_hear_nothing_of_it(seed, false);
            outcome.err().map(|why| format!("seed {seed}: {why}"))
        })
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn one_clock_for_all_services_is_found_out() {
    let found = (1..50).find_map(|seed| others_hear_nothing_of_it(seed, true).err());
    assert!(found.is_some(), "a planted bug was not found");
}

/// A host or a shipper writes for all services at once.
#[test]
fn a_host_with_a_wrong_clock_changes_nothing_for_services_that_have_others() {
    let host = |per_second, story| Service {
        per_second,
        hosts: 4,
        story,
    };
    let fleet = [
        host(8.0, quiet),
        host(6.0, burst),
        host(6.0, silence),
        host(5.0, quiet),
        host(7.0, quiet),
    ];
    let right = lines(2, &fleet, 2100);
    let expected = [(1, Kind::ErrorBurst), (2, Kind::RateDrop)];
    check(&right, &expected);
    for (name, fault) in FAULTS {
        // What steps away from its host's own lines takes them out of their windows: a quarter of the
        // lines is no drop.
        let mut wrong = right.clone();
        for line in &mut wrong {
            if line.host == 3 {
                fault(line);
            }
        }
        let mut told = opened(&run(&wrong));
        told.sort();
        let expected = [
            ("service-1".to_owned(), Kind::ErrorBurst),
            ("service-2".to_owned(), Kind::RateDrop),
        ];
        assert_eq!(told, expected, "{name}");
    }
}

/// A single service on its partition: nobody is there to compare with.
#[test]
fn a_burst_is_found_whatever_one_line_one_host_or_the_clock_says() {
    let fleet = [Service {
        story: burst,
        ..service(2.0)
    }];
    for seed in 0..3 {
        let right = lines(seed, &fleet, 1500);
        check(&right, &[(0, Kind::ErrorBurst)]);
        for (name, fault) in FAULTS {
            for whole_service in [true, false] {
                // A service without any time of its own has no last few seconds.
                let has_no_time =
                    ["any time at all", "the end of all time", "steps to and fro"].contains(&name);
                if whole_service && has_no_time {
                    continue;
                }
                let mut wrong = right.clone();
                for line in &mut wrong {
                    if whole_service || line.host == 1 {
                        fault(line);
                    }
                }
                let told = opened(&run(&wrong));
                let bursts = told.iter().filter(|(_, kind)| *kind == Kind::ErrorBurst);
                assert_eq!(bursts.count(), 1, "{name}, {whole_service}: {told:?}");
            }
        }
    }
}

#[test]
fn one_line_ahead_or_behind_tells_nothing_and_makes_no_other_late() {
    let fleet = [service(2.0)];
    let right = lines(3, &fleet, 1800);
    for off in [-86_400_000, -240_000, 60_000, 240_000, 3_600_000] {
        for (at, both) in [(0, false), (0, true), (1200, false), (1200, true)] {
            let mut wrong = right.clone();
            wrong[at].time += off;
            if both {
                wrong[at].kafka += off;
            }
            let (findings, seen) = feed(&mut PartitionDetectors::new(Config::default()), &wrong);
            assert_eq!(opened(&findings), [], "{off} at {at}");
            let odd = seen
                .iter()
                .filter(|(_, seen)| *seen != Arrival::InTime)
                .count();
            assert!(odd <= 1, "{odd} lines out of time for {off} at {at}");
        }
    }
}

#[test]
fn a_clock_that_is_set_is_followed_within_half_a_minute() {
    let fleet = [service(2.0)];
    let right = lines(4, &fleet, 1800);
    for off in [-3_600_000, -120_000, 120_000, 3_600_000] {
        let mut wrong = right.clone();
        for line in wrong.iter_mut().filter(|line| line.at > 900_000) {
            line.time += off;
        }
        let (findings, seen) = feed(&mut PartitionDetectors::new(Config::default()), &wrong);
        assert_eq!(opened(&findings), [], "{off}");
        let last_odd = (wrong.iter().zip(&seen))
            .filter(|(_, (_, seen))| *seen != Arrival::InTime)
            .map(|(line, _)| line.at)
            .max();
        assert!(last_odd < Some(935_000), "{off}: {last_odd:?}");
    }
}

#[test]
fn a_host_that_is_a_minute_slow_or_fast_is_counted_with_the_others() {
    let fleet = [service(4.0)];
    let right = lines(5, &fleet, 2400);
    for off in [-60_000, 60_000] {
        let mut wrong = right.clone();
        for line in wrong.iter_mut().filter(|line| line.host == 1) {
            line.time += off;
        }
        let (findings, seen) = feed(&mut PartitionDetectors::new(Config::default()), &wrong);
        assert_eq!(opened(&findings), [], "{off}");
        let odd = seen
            .iter()
            .skip(seen.len() / 4)
            .filter(|(_, seen)| *seen != Arrival::InTime);
        assert_eq!(odd.count(), 0, "{off}");
    }
}

/// Written and read within a minute: Kafka's time stands still.
#[test]
fn a_backlog_says_what_live_traffic_would_have_said() {
    let fleet = [
        service(1.0),
        Service {
            story: burst,
            ..service(2.0)
        },
        Service {
            story: silence,
            ..service(2.0)
        },
        service(0.5),
    ];
    let live = lines(6, &fleet, 7200);
    let mut backlog = live.clone();
    for line in &mut backlog {
        line.kafka = 200_000_000 + line.at / 100;
    }
    let live = run(&live);
    assert_eq!(
        opened(&live),
        [
            ("service-1".to_owned(), Kind::ErrorBurst),
            ("service-2".to_owned(), Kind::RateDrop)
        ]
    );
    let backlog = run(&backlog);
    for service in 0..fleet.len() {
        assert_eq!(told(&backlog, service), told(&live, service));
    }
}

/// Two services: one goes silent, the other's clock jumps. Only Kafka's time can tell.
#[test]
fn where_there_is_nobody_to_compare_with_kafka_has_to_agree() {
    let fleet = [
        Service {
            story: silence,
            ..service(2.0)
        },
        service(3.0),
    ];
    let right = lines(7, &fleet, 1800);
    check(&right, &[(0, Kind::RateDrop)]);
    let fleet = [service(0.2), service(3.0)];
    let mut wrong = lines(7, &fleet, 1800);
    for line in wrong.iter_mut().filter(|line| line.service == 1) {
        if line.at > 900_000 {
            line.time += 3_600_000;
        }
    }
    check(&wrong, &[]);
    for line in wrong.iter_mut().filter(|line| line.service == 1) {
        if line.at > 900_000 {
            line.kafka += 3_600_000;
        }
    }
    // Both of its times say that an hour has passed, for itself.
    assert_eq!(told(&run(&wrong), 0), []);
}

#[test]
fn a_producer_that_is_minutes_behind_its_neighbours_is_not_told_silent() {
    let fleet = [service(2.0), service(0.3), service(2.0), service(2.0)];
    for behind in [60_000, 600_000] {
        let mut wrong = lines(8, &fleet, 3600);
        for line in &mut wrong {
            // From the twentieth minute to the fortieth it writes what was long ago.
            if line.service < 2 && (1_200_000..2_400_000).contains(&line.at) {
                line.time = (line.at - behind).max(1_200_000);
            }
        }
        let silent = opened(&run(&wrong));
        let silent = silent.iter().filter(|(_, kind)| *kind == Kind::RateDrop);
        assert_eq!(silent.count(), 0, "{behind}");
    }
}

/// A topic gets more partitions: what moved is not silent, and what stayed goes on as before.
#[test]
fn what_moved_to_another_partition_is_not_silent() {
    fn gone(second: i64) -> (f64, f64) {
        (if second < 1200 { 1.0 } else { 0.0 }, 0.005)
    }
    let leaving = Service {
        story: gone,
        ..service(4.0)
    };
    let staying = Service {
        story: silence,
        ..service(3.0)
    };
    let fleet = [leaving, leaving, staying, service(2.0)];
    let lines = lines(9, &fleet, 2100);
    let (before, after): (Vec<_>, Vec<_>) =
        lines.iter().cloned().partition(|line| line.at < 1_199_000);
    let run = |stays: fn(&str) -> bool| {
        let mut detectors = PartitionDetectors::new(Config::default());
        let mut findings = Vec::new();
        detectors.partitions_are(4);
        findings.extend(feed(&mut detectors, &before).0);
        let who = Moves::if_so(move |name| !stays(name));
        detectors.have_grown(4, 30, who.clone(), &mut findings);
        let mut restored =
            PartitionDetectors::restore(&detectors.snapshot(), Config::default()).unwrap();
        assert_eq!(restored.grown_from(), 4);
        restored.have_grown(4, 30, who, &mut findings);
        findings.extend(feed(&mut restored, &after).0);
        restored.idle(600_000, &mut findings);
        findings
    };
    let silent = |findings: &[Finding]| {
        let mut silent = opened(findings);
        silent.retain(|(_, kind)| *kind == Kind::RateDrop);
        silent.sort();
        silent
            .into_iter()
            .map(|(service, _)| service)
            .collect::<Vec<_>>()
    };
    let mut all = silent(&run(|_| true));
    all.dedup();
    assert_eq!(all, ["service-0", "service-1", "service-2", "service-3"]);
    let stayed = silent(&run(|name| name == "service-2" || name == "service-3"));
    assert_eq!(
        stayed,
        ["service-2", "service-2", "service-3"],
        "silent in between, and at the end"
    );
}

/// Producers hear of new partitions one after the other, and a processor that was behind reads later
/// what they wrote before: fewer lines of what moves, and none, say nothing for a while. Who still writes
/// then has not moved.
#[test]
fn what_moves_by_and_by_is_no_drop_and_no_silence() {
    fn by_and_by(second: i64) -> (f64, f64) {
        let left = match second {
            ..1200 => 1.0,
            1200..1350 => 0.5,
            1350..1500 => 0.2,
            _ => 0.0,
        };
        (left, 0.005)
    }
    fn wrongly_taken(second: i64) -> (f64, f64) {
        (if second < 5400 { 1.0 } else { 0.0 }, 0.005)
    }
    let fleet = [
        Service {
            story: by_and_by,
            ..service(4.0)
        },
        Service {
            story: wrongly_taken,
            ..service(4.0)
        },
        service(3.0),
        service(2.0),
    ];
    let lines = lines(11, &fleet, 6000);
    // Behind by nine minutes when it is said that the topic has grown, and at its end soon after.
    let (read, unread): (Vec<_>, Vec<_>) =
        lines.iter().cloned().partition(|line| line.at < 660_000);
    let (unread, live): (Vec<_>, Vec<_>) = unread.into_iter().partition(|line| line.at < 1_260_000);
    let told = |moves: fn(&str) -> bool| {
        let mut detectors = PartitionDetectors::new(Config::default());
        let mut findings = Vec::new();
        detectors.partitions_are(4);
        findings.extend(feed(&mut detectors, &read).0);
        if moves("service-0") {
            detectors.have_grown(4, 30, Moves::if_so(moves), &mut findings);
        }
        findings.extend(feed(&mut detectors, &unread).0);
        detectors.at_end();
        findings.extend(feed(&mut detectors, &live).0);
        let mut told = opened(&findings);
        told.retain(|(_, kind)| *kind == Kind::RateDrop);
        told.into_iter()
            .map(|(service, _)| service)
            .collect::<Vec<_>>()
    };
    let all = told(|_| false);
    assert!(all.contains(&"service-0".to_owned()), "{all:?}");
    assert!(all.contains(&"service-1".to_owned()), "{all:?}");
    let known = told(|name| name == "service-0" || name == "service-1");
    assert_eq!(known, ["service-1"]);
}

/// Whatever the clocks say, what is kept is all that matters.
#[test]
fn detectors_go_on_from_a_snapshot_whatever_the_clocks_say() {
    for seed in seeds() {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x5a4e);
        let stories: [fn(i64) -> (f64, f64); 4] = [quiet, burst, silence, quiet];
        let fleet: Vec<_> = (0..rng.random_range(1..8))
            .map(|_| Service {
                per_second: rng.random_range(0.05..2.0),
                hosts: 2,
                story: stories[rng.random_range(0..4)],
            })
            .collect();
        let mut lines = lines(seed, &fleet, 1800);
        let (_, fault) = FAULTS[rng.random_range(0..FAULTS.len())];
        let is_backlog = rng.random_bool(0.5);
        for line in &mut lines {
            if is_backlog {
                line.kafka = 20_000_000 + line.at / 30;
            }
            if line.service == 0 && line.host == 1 {
                fault(line);
            }
        }
        if lines.is_empty() {
            continue;
        }
        let mut whole = PartitionDetectors::new(Config::default());
        let (expected, _) = feed(&mut whole, &lines);
        let mut parts = PartitionDetectors::new(Config::default());
        let mut findings = Vec::new();
        let mut rest = &lines[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rng.random_range(1..=rest.len().min(700)));
            let first = (lines.len() - rest.len()) as i64;
            findings.extend(feed_from(first, &mut parts, now).0);
            rest = later;
            parts = PartitionDetectors::restore(&parts.snapshot(), Config::default())
                .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        }
        assert_eq!(findings, expected, "seed {seed}");
        assert_eq!(parts.snapshot(), whole.snapshot(), "seed {seed}");
    }
}
