//! Early firings: what is told of an idle partition ahead of its records.
//!
//! When no records come, the wall clock closes the windows of copies of the silent services, and
//! what that finds is told at once. The services themselves move on by records only: what they say
//! stays a pure function of those.
//!
//! Invariants:
//! - a finding that the records lead to after all is told once, whoever came to it first;
//! - where the records lead elsewhere, versions go on above those that were told: no version of an
//!   episode is told with two contents;
//! - an episode that was told and that the records do not bear out is withdrawn, and one that was told to be over and
//!   is not goes on;
//! - copies are bounded by `Config::max_provisional`, those silent longest going first, and so is
//!   what is remembered as told, up to what one copy says.

mod emitted;

use std::collections::BTreeMap;

use emitted::{Ahead, EmittedEarly, Facts, Key, MOST_AHEAD};

use crate::{
    codec::{Loaded, Reader, Writer},
    config::Config,
    family::Family,
    finding::{Finding, Phase},
    record::time::EventTime,
    service::Service,
    stat::LONGEST_SPAN,
};

#[derive(Debug, Clone, Default)]
pub(crate) struct EarlyFirings {
    /// How far the wall clock went in this idle spell, ms of the pace; `None` when records came.
    until: Option<i64>,
    copies: BTreeMap<u32, Service>,
    emitted: BTreeMap<Key, EmittedEarly>,
    /// Withdrawn of services that were forgotten, oldest first: they may come again, and with them episodes
    /// of the same names. At most `Config::max_provisional`.
    orphans: Vec<(Box<str>, Key, EmittedEarly)>,
}

impl EarlyFirings {
    /// Records came: they decide. Cheap when there is nothing to drop.
    pub(crate) fn records_came(&mut self) {
        if self.until.is_some() {
            self.until = None;
            self.copies.clear();
        }
    }

    /// Nothing came until `now`: silent services are moved on, in copies.
    pub(crate) fn advance(
        &mut self,
        now: i64,
        names: &[Box<str>],
        services: &[Service],
        config: &Config,
        findings: &mut Vec<Finding>,
    ) {
        let now = self.until.map_or(now, |until| until.max(now));
        self.until = Some(now);
        let to = now - config.grace_ms;
        self.copy_silent(now, services, config);
        let mut found = Vec::new();
        for (slot, copy) in &mut self.copies {
            if self.emitted.len() >= config.max_provisional {
                return;
            }
            let Some(name) = names.get(*slot as usize) else {
                continue;
            };
            copy.advance(name, to, config, &mut found);
            let began = copy.time_began();
            for finding in found.drain(..) {
                findings.extend(tell_ahead(&mut self.emitted, *slot, began, finding));
            }
        }
    }

    fn copy_silent(&mut self, now: i64, services: &[Service], config: &Config) {
        let room = config.max_provisional.saturating_sub(self.copies.len());
        if room == 0 {
            return;
        }
        let patience = config.window_ms + config.grace_ms;
        let mut silent: Vec<_> = services
            .iter()
            .zip(0..)
            .filter(|(service, slot)| {
                !service.is_gone()
                    && !service.is_moving()
                    && now - service.followed_to() > patience
                    && !service.is_judged_silent()
                    && !self.copies.contains_key(slot)
            })
            .map(|(service, slot)| (service.followed_to(), slot, service))
            .collect();
        silent.sort_unstable_by_key(|(since, slot, _)| (*since, *slot));
        let chosen = silent.into_iter().take(room);
        self.copies
            .extend(chosen.map(|(_, slot, service)| (slot, service.clone())));
    }

    /// The detectors of a slot came to findings by records: those from `first` on are told, unless
    /// they were.
    pub(crate) fn settle(&mut self, slot: u32, first: usize, findings: &mut Vec<Finding>) {
        if self.emitted.is_empty() || findings.len() <= first {
            return;
        }
        for mut finding in findings.split_off(first) {
            let key = Key::of(slot, &finding);
            let Some(emitted) = self.emitted.get_mut(&key) else {
                findings.push(finding);
                continue;
            };
            let is_over = finding.phase == Phase::Closed;
            let was_told = emitted.ahead.front().is_some_and(|ahead| {
                ahead.version == finding.version && ahead.fingerprint == finding.fingerprint()
            });
            if was_told {
                emitted.ahead.pop_front();
            } else {
                if !emitted.ahead.is_empty() || emitted.is_withdrawn {
                    emitted.ahead.clear();
                    emitted.is_withdrawn = false;
                    emitted.shift = emitted.shift_for(finding.version);
                }
                finding.version = finding.version.saturating_add(emitted.shift);
                emitted.newest = finding.version;
                findings.push(finding);
            }
            if is_over || (emitted.ahead.is_empty() && emitted.shift == 0) {
                self.emitted.remove(&key);
            }
        }
    }

    /// Withdraws what the records passed without bearing it out.
    pub(crate) fn withdraw_passed(
        &mut self,
        names: &[Box<str>],
        services: &[Service],
        config: &Config,
        findings: &mut Vec<Finding>,
    ) {
        let same_start_until = config.window_ms * LONGEST_SPAN as i64 + config.grace_ms;
        // A clock that was set back may come to the start of the same silence again.
        let same_silence_until = config.window_ms * MOST_AHEAD as i64 + config.grace_ms;
        self.emitted.retain(|key, emitted| {
            let at = key.slot as usize;
            let (Some(name), Some(service)) = (names.get(at), services.get(at)) else {
                return false;
            };
            if emitted.is_withdrawn {
                // An episode of the same name may begin until here.
                let until = if service.time_began() == emitted.time_began {
                    same_start_until
                } else {
                    same_silence_until
                };
                return !service.has_passed(key.start + until, config);
            }
            // The new time of a service whose clock was set may never come there.
            let has_passed = |ahead: &Ahead| {
                service.has_passed(ahead.detected_at, config)
                    || service.time_began() != emitted.time_began
            };
            if emitted.ahead.front().is_some_and(has_passed) {
                findings.extend(emitted.take_back(*key, name, service.stream_time()));
            }
            true
        });
    }

    /// The service of a slot is forgotten, and what was told of it is withdrawn.
    pub(crate) fn forget(
        &mut self,
        slot: u32,
        name: &str,
        stream_time: EventTime,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) {
        let of_service = self.emitted.extract_if(.., |key, _| key.slot == slot);
        for (key, mut emitted) in of_service {
            if emitted.is_unopened() {
                findings.extend(emitted.take_back(key, name, stream_time));
            }
            if emitted.is_withdrawn {
                self.orphans.push((name.into(), key, emitted));
            }
        }
        let most = config.max_provisional;
        self.orphans
            .drain(..self.orphans.len().saturating_sub(most));
    }

    /// A service that was never seen, or was forgotten, comes to a slot.
    pub(crate) fn enter(&mut self, slot: u32, name: &str) {
        let of_service = self.orphans.extract_if(.., |(of, ..)| **of == *name);
        let of_service = of_service.map(|(_, key, emitted)| (Key { slot, ..key }, emitted));
        self.emitted.extend(of_service);
    }

    /// A family knows nothing of before: what it opened it will not close. What it told ahead is
    /// withdrawn when the records have passed it.
    pub(crate) fn family_begins_anew(&mut self, family: Family) {
        self.emitted.retain(|key, emitted| {
            Family::of(key.kind) != family || emitted.is_withdrawn || emitted.is_unopened()
        });
    }

    pub(crate) fn is_untold(&self) -> bool {
        self.emitted.is_empty()
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        to.maybe(self.until, |until, to| to.i64(until));
        to.u64(self.emitted.len() as u64);
        for (key, emitted) in &self.emitted {
            key.save(to);
            emitted.save(to);
        }
        to.u64(self.orphans.len() as u64);
        for (name, key, emitted) in &self.orphans {
            to.text(name);
            key.save(to);
            emitted.save(to);
        }
    }

    pub(crate) fn load(from: &mut Reader<'_>, services: usize) -> Loaded<Self> {
        let mut early = Self {
            until: from.maybe(Reader::millis)?,
            ..Self::default()
        };
        for _ in 0..from.length(usize::MAX, 50)? {
            let key = Key::load(from)?;
            if key.slot as usize >= services {
                return Err("told of a service that there is not");
            }
            early.emitted.insert(key, EmittedEarly::load(from)?);
        }
        for _ in 0..from.length(usize::MAX, 50)? {
            let name = from.text(usize::MAX)?.into();
            let orphan = (name, Key::load(from)?, EmittedEarly::load(from)?);
            early.orphans.push(orphan);
        }
        Ok(early)
    }
}

/// A copy came to a finding: told under the version that is free, unless it was told before.
fn tell_ahead(
    emitted: &mut BTreeMap<Key, EmittedEarly>,
    slot: u32,
    time_began: EventTime,
    mut finding: Finding,
) -> Option<Finding> {
    let ahead = Ahead {
        version: finding.version,
        fingerprint: finding.fingerprint(),
        detected_at: finding.detected_at,
        is_over: finding.phase == Phase::Closed,
    };
    let emitted = emitted
        .entry(Key::of(slot, &finding))
        .or_insert_with(|| EmittedEarly::before(&finding, time_began));
    let same_version = emitted
        .ahead
        .iter()
        .position(|before| before.version == finding.version);
    if let Some(at) = same_version {
        if emitted.ahead.get(at).map(|before| before.fingerprint) == Some(ahead.fingerprint) {
            return None;
        }
        emitted.ahead.truncate(at);
    }
    if same_version.is_some() || emitted.is_withdrawn {
        emitted.is_withdrawn = false;
        emitted.shift = emitted.shift_for(finding.version);
    }
    finding.version = finding.version.saturating_add(emitted.shift);
    emitted.newest = finding.version;
    emitted.time_began = time_began;
    emitted.facts = Facts::of(&finding);
    emitted.ahead.push_back(ahead);
    Some(finding)
}
