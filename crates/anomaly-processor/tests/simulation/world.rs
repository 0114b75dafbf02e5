//! The simulated broker and store: what they keep, and what they refuse.
//!
//! Faithful where it matters: the broker checks that a committer is a member, not that it owns the
//! partition; the store writes a token before the rows of its part, and forgets the oldest tokens.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use clickhouse_store::accounts::Life;
use pipeline::{
    Day, Incarnation, LeaderEpoch, Line, Mark, NextOffset, Offset, Partition, Snapshot,
    resume::Accounted,
};
use uuid::Uuid;

use crate::{mutants::Mutant, templates::Templates};

pub(crate) const PARTITIONS: i32 = 2;
/// What the store's deduplication window holds.
const TOKENS: usize = 60;

#[derive(Debug, Clone)]
pub(crate) struct Produced {
    pub(crate) kafka_time: i64,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) key: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

/// One life of one partition.
pub(crate) type Place = (u64, i32);

#[derive(Default)]
pub(crate) struct World {
    pub(crate) mutant: Option<Mutant>,
    /// Some snapshots have no miner that can be used.
    pub(crate) loses_miners: bool,
    /// Which life the topic lives.
    pub(crate) topic_id: Uuid,
    /// Records by partition, of this life.
    pub(crate) log: BTreeMap<i32, Vec<Produced>>,
    /// Who leads each partition.
    pub(crate) leaders: BTreeMap<i32, i32>,
    pub(crate) group: GroupState,
    pub(crate) store: StoreState,
    /// Lines of the account that were sent while the writer told the audit that they were not.
    pub(crate) lines_counted_twice: u64,
    /// Dead letters by life, partition and offset: how often.
    pub(crate) letters: BTreeMap<(u64, i32, i64), u32>,
    /// Published versions of anomalies: id and version, and everything different that was said.
    pub(crate) anomalies: BTreeMap<(Uuid, u32), BTreeSet<String>>,
    pub(crate) tally: Tally,
}

/// What happened, to see that the simulation is hard.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) crashes: u64,
    pub(crate) stalls: u64,
    pub(crate) kicked: u64,
    pub(crate) intents_found: u64,
    pub(crate) lost_answers: u64,
    pub(crate) deadlines: u64,
    pub(crate) lost_parts: u64,
    pub(crate) deduplicated: u64,
    pub(crate) rejected: u64,
    pub(crate) restored: u64,
    pub(crate) folded: u64,
    pub(crate) mined_anew: u64,
    pub(crate) merges: u64,
    pub(crate) remade_topics: u64,
    pub(crate) lost_logs: u64,
    pub(crate) lives: u64,
    pub(crate) leader_changes: u64,
    pub(crate) offsets_set: u64,
    pub(crate) foreign: u64,
    pub(crate) unsettled: u64,
    pub(crate) stale_commits_refused: u64,
    pub(crate) anomalies: u64,
    /// Versions that idle time told ahead and the records told otherwise.
    pub(crate) told_otherwise: u64,
    pub(crate) records: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.crashes += other.crashes;
        self.stalls += other.stalls;
        self.kicked += other.kicked;
        self.intents_found += other.intents_found;
        self.lost_answers += other.lost_answers;
        self.deadlines += other.deadlines;
        self.lost_parts += other.lost_parts;
        self.deduplicated += other.deduplicated;
        self.rejected += other.rejected;
        self.restored += other.restored;
        self.folded += other.folded;
        self.mined_anew += other.mined_anew;
        self.merges += other.merges;
        self.remade_topics += other.remade_topics;
        self.lost_logs += other.lost_logs;
        self.lives += other.lives;
        self.leader_changes += other.leader_changes;
        self.offsets_set += other.offsets_set;
        self.foreign += other.foreign;
        self.unsettled += other.unsettled;
        self.stale_commits_refused += other.stale_commits_refused;
        self.anomalies += other.anomalies;
        self.told_otherwise += other.told_otherwise;
        self.records += other.records;
    }
}

/// One member of the group, as the coordinator knows it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Told to give these back, and has not yet.
    pub(crate) revoking: BTreeSet<i32>,
}

#[derive(Debug, Default)]
pub(crate) struct GroupState {
    pub(crate) members: BTreeMap<u32, Member>,
    pub(crate) owners: BTreeMap<i32, u32>,
    pub(crate) committed: BTreeMap<i32, (i64, String)>,
    /// What each member's client has still to be told.
    pub(crate) news: BTreeMap<u32, VecDeque<News>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    Assigned(Vec<i32>),
    Revoking(Vec<i32>),
    /// The member was taken for dead; all of these are somebody else's.
    Kicked(Vec<i32>),
}

impl GroupState {
    fn tell(&mut self, member: u32, news: News) {
        self.news.entry(member).or_default().push_back(news);
    }

    pub(crate) fn join(&mut self, member: u32) {
        self.members.insert(member, Member::default());
        self.balance();
    }

    /// It left, or was taken for dead; its partitions are free.
    pub(crate) fn remove(&mut self, member: u32) -> Vec<i32> {
        self.members.remove(&member);
        let freed: Vec<i32> = self
            .owners
            .iter()
            .filter(|(_, owner)| **owner == member)
            .map(|(partition, _)| *partition)
            .collect();
        for partition in &freed {
            self.owners.remove(partition);
        }
        self.balance();
        freed
    }

    /// Taken for dead: it hears of it when it asks again.
    pub(crate) fn kick(&mut self, member: u32) {
        if self.members.contains_key(&member) {
            self.news.remove(&member);
            let freed = self.remove(member);
            self.tell(member, News::Kicked(freed));
        }
    }

    pub(crate) fn released(&mut self, member: u32, partitions: &[i32]) {
        let Some(state) = self.members.get_mut(&member) else {
            return;
        };
        for partition in partitions {
            if state.revoking.remove(partition) {
                self.owners.remove(partition);
            }
        }
        self.balance();
    }

    /// Partition n belongs to member n modulo the number of members, as soon as its owner lets go.
    pub(crate) fn balance(&mut self) {
        let members: Vec<u32> = self.members.keys().copied().collect();
        if members.is_empty() {
            return;
        }
        for partition in 0..PARTITIONS {
            let wanted = members[partition as usize % members.len()];
            match self.owners.get(&partition) {
                Some(owner) if *owner == wanted => {}
                Some(owner) => {
                    let owner = *owner;
                    if let Some(state) = self.members.get_mut(&owner)
                        && state.revoking.insert(partition)
                    {
                        self.tell(owner, News::Revoking(vec![partition]));
                    }
                }
                None => {
                    self.owners.insert(partition, wanted);
                    self.tell(wanted, News::Assigned(vec![partition]));
                }
            }
        }
    }

    /// Membership is checked, ownership is not.
    pub(crate) fn commit(
        &mut self,
        member: u32,
        partition: i32,
        mark: &Mark,
    ) -> Result<(), String> {
        if !self.members.contains_key(&member) {
            return Err("unknown member".to_owned());
        }
        self.committed
            .insert(partition, (mark.next.raw(), mark.metadata()));
        Ok(())
    }
}

/// What the store has of one position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) copies: u32,
    pub(crate) template: u64,
    pub(crate) day: Day,
}

#[derive(Default)]
pub(crate) struct StoreState {
    pub(crate) rows: BTreeMap<(u64, i32, i64), Row>,
    pub(crate) templates: Templates,
    /// Rows that came before the text of their template.
    pub(crate) without_text: Vec<(u64, i32, i64)>,
    tokens: VecDeque<String>,
    pub(crate) snapshots: BTreeMap<Place, Vec<Snapshot>>,
    /// By life of the topic and partition: the newest life of the partition's log.
    pub(crate) lives: BTreeMap<Place, Life>,
    /// Lines by their first offset.
    pub(crate) accounts: BTreeMap<Place, BTreeMap<i64, Line>>,
    pub(crate) is_down: bool,
    /// `kill -9` at the next insert, between the token and the part.
    pub(crate) dies_at_next_insert: bool,
    /// Positions that the store rejects.
    pub(crate) poison: BTreeSet<(u64, i32, i64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inserted {
    Done,
    Deduplicated,
    Rejected,
    Down,
    /// It died while it inserted.
    Died,
}

impl StoreState {
    pub(crate) fn insert(
        &mut self,
        place: Place,
        day: Day,
        rows: &[(i64, u64)],
        token: Option<String>,
    ) -> Inserted {
        if self.is_down {
            return Inserted::Down;
        }
        let at = |offset: &i64| (place.0, place.1, *offset);
        if rows
            .iter()
            .any(|(offset, _)| self.poison.contains(&at(offset)))
        {
            return Inserted::Rejected;
        }
        if let Some(token) = token {
            if self.tokens.contains(&token) {
                return Inserted::Deduplicated;
            }
            self.tokens.push_back(token);
            if self.tokens.len() > TOKENS {
                self.tokens.pop_front();
            }
        }
        if std::mem::take(&mut self.dies_at_next_insert) {
            return Inserted::Died;
        }
        for (offset, template) in rows {
            let row = self.rows.entry(at(offset)).or_default();
            row.copies += 1;
            (row.template, row.day) = (*template, day);
            if *template == 0 || !self.templates.have_text_of(*template) {
                self.without_text.push(at(offset));
            }
        }
        Inserted::Done
    }

    pub(crate) fn stored(&self, place: Place, first: i64, end: i64, since: Day) -> BTreeSet<i64> {
        self.rows
            .range((place.0, place.1, first)..(place.0, place.1, end))
            .filter(|(_, row)| row.day >= since)
            .map(|((_, _, offset), _)| *offset)
            .collect()
    }

    pub(crate) fn keep(&mut self, place: Place, snapshot: Snapshot) {
        self.snapshots.entry(place).or_default().push(snapshot);
    }

    /// A whole, and all changes of later states.
    pub(crate) fn newest_snapshot(
        &self,
        place: Place,
        at_most: NextOffset,
    ) -> Option<(Snapshot, Vec<Snapshot>)> {
        let kept = self.snapshots.get(&place)?.iter();
        let in_time = kept.filter(|snapshot| snapshot.next <= at_most);
        let (wholes, changes): (Vec<_>, Vec<_>) =
            in_time.partition(|snapshot| snapshot.since.is_none());
        let whole = wholes.into_iter().max_by_key(|whole| whole.next)?;
        let later = changes
            .into_iter()
            .filter(|change| change.next > whole.next);
        let mut later: Vec<Snapshot> = later.cloned().collect();
        later.sort_by_key(|change| change.next);
        Some((whole.clone(), later))
    }

    /// Of two lines that begin at the same offset the one that goes further stays.
    pub(crate) fn keep_account(&mut self, place: Place, lines: &[Line]) {
        let account = self.accounts.entry(place).or_default();
        for line in lines {
            let kept = account.entry(line.first.raw()).or_insert(*line);
            if line.end > kept.end {
                *kept = *line;
            }
        }
    }

    pub(crate) fn accounted(&self, place: Place) -> Option<Accounted> {
        let lines = self.accounts.get(&place)?.values();
        lines.max_by_key(|line| line.end).map(|line| Accounted {
            end: line.end,
            day: line.day,
            last: line.last,
        })
    }

    /// One past the highest offset from `from` on, and how many are below `below`.
    pub(crate) fn stored_from(
        &self,
        place: Place,
        from: i64,
        below: i64,
        since: Day,
    ) -> (Option<NextOffset>, u64) {
        let stored = self.stored(place, from, i64::MAX, since);
        let next = stored.last().map(|offset| Offset::new(*offset).next());
        let rows = stored.range(..below.max(from)).count() as u64;
        (next, rows)
    }
}

impl World {
    /// The life that the partition's log lives, as far as anybody has noticed.
    pub(crate) fn life_of(&self, topic: Incarnation, partition: Partition) -> Incarnation {
        let life = self.store.lives.get(&(topic.raw(), partition.0));
        topic.in_life(life.map_or(0, |life| life.life))
    }

    pub(crate) fn leader_of(&self, partition: i32) -> LeaderEpoch {
        LeaderEpoch(self.leaders.get(&partition).copied().unwrap_or(0))
    }
}
