//! What a service says of itself, to hold one of its parts against: metrics, and warnings in its log.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::{Running, wait};

/// What a part says when one thing happens to it.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Series with their labels, as they stand on `/metrics`, and by how much each has grown.
    pub grown: &'a [(&'a str, Growth)],
    /// Level and message of every warning and error in the log, however often each was written. Nothing
    /// else may stand there.
    pub said: &'a [(&'a str, &'a str)],
}

#[derive(Debug, Clone, Copy)]
pub enum Growth {
    Exactly(f64),
    AtLeast(f64),
}

impl Growth {
    fn is_met_by(self, grown: f64) -> bool {
        match self {
            Self::Exactly(wanted) => (grown - wanted).abs() < 1e-9,
            Self::AtLeast(wanted) => grown >= wanted,
        }
    }
}

/// A service's signals from one moment on. It writes its log as JSON.
pub struct Signals<'a> {
    service: &'a Running,
    before: BTreeMap<String, f64>,
    log_from: usize,
}

impl<'a> Signals<'a> {
    pub async fn of(service: &'a Running) -> anyhow::Result<Self> {
        Ok(Self {
            service,
            before: service.metrics().await?,
            log_from: service.log()?.len(),
        })
    }

    /// Waits until all of it is there; what is there too much is an error.
    pub async fn come_to(&self, expected: Expected<'_>) -> anyhow::Result<()> {
        let mut lacking = String::new();
        let there = wait::until("the signals of it", wait::LONG, async || {
            lacking = self.lacking(expected).await?;
            Ok(lacking.is_empty().then_some(()))
        })
        .await;
        there.map_err(|error| self.service.with_log(error.context(lacking)))?;
        let wanted: BTreeSet<_> = expected.said.iter().map(owned).collect();
        let said = self.said()?;
        ensure!(said == wanted, "said {said:#?}, and not {wanted:#?}");
        Ok(())
    }

    async fn lacking(&self, expected: Expected<'_>) -> anyhow::Result<String> {
        let now = self.service.metrics().await?;
        let mut lacking = Vec::new();
        for (series, growth) in expected.grown {
            let Some(value) = now.get(*series) else {
                lacking.push(format!("there is no {series}"));
                continue;
            };
            let before = self.before.get(*series).copied().unwrap_or_default();
            if !growth.is_met_by(value - before) {
                lacking.push(format!(
                    "{series} went from {before} to {value}, not {growth:?}"
                ));
            }
        }
        let said = self.said()?;
        for wanted in expected.said.iter().map(owned) {
            if !said.contains(&wanted) {
                lacking.push(format!("{wanted:?} is not said"));
            }
        }
        Ok(lacking.join("; "))
    }

    /// Level and message of the warnings and errors since.
    fn said(&self) -> anyhow::Result<BTreeSet<(String, String)>> {
        let log = self.service.log()?;
        let lines = log[self.log_from..].split_inclusive('\n');
        let mut said = BTreeSet::new();
        // The last one may still be written.
        for line in lines.filter(|line| line.ends_with('\n')) {
            let line: Value =
                serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
            let field = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            if matches!(field("level").as_str(), "WARN" | "ERROR") {
                said.insert((field("level"), field("message")));
            }
        }
        Ok(said)
    }
}

fn owned((level, message): &(&str, &str)) -> (String, String) {
    ((*level).to_owned(), (*message).to_owned())
}
