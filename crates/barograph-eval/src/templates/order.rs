//! Whether a line's template depends on the order of the lines, or on how they are dealt over partitions.
//!
//! Invariant: a line is compared with itself: what it ends with, and what it ends with in the order in
//! which it was logged.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde::Serialize;

use super::{
    data::Set,
    mined,
    peers::{self, LOGDRAIN},
    score::Prediction,
};
use command_kit::{
    figures::{Figure, Spread, percent, table},
    say,
};

const SEEDS: u64 = 5;
const PARTITIONS: usize = 4;
const LEAST_SAME: f64 = 0.99;

#[derive(Debug, Serialize)]
pub(super) struct Order {
    seeds: u64,
    partitions: usize,
    sets: Vec<Row>,
    /// Over all lines of all sets.
    all: Row,
}

/// Shares of the lines, over the seeds.
#[derive(Debug, Serialize)]
struct Row {
    set: String,
    lines: usize,
    shuffled_same_id: Spread,
    shuffled_same_text: Spread,
    dealt_same_id: Spread,
    logdrain_shuffled_same_text: Option<Spread>,
}

/// Lines that are the same, by seed.
#[derive(Default)]
struct Same {
    lines: usize,
    shuffled_ids: Vec<f64>,
    shuffled_texts: Vec<f64>,
    dealt_ids: Vec<f64>,
    logdrain_texts: Vec<f64>,
}

impl Same {
    fn of(set: &Set, with_peers: bool) -> anyhow::Result<Self> {
        let lines = &set.lines;
        let logged: Vec<_> = (0..lines.len()).collect();
        let first = mined::mine_in_order(lines)?;
        let peer = || peers::mine_with_logdrain(lines, &logged);
        let peer_first = with_peers.then(peer).transpose()?;
        let mut same = Self {
            lines: lines.len(),
            ..Self::default()
        };
        for seed in 0..SEEDS {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut shuffled = logged.clone();
            shuffled.shuffle(&mut rng);
            let then = mined::mine(lines, &shuffled, 1, || 0)?;
            same.shuffled_ids.push(same_ids(&first, &then));
            same.shuffled_texts.push(same_texts(&first, &then));
            let partition = || rng.random_range(0..PARTITIONS);
            let then = mined::mine(lines, &logged, PARTITIONS, partition)?;
            same.dealt_ids.push(same_ids(&first, &then));
            if let Some(first) = &peer_first {
                let then = peers::mine_with_logdrain(lines, &shuffled)?;
                same.logdrain_texts.push(same_texts(first, &then));
            }
        }
        Ok(same)
    }

    fn add(&mut self, other: &Self) {
        self.lines += other.lines;
        for (sum, more) in [
            (&mut self.shuffled_ids, &other.shuffled_ids),
            (&mut self.shuffled_texts, &other.shuffled_texts),
            (&mut self.dealt_ids, &other.dealt_ids),
            (&mut self.logdrain_texts, &other.logdrain_texts),
        ] {
            sum.resize(more.len(), 0.0);
            sum.iter_mut()
                .zip(more)
                .for_each(|(sum, more)| *sum += more);
        }
    }

    fn row(&self, set: &str) -> Row {
        let shares = |lines: &[f64]| Spread::of(lines.iter().map(|same| same / self.lines as f64));
        Row {
            set: set.to_owned(),
            lines: self.lines,
            shuffled_same_id: shares(&self.shuffled_ids),
            shuffled_same_text: shares(&self.shuffled_texts),
            dealt_same_id: shares(&self.dealt_ids),
            logdrain_shuffled_same_text: (!self.logdrain_texts.is_empty())
                .then(|| shares(&self.logdrain_texts)),
        }
    }
}

fn same_ids(a: &Prediction, b: &Prediction) -> f64 {
    let pairs = a.ids.iter().zip(&b.ids);
    pairs.filter(|(a, b)| a == b).count() as f64
}

fn same_texts(a: &Prediction, b: &Prediction) -> f64 {
    let pairs = a.ids.iter().zip(&b.ids);
    let same = pairs.filter(|(one, other)| a.text(**one) == b.text(**other));
    same.count() as f64
}

pub(super) fn measure(sets: &[Set], with_peers: bool) -> anyhow::Result<Order> {
    say::note(format_args!(
        "order: {SEEDS} times shuffled, {SEEDS} times dealt over {PARTITIONS} partitions"
    ));
    let mut rows = Vec::new();
    let mut all = Same::default();
    for set in sets {
        let same = Same::of(set, with_peers)?;
        all.add(&same);
        rows.push(same.row(&set.name));
    }
    Ok(Order {
        seeds: SEEDS,
        partitions: PARTITIONS,
        sets: rows,
        all: all.row("all"),
    })
}

impl Order {
    pub(super) fn text(&self) -> String {
        let rows = self.sets.iter().chain([&self.all]).map(|row| {
            let peer = row.logdrain_shuffled_same_text;
            [
                row.set.clone(),
                row.lines.to_string(),
                row.shuffled_same_id.text(percent),
                row.shuffled_same_text.text(percent),
                row.dealt_same_id.text(percent),
                peer.map_or("–".to_owned(), |peer| peer.text(percent)),
            ]
        });
        let header = [
            "set",
            "lines",
            "shuffled: same id",
            "same text",
            "dealt: same id",
            "logdrain shuffled: same text",
        ];
        format!(
            "\nOrder: lines that end with what they end with as logged; {} times shuffled, {} times dealt over \
             {} partitions; median (least–most). Σ counts = lines every time.\n  {LOGDRAIN}'s ids are \
             in the order of appearance: its texts are compared.\n\n{}",
            self.seeds,
            self.seeds,
            self.partitions,
            table(&header, rows)
        )
    }

    /// By the worst seed.
    pub(super) fn figures(&self) -> Vec<Figure> {
        let figure = |name, share: Spread| Figure::above(name, share.min, LEAST_SAME, percent);
        vec![
            figure("same id when shuffled, least", self.all.shuffled_same_id),
            figure("same id over 4 partitions, least", self.all.dealt_same_id),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_compared_with_itself() {
        let of = |ids: [u64; 3], texts: [&str; 3]| Prediction {
            ids: ids.to_vec(),
            texts: ids.into_iter().zip(texts.map(str::to_owned)).collect(),
        };
        let a = of([1, 2, 3], ["a", "b", "c"]);
        let b = of([1, 3, 2], ["a", "b", "d"]);
        assert_eq!((same_ids(&a, &b), same_texts(&a, &b)), (1.0, 2.0));
    }
}
