//! The detectors of one Kafka partition: its services, each with its own stream time.
//!
//! Invariants:
//! - what is found depends on the records in order, on nothing else; idle ticks only let it be told
//!   earlier;
//! - services are bounded: past the bound the one seen longest ago is forgotten, and counted.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};

mod early;
mod eviction;
mod moving;
mod snapshot;

use early::EarlyFirings;
use eviction::Eviction;
use moving::Moving;

pub use moving::Moves;

use crate::{
    clock::{Pace, Vote, tolerance},
    config::Config,
    finding::{Finding, Kind, Phase},
    record::{
        Arrival, Observation,
        time::{EventTime, MOST_MS},
    },
    service::{NameTag, Service},
};

/// How often, in ms of the pace, silent services are looked for.
const SWEEP_MS: i64 = 1000;

#[derive(Debug, Clone)]
pub struct PartitionDetectors {
    config: Config,
    /// Slot of a service, by the hash of its name. Only looked up, never walked: its order is not
    /// the same in two processes.
    slots: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// By slot. Slots are given in order of first sight, later those of forgotten services.
    names: Vec<Box<str>>,
    services: Vec<Service>,
    /// Made when the first service has to be forgotten.
    eviction: Option<Eviction>,
    early: EarlyFirings,
    pace: Pace,
    swept_at: i64,
    /// Until then, by the pace, no service has been silent for long.
    nobody_silent_until: i64,
    evicted: u64,
    /// Partitions of the topic; 0 while nobody has said.
    partitions: u32,
    moving: Moving,
    changed: Changed,
    /// Not all that was kept was restored.
    forgot: bool,
}

/// Services that are not as they were when their changes were last asked for.
#[derive(Debug, Clone, Default)]
struct Changed {
    /// Each once.
    slots: Vec<u32>,
    is_in: Vec<bool>,
}

impl Changed {
    #[inline]
    fn note(&mut self, slot: u32) {
        match self.is_in.get_mut(slot as usize) {
            Some(true) => {}
            Some(is_in) => {
                *is_in = true;
                self.slots.push(slot);
            }
            None => self.note_first(slot),
        }
    }

    #[cold]
    fn note_first(&mut self, slot: u32) {
        self.is_in.resize(slot as usize + 1, false);
        self.note(slot);
    }

    /// In order; none is noted any more.
    fn take(&mut self) -> Vec<u32> {
        self.is_in.clear();
        let mut slots = std::mem::take(&mut self.slots);
        slots.sort_unstable();
        slots
    }
}

impl PartitionDetectors {
    pub fn new(config: Config) -> Self {
        Self {
            config,
            slots: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            names: Vec::new(),
            services: Vec::new(),
            eviction: None,
            early: EarlyFirings::default(),
            pace: Pace::default(),
            swept_at: 0,
            nobody_silent_until: i64::MIN,
            evicted: 0,
            partitions: 0,
            moving: Moving::default(),
            changed: Changed::default(),
            forgot: false,
        }
    }

    /// Feeds one record; findings are appended. Times beyond ±2^52 ms are taken for the nearest
    /// that is not.
    pub fn observe(&mut self, seen: &Observation<'_>, findings: &mut Vec<Finding>) -> Arrival {
        let clamped;
        let mut seen = seen;
        if seen
            .time
            .0
            .unsigned_abs()
            .max(seen.kafka_time.unsigned_abs())
            > MOST_MS as u64
        {
            clamped = within_range(seen);
            seen = &clamped;
        }
        self.early.records_came();
        let hash = self.hasher.hash_one(seen.service);
        let tag = NameTag::of(seen.service);
        let known = self.slots.find(hash, |slot| {
            let at = *slot as usize;
            self.services.get(at).is_some_and(|service| {
                service.name == tag
                    && (tag.is_whole()
                        || self
                            .names
                            .get(at)
                            .is_some_and(|name| **name == *seen.service))
            })
        });
        let slot = match known {
            Some(slot) => *slot,
            None => self.enter(seen, hash, findings),
        };
        let Some(service) = self.services.get_mut(slot as usize) else {
            return Arrival::Late;
        };
        self.changed.note(slot);
        if service.round != self.pace.round() {
            service.round = self.pace.round();
            self.pace.join(slot);
        }
        let before = findings.len();
        let answer = service.observe(seen, &self.pace, &self.config, findings);
        if findings.len() > before {
            self.told(slot, before, findings);
        }
        if self.pace.count(seen.kafka_time) {
            self.end_round(findings);
        }
        answer
    }

    /// The services that wrote in this round decide how far time has come.
    #[cold]
    fn end_round(&mut self, findings: &mut Vec<Finding>) {
        let voters = self.voters();
        let votes = self.votes(&voters);
        let decided = self.pace.decide(&votes, self.services.len(), &self.config);
        let tolerance = decided
            .is_agreed
            .then(|| tolerance(&self.config) + decided.step);
        for slot in voters {
            let at = slot as usize;
            let Some((service, name)) = self.services.get_mut(at).zip(self.names.get(at)) else {
                continue;
            };
            self.changed.note(slot);
            let before = findings.len();
            if service.follow(name, &self.pace, tolerance, &self.config, findings) {
                // Silent since another moment than was reckoned with.
                self.nobody_silent_until = i64::MIN;
            }
            if findings.len() > before {
                self.told(slot, before, findings);
            }
        }
        if self.pace.now() - self.swept_at >= SWEEP_MS {
            self.sweep(findings);
        }
    }

    /// The slots of those who wrote in this round, each once: a forgotten service's is another's now.
    fn voters(&self) -> Vec<u32> {
        let mut voters = self.pace.voters().to_vec();
        voters.sort_unstable();
        voters.dedup();
        voters
    }

    fn votes(&self, voters: &[u32]) -> Vec<Vote> {
        let services = voters
            .iter()
            .filter_map(|slot| self.services.get(*slot as usize));
        services.map(|service| service.vote(&self.config)).collect()
    }

    /// The partition is at its end and the broker answers: for `idle_ms` nothing came.
    /// Silences are told ahead of the records that will show them, under the identities that those
    /// will lead to; `Config::max_provisional` services at most, those silent longest.
    pub fn idle(&mut self, idle_ms: i64, findings: &mut Vec<Finding>) {
        // No further than the round that is under way will have come.
        let reached = self.pace.so_far(
            &self.votes(&self.voters()),
            self.services.len(),
            &self.config,
        );
        let now = reached - self.pace.step() + idle_ms.clamp(0, MOST_MS);
        if self.services.is_empty() || now - self.swept_at < SWEEP_MS {
            return;
        }
        self.early.advance(
            now.min(MOST_MS),
            &self.names,
            &self.services,
            &self.config,
            findings,
        );
    }

    /// How many partitions the topic was last said to have; 0 while nobody has said.
    pub fn partitions(&self) -> u32 {
        self.partitions
    }

    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.names.iter().map(|name| &**name)
    }

    /// How many the topic had when it grew, as long as lines may come here that go elsewhere now; 0: none do.
    pub fn grown_from(&self) -> u32 {
        self.moving.from
    }

    /// The topic has so many partitions, and nothing moves.
    pub fn partitions_are(&mut self, count: u32) {
        self.partitions = count;
    }

    /// The topic has grown, now or before this was restored. Services that `who` says move are not silent
    /// here, nor are fewer lines of theirs a drop. Those that are known when it grows begin anew.
    pub fn have_grown(&mut self, from: u32, to: u32, who: Moves, findings: &mut Vec<Finding>) {
        let is_news = std::mem::replace(&mut self.partitions, to) != to;
        if is_news {
            self.moving = Moving::since(from, who);
        } else {
            self.moving.who = Some(who);
        }
        for slot in 0..self.services.len() {
            let Some((service, name)) = self.services.get_mut(slot).zip(self.names.get(slot))
            else {
                break;
            };
            if !self.moving.moves(name) {
                continue;
            }
            if is_news && !service.is_gone() {
                self.leave(slot, findings);
            }
            if let Some(service) = self.services.get_mut(slot) {
                service.set_moving(true);
            }
        }
    }

    /// All that was written before the topic grew is read.
    pub fn at_end(&mut self) {
        self.moving.at_end(self.pace.now());
    }

    fn leave(&mut self, slot: usize, findings: &mut Vec<Finding>) {
        let Some((service, name)) = self.services.get_mut(slot).zip(self.names.get(slot)) else {
            return;
        };
        self.changed.note(slot as u32);
        let (first, stream_time) = (findings.len(), service.stream_time());
        service.leave(name, &self.config, findings);
        let name = name.clone();
        self.told(slot as u32, first, findings);
        self.early
            .forget(slot as u32, &name, stream_time, &self.config, findings);
    }

    /// Whoever still writes here stays, whatever was thought of it.
    fn all_have_moved(&mut self, findings: &mut Vec<Finding>) {
        self.moving = Moving::default();
        for slot in 0..self.services.len() {
            if self.services.get(slot).is_some_and(Service::is_moving) {
                self.leave(slot, findings);
                if let Some(service) = self.services.get_mut(slot) {
                    service.set_moving(false);
                }
            }
        }
    }

    /// Kafka's time, ms, as far as many records in a row have reached it: one that is ahead, or
    /// behind, does not count. `None` before the first of them.
    pub fn kafka_time(&self) -> Option<i64> {
        self.pace.kafka()
    }

    pub fn services(&self) -> usize {
        self.services.len()
    }

    /// Services forgotten because there were too many.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// A service that has been silent while its neighbours wrote for longer than window and grace
    /// moves on with them: silence is a fact about time, not about the next record.
    #[cold]
    fn sweep(&mut self, findings: &mut Vec<Finding>) {
        self.swept_at = self.pace.now();
        if self.moving.is_over(self.swept_at) {
            self.all_have_moved(findings);
        }
        // What was written in the round may be as much older than the pace.
        let now = self.pace.now() - self.pace.step();
        let patience = self.config.window_ms + self.config.grace_ms;
        if now > self.nobody_silent_until {
            let mut seen_longest_ago = now;
            for slot in 0..self.services.len() {
                let Some((service, name)) = self.services.get_mut(slot).zip(self.names.get(slot))
                else {
                    break;
                };
                if service.is_gone() {
                    continue;
                }
                let is_silent = now - service.followed_to() > patience;
                if is_silent && service.is_moving() {
                    self.leave(slot, findings);
                } else if is_silent {
                    self.changed.note(slot as u32);
                    let before = findings.len();
                    let to = now - self.config.grace_ms;
                    service.advance(name, to, &self.config, findings);
                    seen_longest_ago = seen_longest_ago.min(service.followed_to());
                    if findings.len() > before {
                        self.told(slot as u32, before, findings);
                    }
                } else {
                    seen_longest_ago = seen_longest_ago.min(service.followed_to());
                }
            }
            self.nobody_silent_until = seen_longest_ago + patience;
        }
        if !self.early.is_untold() {
            self.early
                .withdraw_passed(&self.names, &self.services, &self.config, findings);
        }
    }

    /// Findings of the service in `slot` from `first` on came from records.
    #[cold]
    fn told(&mut self, slot: u32, first: usize, findings: &mut Vec<Finding>) {
        let service = self.services.get(slot as usize);
        if service.is_some_and(Service::is_moving) {
            // Its lines go elsewhere by and by, and nothing of it is ever told here.
            let drops = findings.extract_if(first.., |finding| finding.kind == Kind::RateDrop);
            drops.for_each(drop);
        }
        if let Some(eviction) = &mut self.eviction
            && findings
                .iter()
                .skip(first)
                .any(|finding| finding.phase == Phase::Closed)
            && let Some(service) = self.services.get(slot as usize)
        {
            eviction.calmed_down(slot, service);
        }
        self.early.settle(slot, first, findings);
    }

    /// Makes room for a service never seen before.
    #[cold]
    fn enter(&mut self, seen: &Observation<'_>, hash: u64, findings: &mut Vec<Finding>) -> u32 {
        let pace = self.pace.begin(seen.time.0, seen.kafka_time, &self.config);
        if self.services.is_empty() {
            self.swept_at = pace;
        }
        let mut service = Service::first_seen(seen, pace, &self.config);
        service.set_moving(self.moving.moves(seen.service));
        let silent_at = pace + self.config.window_ms + self.config.grace_ms;
        self.nobody_silent_until = self.nobody_silent_until.min(silent_at);
        let freed = self.make_room(findings);
        let slot = freed.unwrap_or(self.services.len() as u32);
        let at = slot as usize;
        if let Some((name, place)) = self.names.get_mut(at).zip(self.services.get_mut(at)) {
            *name = seen.service.into();
            *place = service;
        } else {
            self.names.push(seen.service.into());
            self.services.push(service);
        }
        if let Some((eviction, service)) = self.eviction.as_mut().zip(self.services.get(at)) {
            eviction.enter(slot, service);
        }
        self.index(hash, slot);
        self.early.enter(slot, seen.service);
        slot
    }

    /// Forgets a service if there are as many as may be; the answer is its slot.
    fn make_room(&mut self, findings: &mut Vec<Finding>) -> Option<u32> {
        if self.services.len() < self.config.max_services.max(1) {
            return None;
        }
        let eviction = self
            .eviction
            .get_or_insert_with(|| Eviction::of(&self.services));
        let slot = eviction.take_oldest(&self.services)?;
        let name = self.names.get(slot as usize)?;
        let hash = self.hasher.hash_one(&**name);
        if let Ok(entry) = self.slots.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        if let Some(service) = self.services.get(slot as usize) {
            let now = service.stream_time();
            self.early.forget(slot, name, now, &self.config, findings);
        }
        self.evicted += 1;
        Some(slot)
    }

    fn index(&mut self, hash: u64, slot: u32) {
        let (names, hasher) = (&self.names, &self.hasher);
        let hash_of = |slot: &u32| {
            names
                .get(*slot as usize)
                .map_or(0, |name| hasher.hash_one(&**name))
        };
        self.slots.insert_unique(hash, slot, hash_of);
    }
}

#[cold]
fn within_range<'a>(seen: &Observation<'a>) -> Observation<'a> {
    Observation {
        time: EventTime(seen.time.0.clamp(-MOST_MS, MOST_MS)),
        kafka_time: seen.kafka_time.clamp(-MOST_MS, MOST_MS),
        ..*seen
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(super) fn config() -> Config {
        Config {
            window_ms: 1000,
            grace_ms: 2500,
            false_alerts_per_week: 1e6,
            warm_up_windows: 3,
            max_services: 4,
            samples: 2,
            ..Config::default()
        }
    }

    proptest! {
        #[test]
        fn no_time_is_too_early_or_too_late(times in prop::collection::vec((any::<i64>(), any::<i64>()), 1..40)) {
            let mut detectors = PartitionDetectors::new(config());
            let mut findings = Vec::new();
            for (time, kafka_time) in times {
                let seen = Observation {
                    service: "a",
                    time: EventTime(time),
                    kafka_time,
                    offset: 0,
                    is_error: true,
                    level: 3,
                    message: "",
                    trace_id: "",
                    ..Observation::default()
                };
                detectors.observe(&seen, &mut findings);
                detectors.idle(time, &mut findings);
            }
            prop_assert!(PartitionDetectors::restore(&detectors.snapshot(), config()).is_ok());
        }
    }
}
