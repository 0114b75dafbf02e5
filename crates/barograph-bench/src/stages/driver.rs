//! Runs `processor-stages`, which runs one stage of the processor alone.
//!
//! Invariant: what it does not answer in the expected form is an error.

use std::{ffi::OsStr, path::PathBuf, process::Stdio};

use anyhow::{Context as _, bail};
use local_stack::binaries::Binaries;
use serde::Deserialize;

pub(super) struct Driver(PathBuf);

#[derive(Deserialize)]
struct Times {
    ns: Vec<f64>,
}

#[derive(Deserialize)]
struct Instructions {
    instructions: f64,
}

#[derive(Deserialize)]
struct Written {
    records: u64,
}

impl Driver {
    /// Beside this program.
    pub(super) fn find() -> anyhow::Result<Self> {
        Ok(Self(Binaries::find()?.sibling("processor-stages")?))
    }

    /// Nanoseconds of CPU per record, of each of so many rounds over the file.
    pub(super) async fn times(
        &self,
        stage: &str,
        file: &str,
        rounds: u32,
    ) -> anyhow::Result<Vec<f64>> {
        let times: Times = self
            .ask(&["times", stage, file, &rounds.to_string()])
            .await?;
        Ok(times.ns)
    }

    /// Instructions per record.
    pub(super) async fn instructions(&self, stage: &str, file: &str) -> anyhow::Result<f64> {
        let counted: Instructions = self.ask(&["instructions", stage, file]).await?;
        Ok(counted.instructions)
    }

    /// Nanoseconds of CPU per record of a group's member that reads the topic.
    pub(super) async fn consume(
        &self,
        brokers: &str,
        topic: &str,
        records: u64,
    ) -> anyhow::Result<f64> {
        let records = records.to_string();
        let times: Times = self.ask(&["consume", brokers, topic, &records]).await?;
        times.ns.first().copied().context("it gave no time")
    }

    /// Writes the file's records as rows, as `native` or as `json`, and answers with their number.
    pub(super) async fn rows(&self, format: &str, file: &str, out: &str) -> anyhow::Result<u64> {
        let written: Written = self.ask(&[format, file, out]).await?;
        Ok(written.records)
    }

    async fn ask<T: for<'de> Deserialize<'de>>(&self, arguments: &[&str]) -> anyhow::Result<T> {
        let output = tokio::process::Command::new(&self.0)
            .args(arguments.iter().map(OsStr::new))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("cannot run {}", self.0.display()))?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        serde_json::from_slice(&output.stdout).with_context(|| {
            let said = String::from_utf8_lossy(&output.stdout);
            format!("{} answered {}", self.0.display(), said.trim())
        })
    }
}
