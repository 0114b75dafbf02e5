//! What happens on the days of a fleet: storms, and what looks like one and is none.
//!
//! Invariant: a plan is a function of the seed and of the arguments.

use anyhow::Context as _;
use contracts::{Timestamp, truth::Fault};
use log_generator::{Fleet, Schedule, Settings, Spec};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::Args;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// A Monday.
const BEGIN: &str = "2026-11-02T00:00:00Z";
/// Before any storm: nobody knows what is usual yet.
const QUIET: i64 = 3 * HOUR;
/// Storms of a kind on each day.
const STORMS: usize = 2;
/// How far a service's rate wanders within an hour.
const WANDER: f64 = 0.12;
/// How strong day and week are: a night has about half of an afternoon.
const RHYTHM: f64 = 1.6;
/// What is refused is tried at so many other times.
const ATTEMPTS: usize = 400;
/// Lines per second of a service that a storm befalls, at the least.
const QUIETEST: f64 = 1.0;

pub(super) struct Plan {
    pub(super) fleet: Fleet,
    pub(super) schedule: Schedule,
    pub(super) begin: Timestamp,
    pub(super) end: Timestamp,
    pub(super) events: Vec<Event>,
}

/// One event, times in ms since the epoch.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) what: What,
    /// Whose it is first, then those that suffer too.
    pub(super) services: Vec<String>,
    pub(super) begin: i64,
    pub(super) end: i64,
    pub(super) magnitude: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Storm(Fault),
    Harmless(&'static str),
}

/// Times and magnitudes, least and most.
struct Range {
    seconds: (i64, i64),
    magnitude: (f64, f64),
}

fn storm(kind: Fault) -> Range {
    let (seconds, magnitude) = match kind {
        Fault::ErrorBurst => ((20, 240), (0.2, 0.8)),
        Fault::RateSpike => ((60, 600), (2.5, 6.0)),
        Fault::RateDrop => ((600, 2400), (0.15, 0.5)),
        Fault::Silence => ((300, 1800), (0.0, 0.0)),
        Fault::LatencyShift => ((300, 1200), (2.0, 5.0)),
        Fault::FailedLogins => ((120, 600), (2.0, 12.0)),
        Fault::NewTemplate => ((60, 300), (0.5, 3.0)),
        Fault::Cascade => ((60, 300), (0.3, 0.7)),
        Fault::ErrorCreep => ((2400, 3600), (0.06, 0.2)),
        Fault::TemplateSurge => ((300, 1200), (0.5, 2.0)),
        Fault::TemplateVanished => ((2400, 5400), (0.0, 0.0)),
        Fault::StatusShift => ((300, 1200), (0.2, 0.6)),
        Fault::HostSilence => ((900, 3600), (0.0, 0.0)),
        // Never storms.
        Fault::Deploy | Fault::DebugLevel => ((0, 0), (0.0, 0.0)),
    };
    Range { seconds, magnitude }
}

/// Each with how often it comes in a day, and at which hour if at the same one.
const HARMLESS: [(&str, Fault, usize, Option<i64>, Range); 6] = [
    (
        "nightly batch",
        Fault::RateSpike,
        1,
        Some(2),
        Range {
            seconds: (1200, 1200),
            magnitude: (3.0, 3.0),
        },
    ),
    (
        "restart",
        Fault::RateDrop,
        3,
        None,
        Range {
            seconds: (5, 12),
            magnitude: (0.1, 0.3),
        },
    ),
    (
        "retries",
        Fault::ErrorBurst,
        4,
        None,
        Range {
            seconds: (3, 6),
            magnitude: (0.05, 0.12),
        },
    ),
    (
        "odd line",
        Fault::NewTemplate,
        3,
        None,
        Range {
            seconds: (10, 10),
            magnitude: (0.1, 0.1),
        },
    ),
    (
        "deploy",
        Fault::Deploy,
        2,
        None,
        Range {
            seconds: (600, 1800),
            magnitude: (0.05, 0.3),
        },
    ),
    (
        "debugging",
        Fault::DebugLevel,
        1,
        None,
        Range {
            seconds: (900, 2700),
            magnitude: (0.5, 2.0),
        },
    ),
];

impl Plan {
    pub(super) fn of(seed: u64, args: &Args) -> anyhow::Result<Self> {
        let begin = Timestamp::parse(BEGIN)
            .context("the first day")?
            .as_millis();
        let fleet = Fleet::new(Settings {
            seed,
            rate: args.rate,
            anchor: Timestamp::from_millis(begin + DAY / 2),
            services: args.services as usize,
            rhythm: RHYTHM,
            wander: WANDER,
        })?;
        let mut planning = Planning {
            rng: StdRng::seed_from_u64(seed),
            schedule: Schedule::new(seed),
            fleet,
            begin,
            events: Vec::new(),
        };
        let mut batch = None;
        for day in 0..i64::from(args.days) {
            for (name, fault, times, hour, range) in &HARMLESS {
                for _ in 0..*times {
                    let at = hour.map(|hour| day * DAY + hour * HOUR);
                    // The same service every night.
                    let service = hour.and_then(|_| batch.clone());
                    let event = planning.add(
                        What::Harmless(name),
                        *fault,
                        range,
                        (day, at),
                        service.as_deref(),
                    );
                    if hour.is_some() && batch.is_none() {
                        batch = event;
                    }
                }
            }
            for kind in Fault::ALL.into_iter().filter(|kind| !kind.is_harmless()) {
                for _ in 0..STORMS {
                    planning.add(What::Storm(kind), kind, &storm(kind), (day, None), None);
                }
            }
        }
        let Planning {
            fleet,
            schedule,
            events,
            ..
        } = planning;
        Ok(Self {
            fleet,
            schedule,
            begin: Timestamp::from_millis(begin),
            end: Timestamp::from_millis(begin + i64::from(args.days) * DAY),
            events,
        })
    }
}

struct Planning {
    rng: StdRng,
    schedule: Schedule,
    fleet: Fleet,
    begin: i64,
    events: Vec<Event>,
}

impl Planning {
    /// Puts an event where there is room for it; the answer is whose it is. None: there was no room.
    fn add(
        &mut self,
        what: What,
        kind: Fault,
        range: &Range,
        (day, at): (i64, Option<i64>),
        service: Option<&str>,
    ) -> Option<String> {
        for _ in 0..ATTEMPTS {
            let first = if day == 0 { QUIET } else { 0 };
            let begin = at.unwrap_or_else(|| day * DAY + self.rng.random_range(first..DAY - HOUR));
            let (least, most) = range.magnitude;
            let magnitude = least + (most - least) * self.rng.random::<f64>();
            let seconds = self.rng.random_range(range.seconds.0..=range.seconds.1);
            let chosen = match service {
                Some(name) => self.fleet.find(name),
                None => self.somebody(what, begin),
            };
            let Some(chosen) =
                chosen.filter(|service| self.has_room(kind, *service, begin, seconds))
            else {
                continue;
            };
            let spec = Spec {
                kind,
                service: Some(self.fleet.services()[chosen].name.clone()),
                offset_ms: begin,
                duration_ms: seconds * SECOND,
                magnitude: (magnitude * 100.0).round() / 100.0,
            };
            let base = Timestamp::from_millis(self.begin);
            let Ok(injection) = self.schedule.inject(&self.fleet, &spec, base) else {
                continue;
            };
            let name = |service: usize| self.fleet.services()[service].name.clone();
            let upstream = injection.upstream.iter().map(|(service, _)| name(*service));
            let services: Vec<String> = [name(injection.service)]
                .into_iter()
                .chain(upstream)
                .collect();
            let whose = services.first().cloned();
            self.events.push(Event {
                what,
                services,
                begin: injection.start.as_millis(),
                end: injection.end.as_millis(),
                magnitude: injection.magnitude,
            });
            return whose;
        }
        None
    }

    /// Whom it befalls. A storm at a service that hardly writes would show nothing.
    fn somebody(&mut self, what: What, begin: i64) -> Option<usize> {
        let service = self.rng.random_range(0..self.fleet.services().len());
        let at = Timestamp::from_millis(self.begin + begin);
        let shows = match what {
            What::Storm(_) => self.fleet.expected_rate(service, at) >= QUIETEST,
            What::Harmless(_) => true,
        };
        shows.then_some(service)
    }

    /// Whether all whom it touches have had peace for half an hour: what is told belongs to one event.
    fn has_room(&self, kind: Fault, service: usize, begin: i64, seconds: i64) -> bool {
        let upstream = match kind {
            Fault::Cascade => self.fleet.upstream(service),
            _ => Vec::new(),
        };
        let touched = [service]
            .into_iter()
            .chain(upstream.into_iter().map(|(it, _)| it));
        let touched: Vec<_> = touched.map(|it| &self.fleet.services()[it].name).collect();
        let (begin, end) = (self.begin + begin, self.begin + begin + seconds * SECOND);
        !self.events.iter().any(|event| {
            let is_near = event.begin < end + 30 * MINUTE && begin < event.end + 30 * MINUTE;
            is_near && event.services.iter().any(|it| touched.contains(&it))
        })
    }
}
