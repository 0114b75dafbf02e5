//! What is said of failed logins.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use detection::{Config, Finding, Kind, Observation, PartitionDetectors, Phase, time::EventTime};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

const BEGIN: i64 = 1_790_000_000_000;
const SECONDS: i64 = 3 * 3600;

/// One try, as the log has it.
struct Try {
    user: String,
    address: String,
    fails: bool,
}

type Attack = fn(i64, &mut StdRng) -> Vec<Try>;

fn tries(count: usize, of: impl Fn(usize) -> (String, String)) -> Vec<Try> {
    let one = |at| {
        let (user, address) = of(at);
        Try {
            user,
            address,
            fails: true,
        }
    };
    (0..count).map(one).collect()
}

/// A password of one user is guessed, from one place.
const GUESSES: Attack = |second, _| {
    let count = if (5000..5060).contains(&second) { 2 } else { 0 };
    tries(count, |_| ("root".to_owned(), "203.0.113.7".to_owned()))
};
/// From one place, every user once.
const SPRAY: Attack = |second, rng| {
    let count = if (5000..5060).contains(&second) { 2 } else { 0 };
    let first: u32 = rng.random_range(0..100_000);
    tries(count, |at| {
        (format!("guess-{first}-{at}"), "203.0.113.7".to_owned())
    })
};
/// One user, twice a minute, from another place each time.
const SLOWLY: Attack = |second, _| {
    let is_due = (5000..8000).contains(&second) && second % 30 == 0;
    tries(usize::from(is_due), |_| {
        let address = format!("203.0.{}.{}", second / 30 % 7, second / 30 % 200);
        ("root".to_owned(), address)
    })
};
const NOBODY: Attack = |_, _| Vec::new();

/// 2,000 users, some much busier than others, and an office of 300 behind one address, all of whom mistype.
fn usual(rng: &mut StdRng) -> Vec<Try> {
    let at_home = (0..3).map(|at| (at, 2000, 0.15));
    let at_work = (3..6).map(|at| (at, 300, 0.1));
    at_home
        .chain(at_work)
        .map(|(at, of, fails)| {
            let busy: f64 = rng.random();
            let user = (busy * busy * f64::from(of)) as u32;
            let home = format!("198.51.{}.{}", user / 250, user % 250);
            Try {
                user: format!("u{of}-{user}"),
                address: if at < 3 { home } else { "192.0.2.1".to_owned() },
                fails: rng.random_bool(fails),
            }
        })
        .collect()
}

fn run(seed: u64, attack: Attack) -> Vec<Finding> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut detectors = PartitionDetectors::new(Config::default());
    let mut findings = Vec::new();
    let mut offset = 0;
    for second in 0..SECONDS {
        let mut all = usual(&mut rng);
        all.extend(attack(second, &mut rng));
        for one in all {
            offset += 1;
            let seen = Observation {
                service: "auth",
                time: EventTime(BEGIN + second * 1000),
                kafka_time: BEGIN + second * 1000,
                offset,
                is_warning: one.fails,
                status: if one.fails { 401 } else { 200 },
                message: "POST /login",
                template: 1,
                user: &one.user,
                address: &one.address,
                ..Observation::default()
            };
            detectors.observe(&seen, &mut findings);
        }
    }
    findings
}

fn opened(findings: &[Finding]) -> Vec<&Finding> {
    let opened = |finding: &&Finding| finding.phase == Phase::Opened;
    findings.iter().filter(opened).collect()
}

#[test]
fn people_who_mistype_and_an_office_behind_one_address_are_no_attack() {
    for seed in 0..4 {
        let findings = run(seed, NOBODY);
        assert_eq!(findings, [], "seed {seed}");
    }
}

#[test]
fn attacks_are_told_once_and_by_their_name() {
    for seed in 0..3 {
        for (attack, kind, within, subject) in [
            (GUESSES, Kind::FailedLogins, 20, "/user=root"),
            (SPRAY, Kind::PasswordSpray, 30, "/address=203.0.113.7"),
            (SLOWLY, Kind::DistributedBruteForce, 900, "/user=root"),
        ] {
            let findings = run(seed, attack);
            let opened = opened(&findings);
            let kinds: Vec<_> = opened.iter().map(|finding| finding.kind).collect();
            assert_eq!(kinds, [kind], "seed {seed}");
            let first = opened[0];
            let after = (first.detected_at.0 - BEGIN) / 1000 - 5000;
            assert!((0..=within).contains(&after), "{}: {after} s", first.title);
            assert_eq!(first.subject.series(), subject);
            let last = findings.last().unwrap();
            assert_eq!(last.phase, Phase::Closed, "{}", last.title);
            assert!(last.observed >= 90.0, "{}", last.title);
        }
    }
}
