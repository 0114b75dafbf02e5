//! What was grouped, or written, otherwise than the labels have it, so that one can judge which is at
//! fault.
//!
//! Invariant: every line whose group or text counts as wrong is in exactly one part or text shown here.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
};

use serde::Serialize;

use super::{
    data::Set,
    score::{Normal, Prediction, groups, is_exact},
};
use strangers::printable;

#[derive(Debug, Serialize)]
pub(super) struct Explanation {
    set: String,
    /// Labels whose lines are not exactly one of our groups; those with the most lines first.
    groups: Vec<Group>,
    /// Labels whose lines are, but our text is another.
    texts: Vec<Part>,
}

#[derive(Debug, Serialize)]
struct Group {
    label: String,
    lines: usize,
    parts: Vec<Part>,
}

/// Lines of one label in one of our groups.
#[derive(Debug, Serialize)]
struct Part {
    label: String,
    ours: String,
    id: String,
    lines: usize,
    /// Lines of our group, those of other labels too.
    of: usize,
    line: String,
}

pub(super) fn explain(set: &Set, prediction: &Prediction, normal: &Normal) -> Explanation {
    let labels = groups(set.truth.iter().map(String::as_str));
    let clusters = groups(prediction.ids.iter().copied());
    let mut wrong = Vec::new();
    let mut texts = Vec::new();
    for (label, members) in &labels {
        let parts = parts(label, members, set, prediction, &clusters);
        let cluster = members
            .first()
            .and_then(|at| clusters.get(&prediction.ids[*at]));
        if !cluster.is_some_and(|cluster| is_exact(cluster, &set.truth, &labels)) {
            wrong.push(Group {
                label: (*label).to_owned(),
                lines: members.len(),
                parts,
            });
            continue;
        }
        let other = |part: &Part| normal.predicted(&part.ours) != normal.label(label);
        texts.extend(parts.into_iter().filter(other));
    }
    wrong.sort_by(|a, b| b.lines.cmp(&a.lines).then_with(|| a.label.cmp(&b.label)));
    texts.sort_by(|a, b| b.lines.cmp(&a.lines).then_with(|| a.label.cmp(&b.label)));
    Explanation {
        set: set.name.clone(),
        groups: wrong,
        texts,
    }
}

fn parts(
    label: &str,
    members: &[usize],
    set: &Set,
    prediction: &Prediction,
    clusters: &HashMap<u64, Vec<usize>>,
) -> Vec<Part> {
    let mut by_id: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for line in members {
        by_id.entry(prediction.ids[*line]).or_default().push(*line);
    }
    let part = |(id, lines): (u64, Vec<usize>)| Part {
        label: label.to_owned(),
        ours: prediction.text(id).to_owned(),
        id: format!("{id:016x}"),
        lines: lines.len(),
        of: clusters.get(&id).map_or(0, Vec::len),
        line: lines
            .first()
            .map_or_else(String::new, |at| set.lines[*at].clone()),
    };
    let mut parts: Vec<_> = by_id.into_iter().map(part).collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.lines));
    parts
}

impl Explanation {
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "\n{}, labels grouped otherwise: {}, written otherwise: {}\n",
            self.set,
            self.groups.len(),
            self.texts.len()
        );
        for group in &self.groups {
            push_label(&mut text, group.lines, &group.label);
            for part in &group.parts {
                let _ = match part.of - part.lines {
                    0 => writeln!(text, "    {} of them", part.lines),
                    _ => writeln!(
                        text,
                        "    {} of them, in a group of {}",
                        part.lines, part.of
                    ),
                };
                push_part(&mut text, part);
            }
        }
        if !self.texts.is_empty() {
            text += "\n  right group, other text:\n";
        }
        for part in &self.texts {
            push_label(&mut text, part.lines, &part.label);
            push_part(&mut text, part);
        }
        text
    }
}

fn push_label(text: &mut String, lines: usize, label: &str) {
    let _ = writeln!(
        text,
        "\n  lines {lines}, label  {}",
        printable(label, usize::MAX)
    );
}

fn push_part(text: &mut String, part: &Part) {
    let _ = writeln!(text, "      ours  {}", printable(&part.ours, usize::MAX));
    let _ = writeln!(text, "      line  {}", printable(&part.line, usize::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_shown_and_nothing_else() {
        let rows = [
            ("a 1", "a <*>", 1, "a <*>"),
            ("a 2", "a <*>", 2, "a 2"),
            ("b", "b", 2, "a 2"),
            ("c 1", "c <*>", 3, "c 1"),
            ("d", "d", 4, "d"),
        ];
        let set = Set {
            name: "Some".to_owned(),
            lines: rows.iter().map(|row| row.0.to_owned()).collect(),
            truth: rows.iter().map(|row| row.1.to_owned()).collect(),
        };
        let prediction = Prediction {
            ids: rows.iter().map(|row| row.2).collect(),
            texts: rows.iter().map(|row| (row.2, row.3.to_owned())).collect(),
        };
        let text = explain(&set, &prediction, &Normal::new().unwrap()).text();
        let expected = "
Some, labels grouped otherwise: 2, written otherwise: 1

  lines 2, label  a <*>
    1 of them
      ours  a <*>
      line  a 1
    1 of them, in a group of 2
      ours  a 2
      line  a 2

  lines 1, label  b
    1 of them, in a group of 2
      ours  a 2
      line  b

  right group, other text:

  lines 1, label  c <*>
      ours  c 1
      line  c 1
";
        assert_eq!(text, expected);
    }
}
