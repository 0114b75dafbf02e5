//! Other miners, with the settings they come with: the crate `logdrain`, and Drain3 in Python.
//!
//! Invariant: a peer that is not there is said to be missing, with what would bring it; it fails
//! nothing.

use std::{
    collections::HashMap,
    fmt::Write as _,
    io::{Seek as _, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use local_stack::cache;
use serde::{Deserialize, Serialize};

use super::score::Prediction;

pub(super) const OURS: &str = "barograph";
pub(super) const LOGDRAIN: &str = "logdrain";
pub(super) const DRAIN3: &str = "Drain3";

/// A peer that was not measured.
#[derive(Debug, Serialize)]
pub(super) struct Missing {
    miner: &'static str,
    why: String,
}

impl Missing {
    pub(super) fn new(miner: &'static str, why: &str) -> Self {
        let why = why.to_owned();
        Self { miner, why }
    }
}

/// Lines below a table.
pub(super) fn missing_text(missing: &[Missing]) -> String {
    let mut text = String::new();
    for Missing { miner, why } in missing {
        let _ = writeln!(text, "  {miner}: {why}");
    }
    text
}

pub(super) fn new_logdrain() -> logdrain::Miner {
    logdrain::Miner::from_options(logdrain::Options::default())
}

/// The final template of each line; that of a cluster it has forgotten is the last it had.
pub(super) fn mine_with_logdrain(lines: &[String], order: &[usize]) -> anyhow::Result<Prediction> {
    let miner = new_logdrain();
    let mut prediction = Prediction {
        ids: vec![0; lines.len()],
        texts: HashMap::new(),
    };
    for line in order {
        let added = miner.add(&lines[*line]);
        prediction.ids[*line] = added.cluster_id;
        if added.update != logdrain::UpdateType::None {
            let cluster = miner.cluster(added.cluster_id);
            let cluster = cluster.context("logdrain does not know what it has just told")?;
            let text = cluster.template().to_owned();
            prediction.texts.insert(added.cluster_id, text);
        }
    }
    Ok(prediction)
}

/// An interpreter that has Drain3.
pub(super) struct Drain3 {
    python: PathBuf,
    pub(super) version: String,
}

const SCRIPT: &str = include_str!("drain3.py");

#[derive(Deserialize)]
struct Answer {
    version: String,
    ids: Vec<u64>,
    texts: HashMap<u64, String>,
    seconds: f64,
}

impl Drain3 {
    /// That of `scripts/eval-peers.sh`; the error says what is missing, and how to get it.
    pub(super) fn find() -> Result<Self, String> {
        let python = cache::default_dir().join("eval-peers/bin/python");
        if !python.exists() {
            return Err(format!(
                "not measured: no {}; scripts/eval-peers.sh makes it (needs python3 with venv)",
                python.display()
            ));
        }
        match ask(&python, &[]) {
            Ok(answer) => Ok(Self {
                python,
                version: answer.version,
            }),
            Err(error) => Err(format!(
                "not measured: {error:#}; scripts/eval-peers.sh --again makes it anew"
            )),
        }
    }

    /// The final template of each line, and the CPU seconds that finding them took.
    pub(super) fn mine(&self, lines: &[&str]) -> anyhow::Result<(Prediction, f64)> {
        let answer = ask(&self.python, lines)?;
        ensure!(
            answer.ids.len() == lines.len(),
            "Drain3 told {} ids for {} lines",
            answer.ids.len(),
            lines.len()
        );
        let prediction = Prediction {
            ids: answer.ids,
            texts: answer.texts,
        };
        Ok((prediction, answer.seconds))
    }
}

fn ask(python: &PathBuf, lines: &[&str]) -> anyhow::Result<Answer> {
    // A file and not a pipe: nobody has to write while somebody reads.
    let mut input = tempfile::tempfile()?;
    serde_json::to_writer(std::io::BufWriter::new(&input), lines)?;
    input.flush()?;
    input.rewind()?;
    let output = Command::new(python)
        .args(["-I", "-c", SCRIPT])
        .stdin(Stdio::from(input))
        .output()
        .with_context(|| format!("{} cannot be run", python.display()))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors.lines().last().unwrap_or("it says nothing");
    ensure!(
        output.status.success(),
        "{} ends with: {last}",
        python.display()
    );
    serde_json::from_slice(&output.stdout).context("Drain3's answer cannot be read")
}
