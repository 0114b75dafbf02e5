//! The newest kept version of each id, in the order in which the ids came.
//!
//! Invariant: every id with a kept version is listed once, at the place of the first version seen, so
//! that an update leaves its row where it is and a listing can be paged.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

/// Numbers are places in the log.
#[derive(Debug, Clone, Copy)]
struct Episode {
    opened: u64,
    newest: u64,
}

#[derive(Debug, Default)]
pub(super) struct Episodes {
    by_id: HashMap<Uuid, Episode>,
    by_opening: BTreeMap<u64, Uuid>,
}

impl Episodes {
    pub(super) fn add(&mut self, id: Uuid, place: u64) {
        let episode = self.by_id.entry(id).or_insert_with(|| {
            self.by_opening.insert(place, id);
            Episode {
                opened: place,
                newest: place,
            }
        });
        episode.newest = place;
    }

    /// The version at this place is no longer kept; older ones of the id are gone already.
    pub(super) fn evict(&mut self, id: Uuid, place: u64) {
        if let Some(episode) = self
            .by_id
            .get(&id)
            .filter(|episode| episode.newest == place)
        {
            self.by_opening.remove(&episode.opened);
            self.by_id.remove(&id);
        }
    }

    /// Place of the newest version.
    pub(super) fn newest(&self, id: Uuid) -> Option<u64> {
        self.by_id.get(&id).map(|episode| episode.newest)
    }

    pub(super) fn opened(&self, id: Uuid) -> Option<u64> {
        self.by_id.get(&id).map(|episode| episode.opened)
    }

    /// Opening and newest version of each id that opened before this place, latest first.
    pub(super) fn before(&self, opened: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.by_opening
            .range(..opened)
            .rev()
            .filter_map(|(opened, id)| Some((*opened, self.newest(*id)?)))
    }
}
