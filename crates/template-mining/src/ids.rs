//! The ids of several miners, brought together.
//!
//! Invariant: whatever the order in which miners tell what they know, an id ends at the same one: the
//! least of the patterns that it is connected with.

use std::collections::HashMap;

use crate::miner::{Changes, Merge, TemplateId};

/// Which id an id has become. Feed it what the miners of all partitions told; lines keep the ids that
/// they were given.
#[derive(Debug, Clone, Default)]
pub struct Ids {
    /// Of every known id another one that it is connected with, or itself.
    parents: HashMap<TemplateId, TemplateId>,
    /// By the id that all parents lead to: the least pattern.
    patterns: HashMap<TemplateId, TemplateId>,
    /// By a pattern that nobody has found yet: who would join it.
    waiting: HashMap<TemplateId, Vec<TemplateId>>,
}

impl Ids {
    pub fn take(&mut self, changes: &Changes) {
        for template in &changes.templates {
            self.learn(template.id, &template.joins);
        }
        for merge in &changes.merges {
            self.merge(*merge);
        }
    }

    /// There is a template with this id, and it would join these patterns.
    pub fn learn(&mut self, id: TemplateId, joins: &[TemplateId]) {
        self.know(id);
        for pattern in joins {
            if self.parents.contains_key(pattern) {
                self.connect(id, *pattern);
            } else {
                self.waiting.entry(*pattern).or_default().push(id);
            }
        }
    }

    pub fn merge(&mut self, merge: Merge) {
        self.know(merge.from);
        self.know(merge.into);
        self.connect(merge.from, merge.into);
    }

    /// What this id has become; itself if nothing is known of it.
    pub fn current(&self, id: TemplateId) -> TemplateId {
        self.patterns.get(&self.root(id)).copied().unwrap_or(id)
    }

    fn root(&self, mut id: TemplateId) -> TemplateId {
        while let Some(parent) = self.parents.get(&id).filter(|parent| **parent != id) {
            id = *parent;
        }
        id
    }

    fn know(&mut self, id: TemplateId) {
        self.parents.entry(id).or_insert(id);
        for other in self.waiting.remove(&id).unwrap_or_default() {
            self.connect(other, id);
        }
    }

    fn connect(&mut self, id: TemplateId, pattern: TemplateId) {
        let (from, into) = (self.root(id), self.root(pattern));
        let known = [from, into].map(|root| self.patterns.remove(&root));
        let least = known.into_iter().flatten().fold(pattern, TemplateId::min);
        self.parents.insert(from, into);
        self.patterns.insert(into, least);
    }
}
