//! Lines through our miner, as the processor does it: a miner per partition, ids followed through what
//! all of them have told.
//!
//! Invariant: the miners' counts are exactly the lines that were given to them, by template; anything
//! else is an error.

use std::collections::HashMap;

use anyhow::{Context as _, ensure};
use template_mining::{Changes, Described, Ids, Limits, Miner, TemplateId};

use super::score::Prediction;

/// What miners have told so far.
#[derive(Default)]
struct Told {
    texts: HashMap<TemplateId, Described>,
    ids: Ids,
}

impl Told {
    fn take(&mut self, changes: Changes) {
        self.ids.take(&changes);
        for described in changes.templates {
            self.describe(described);
        }
    }

    /// Of two texts the one with more open places is of more lines, and the later one as good.
    fn describe(&mut self, described: Described) {
        let known = self.texts.get(&described.id);
        if known.is_none_or(|known| known.open_places <= described.open_places) {
            self.texts.insert(described.id, described);
        }
    }
}

/// The final template of each line. `order`: the lines as they come; `partition`: of which of so many
/// partitions a line is.
pub(super) fn mine(
    lines: &[String],
    order: &[usize],
    partitions: usize,
    mut partition: impl FnMut() -> usize,
) -> anyhow::Result<Prediction> {
    let mut miners: Vec<_> = (0..partitions)
        .map(|_| Miner::new(Limits::default()))
        .collect();
    let mut told = Told::default();
    let mut ids = vec![TemplateId(0); lines.len()];
    for line in order {
        let miner = &mut miners[partition()];
        ids[*line] = miner.observe(lines[*line].as_bytes());
        told.take(miner.take_changes());
    }
    for view in miners.iter().flat_map(Miner::templates) {
        let described = view.describe();
        told.ids.learn(described.id, &described.joins);
        told.describe(described);
    }
    for id in &mut ids {
        *id = told.ids.current(*id);
    }
    check_counts(&miners, &ids, &told)?;
    let text = |id: &TemplateId| {
        let described = told.texts.get(id);
        let described = described.with_context(|| format!("template {:016x} has no text", id.0))?;
        Ok((id.0, described.text.clone()))
    };
    Ok(Prediction {
        texts: ids.iter().map(text).collect::<anyhow::Result<_>>()?,
        ids: ids.into_iter().map(|id| id.0).collect(),
    })
}

/// In the order in which they were logged, one partition.
pub(super) fn mine_in_order(lines: &[String]) -> anyhow::Result<Prediction> {
    let order: Vec<_> = (0..lines.len()).collect();
    mine(lines, &order, 1, || 0)
}

fn check_counts(miners: &[Miner], ids: &[TemplateId], told: &Told) -> anyhow::Result<()> {
    let lines: u64 = miners.iter().map(Miner::lines).sum();
    ensure!(
        lines == ids.len() as u64,
        "the miners count {lines} lines of {}",
        ids.len()
    );
    let mut counts: HashMap<TemplateId, u64> = HashMap::new();
    for id in ids {
        *counts.entry(*id).or_default() += 1;
    }
    let mut kept: HashMap<TemplateId, u64> = HashMap::new();
    for view in miners.iter().flat_map(Miner::templates) {
        *kept.entry(told.ids.current(view.id())).or_default() += view.count();
    }
    let evicted: u64 = miners.iter().map(Miner::evicted_lines).sum();
    let sum = kept.values().sum::<u64>() + evicted;
    ensure!(
        sum == lines,
        "the counts of the templates add up to {sum}, not to the {lines} lines"
    );
    ensure!(
        evicted > 0 || kept == counts,
        "the counts of the templates are not those of the lines with their ids"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    fn lines() -> Vec<String> {
        let users = "alice bob carol dave erin frank grace heidi ivan judy mallory niaj";
        let users: Vec<_> = users.split(' ').collect();
        let line = |n: usize| match n % 3 {
            0 => format!("session {n} opened for user {}", users[n / 3 % users.len()]),
            1 => format!("session {n} closed"),
            _ => "shutting down".to_owned(),
        };
        (0..300).map(line).collect()
    }

    #[test]
    fn a_line_has_the_template_that_its_own_was_merged_into() {
        let lines = lines();
        let prediction = mine_in_order(&lines).unwrap();
        assert_eq!(prediction.texts.len(), 3);
        assert_eq!(
            prediction.text(prediction.ids[0]),
            "session <*> opened for user <*>"
        );
        assert!(
            prediction
                .ids
                .chunks(3)
                .all(|ids| ids == &prediction.ids[..3])
        );
    }

    #[test]
    fn partitions_find_the_same_templates() {
        let lines = lines();
        let order: Vec<_> = (0..lines.len()).rev().collect();
        let mut rng = StdRng::seed_from_u64(1);
        let dealt = mine(&lines, &order, 4, || rng.random_range(0..4));
        assert_eq!(dealt.unwrap(), mine_in_order(&lines).unwrap());
    }

    /// Would catch a partition whose lines never differ, and keep a template of their own.
    #[test]
    fn a_partition_joins_what_another_one_has_found() {
        let lines = lines();
        let order: Vec<_> = (0..lines.len()).collect();
        let mut line = 0;
        let dealt = mine(&lines, &order, 2, || {
            line += 1;
            usize::from(lines[line - 1].ends_with("alice"))
        });
        assert_eq!(dealt.unwrap(), mine_in_order(&lines).unwrap());
    }
}
