//! What is injected when: by request, and at random by the seed.
//! Invariant: no two injections touch one service at one time, so that a label names all that
//! was wrong there.

use std::sync::Arc;

use contracts::{Timestamp, truth::Fault};

use crate::{
    catalog::ARCHETYPES,
    fleet::Fleet,
    injection::Injection,
    random::{self, Purpose, Rng},
    spec::{self, Spec},
    tick::Tick,
};

/// A service quieter than this (records per second) is not chosen at random: nothing would show.
const QUIETEST_CHOSEN: f64 = 1.0;
const ATTEMPTS: u32 = 16;

/// An injection that is understood but cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("no service named {0:?} in the fleet; there are {1}")]
    NoSuchService(String, String),
    #[error("{0} does not check passwords: failed_logins needs {1}")]
    NoPasswords(String, String),
    #[error("nobody calls {0}: a cascade needs a service further down the call graph")]
    NoCallers(String),
    #[error("{service} is already under {kind} from {start} to {end}", kind = kind.as_str())]
    Busy {
        service: String,
        kind: Fault,
        start: Timestamp,
        end: Timestamp,
    },
    #[error("no service of the fleet is free for {}", .0.as_str())]
    NobodyFree(Fault),
}

/// When something is injected at random.
#[derive(Debug, Clone, Copy)]
struct AtRandom {
    every_ms: i64,
    next: Timestamp,
}

/// The plan.
#[derive(Debug, Clone)]
pub struct Schedule {
    seed: u64,
    planned: Vec<Arc<Injection>>,
    next_ordinal: u32,
    at_random: Option<AtRandom>,
    draws: u64,
}

impl Schedule {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            planned: Vec::new(),
            next_ordinal: 0,
            at_random: None,
            draws: 0,
        }
    }

    /// Plans `spec`; its offset counts from `base`.
    pub fn inject(
        &mut self,
        fleet: &Fleet,
        spec: &Spec,
        base: Timestamp,
    ) -> Result<Arc<Injection>, Refused> {
        let start = Tick::from(Timestamp::from_millis(base.as_millis() + spec.offset_ms)).start();
        let end = Tick::from(Timestamp::from_millis(start.as_millis() + spec.duration_ms)).start();
        let planned = |service: usize| Injection {
            ordinal: self.next_ordinal,
            kind: spec.kind,
            service,
            upstream: match spec.kind {
                Fault::Cascade => fleet.upstream(service),
                _ => Vec::new(),
            },
            start,
            end,
            magnitude: spec.magnitude,
        };
        let injection = match &spec.service {
            Some(name) => {
                let service = named(fleet, name)?;
                suits(fleet, spec.kind, service)?;
                let injection = planned(service);
                self.free(fleet, &injection)?;
                injection
            }
            None => self
                .chosen(fleet, spec.kind, start)
                .into_iter()
                .map(planned)
                .find(|injection| self.free(fleet, injection).is_ok())
                .ok_or(Refused::NobodyFree(spec.kind))?,
        };
        let injection = Arc::new(injection);
        self.next_ordinal += 1;
        self.planned.push(Arc::clone(&injection));
        Ok(injection)
    }

    /// From `begin` on, injects something every `every_ms` on average.
    pub fn every(&mut self, every_ms: i64, begin: Timestamp) {
        let first = self.gap(every_ms);
        self.at_random = Some(AtRandom {
            every_ms,
            next: Timestamp::from_millis(begin.as_millis() + first),
        });
    }

    /// What has to be known to generate `tick`: injections in their span, or just over. Plans
    /// what is due at random, and forgets what is past. Ticks are asked for in order.
    pub fn at(&mut self, fleet: &Fleet, tick: Tick) -> Vec<Arc<Injection>> {
        while let Some(at_random) = self.at_random.filter(|plan| plan.next < tick.end()) {
            self.inject_something(fleet, tick);
            let gap = self.gap(at_random.every_ms);
            self.at_random = Some(AtRandom {
                next: Timestamp::from_millis(at_random.next.as_millis() + gap),
                ..at_random
            });
        }
        self.planned
            .retain(|injection| injection.end >= tick.start());
        let begun = |injection: &&Arc<Injection>| injection.start < tick.end();
        self.planned.iter().filter(begun).cloned().collect()
    }

    /// Half to one and a half times `every_ms`, and never nothing.
    fn gap(&mut self, every_ms: i64) -> i64 {
        let share = 0.5 + random::unit(&mut self.draw());
        ((every_ms as f64 * share) as i64).max(crate::TICK_MS)
    }

    fn draw(&mut self) -> Rng {
        self.draws += 1;
        random::stream(self.seed, Purpose::Injections, self.draws, 0)
    }

    fn inject_something(&mut self, fleet: &Fleet, tick: Tick) {
        for _ in 0..ATTEMPTS {
            let rng = &mut self.draw();
            let kind = Fault::ALL[random::below(rng, Fault::ALL.len() as u32) as usize];
            if kind.is_harmless() {
                continue;
            }
            let (magnitude, duration_ms) = spec::defaults(kind);
            let varied = magnitude * (0.7 + 0.9 * random::unit(rng));
            let spec = Spec {
                kind,
                service: None,
                offset_ms: 0,
                duration_ms: (duration_ms as f64 * (0.5 + random::unit(rng))) as i64,
                magnitude: (varied * 100.0).round() / 100.0,
            };
            // Nobody free: another kind, or not this time.
            if self.inject(fleet, &spec, tick.start()).is_ok() {
                return;
            }
        }
    }

    /// Services that `kind` could go to, in a random order.
    fn chosen(&self, fleet: &Fleet, kind: Fault, at: Timestamp) -> Vec<usize> {
        let ordinal = u64::from(self.next_ordinal);
        let order = |service: &usize| {
            random::derive(self.seed, Purpose::Injections, !ordinal, *service as u64)
        };
        let suitable = |service: &usize| suits(fleet, kind, *service).is_ok();
        let mut all: Vec<usize> = (0..fleet.services().len()).filter(suitable).collect();
        let loud = |service: &usize| fleet.expected_rate(*service, at) >= QUIETEST_CHOSEN;
        if all.iter().any(loud) {
            all.retain(loud);
        }
        all.sort_by_cached_key(order);
        all
    }

    fn free(&self, fleet: &Fleet, injection: &Injection) -> Result<(), Refused> {
        let busy = self.planned.iter().find(|other| other.collides(injection));
        busy.map_or(Ok(()), |other| {
            Err(Refused::Busy {
                service: fleet.services()[other.service].name.clone(),
                kind: other.kind,
                start: other.start,
                end: other.end,
            })
        })
    }
}

fn named(fleet: &Fleet, name: &str) -> Result<usize, Refused> {
    fleet.find(name).ok_or_else(|| {
        let some = fleet.services().iter().take(ARCHETYPES.len());
        let mut names: Vec<_> = some.map(|service| service.name.as_str()).collect();
        if fleet.services().len() > names.len() {
            names.push("…");
        }
        Refused::NoSuchService(name.to_owned(), names.join(", "))
    })
}

fn suits(fleet: &Fleet, kind: Fault, service: usize) -> Result<(), Refused> {
    let archetype = ARCHETYPES[fleet.services()[service].archetype];
    let name = || fleet.services()[service].name.clone();
    match kind {
        Fault::FailedLogins if !archetype.checks_passwords => {
            let right = ARCHETYPES.iter().filter(|other| other.checks_passwords);
            let right: Vec<_> = right.map(|other| other.name).collect();
            Err(Refused::NoPasswords(name(), right.join(" or ")))
        }
        Fault::Cascade if fleet.upstream(service).is_empty() => Err(Refused::NoCallers(name())),
        _ => Ok(()),
    }
}
