//! The newest anomalies in memory, in one order for everybody.
//!
//! Invariants: places rise by one and are never given twice, also across topics; the cursor after a
//! place covers everything before it; what is kept stays within the bounds. No I/O and no clock here.

mod entry;
mod episodes;
mod listeners;
mod matcher;
mod plan;
mod seen;
mod shared;

use std::collections::VecDeque;
use std::sync::Arc;

use contracts::{Anomaly, Cursor};
use uuid::Uuid;

pub use entry::{Entry, Facts};
pub use matcher::Matcher;
pub use plan::Plan;
pub use shared::{Listener, SharedLog};

use episodes::Episodes;
use seen::Seen;

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub entries: usize,
    pub bytes: usize,
}

/// A record of the topic, decoded.
pub struct Record<'a> {
    pub partition: usize,
    pub offset: i64,
    pub anomaly: &'a Anomaly,
    /// The anomaly as JSON on one line.
    pub document: &'a str,
    pub traceparent: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    Kept,
    /// A version that was there already.
    Duplicate,
    /// From before the log begins: only remembered, to know it again.
    Remembered,
}

pub struct Log {
    bounds: Bounds,
    /// Changes with each topic; 0: no topic was found yet.
    generation: u64,
    topic: u64,
    entries: VecDeque<Arc<Entry>>,
    /// Place of the oldest entry.
    base: u64,
    bytes: usize,
    /// Cursor before the oldest entry.
    floor: Vec<i64>,
    /// Cursor after everything that was read.
    next: Vec<i64>,
    seen: Vec<Seen>,
    episodes: Episodes,
    loaded: bool,
    looks: Looks,
}

/// What is known of the topic's end, which other gateways may have read to already.
#[derive(Debug, Default)]
struct Looks {
    /// How often it was looked at, or is being looked at.
    begun: u64,
    /// Number of the newest look that has ended.
    ended: u64,
    /// Next offsets of the topic then. `None`: nobody answered.
    ends: Option<Vec<i64>>,
}

impl Log {
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            generation: 0,
            topic: 0,
            entries: VecDeque::new(),
            base: 0,
            bytes: 0,
            floor: Vec::new(),
            next: Vec::new(),
            seen: Vec::new(),
            episodes: Episodes::default(),
            loaded: false,
            looks: Looks::default(),
        }
    }

    /// A topic that was not known before: nothing of an earlier one is kept.
    pub fn begin(&mut self, topic: u64, keep_from: &[i64]) {
        self.base += self.entries.len() as u64;
        self.generation += 1;
        self.topic = topic;
        self.entries.clear();
        self.bytes = 0;
        self.floor = keep_from.to_vec();
        self.next = keep_from.to_vec();
        self.seen = keep_from.iter().map(|_| self.seen_nothing()).collect();
        self.episodes = Episodes::default();
        self.loaded = false;
        self.looks.ends = None;
    }

    /// The topic got more partitions, read from their beginning.
    pub fn widen(&mut self, partitions: usize) {
        while self.next.len() < partitions {
            self.next.push(0);
            self.floor.push(0);
            self.seen.push(self.seen_nothing());
        }
    }

    fn seen_nothing(&self) -> Seen {
        Seen::new(self.bounds.entries as i64)
    }

    /// Records come with rising offsets per partition.
    pub fn append(&mut self, record: &Record<'_>) -> Appended {
        let Record {
            partition,
            offset,
            anomaly,
            ..
        } = *record;
        self.widen(partition + 1);
        let is_news = self.seen[partition].is_news(offset, anomaly.id, anomaly.version);
        if offset < self.next[partition] {
            return Appended::Remembered;
        }
        self.next[partition] = offset + 1;
        if !is_news {
            return Appended::Duplicate;
        }
        let entry = Entry::new(
            partition,
            offset,
            self.cursor(),
            Facts::of(anomaly),
            record.document,
            record.traceparent,
        );
        self.bytes += entry.bytes();
        self.episodes.add(anomaly.id, self.end());
        self.entries.push_back(Arc::new(entry));
        // One that is larger than the bound by itself is kept alone.
        while self.entries.len() > self.bounds.entries
            || (self.bytes > self.bounds.bytes && self.entries.len() > 1)
        {
            self.evict_oldest();
        }
        Appended::Kept
    }

    /// A record that holds no anomaly, or offsets that Kafka no longer has.
    pub fn pass(&mut self, partition: usize, next: i64) {
        self.widen(partition + 1);
        self.next[partition] = self.next[partition].max(next);
    }

    fn evict_oldest(&mut self) {
        let Some(entry) = self.entries.pop_front() else {
            return;
        };
        self.episodes.evict(entry.facts.id, self.base);
        self.bytes = self.bytes.saturating_sub(entry.bytes());
        self.floor.clear();
        self.floor.extend_from_slice(&entry.next);
        self.floor.resize(self.next.len(), 0);
        self.base += 1;
    }

    /// Everything that was in the topic at the start has been read.
    pub fn set_loaded(&mut self) {
        self.loaded = true;
    }

    /// The topic is being looked at; [`Self::looked`] takes the number.
    pub fn look(&mut self) -> u64 {
        self.looks.begun += 1;
        self.looks.begun
    }

    /// What a look found: the topic's next offsets, or nothing.
    pub fn looked(&mut self, look: u64, ends: Option<Vec<i64>>) {
        if look > self.looks.ended {
            self.looks.ended = look;
            self.looks.ends = ends;
        }
    }

    /// A look after this one tells what there is now.
    pub fn looks_begun(&self) -> u64 {
        self.looks.begun
    }

    pub fn looks_ended(&self) -> u64 {
        self.looks.ended
    }

    /// Whether the topic holds everything before these next offsets, as far as is known. What nobody
    /// can tell is believed.
    pub fn may_hold(&self, next: &[i64]) -> bool {
        let ends = self.looks.ends.as_ref();
        ends.is_none_or(|ends| covers(&union(ends, &self.next), next))
    }

    pub fn is_loaded(&self) -> bool {
        self.loaded
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub fn topic(&self) -> u64 {
        self.topic
    }

    /// Place of the oldest entry.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Place of the entry that comes next.
    pub fn end(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn next_offsets(&self) -> &[i64] {
        &self.next
    }

    pub fn floor(&self) -> &[i64] {
        &self.floor
    }

    /// The cursor after everything that was read.
    pub fn cursor(&self) -> Cursor {
        Cursor {
            topic: self.topic,
            next: self.next.clone(),
        }
    }

    /// Next offsets of a client that has everything before this place.
    pub fn next_at(&self, place: u64) -> &[i64] {
        if place >= self.end() {
            return &self.next;
        }
        let before = place.checked_sub(self.base + 1);
        before.map_or(&self.floor, |index| &self.entries[index as usize].next)
    }

    /// The first kept place that a client with these next offsets does not have all before of.
    pub fn place_of(&self, next: &[i64]) -> u64 {
        let covered = self
            .entries
            .partition_point(|entry| covers(next, &entry.next));
        self.base + covered as u64
    }

    pub fn get(&self, place: u64) -> Option<&Arc<Entry>> {
        let index = place.checked_sub(self.base)?;
        self.entries.get(usize::try_from(index).ok()?)
    }

    /// Entries from this place on, oldest first.
    pub fn from(&self, place: u64) -> impl Iterator<Item = &Arc<Entry>> {
        let index = place.saturating_sub(self.base) as usize;
        self.entries.range(index.min(self.entries.len())..)
    }

    /// The newest version of an id.
    pub fn newest(&self, id: Uuid) -> Option<&Arc<Entry>> {
        self.get(self.episodes.newest(id)?)
    }

    /// Where an id stands in listings.
    pub fn opened(&self, id: Uuid) -> Option<u64> {
        self.episodes.opened(id)
    }

    /// Newest version of each id that stands before this place in listings, latest first.
    pub fn listed_before(&self, opened: u64) -> impl Iterator<Item = (u64, &Arc<Entry>)> {
        self.episodes
            .before(opened)
            .filter_map(|(opened, newest)| Some((opened, self.get(newest)?)))
    }
}

/// Whether a client with next offsets `having` has everything before `wanted`.
pub fn covers(having: &[i64], wanted: &[i64]) -> bool {
    wanted
        .iter()
        .enumerate()
        .all(|(partition, next)| having.get(partition).copied().unwrap_or(0) >= *next)
}

/// Next offsets of who has both.
pub fn union(one: &[i64], other: &[i64]) -> Vec<i64> {
    let at = |next: &[i64], partition: usize| next.get(partition).copied().unwrap_or(0);
    (0..one.len().max(other.len()))
        .map(|partition| at(one, partition).max(at(other, partition)))
        .collect()
}

#[cfg(test)]
mod tests;
