//! What the simulated store has of templates, and where their ids lead to.

use std::collections::{BTreeMap, BTreeSet};

use clickhouse_store::TemplateNews;

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Templates {
    texts: BTreeSet<u64>,
    pub(crate) merges: BTreeSet<(u64, u64)>,
}

impl Templates {
    pub(crate) fn take_texts(&mut self, news: &TemplateNews) {
        self.texts.extend(news.texts().keys());
    }

    pub(crate) fn take_merges(&mut self, news: &TemplateNews) {
        self.merges.extend(news.merges());
    }

    pub(crate) fn have_text_of(&self, id: u64) -> bool {
        self.texts.contains(&id)
    }

    /// The least id that anything was merged into of all that merges join: as the view
    /// `template_ids` has it.
    pub(crate) fn current_ids(&self) -> BTreeMap<u64, u64> {
        let own = self.merges.iter().map(|(_, into)| (*into, *into));
        let edges: BTreeSet<(u64, u64)> = self.merges.iter().copied().chain(own).collect();
        let mut least: BTreeMap<u64, u64> = BTreeMap::new();
        loop {
            let before = least.clone();
            for (from, into) in &edges {
                let found = [from, into].map(|id| least.get(id).copied().unwrap_or(*into));
                let both = found[0].min(found[1]);
                least.insert(*from, both);
                least.insert(*into, both);
            }
            if least == before {
                return least;
            }
        }
    }

    /// Merges that lead to what has no text.
    pub(crate) fn dead_ends(&self) -> Vec<(u64, u64)> {
        let current = self.current_ids();
        current
            .into_iter()
            .filter(|(_, into)| !self.have_text_of(*into))
            .collect()
    }
}
