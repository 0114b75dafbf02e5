//! All that is known of a partition, as bytes, and back.
//!
//! The body is sections, each with a version of its own: what all families rest on, then each family's
//! knowledge of every service. A family of another version begins anew, and everything else is kept.

use std::hash::BuildHasher as _;

use super::{EarlyFirings, Moving, PartitionDetectors};
use crate::{
    clock::Pace,
    codec::{self, BEHAVIOUR, Loaded, Reader, Section, SnapshotError, Writer},
    config::Config,
    family::Family,
    service::{LEAST_BYTES, Service},
};

/// The section of what all families rest on; a family's has the number of its [`Family`].
const COMMON: u8 = 0;
/// The section that only changes have: the slots that they are about, ascending. All other sections
/// speak of these services and no others then.
const CHANGED: u8 = 100;

impl PartitionDetectors {
    /// All that is known, in the bytes that [`Self::restore`] reads: the same for the same records
    /// and ticks.
    pub fn snapshot(&self) -> Vec<u8> {
        let all: Vec<u32> = (0..self.services.len() as u32).collect();
        self.seal(Writer::default(), &all)
    }

    /// Of some family nothing was kept that can be read: it began anew when this was restored.
    pub const fn forgot_a_family(&self) -> bool {
        self.forgot
    }

    /// What is known now and was not when this was last asked, or since this was made, restored or
    /// changed: the bytes that [`Self::with_changes`] reads. Their size, and the time that they take, go
    /// by the services that have changed.
    pub fn changes(&mut self) -> Vec<u8> {
        let changed = self.changed.take();
        let mut to = Writer::default();
        to.section(CHANGED, BEHAVIOUR, |to| {
            to.u64(changed.len() as u64);
            for slot in &changed {
                to.u32(*slot);
            }
        });
        self.seal(to, &changed)
    }

    /// All that is known now is kept: the next changes are those from here on.
    pub fn forget_changes(&mut self) {
        let _kept = self.changed.take();
    }

    /// Behind what `to` has already.
    fn seal(&self, mut to: Writer, slots: &[u32]) -> Vec<u8> {
        to.section(COMMON, BEHAVIOUR, |to| self.save_common(slots, to));
        for family in Family::ALL {
            to.section(family as u8, family.version(), |to| {
                for slot in slots {
                    if let Some(service) = self.services.get(*slot as usize) {
                        service.save_family(family, to);
                    }
                }
            });
        }
        codec::seal(&self.config, to.bytes())
    }

    /// Goes on where [`Self::snapshot`] was taken; a family that has changed since begins anew. Errors:
    /// not a snapshot, or one of other detectors or another configuration, which would go on to answer
    /// differently.
    pub fn restore(bytes: &[u8], config: Config) -> Result<Self, SnapshotError> {
        let body = codec::open(bytes, &config)?;
        let sections = codec::sections(body)?;
        if find(&sections, CHANGED).is_some() {
            return Err("it has only changes, and not what they change".into());
        }
        Self::new(config).read(&sections, None)
    }

    /// This, and what [`Self::changes`] said next. Errors as for [`Self::restore`]. Whether they are the
    /// changes of just this state, who kept both has to know.
    pub fn with_changes(self, bytes: &[u8]) -> Result<Self, SnapshotError> {
        let body = codec::open(bytes, &self.config)?;
        let sections = codec::sections(body)?;
        let changed = find(&sections, CHANGED).ok_or("it has all, and not what has changed")?;
        let mut from = Reader::new(changed.body);
        let mut slots: Vec<u32> = Vec::new();
        for _ in 0..from.length(self.config.max_services.max(1), 1)? {
            let slot = from.u32()?;
            if slots.last().is_some_and(|last| *last >= slot) {
                return Err("services that are not in order".into());
            }
            slots.push(slot);
        }
        from.end()?;
        self.read(&sections, Some(slots))
    }

    /// `slots`: those that the sections are about; `None`: all.
    fn read(
        mut self,
        sections: &[Section<'_>],
        slots: Option<Vec<u32>>,
    ) -> Result<Self, SnapshotError> {
        let common = find(sections, COMMON);
        let common = common.ok_or("the section is missing that all others rest on")?;
        let mut from = Reader::new(common.body);
        let slots = self.load_common(&mut from, slots)?;
        from.end()?;
        for family in Family::ALL {
            let kept =
                find(sections, family as u8).filter(|section| section.version == family.version());
            if let Some(section) = kept {
                self.load_family(family, section, &slots)?;
            } else {
                self.early.family_begins_anew(family);
                self.forgot = true;
            }
        }
        Ok(self)
    }

    fn save_common(&self, slots: &[u32], to: &mut Writer) {
        to.i64(self.swept_at);
        to.u64(self.evicted);
        to.u32(self.partitions);
        self.moving.save(to);
        to.u64(self.services.len() as u64);
        self.pace.save(to);
        for slot in slots {
            let at = *slot as usize;
            if let Some((name, service)) = self.names.get(at).zip(self.services.get(at)) {
                to.text(name);
                service.save(to, &self.config);
            }
        }
        self.early.save(to);
    }

    /// The answer is the slots that were read.
    fn load_common(&mut self, from: &mut Reader<'_>, slots: Option<Vec<u32>>) -> Loaded<Vec<u32>> {
        self.swept_at = from.millis()?;
        self.nobody_silent_until = i64::MIN;
        self.evicted = from.count()?;
        self.partitions = from.u32()?;
        self.moving = Moving::load(from)?;
        let most = self.config.max_services.max(1);
        let (count, slots) = match slots {
            None => {
                let count = from.length(most, LEAST_BYTES)?;
                (count, (0..count as u32).collect())
            }
            Some(slots) => {
                let count = from.count()? as usize;
                if count > most {
                    return Err("a list that is too long");
                }
                (count, slots)
            }
        };
        let added = slots
            .iter()
            .filter(|slot| **slot as usize >= self.services.len());
        if self.services.len() + added.count() != count {
            return Err("not as many services as it says");
        }
        self.pace = Pace::load(from, count)?;
        // Names go first: one may be another slot's now.
        for slot in &slots {
            self.forget_name(*slot);
        }
        for slot in &slots {
            let name = from.text(usize::MAX)?;
            self.take_name(*slot, name)?;
            let service = Service::load(name, from, &self.config)?;
            let at = *slot as usize;
            match self.services.get_mut(at) {
                Some(place) => *place = service,
                None => self.services.push(service),
            }
        }
        self.early = EarlyFirings::load(from, count)?;
        self.eviction = None;
        self.forget_changes();
        Ok(slots)
    }

    fn forget_name(&mut self, slot: u32) {
        let Some(name) = self.names.get(slot as usize) else {
            return;
        };
        let hash = self.hasher.hash_one(&**name);
        if let Ok(entry) = self.slots.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
    }

    /// The next slot, or one whose name was forgotten.
    fn take_name(&mut self, slot: u32, name: &str) -> Loaded<()> {
        let at = slot as usize;
        let hash = self.hasher.hash_one(name);
        let names = &self.names;
        let twin = |other: &u32| names.get(*other as usize).is_some_and(|n| **n == *name);
        if self.slots.find(hash, twin).is_some() {
            return Err("a service that is there twice");
        }
        if let Some(place) = self.names.get_mut(at) {
            *place = name.into();
        } else if at == self.names.len() {
            self.names.push(name.into());
        } else {
            return Err("a service behind one that there is not");
        }
        self.index(hash, slot);
        Ok(())
    }

    fn load_family(&mut self, family: Family, section: &Section<'_>, slots: &[u32]) -> Loaded<()> {
        let mut from = Reader::new(section.body);
        for slot in slots {
            if let Some(service) = self.services.get_mut(*slot as usize) {
                service.load_family(family, &mut from, &self.config)?;
            }
        }
        from.end()
    }
}

fn find<'a, 'b>(sections: &'a [Section<'b>], id: u8) -> Option<&'a Section<'b>> {
    sections.iter().find(|section| section.id == id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        family::Families,
        partition::tests::config,
        record::{Observation, Rule, Rules, Weight, time::EventTime},
    };

    fn feed(detectors: &mut PartitionDetectors, lines: impl Iterator<Item = (u8, i64, bool)>) {
        let mut findings = Vec::new();
        let (rules, _) = Rules::of(vec![Rule {
            name: "any".to_owned(),
            message: "line".to_owned(),
            service: None,
            above: 9,
            within_ms: 1000,
            weight: Weight::Low,
        }]);
        for (service, time, is_error) in lines {
            let seen = Observation {
                service: &format!("service-{service}"),
                time: EventTime(1_790_000_000_000 + time),
                kafka_time: 1_790_000_000_000 + time,
                offset: time,
                is_error,
                is_warning: is_error,
                level: 3,
                message: if is_error {
                    "login failed: wrong password"
                } else {
                    "a line"
                },
                trace_id: "a trace",
                latency_ms: Some((time % 90) as f64),
                template: 1 + time.unsigned_abs() % 7,
                status: 200 + 100 * (time % 3) as u16,
                host: "a machine",
                rules: Some(&rules),
                user: "somebody",
                address: "203.0.113.7",
                ..Observation::default()
            };
            detectors.observe(&seen, &mut findings);
        }
    }

    /// Bursts, spikes, drops.
    fn stormy() -> PartitionDetectors {
        let mut detectors = PartitionDetectors::new(config());
        let line = |at: i64| {
            (
                (at % 3) as u8,
                at * 20,
                at % 40 == 0 || (900..930).contains(&at),
            )
        };
        feed(&mut detectors, (0..1000).map(line));
        detectors
    }

    /// And something told ahead.
    fn eventful() -> PartitionDetectors {
        let mut detectors = stormy();
        let mut findings = Vec::new();
        detectors.idle(12_000, &mut findings);
        assert!(!findings.is_empty());
        detectors
    }

    fn line(detectors: &mut PartitionDetectors, service: u32, at: i64) {
        let seen = Observation {
            service: &format!("service-{service}"),
            time: EventTime(1_790_000_000_000 + at),
            kafka_time: 1_790_000_000_000 + at,
            offset: at,
            is_error: false,
            level: 3,
            message: "a line",
            trace_id: "a trace",
            ..Observation::default()
        };
        detectors.observe(&seen, &mut Vec::new());
    }

    /// A partition of so many services, all kept, and then a line of each of the first `writing`.
    fn large(services: u32, writing: u32) -> PartitionDetectors {
        let mut detectors = PartitionDetectors::new(Config {
            max_services: 20_000,
            ..Config::default()
        });
        for second in 0..3 {
            (0..services).for_each(|service| line(&mut detectors, service, second * 1000));
        }
        // The round in which all of them wrote ends.
        for second in 3..9 {
            (0..writing).for_each(|service| line(&mut detectors, service, second * 1000));
        }
        let _kept = detectors.changes();
        (0..writing).for_each(|service| line(&mut detectors, service, 9000));
        detectors
    }

    #[test]
    fn what_has_changed_in_100_of_10_000_services_is_as_much_as_in_100_of_100() {
        let (mut many, mut few) = (large(10_000, 100), large(100, 100));
        let whole = many.snapshot().len();
        let (many, few) = (many.changes().len(), few.changes().len());
        // Which they are takes a byte more.
        assert!(many <= few + 200, "{many} bytes, and {few} of 100");
        assert!(
            whole > 50 * many,
            "{whole} bytes in all, {many} have changed"
        );
    }

    #[test]
    fn changes_are_no_snapshot_and_go_with_nothing_else() {
        let mut detectors = stormy();
        let whole = detectors.snapshot();
        let all = detectors.changes();
        assert!(PartitionDetectors::restore(&all, config()).is_err());
        let empty = || PartitionDetectors::new(config());
        assert!(empty().with_changes(&whole).is_err());
        assert_eq!(empty().with_changes(&all).unwrap().snapshot(), whole);
        feed(&mut detectors, std::iter::once((1, 30_000, false)));
        let one = detectors.changes();
        assert!(
            empty().with_changes(&one).is_err(),
            "of a service that is not there"
        );
    }

    /// The sections of a snapshot, as they can be changed.
    fn sections(bytes: &[u8]) -> Vec<(u8, u32, Vec<u8>)> {
        let body = codec::open(bytes, &config()).unwrap();
        let sections = codec::sections(body).unwrap().into_iter();
        sections
            .map(|section| (section.id, section.version, section.body.to_vec()))
            .collect()
    }

    fn sealed(sections: &[(u8, u32, Vec<u8>)]) -> Vec<u8> {
        let mut to = Writer::default();
        for (id, version, body) in sections {
            to.section(*id, *version, |to| {
                for byte in body {
                    to.byte(*byte);
                }
            });
        }
        codec::seal(&config(), to.bytes())
    }

    #[test]
    fn a_family_of_another_version_begins_anew_and_all_else_is_kept() {
        let kept = sections(&stormy().snapshot());
        let ids: Vec<_> = kept.iter().map(|(id, ..)| *id).collect();
        assert_eq!(ids, [COMMON, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        for family in Family::ALL {
            let mut changed = kept.clone();
            changed[family as usize].1 += 1;
            let absent = [&kept[..family as usize], &kept[family as usize + 1..]].concat();
            for other in [changed, absent] {
                let restored = PartitionDetectors::restore(&sealed(&other), config()).unwrap();
                let restored = sections(&restored.snapshot());
                for ((id, version, body), (.., before)) in restored.iter().zip(&kept) {
                    assert_eq!(
                        body == before,
                        *id != family as u8,
                        "{family:?}: section {id}"
                    );
                    assert_eq!(*version, kept[*id as usize].1);
                }
                let mut fresh = Writer::default();
                for _ in 0..stormy().services() {
                    Families::new(&config()).save(family, &mut fresh);
                }
                assert_eq!(restored[family as usize].2, fresh.bytes());
            }
        }
    }

    #[test]
    fn what_a_family_that_begins_anew_had_opened_is_not_waited_for() {
        let mut ahead = sections(&eventful().snapshot());
        // An open burst that was told to be over, ahead of the records that will not tell it now.
        ahead[Family::ErrorBurst as usize].1 += 1;
        let restored = PartitionDetectors::restore(&sealed(&ahead), config()).unwrap();
        let restored = sections(&restored.snapshot());
        assert!(restored[0].2.len() < ahead[0].2.len());
    }

    #[test]
    fn a_section_that_nobody_knows_is_left_alone_and_one_that_is_there_twice_is_refused() {
        let whole = eventful().snapshot();
        let mut more = sections(&whole);
        more.push((200, 7, vec![1, 2, 3]));
        let restored = PartitionDetectors::restore(&sealed(&more), config()).unwrap();
        assert_eq!(restored.snapshot(), whole);
        more.push((200, 7, vec![1, 2, 3]));
        assert!(PartitionDetectors::restore(&sealed(&more), config()).is_err());
        assert!(PartitionDetectors::restore(&sealed(&more[1..4]), config()).is_err());
    }

    proptest! {
        /// A checksum that fits proves nothing: what is inside is checked too.
        #[test]
        fn whatever_is_inside_a_snapshot_neither_panics_nor_spins(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let detectors = eventful();
            let mut body = detectors.snapshot().split_off(38);
            for (at, to) in changes {
                let at = at.index(body.len());
                body[at] = to;
            }
            if let Some(cut) = cut {
                body.truncate(cut.index(body.len()));
            }
            let bytes = codec::seal(&config(), &body);
            if let Ok(mut restored) = PartitionDetectors::restore(&bytes, config()) {
                feed(&mut restored, (1000..1400).map(|at| ((at % 5) as u8, at * 20, at % 7 == 0)));
                restored.idle(60_000, &mut Vec::new());
                feed(&mut restored, (3000..3010).map(|at| (1, at * 20, true)));
            }
        }
    }
}
