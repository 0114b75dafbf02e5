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

impl PartitionDetectors {
    /// All that is known, in the bytes that [`Self::restore`] reads: the same for the same records
    /// and ticks.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.section(COMMON, BEHAVIOUR, |to| self.save_common(to));
        for family in Family::ALL {
            to.section(family as u8, family.version(), |to| {
                for service in &self.services {
                    service.save_family(family, to);
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
        let of = |id| sections.iter().find(|section| section.id == id);
        let common = of(COMMON).ok_or("the section is missing that all others rest on")?;
        let mut from = Reader::new(common.body);
        let mut restored = Self::load_common(&mut from, config)?;
        from.end()?;
        for family in Family::ALL {
            let kept = of(family as u8).filter(|section| section.version == family.version());
            match kept {
                Some(section) => restored.load_family(family, section)?,
                None => restored.early.family_begins_anew(family),
            }
        }
        Ok(restored)
    }

    fn save_common(&self, to: &mut Writer) {
        to.i64(self.swept_at);
        to.u64(self.evicted);
        to.u32(self.partitions);
        self.moving.save(to);
        to.u64(self.services.len() as u64);
        self.pace.save(to);
        for (name, service) in self.names.iter().zip(&self.services) {
            to.text(name);
            service.save(to, &self.config);
        }
        self.early.save(to);
    }

    fn load_common(from: &mut Reader<'_>, config: Config) -> Loaded<Self> {
        let mut detectors = Self::new(config);
        detectors.swept_at = from.millis()?;
        detectors.evicted = from.count()?;
        detectors.partitions = from.u32()?;
        detectors.moving = Moving::load(from)?;
        let most = detectors.config.max_services.max(1);
        let count = from.length(most, LEAST_BYTES)?;
        detectors.pace = Pace::load(from, count)?;
        detectors.names.reserve(count);
        detectors.services.reserve(count);
        for slot in 0..count {
            let name = from.text(usize::MAX)?;
            let hash = detectors.hasher.hash_one(name);
            let names = &detectors.names;
            let twin = |slot: &u32| names.get(*slot as usize).is_some_and(|n| **n == *name);
            if detectors.slots.find(hash, twin).is_some() {
                return Err("a service that is there twice");
            }
            detectors.names.push(name.into());
            detectors.index(hash, slot as u32);
            let service = Service::load(name, from, &detectors.config)?;
            detectors.services.push(service);
        }
        detectors.early = EarlyFirings::load(from, count)?;
        Ok(detectors)
    }

    fn load_family(&mut self, family: Family, section: &Section<'_>) -> Loaded<()> {
        let mut from = Reader::new(section.body);
        for service in &mut self.services {
            service.load_family(family, &mut from, &self.config)?;
        }
        from.end()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        family::Families,
        partition::tests::config,
        record::{Observation, time::EventTime},
    };

    fn feed(detectors: &mut PartitionDetectors, lines: impl Iterator<Item = (u8, i64, bool)>) {
        let mut findings = Vec::new();
        for (service, time, is_error) in lines {
            let seen = Observation {
                service: &format!("service-{service}"),
                time: EventTime(1_790_000_000_000 + time),
                kafka_time: 1_790_000_000_000 + time,
                offset: time,
                is_error,
                level: 3,
                message: "a line",
                trace_id: "a trace",
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
        detectors.idle(6_000, &mut findings);
        assert!(!findings.is_empty());
        detectors
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
        assert_eq!(ids, [COMMON, 1, 2, 3]);
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
