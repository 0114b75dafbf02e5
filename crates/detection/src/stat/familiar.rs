//! What has been seen, and on which day last.

use hashbrown::{HashTable, hash_table::Entry};

use crate::codec::{Loaded, Reader, Writer};

/// More are not told apart: who has so many different ones has new ones all the time.
const MOST: usize = 512;
/// What was not seen for so many days is forgotten: what comes once a fortnight is known.
const DAYS: u16 = 15;
const DAY_MS: i64 = 86_400_000;

/// A bounded set of ids. Ids are hashes already.
#[derive(Debug, Clone, Default)]
pub(crate) struct Familiar {
    seen: HashTable<(u64, u16)>,
    today: u16,
}

/// What is said of one that comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Before,
    Never,
    /// Nobody knows: there is no room for more.
    Untold,
}

/// Which day, going round after 179 years.
fn day(millis: i64) -> u16 {
    (millis.div_euclid(DAY_MS) & 0xffff) as u16
}

impl Familiar {
    pub(crate) fn see(&mut self, id: u64, millis: i64) -> Seen {
        let today = day(millis);
        let is_full = self.seen.len() >= MOST;
        match self
            .seen
            .entry(id, |(other, _)| *other == id, |(id, _)| *id)
        {
            Entry::Occupied(mut entry) => {
                entry.get_mut().1 = today;
                Seen::Before
            }
            Entry::Vacant(_) if is_full => Seen::Untold,
            Entry::Vacant(entry) => {
                entry.insert((id, today));
                Seen::Never
            }
        }
    }

    pub(crate) fn knows(&self, id: u64) -> bool {
        self.seen.find(id, |(other, _)| *other == id).is_some()
    }

    /// What had one id has another from now on; `false`: it is not known.
    pub(crate) fn rename(&mut self, from: u64, into: u64) -> bool {
        let Ok(entry) = self.seen.find_entry(from, |(other, _)| *other == from) else {
            return false;
        };
        let ((_, last), _) = entry.remove();
        if !self.knows(into) {
            self.seen.insert_unique(into, (into, last), |(id, _)| *id);
        }
        true
    }

    /// Forgets what has not come for long, once a day.
    pub(crate) fn day_of(&mut self, millis: i64) {
        let today = day(millis);
        if std::mem::replace(&mut self.today, today) == today {
            return;
        }
        self.seen.retain(|(_, last)| {
            let days = today.wrapping_sub(*last);
            // One whose day is ahead comes of a clock that was.
            !(DAYS..=u16::MAX - DAYS).contains(&days)
        });
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        // The order of a table is not the same in two processes.
        let mut all: Vec<_> = self.seen.iter().copied().collect();
        all.sort_unstable();
        to.u32(u32::from(self.today));
        to.u64(all.len() as u64);
        for (id, last) in all {
            to.u64(id);
            to.u32(u32::from(last));
        }
    }

    pub(crate) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let no_day = |_| "a day that there is not";
        let today = u16::try_from(from.u32()?).map_err(no_day)?;
        let count = from.length(MOST, 2)?;
        let mut seen = HashTable::with_capacity(count);
        for _ in 0..count {
            let (id, last) = (from.u64()?, from.u32()?);
            let last = u16::try_from(last).map_err(no_day)?;
            if seen.find(id, |(other, _)| *other == id).is_some() {
                return Err("one that is seen twice");
            }
            seen.insert_unique(id, (id, last), |(id, _)| *id);
        }
        Ok(Self { seen, today })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_244_400_000;

    #[test]
    fn what_comes_once_a_fortnight_is_known_and_what_stayed_away_longer_is_not() {
        let mut familiar = Familiar::default();
        assert_eq!(familiar.see(7, NOW), Seen::Never);
        assert_eq!(familiar.see(7, NOW), Seen::Before);
        familiar.day_of(NOW + 14 * DAY_MS);
        assert!(familiar.knows(7));
        familiar.day_of(NOW + 16 * DAY_MS);
        assert!(!familiar.knows(7));
    }

    #[test]
    fn a_new_name_is_no_new_thing() {
        let mut familiar = Familiar::default();
        familiar.see(1, NOW);
        familiar.see(2, NOW);
        assert!(familiar.rename(1, 3));
        assert!(familiar.rename(2, 3));
        assert!(!familiar.rename(1, 4));
        assert_eq!(familiar.see(3, NOW), Seen::Before);
        assert_eq!(familiar.see(1, NOW), Seen::Never);
    }

    #[test]
    fn there_is_a_bound_and_beyond_it_nothing_is_claimed() {
        let mut familiar = Familiar::default();
        for id in 0..MOST as u64 {
            assert_eq!(familiar.see(id, NOW), Seen::Never);
        }
        assert_eq!(familiar.see(u64::MAX, NOW), Seen::Untold);
        assert_eq!(familiar.see(5, NOW), Seen::Before);
    }

    #[test]
    fn it_comes_back_as_it_was() {
        let mut familiar = Familiar::default();
        for id in [9, 3, u64::MAX] {
            familiar.see(id, NOW);
        }
        let mut to = Writer::default();
        familiar.save(&mut to);
        let mut from = Reader::new(to.bytes());
        let back = Familiar::load(&mut from).unwrap();
        let mut again = Writer::default();
        back.save(&mut again);
        assert_eq!(again.bytes(), to.bytes());
        assert!(back.knows(3));
    }
}
