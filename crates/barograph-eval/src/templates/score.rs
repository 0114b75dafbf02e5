//! How well predicted templates fit the labels: GA, PA, FGA, FTA.
//!
//! Source: Jiang et al., "A Large-scale Evaluation for Log Parsing Techniques: How Far are We?", ISSTA
//! 2024. There, lines are grouped by the predicted text; here by the id, which is what a user sees.
//!
//! Invariant: texts are compared after [`Normal`] has made their writing the same; groups of labels are
//! by the label as it stands.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

use regex::Regex;
use serde::Serialize;

/// What a miner says of lines, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Prediction {
    pub(super) ids: Vec<u64>,
    /// Of every id in `ids`.
    pub(super) texts: HashMap<u64, String>,
}

impl Prediction {
    pub(super) fn text(&self, id: u64) -> &str {
        self.texts.get(&id).map_or("", String::as_str)
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Scores {
    /// Share of the lines whose group is exactly that of their label.
    pub(super) ga: f64,
    /// Harmonic mean of the shares of predicted groups, and of labels, that are exactly one another.
    pub(super) fga: f64,
    /// Share of the lines whose text is their label.
    pub(super) pa: f64,
    /// Harmonic mean of the shares of predicted texts, and of labels, where the text is that of all its
    /// lines' labels.
    pub(super) fta: f64,
}

impl Scores {
    /// Every set weighs the same.
    pub(super) fn mean(all: &[Self]) -> Self {
        let mean = |of: fn(&Self) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
        Self {
            ga: mean(|it| it.ga),
            fga: mean(|it| it.fga),
            pa: mean(|it| it.pa),
            fta: mean(|it| it.fta),
        }
    }
}

/// Takes differences out of texts that are of writing only.
pub(super) struct Normal {
    named: Regex,
    adjoining: Regex,
}

impl Normal {
    pub(super) fn new() -> Result<Self, regex::Error> {
        Ok(Self {
            named: Regex::new(r"<:?[A-Z][A-Z0-9_-]*:?>")?,
            adjoining: Regex::new(r"(?:<\*>)+")?,
        })
    }

    /// White space is one blank, and adjoining wildcards are one.
    pub(super) fn label(&self, text: &str) -> String {
        let text = self.adjoining.replace_all(text, "<*>");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// As [`label`](Self::label); wildcards with a name in capitals are wildcards.
    pub(super) fn predicted(&self, text: &str) -> String {
        self.label(&self.named.replace_all(text, "<*>"))
    }
}

/// `truth` has the label of each line that was predicted.
pub(super) fn score(truth: &[String], prediction: &Prediction, normal: &Normal) -> Scores {
    let labels = groups(truth.iter().map(String::as_str));
    let clusters = groups(prediction.ids.iter().copied());
    let (mut lines, mut exact) = (0, 0);
    for members in clusters.values() {
        if is_exact(members, truth, &labels) {
            lines += members.len();
            exact += 1;
        }
    }

    let wanted: HashMap<&str, String> = labels
        .keys()
        .map(|label| (*label, normal.label(label)))
        .collect();
    let shown: HashMap<u64, String> = clusters
        .keys()
        .map(|id| (*id, normal.predicted(prediction.text(*id))))
        .collect();
    let mut right = 0;
    let mut labels_of: HashMap<&str, HashSet<&str>> = HashMap::new();
    for (label, id) in truth.iter().zip(&prediction.ids) {
        let (wanted, shown) = (&wanted[label.as_str()], &shown[id]);
        right += usize::from(wanted == shown);
        labels_of.entry(shown).or_default().insert(wanted);
    }
    let pure = labels_of
        .iter()
        .filter(|(shown, labels)| labels.len() == 1 && labels.contains(*shown))
        .count();
    let distinct: HashSet<&String> = wanted.values().collect();
    Scores {
        ga: lines as f64 / truth.len() as f64,
        fga: harmonic(exact, clusters.len(), labels.len()),
        pa: right as f64 / truth.len() as f64,
        fta: harmonic(pure, labels_of.len(), distinct.len()),
    }
}

/// The lines that have each key.
pub(super) fn groups<K: Eq + Hash>(keys: impl Iterator<Item = K>) -> HashMap<K, Vec<usize>> {
    let mut groups: HashMap<K, Vec<usize>> = HashMap::new();
    for (line, key) in keys.enumerate() {
        groups.entry(key).or_default().push(line);
    }
    groups
}

/// Whether these lines are all those of one label, and no others.
pub(super) fn is_exact(
    members: &[usize],
    truth: &[String],
    labels: &HashMap<&str, Vec<usize>>,
) -> bool {
    let Some(label) = members.first().map(|line| truth[*line].as_str()) else {
        return false;
    };
    let same = members.iter().all(|line| truth[*line] == label);
    same && labels.get(label).map(Vec::len) == Some(members.len())
}

/// Of `correct / predicted` and `correct / labelled`.
fn harmonic(correct: usize, predicted: usize, labelled: usize) -> f64 {
    2.0 * correct as f64 / (predicted + labelled) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as `label | id | predicted text`.
    #[track_caller]
    fn check(lines: &str, ga: f64, fga: f64, pa: f64, fta: f64) {
        let mut truth = Vec::new();
        let mut prediction = Prediction::default();
        for line in lines.lines() {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let id = cells[1].parse().unwrap();
            truth.push(cells[0].to_owned());
            prediction.ids.push(id);
            prediction.texts.insert(id, cells[2].to_owned());
        }
        let scores = score(&truth, &prediction, &Normal::new().unwrap());
        assert_eq!(scores, Scores { ga, fga, pa, fta });
    }

    #[test]
    fn all_right() {
        check(
            "a <*> | 1 | a <*>\nb | 2 | b\na <*> | 1 | a <*>",
            1.0,
            1.0,
            1.0,
            1.0,
        );
    }

    #[test]
    fn one_group_for_two_labels() {
        // The group of c is the one that is right: 1 of 2 predicted, 1 of 3 labels.
        check(
            "a x | 1 | a <*>\na y | 1 | a <*>\nc | 2 | c",
            1.0 / 3.0,
            0.4,
            1.0 / 3.0,
            0.4,
        );
    }

    #[test]
    fn two_groups_for_one_label() {
        // Both groups show the right text: it counts once, and is of one label only.
        check(
            "a <*> | 1 | a <*>\na <*> | 2 | a <*>\nc | 3 | c",
            1.0 / 3.0,
            0.4,
            1.0,
            1.0,
        );
    }

    #[test]
    fn a_right_group_with_another_text() {
        check(
            "a <*> | 1 | a 5\na <*> | 1 | a 5\nc | 2 | c",
            1.0,
            1.0,
            1.0 / 3.0,
            0.5,
        );
    }

    #[test]
    fn one_text_for_two_labels_is_wrong_for_both() {
        check("a <*> | 1 | a <*>\na b | 2 | a <*>", 1.0, 1.0, 0.5, 0.0);
    }

    #[test]
    fn writing_alone_makes_no_difference() {
        check("a <*> b | 1 | a   <NUM><:HEX:>  b", 1.0, 1.0, 1.0, 1.0);
        // In a label, a name is a text of its own.
        check("a <NUM> | 1 | a <NUM>", 1.0, 1.0, 0.0, 0.0);
        check("a <num> | 1 | a <*>", 1.0, 1.0, 0.0, 0.0);
    }

    #[test]
    fn every_set_weighs_the_same() {
        let of = |ga| Scores {
            ga,
            ..Scores::default()
        };
        assert_eq!(Scores::mean(&[of(0.5), of(1.0)]), of(0.75));
    }
}
