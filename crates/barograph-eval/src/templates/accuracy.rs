//! How well templates fit the labels, set by set, ours and the peers'.
//!
//! Invariant: a fresh miner for each set, with the settings it comes with; what is scored is what is
//! written down, and it is the state after the last line.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::Serialize;

use super::{
    data::Set,
    explain::{self, Explanation},
    mined,
    peers::{self, DRAIN3, Drain3, LOGDRAIN, Missing, OURS},
    score::{Normal, Prediction, Scores, groups, score},
};
use command_kit::{
    figures::{Figure, table, thousandths},
    say,
};

const LEAST: Scores = Scores {
    ga: 0.97,
    fga: 0.92,
    pa: 0.70,
    fta: 0.70,
};

#[derive(Debug, Serialize)]
pub(super) struct Accuracy {
    /// Where the predictions are: `<Set>.tsv` ours, in folders of their own the peers'.
    out: PathBuf,
    sets: Vec<Row>,
    mean: Vec<Mean>,
    /// Peers that were not measured, and why.
    missing: Vec<Missing>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    explanations: Vec<Explanation>,
}

#[derive(Debug, Serialize)]
struct Row {
    set: String,
    miner: &'static str,
    #[serde(flatten)]
    scores: Scores,
    lines: usize,
    /// Labels that are different.
    labels: usize,
    templates: usize,
}

#[derive(Debug, Serialize)]
struct Mean {
    miner: &'static str,
    #[serde(flatten)]
    scores: Scores,
}

pub(super) struct Plan<'a> {
    pub(super) out: PathBuf,
    pub(super) with_peers: bool,
    pub(super) drain3: Option<&'a Result<Drain3, String>>,
    pub(super) explain: bool,
}

pub(super) fn measure(sets: &[Set], plan: Plan<'_>) -> anyhow::Result<Accuracy> {
    say::note(format_args!("accuracy: {} sets", sets.len()));
    let normal = Normal::new()?;
    let mut accuracy = Accuracy {
        sets: Vec::new(),
        mean: Vec::new(),
        missing: Vec::new(),
        explanations: Vec::new(),
        out: plan.out,
    };
    let out = accuracy.out.clone();
    for set in sets {
        let prediction = mined::mine_in_order(&set.lines)?;
        accuracy.take(set, OURS, &prediction, &out, &normal)?;
        if plan.explain {
            let explanation = explain::explain(set, &prediction, &normal);
            accuracy.explanations.push(explanation);
        }
        if plan.with_peers {
            let logged: Vec<_> = (0..set.lines.len()).collect();
            let prediction = peers::mine_with_logdrain(&set.lines, &logged)?;
            accuracy.take(set, LOGDRAIN, &prediction, &out.join(LOGDRAIN), &normal)?;
        }
        if let Some(Ok(drain3)) = plan.drain3 {
            let lines: Vec<_> = set.lines.iter().map(String::as_str).collect();
            let (prediction, _) = drain3.mine(&lines)?;
            accuracy.take(set, DRAIN3, &prediction, &out.join(DRAIN3), &normal)?;
        }
    }
    if let Some(Err(why)) = plan.drain3 {
        accuracy.missing.push(Missing::new(DRAIN3, why));
    }
    accuracy.mean = accuracy.means();
    Ok(accuracy)
}

impl Accuracy {
    fn take(
        &mut self,
        set: &Set,
        miner: &'static str,
        prediction: &Prediction,
        out: &Path,
        normal: &Normal,
    ) -> anyhow::Result<()> {
        write(&out.join(format!("{}.tsv", set.name)), prediction)?;
        self.sets.push(Row {
            set: set.name.clone(),
            miner,
            scores: score(&set.truth, prediction, normal),
            lines: set.lines.len(),
            labels: groups(set.truth.iter()).len(),
            templates: groups(prediction.ids.iter()).len(),
        });
        Ok(())
    }

    fn means(&self) -> Vec<Mean> {
        let of = |miner| {
            let rows = self.sets.iter().filter(|row| row.miner == miner);
            let scores: Vec<_> = rows.map(|row| row.scores).collect();
            let is_measured = !scores.is_empty();
            is_measured.then(|| Mean {
                miner,
                scores: Scores::mean(&scores),
            })
        };
        [OURS, LOGDRAIN, DRAIN3]
            .into_iter()
            .filter_map(of)
            .collect()
    }

    pub(super) fn text(&self) -> String {
        let cells = |set: &str, miner: &str, scores: &Scores, templates: String, labels: String| {
            let Scores { ga, fga, pa, fta } = *scores;
            let [ga, fga, pa, fta] = [ga, fga, pa, fta].map(thousandths);
            let (set, miner) = (set.to_owned(), miner.to_owned());
            [set, miner, ga, fga, pa, fta, templates, labels]
        };
        let rows = self.sets.iter().map(|row| {
            let counts = (row.templates.to_string(), row.labels.to_string());
            cells(&row.set, row.miner, &row.scores, counts.0, counts.1)
        });
        let none = || "–".to_owned();
        let means = self.mean.iter();
        let means = means.map(|mean| cells("mean", mean.miner, &mean.scores, none(), none()));
        let header = [
            "set",
            "miner",
            "GA",
            "FGA",
            "PA",
            "FTA",
            "templates",
            "labels",
        ];
        let mut text = format!("\nAccuracy\n\n{}", table(&header, rows.chain(means)));
        text += &peers::missing_text(&self.missing);
        let _ = writeln!(text, "  predictions: {}", self.out.display());
        for explanation in &self.explanations {
            text += &explanation.text();
        }
        text
    }

    pub(super) fn figures(&self) -> Vec<Figure> {
        let Some(ours) = self.mean.iter().find(|mean| mean.miner == OURS) else {
            return Vec::new();
        };
        let Scores { ga, fga, pa, fta } = ours.scores;
        vec![
            Figure::above("GA, mean of the sets", ga, LEAST.ga, thousandths),
            Figure::above("FGA", fga, LEAST.fga, thousandths),
            Figure::above("PA", pa, LEAST.pa, thousandths),
            Figure::above("FTA", fta, LEAST.fta, thousandths),
        ]
    }
}

/// A line each: the id, a tab, the text.
fn write(path: &Path, prediction: &Prediction) -> anyhow::Result<()> {
    let mut content = String::new();
    for id in &prediction.ids {
        let text = prediction.text(*id).replace(['\t', '\r', '\n'], " ");
        let _ = writeln!(content, "{id:016x}\t{text}");
    }
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    folder
        .and_then(|()| fs::write(path, content))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prediction_is_a_line_each_whatever_its_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peer/Some.tsv");
        let prediction = Prediction {
            ids: vec![10, 1, 10],
            texts: [(10, "a\tb\r\nc".to_owned()), (1, "µ <*>".to_owned())].into(),
        };
        write(&path, &prediction).unwrap();
        let first = "000000000000000a\ta b  c\n";
        let expected = format!("{first}0000000000000001\tµ <*>\n{first}");
        assert_eq!(fs::read_to_string(path).unwrap(), expected);
    }
}
