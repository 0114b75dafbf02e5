//! What the detectors say is a function of the records: taken down and gone on from anywhere, and
//! told ahead by idle ticks, it stays the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use detection::{
    Config, EventTime, Finding, Kind, Lineage, Observation, PartitionDetectors, Phase, Rule, Rules,
    SnapshotError, Weight,
};
use proptest::prelude::*;

/// What happens on a partition.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Lines of a service within a window's length, every n-th an error, so many ms behind.
    Lines {
        service: u8,
        count: u8,
        error_every: u8,
        behind: i64,
    },
    /// A service's clock is set, to so many ms off the right time.
    Clock { service: u8, off: i64 },
    /// From now on every n-th line of a service takes so many times as long.
    Slow { service: u8, every: u8, times: u8 },
    /// From now on every n-th line of a service is answered so.
    Answer { service: u8, every: u8, status: u16 },
    /// From now on one of the four machines of a service writes nothing.
    Away { service: u8, host: u8 },
    /// Lines of a service of one template, which may be warnings.
    Say {
        service: u8,
        count: u8,
        template: u8,
        is_warning: bool,
    },
    /// From now on it is known that a template had another id before.
    Rename { from: u8, into: u8 },
    /// So many users, or one, try to log in from so many addresses, all in turn.
    Try {
        service: u8,
        count: u8,
        users: u8,
        addresses: u8,
        get_in: bool,
    },
    /// So many ms pass.
    Pass(i64),
    /// The clock ticks, so many ms after the newest record or tick.
    Tick(i64),
}

/// Short windows, little patience: a few steps are enough for all kinds of episodes.
fn config() -> Config {
    Config {
        window_ms: 1000,
        grace_ms: 1500,
        false_alerts_per_week: 1e6,
        warm_up_windows: 4,
        adopt_after_windows: 12,
        max_services: 3,
        max_provisional: 2,
        samples: 2,
    }
}

fn step() -> impl Strategy<Value = Step> {
    let lines = |count: std::ops::Range<u8>| {
        (
            0_u8..4,
            count,
            1_u8..12,
            prop_oneof![4 => Just(0_i64), 1 => 0_i64..4000],
        )
            .prop_map(|(service, count, error_every, behind)| Step::Lines {
                service,
                count,
                error_every,
                behind,
            })
    };
    let clock = (
        0_u8..4,
        prop_oneof![1 => Just(0_i64), 2 => -30_000_i64..30_000, 1 => -1_000_000_i64..1_000_000],
    );
    let slow = (0_u8..4, 1_u8..12, 1_u8..40).prop_map(|(service, every, times)| Step::Slow {
        service,
        every,
        times,
    });
    let say = (0_u8..4, 1_u8..20, 1_u8..6, any::<bool>()).prop_map(
        |(service, count, template, is_warning)| Step::Say {
            service,
            count,
            template,
            is_warning,
        },
    );
    let tries = (
        0_u8..4,
        1_u8..20,
        1_u8..9,
        1_u8..9,
        prop::bool::weighted(0.2),
    )
        .prop_map(|(service, count, users, addresses, get_in)| Step::Try {
            service,
            count,
            users,
            addresses,
            get_in,
        });
    let answer = (
        0_u8..4,
        1_u8..12,
        prop_oneof![Just(302_u16), Just(404), Just(200)],
    )
        .prop_map(|(service, every, status)| Step::Answer {
            service,
            every,
            status,
        });
    let away = (0_u8..4, 0_u8..8).prop_map(|(service, host)| Step::Away { service, host });
    prop_oneof![
        8 => lines(1..20),
        1 => answer,
        1 => away,
        1 => slow,
        2 => say,
        2 => tries,
        1 => (1_u8..6, 1_u8..6).prop_map(|(from, into)| Step::Rename { from, into }),
        1 => clock.prop_map(|(service, off)| Step::Clock { service, off }),
        1 => lines(60..120),
        3 => (1_i64..3000).prop_map(Step::Pass),
        1 => (3000_i64..60_000).prop_map(Step::Pass),
        4 => (1_i64..6000).prop_map(Step::Tick),
        1 => (6000_i64..600_000).prop_map(Step::Tick),
    ]
}

/// Beats of a service that can be relied on, and in between whatever happens.
fn story() -> impl Strategy<Value = Vec<Step>> {
    let beat = prop_oneof![
        3 => Just(vec![
            Step::Lines { service: 0, count: 12, error_every: 11, behind: 0 },
            Step::Lines { service: 1, count: 9, error_every: 200, behind: 0 },
        ]),
        2 => prop::collection::vec(step(), 0..4),
    ];
    // Now and then templates are known well enough to be missed.
    let known = prop::bool::weighted(0.2).prop_map(|known| {
        let say = |template, count| Step::Say {
            service: 0,
            count,
            template,
            is_warning: false,
        };
        vec![vec![say(3, 4), say(4, 3), say(5, 2)]; if known { 90 } else { 0 }]
    });
    (known, prop::collection::vec(beat, 1..60)).prop_map(|(known, beats)| {
        known
            .into_iter()
            .chain(beats)
            .flat_map(|mut beat| {
                beat.push(Step::Pass(1000));
                beat
            })
            .collect()
    })
}

/// When it begins, ms since the epoch.
const BEGIN: i64 = 1_790_000_000_000;

fn rules() -> Rules {
    let rule = |name: &str, message: &str, above| Rule {
        name: name.to_owned(),
        message: message.to_owned(),
        service: Some("-[012]$".to_owned()),
        above,
        within_ms: 3000,
        weight: Weight::High,
    };
    let own = rule("own", "of its own", 60);
    let (rules, bad) = Rules::of(vec![own, rule("logins", "^login", 20)]);
    assert!(bad.is_empty());
    rules
}

const HOSTS: [&str; 4] = ["m-1", "m-2", "m-3", "m-4"];

/// A partition and its clock.
#[derive(Clone)]
struct Play {
    detectors: PartitionDetectors,
    kafka_time: i64,
    /// Kafka's time of the newest record.
    newest: i64,
    ticked: i64,
    offset: i64,
    /// By how much each service's clock is off, ms.
    off: [i64; 4],
    /// Which of its lines take how many times as long.
    slow: [(u8, u8); 4],
    /// Which of its lines are answered otherwise than with 200.
    answers: [(u8, u16); 4],
    /// Which of its machines writes nothing, if it is one of them.
    away: [u8; 4],
    former: Former,
    rules: Rules,
    /// Whether ticks may be ahead of later records.
    may_run_ahead: bool,
}

/// Former ids of templates.
#[derive(Clone, Default)]
struct Former(BTreeMap<u64, Vec<u64>>);

impl Lineage for Former {
    fn former(&self, template: u64) -> &[u64] {
        self.0.get(&template).map_or(&[], Vec::as_slice)
    }
}

impl Play {
    fn new(may_run_ahead: bool) -> Self {
        Self {
            detectors: PartitionDetectors::new(config()),
            kafka_time: BEGIN,
            newest: BEGIN,
            ticked: 0,
            offset: 0,
            off: [0; 4],
            slow: [(1, 1); 4],
            answers: [(1, 200); 4],
            away: [9; 4],
            former: Former::default(),
            rules: rules(),
            may_run_ahead,
        }
    }

    fn step(&mut self, step: Step, findings: &mut Vec<Finding>) {
        match step {
            Step::Pass(millis) => self.kafka_time += millis,
            Step::Clock { service, off } => self.off[usize::from(service)] = off,
            Step::Slow {
                service,
                every,
                times,
            } => self.slow[usize::from(service)] = (every, times),
            Step::Answer {
                service,
                every,
                status,
            } => self.answers[usize::from(service)] = (every, status),
            Step::Away { service, host } => self.away[usize::from(service)] = host,
            Step::Tick(millis) => {
                self.ticked = self.ticked.max(self.kafka_time) + millis;
                self.detectors.idle(self.ticked - self.newest, findings);
                if !self.may_run_ahead {
                    self.kafka_time = self.ticked;
                }
            }
            Step::Lines {
                service,
                count,
                error_every,
                behind,
            } => {
                let name = format!("service-{service}");
                let (every, times) = self.slow[usize::from(service)];
                let (answered_every, status) = self.answers[usize::from(service)];
                let away = i64::from(self.away[usize::from(service)]);
                for at in 1..=i64::from(count) {
                    let next = self.offset + 1;
                    let seen = Observation {
                        is_error: at % i64::from(error_every) == 0,
                        level: 3,
                        template: 9 << 56,
                        status: match next % i64::from(answered_every) {
                            0 if service < 3 => status,
                            _ if service < 3 => 200,
                            _ => 0,
                        },
                        host: HOSTS[usize::try_from(match next % 4 {
                            host if host == away => (host + 1) % 4,
                            host => host,
                        })
                        .unwrap()],
                        message: "a line",
                        latency_ms: (service < 3).then(|| {
                            let is_slow = next % i64::from(every) == 0;
                            let usual = 10.0 + (next * 7 % 20) as f64;
                            usual * f64::from(if is_slow { times } else { 1 })
                        }),
                        ..Observation::default()
                    };
                    self.line(&name, (at, count), behind, &seen, findings);
                }
            }
            Step::Say {
                service,
                count,
                template,
                is_warning,
            } => {
                let name = format!("service-{service}");
                for at in 1..=i64::from(count) {
                    let seen = Observation {
                        is_warning,
                        template: u64::from(template) << 56,
                        message: "something of its own",
                        ..Observation::default()
                    };
                    self.line(&name, (at, count), 0, &seen, findings);
                }
            }
            Step::Rename { from, into } => {
                let former = self.former.0.entry(u64::from(into) << 56).or_default();
                former.push(u64::from(from) << 56);
            }
            Step::Try {
                service,
                count,
                users,
                addresses,
                get_in,
            } => {
                let name = format!("service-{service}");
                for at in 1..=i64::from(count) {
                    let user = format!("u{}", at % i64::from(users));
                    let address = format!("203.0.113.{}", at % i64::from(addresses));
                    let seen = Observation {
                        is_warning: true,
                        status: if get_in { 200 } else { 401 },
                        message: "login with a password",
                        user: &user,
                        address: &address,
                        ..Observation::default()
                    };
                    self.line(&name, (at, count), 0, &seen, findings);
                }
            }
        }
    }

    /// Line `at` of `count` that are spread over 900 ms.
    fn line(
        &mut self,
        service: &str,
        (at, count): (i64, u8),
        behind: i64,
        seen: &Observation<'_>,
        findings: &mut Vec<Finding>,
    ) {
        let kafka_time = self.kafka_time + at * 900 / i64::from(count);
        let off: usize = service["service-".len()..].parse().unwrap();
        self.offset += 1;
        self.newest = kafka_time;
        let seen = Observation {
            service,
            time: EventTime(kafka_time - behind + self.off[off]),
            kafka_time,
            offset: self.offset,
            lineage: Some(&self.former),
            rules: Some(&self.rules),
            ..*seen
        };
        self.detectors.observe(&seen, findings);
    }

    fn play(&mut self, steps: &[Step]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for each in steps {
            self.step(*each, &mut findings);
        }
        findings
    }
}

type Id = (Kind, String, EventTime, u32);

fn id(finding: &Finding) -> Id {
    (
        finding.kind,
        finding.service.clone(),
        finding.episode_start,
        finding.ordinal,
    )
}

fn ids(findings: &[Finding]) -> BTreeSet<Id> {
    findings.iter().map(id).collect()
}

/// The same times, without the ticks.
fn without_ticks(steps: &[Step], ticks_pass: bool) -> Vec<Step> {
    let mut untick = Play::new(true);
    let mut quiet = Vec::new();
    for step in steps {
        match step {
            Step::Tick(millis) if ticks_pass => {
                let to = untick.ticked.max(untick.kafka_time) + millis;
                quiet.push(Step::Pass(to - untick.kafka_time));
                (untick.kafka_time, untick.ticked) = (to, to);
            }
            Step::Tick(_) => {}
            Step::Pass(millis) => {
                untick.kafka_time += millis;
                quiet.push(*step);
            }
            Step::Lines { .. }
            | Step::Clock { .. }
            | Step::Slow { .. }
            | Step::Answer { .. }
            | Step::Away { .. }
            | Step::Say { .. }
            | Step::Rename { .. }
            | Step::Try { .. } => quiet.push(*step),
        }
    }
    quiet
}

/// Everybody's time goes on until nothing is left to say.
fn ending() -> Vec<Step> {
    (0..700)
        .flat_map(|_| {
            [
                Step::Pass(1000),
                Step::Lines {
                    service: 0,
                    count: 1,
                    error_every: 100,
                    behind: 0,
                },
            ]
        })
        .collect()
}

fn versions_count_up(findings: &[Finding]) -> Result<(), TestCaseError> {
    let mut newest: BTreeMap<Id, u32> = BTreeMap::new();
    for finding in findings {
        let before = newest.insert(id(finding), finding.version).unwrap_or(0);
        prop_assert_eq!(finding.version, before + 1, "{:?}", finding);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn goes_on_from_a_snapshot_as_if_nothing_had_happened(
        steps in story(),
        cut in any::<prop::sample::Index>(),
        may_run_ahead in any::<bool>(),
    ) {
        let (before, after) = steps.split_at(cut.index(steps.len()));
        let mut undisturbed = Play::new(may_run_ahead);
        undisturbed.play(before);
        let bytes = undisturbed.detectors.snapshot();
        let mut restored = undisturbed.clone();
        restored.detectors = PartitionDetectors::restore(&bytes, config()).unwrap();
        prop_assert_eq!(&restored.detectors.snapshot(), &bytes);
        prop_assert_eq!(restored.play(after), undisturbed.play(after));
        prop_assert_eq!(restored.detectors.snapshot(), undisturbed.detectors.snapshot());
    }

    #[test]
    fn versions_of_an_episode_count_up_without_gap_or_reuse(steps in story(), may_run_ahead in any::<bool>()) {
        let mut play = Play::new(may_run_ahead);
        let mut findings = play.play(&steps);
        findings.extend(play.play(&ending()));
        // A service that was forgotten and lives through the same time again has episodes of the same names.
        let sets_clocks = steps.iter().any(|step| matches!(step, Step::Clock { .. }));
        prop_assume!(!sets_clocks || play.detectors.evicted() == 0);
        versions_count_up(&findings)?;
    }

    #[test]
    fn ticks_hide_nothing_and_what_records_do_not_bear_out_is_taken_back(
        steps in story(),
        may_run_ahead in any::<bool>(),
    ) {
        let steps = [steps, ending()].concat();
        let ticked = Play::new(may_run_ahead).play(&steps);
        let mut by_records = Play::new(true);
        let quiet = by_records.play(&without_ticks(&steps, !may_run_ahead));
        let (told, found) = (ids(&ticked), ids(&quiet));
        prop_assert!(told.is_superset(&found), "{:?}", found.difference(&told).collect::<Vec<_>>());
        for untrue in told.difference(&found) {
            let last = ticked.iter().rfind(|finding| id(finding) == *untrue).unwrap();
            prop_assert_eq!(last.phase, Phase::Closed, "{}", last.title);
        }
        // Whatever was told in between, an episode ends as the records say, unless its service was
        // forgotten before.
        let all_ended = by_records.detectors.evicted() == 0;
        for each in found.iter().filter(|_| all_ended) {
            let of = |findings: &[Finding]| findings.iter().rfind(|finding| id(finding) == *each).cloned().unwrap();
            let (told, found) = (of(&ticked), of(&quiet));
            // What was told ahead of one that goes on may be more than the records bear out so far.
            let goes_on = told.phase != Phase::Closed && found.phase != Phase::Closed;
            prop_assert!(goes_on || Finding { version: found.version, ..told.clone() } == found, "{:?} is {:?}", told, found);
        }
    }

    #[test]
    fn changes_one_after_the_other_lead_to_what_is_known(
        segments in prop::collection::vec(story(), 1..6),
        first in any::<prop::sample::Index>(),
    ) {
        let first = first.index(segments.len());
        let mut play = Play::new(true);
        let mut kept: Option<PartitionDetectors> = None;
        for (at, segment) in segments.into_iter().enumerate() {
            play.play(&segment);
            let changes = play.detectors.changes();
            kept = match kept {
                None if at < first => None,
                None => Some(PartitionDetectors::restore(&play.detectors.snapshot(), config()).unwrap()),
                Some(before) => Some(before.with_changes(&changes).unwrap()),
            };
            if let Some(kept) = &kept {
                prop_assert_eq!(kept.snapshot(), play.detectors.snapshot());
            }
        }
        // And it goes on like that.
        let mut restored = play.clone();
        restored.detectors = kept.unwrap();
        let rest = [Step::Pass(5000), Step::Lines { service: 0, count: 40, error_every: 2, behind: 0 }, Step::Tick(20_000)];
        prop_assert_eq!(restored.play(&rest), play.play(&rest));
        prop_assert_eq!(restored.detectors.snapshot(), play.detectors.snapshot());
    }

    #[test]
    fn bytes_that_are_no_snapshot_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let refused = matches!(
            PartitionDetectors::restore(&bytes, config()),
            Err(SnapshotError::Unreadable { .. })
        );
        prop_assert!(refused);
    }

    #[test]
    fn damaged_snapshots_are_refused(
        steps in story(),
        at in any::<prop::sample::Index>(),
        by in 1_u8..,
        keep in any::<prop::sample::Index>(),
    ) {
        let mut play = Play::new(true);
        play.play(&steps);
        let mut bytes = play.detectors.snapshot();
        let shorter = &bytes[..keep.index(bytes.len())];
        prop_assert!(PartitionDetectors::restore(shorter, config()).is_err());
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        prop_assert!(PartitionDetectors::restore(&bytes, config()).is_err());
    }
}

#[test]
fn a_snapshot_of_another_configuration_or_format_is_refused_by_name() {
    let bytes = PartitionDetectors::new(config()).snapshot();
    let other = Config {
        grace_ms: 1501,
        ..config()
    };
    let own = detection::compatibility(&other);
    let found = detection::compatibility(&config());
    assert_eq!(
        PartitionDetectors::restore(&bytes, other).unwrap_err(),
        SnapshotError::OtherConfig { found, own }
    );
    let mut newer = bytes.clone();
    newer[8] += 1;
    assert_eq!(
        PartitionDetectors::restore(&newer, config()).unwrap_err(),
        SnapshotError::Newer { found: 3, known: 2 }
    );
    let mut other = bytes;
    other[10] += 1;
    assert!(matches!(
        PartitionDetectors::restore(&other, config()).unwrap_err(),
        SnapshotError::OtherBehaviour { .. }
    ));
}

/// Steps that hold a burst, some very slow requests, a raised share of errors, a spike, a drop, a silence,
/// slow requests, new warnings, guessed passwords of three kinds, a template that surges, one that is missing,
/// answers that find nothing, a machine that is silent and a storm of additional errors.
fn eventful() -> Vec<Step> {
    let mut steps = Vec::new();
    for second in 0_i64..400 {
        let (every, times) = match second {
            130..140 => (8, 20),
            340..350 => (1, 3),
            _ => (1, 1),
        };
        steps.push(Step::Slow {
            service: 0,
            every,
            times,
        });
        let (every, status) = match second {
            186..210 => (2, 404),
            _ => (30, 404),
        };
        steps.push(Step::Answer {
            service: 0,
            every,
            status,
        });
        steps.push(Step::Away {
            service: 0,
            host: match second {
                265..298 => 2,
                _ => 9,
            },
        });
        let wobble = (second * 7 % 5) as u8;
        let (count, error_every) = match second {
            100..110 => (40, 2),
            160..180 => (120, 30),
            220..260 => (40, 8),
            300..320 => (3, 200),
            370..380 => (100, 2),
            _ => (40 + wobble, 25),
        };
        steps.push(Step::Lines {
            service: 0,
            count,
            error_every,
            behind: 0,
        });
        if (70..82).contains(&second) {
            steps.push(Step::Say {
                service: 0,
                count: 2,
                template: 7,
                is_warning: true,
            });
        }
        let tried = match second {
            115..125 => Some((1, 1)),
            190..199 => Some((5, 1)),
            270..279 => Some((1, 6)),
            _ => None,
        };
        steps.extend(tried.map(|(users, addresses)| Step::Try {
            service: 2,
            count: 4,
            users,
            addresses,
            get_in: false,
        }));
        if !(200..260).contains(&second) {
            for (template, count) in [(3, 6), (4, 5)] {
                let count = match (template, second) {
                    (4, 150..160) => 60,
                    (3, 330..380) => 0,
                    _ => count,
                };
                steps.push(Step::Say {
                    service: 1,
                    count,
                    template,
                    is_warning: false,
                });
            }
            steps.push(Step::Lines {
                service: 1,
                count: 10 + wobble,
                error_every: 9,
                behind: second % 3 * 400,
            });
        }
        steps.push(Step::Pass(1000));
    }
    steps
}

#[test]
fn the_answers_are_those_that_are_pinned() {
    let mut play = Play::new(true);
    let findings = play.play(&eventful());
    let kinds: BTreeSet<_> = findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, Kind::ALL.into_iter().collect(), "all kinds occur");
    // Logarithms differ in their last bits from one C library to the next: rounded.
    let mut said = String::new();
    for finding in &findings {
        let Finding {
            score,
            observed,
            expected,
            lower,
            upper,
            ..
        } = finding;
        let score = score.value();
        let texts = [&finding.title, &finding.summary, &finding.baseline];
        writeln!(
            said,
            "{:?} {:?} {} {} {score:.6e} {observed:.6e} {expected:.6e} {lower:.6e} {upper:.6e} {texts:?} {:?}",
            id(finding),
            finding.phase,
            finding.version,
            finding.detected_at.0,
            finding.span()
        )
        .unwrap();
    }
    let fnv = |bytes: &[u8]| {
        bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    };
    let state = play.detectors.snapshot();
    assert_eq!(
        (findings.len(), fnv(said.as_bytes()), fnv(&state)),
        (47, 11_245_224_470_038_270_047, 1_213_207_615_465_976_580),
        "behaviour changed: raise BEHAVIOUR and pin the new value\n{said}"
    );
}

#[test]
fn a_silence_is_told_ahead_once_and_withdrawn_when_its_lines_come_late() {
    let steady = |seconds: usize| {
        vec![
            [
                Step::Lines {
                    service: 0,
                    count: 20,
                    error_every: 200,
                    behind: 0
                },
                Step::Pass(1000),
            ];
            seconds
        ]
        .concat()
    };
    let mut play = Play::new(true);
    assert_eq!(play.play(&steady(30)), []);
    let ahead = play.play(&[Step::Tick(5500)]);
    assert_eq!(ahead.len(), 1, "{ahead:#?}");
    assert_eq!((ahead[0].kind, ahead[0].version), (Kind::RateDrop, 1));
    assert_eq!(play.play(&[Step::Tick(1)]), [], "told once");

    let mut silent = play.clone();
    silent.kafka_time += 6000;
    let after = silent.play(&steady(10));
    let phases: Vec<_> = after
        .iter()
        .map(|finding| (finding.version, finding.phase))
        .collect();
    assert_eq!(phases, [(2, Phase::Closed)], "{after:#?}");
    assert_eq!(id(&after[0]), id(&ahead[0]));

    let late = play.play(&steady(10));
    let phases: Vec<_> = late
        .iter()
        .map(|finding| (finding.version, finding.phase))
        .collect();
    assert_eq!(phases, [(2, Phase::Closed)], "{late:#?}");
    assert_eq!(id(&late[0]), id(&ahead[0]));
    assert!(late[0].summary.contains("came late"), "{}", late[0].summary);
}

#[test]
fn a_million_services_pass_through_a_partition_that_keeps_few() {
    let mut detectors = PartitionDetectors::new(Config {
        max_services: 1000,
        ..Config::default()
    });
    let mut findings = Vec::new();
    for offset in 0..1_000_000_i64 {
        let service = format!("service-{offset}");
        for (name, error) in [(service.as_str(), false), ("steady", offset % 50 == 0)] {
            let seen = Observation {
                service: name,
                time: EventTime(BEGIN + offset),
                kafka_time: BEGIN + offset,
                offset,
                is_error: error,
                level: 3,
                message: "hello",
                trace_id: "",
                ..Observation::default()
            };
            detectors.observe(&seen, &mut findings);
        }
    }
    assert_eq!((detectors.services(), detectors.evicted()), (1000, 999_001));
    let bytes = detectors.snapshot();
    let restored = PartitionDetectors::restore(
        &bytes,
        Config {
            max_services: 1000,
            ..Config::default()
        },
    );
    assert_eq!(restored.unwrap().snapshot(), bytes);
}
