//! Which letters a replay sends where, and which it leaves out, and why.

use std::collections::{BTreeMap, HashSet};

use anyhow::bail;

use super::{Args, target_ranges};
use crate::dlq::{
    Queue,
    letter::{Letter, Position},
    memory::{About, Memory, Note},
    reason_text,
    scan::Scan,
};
use command_kit::say;

/// Letters named by a dry run.
const SHOWN: usize = 20;

#[derive(Default)]
pub(super) struct Plan {
    /// Letters that were selected, sent or not.
    selected: usize,
    /// The same record as a letter before it.
    duplicates: usize,
    /// Replayed before.
    replayed: usize,
    /// They do not say where they came from.
    homeless: usize,
    /// Not all of their records was kept.
    cut: usize,
    /// An interrupted replay may have sent them.
    uncertain: usize,
    /// Letters about records that an earlier replay sent.
    came_back: usize,
    /// With the target.
    pub(super) chosen: BTreeMap<Position, String>,
    /// What the selected letters are about.
    pub(super) records: HashSet<About>,
    by_target: BTreeMap<String, BTreeMap<String, usize>>,
    ranges: BTreeMap<String, Vec<(i64, i64)>>,
    partitions: usize,
}

impl Plan {
    pub(super) async fn make(queue: &Queue, args: &Args, memory: &Memory) -> anyhow::Result<Self> {
        let mut plan = Self {
            partitions: queue.ranges.len(),
            ..Self::default()
        };
        let mut found: HashSet<Position> = HashSet::new();
        let mut scan = Scan::open(&queue.connection, &queue.topic, &queue.ranges)?;
        while let Some(message) = scan.next().await? {
            let letter = Letter::of(&message);
            if args.position.contains(&letter.position) {
                found.insert(letter.position);
            }
            if !args.takes(&letter) {
                continue;
            }
            plan.selected += 1;
            if letter.cut.is_something() {
                plan.cut += 1;
                continue;
            }
            let Some(target) = args.target(&letter) else {
                plan.homeless += 1;
                continue;
            };
            let about = (letter.identity(), target.to_owned());
            if plan.records.contains(&about) {
                plan.duplicates += 1;
            } else if !args.again && memory.was_sent(&about.0, target) {
                plan.replayed += 1;
            } else {
                plan.choose(&letter, target, memory);
            }
            plan.records.insert(about);
        }
        let missing: Vec<_> = args
            .position
            .iter()
            .filter(|it| !found.contains(it))
            .collect();
        if let Some(position) = missing.first() {
            bail!(
                "{} has no letter at {position}{}; `barograph dlq list` shows what there is",
                queue.topic,
                match missing.len() - 1 {
                    0 => String::new(),
                    more => format!(", nor at {more} more"),
                }
            );
        }
        for target in plan.by_target.keys() {
            let ranges = target_ranges(queue, target).await?;
            plan.ranges.insert(target.clone(), ranges);
        }
        Ok(plan)
    }

    fn choose(&mut self, letter: &Letter, target: &str, memory: &Memory) {
        if let Some(Note::Sending { .. }) = memory.of(&letter.identity(), target) {
            self.uncertain += 1;
        }
        let source = letter.source.as_ref();
        if source.is_some_and(|source| memory.came_from(source).is_some()) {
            self.came_back += 1;
        }
        let reasons = self.by_target.entry(target.to_owned()).or_default();
        *reasons.entry(letter.reason.clone()).or_default() += 1;
        self.chosen.insert(letter.position, target.to_owned());
    }

    /// What has to be read of each partition of the dead letters to meet every chosen one.
    pub(super) fn span(&self) -> Vec<(i64, i64)> {
        let mut span = vec![(0, 0); self.partitions];
        for position in self.chosen.keys() {
            if let Some((first, next)) = span.get_mut(position.partition as usize) {
                // In order, the first of a partition comes first.
                if *next == 0 {
                    *first = position.offset;
                }
                *next = position.offset + 1;
            }
        }
        span
    }

    /// Next offset of each partition, by target.
    pub(super) fn ends(&self) -> BTreeMap<String, Vec<i64>> {
        self.ranges
            .iter()
            .map(|(target, ranges)| {
                let ends = ranges.iter().map(|(_, next)| *next).collect();
                (target.clone(), ends)
            })
            .collect()
    }

    pub(super) fn print(&self, topic: &str) {
        say::line(format_args!(
            "{} letters of {topic} selected",
            self.selected
        ));
        let leave_out = |count: usize, why: &str| {
            if count > 0 {
                say::line(format_args!("  {count} left out: {why}"));
            }
        };
        leave_out(self.duplicates, "the same record as another letter");
        leave_out(
            self.replayed,
            "replayed before (--again sends them once more)",
        );
        leave_out(
            self.homeless,
            "they do not say where they came from (--to TOPIC sends them)",
        );
        leave_out(
            self.cut,
            "they were cut, their records being too large to be put aside whole (`barograph dlq show` \
             says where these are)",
        );
        for (target, reasons) in &self.by_target {
            let count: usize = reasons.values().sum();
            let reasons: Vec<_> = reasons
                .iter()
                .map(|(reason, count)| {
                    let reason = reason_text(reason);
                    format!("{count} {reason}")
                })
                .collect();
            say::line(format_args!(
                "  {count} to send to {}: {}",
                target,
                reasons.join(", ")
            ));
        }
        if self.uncertain > 0 {
            say::line(format_args!(
                "  {} of them may have been sent by a replay that was interrupted; that is looked up \
                 first",
                self.uncertain
            ));
        }
        if self.came_back > 0 {
            say::line(format_args!(
                "  {} of them were replayed and came back: the same bytes will come back again unless \
                 what refuses them has been changed",
                self.came_back
            ));
        }
    }

    pub(super) fn print_letters(&self) {
        for (position, target) in self.chosen.iter().take(SHOWN) {
            say::line(format_args!("  {position} → {target}"));
        }
        if self.chosen.len() > SHOWN {
            say::line(format_args!("  … and {} more", self.chosen.len() - SHOWN));
        }
    }

    pub(super) fn question(&self) -> String {
        let targets: Vec<_> = self.by_target.keys().map(String::as_str).collect();
        format!("Send {} to {}?", self.chosen.len(), targets.join(", "))
    }
}
