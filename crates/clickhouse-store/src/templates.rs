//! What the rows of a batch refer to: the texts of templates, and which templates became one.
//!
//! Invariants: texts are stored before merges, so that what an id leads to has a text; storing the
//! same again changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use primitives::varint;

use crate::{Client, Error};

/// Bytes of a sample line; more are cut off.
const SAMPLE_BYTES: usize = 1024;
/// What a text takes beside its strings, and what a merge takes, about.
const TEXT_BYTES: usize = 160;
const MERGE_BYTES: usize = 32;

/// One row of `template_texts`, but for its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// With `<*>` for each parameter.
    pub text: String,
    pub open_places: u32,
    /// One line of it, or the beginning of one.
    pub sample: String,
    /// Who wrote that line.
    pub service: String,
    /// Templates that it is part of, should any partition have found them.
    pub joins: Vec<u64>,
}

/// What became known of templates, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateNews {
    texts: BTreeMap<u64, Text>,
    merges: BTreeSet<(u64, u64)>,
    bytes: usize,
}

impl TemplateNews {
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.merges.is_empty()
    }

    /// Bytes that it holds, about.
    pub fn size(&self) -> usize {
        self.bytes
    }

    pub fn texts(&self) -> &BTreeMap<u64, Text> {
        &self.texts
    }

    /// Ids, and the ids that they lead to.
    pub fn merges(&self) -> &BTreeSet<(u64, u64)> {
        &self.merges
    }

    /// What the template is from now on. Of two for one id, that with more open places stays.
    pub fn describe(&mut self, id: u64, mut text: Text) {
        text.sample
            .truncate(text.sample.floor_char_boundary(SAMPLE_BYTES));
        if let Some(before) = self.texts.get(&id) {
            if before.open_places > text.open_places {
                return;
            }
            self.bytes -= size_of(before);
        }
        self.bytes += size_of(&text);
        self.texts.insert(id, text);
    }

    /// Lines that were given `from` belong to `into`.
    pub fn merge(&mut self, from: u64, into: u64) {
        if self.merges.insert((from, into)) {
            self.bytes += MERGE_BYTES;
        }
    }

    /// Adds what became known later.
    pub fn append(&mut self, later: Self) {
        for (id, text) in later.texts {
            self.describe(id, text);
        }
        for (from, into) in later.merges {
            self.merge(from, into);
        }
    }

    /// Keeps the texts of those templates, and what leads to them.
    pub fn retain(&mut self, is_kept: impl Fn(u64) -> bool) {
        self.texts.retain(|id, _| is_kept(*id));
        self.merges.retain(|(_, into)| is_kept(*into));
        self.bytes =
            self.texts.values().map(size_of).sum::<usize>() + self.merges.len() * MERGE_BYTES;
    }
}

fn size_of(text: &Text) -> usize {
    let strings = text.text.len() + text.sample.len() + text.service.len();
    strings + 8 * text.joins.len() + TEXT_BYTES
}

/// Stores it; asks nothing of the server where there is nothing to store.
pub async fn store(client: &Client, news: &TemplateNews) -> Result<(), Error> {
    const SETTINGS: [(&str, &str); 2] = [("async_insert", "0"), ("wait_end_of_query", "1")];
    if !news.texts.is_empty() {
        let mut rows = Vec::with_capacity(news.bytes);
        for (id, text) in &news.texts {
            rows.extend_from_slice(&id.to_le_bytes());
            put_text(&mut rows, &text.text);
            rows.extend_from_slice(&text.open_places.to_le_bytes());
            put_text(&mut rows, &text.sample);
            put_text(&mut rows, &text.service);
            varint::put(&mut rows, text.joins.len() as u64);
            rows.extend(text.joins.iter().flat_map(|id| id.to_le_bytes()));
        }
        let statement = "INSERT INTO template_texts \
                         (template_id, text, open_places, sample, service, joins) FORMAT RowBinary";
        client.insert(statement, &SETTINGS, rows.into()).await?;
    }
    if !news.merges.is_empty() {
        let ids = news.merges.iter().flat_map(|(from, into)| [from, into]);
        let rows: Vec<u8> = ids.flat_map(|id| id.to_le_bytes()).collect();
        let statement = "INSERT INTO template_merges (from_id, into_id) FORMAT RowBinary";
        client.insert(statement, &SETTINGS, rows.into()).await?;
    }
    Ok(())
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    varint::put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str, open_places: u32) -> Text {
        Text {
            text: text.to_owned(),
            open_places,
            sample: "é".repeat(1000),
            service: "cart".to_owned(),
            joins: Vec::new(),
        }
    }

    #[test]
    fn the_text_of_more_lines_stays_and_samples_are_cut_between_characters() {
        let mut news = TemplateNews::default();
        assert!(news.is_empty());
        news.describe(1, text("a <*>", 1));
        news.describe(1, text("<*> <*>", 2));
        news.describe(1, text("a <*>", 1));
        assert_eq!(news.texts()[&1].text, "<*> <*>");
        assert_eq!(news.texts()[&1].sample.len(), 1024);
        news.describe(2, text("b", 0));
        news.merge(2, 1);
        news.merge(2, 1);
        news.merge(1, 2);
        let mut other = TemplateNews::default();
        other.append(news.clone());
        assert_eq!(other, news);
        other.retain(|id| id == 1);
        assert_eq!(other.texts().len(), 1);
        assert_eq!(other.merges().iter().collect::<Vec<_>>(), [&(2, 1)]);
        let mut alone = TemplateNews::default();
        alone.describe(1, text("<*> <*>", 2));
        alone.merge(2, 1);
        assert_eq!(other.size(), alone.size());
    }
}
