//! The two ends of the processor, on a real broker and a real store, with their peers: kcat reading
//! the same topic, and the same rows inserted as JSONEachRow.
//!
//! Invariant: rows that are not all there afterwards are an error.

use std::{fs, path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, bail};
use clickhouse_store::{Client, logs::insert_settings};

use super::driver::Driver;
use crate::{
    bed::{self, Bed},
    process,
};

/// Inserts whose CPU time is taken together: the kernel counts hundredths of a second.
const INSERTS: u64 = 5;
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// CPU nanoseconds per record of kcat, which reads the topic to its end, from its start to its end.
pub(super) async fn kcat(bed: &Bed, topic: &str, records: u64) -> anyhow::Result<f64> {
    let brokers = bed.stores().brokers;
    let mut child = tokio::process::Command::new("kcat")
        .args(["-C", "-e", "-q", "-b", &brokers, "-t", topic])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("cannot run kcat: install it, it is the peer here")?;
    let pid = child.id().context("kcat has no process id")?;
    let ended = async {
        loop {
            // Read after the end, before the kernel forgets the process.
            let stat = process::stat(pid)?;
            if stat.has_ended {
                return anyhow::Ok(stat.cpu_us);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let within = bed::patience(records);
    let cpu_us = tokio::time::timeout(within, ended)
        .await
        .with_context(|| format!("kcat has not ended within {within:?}"))??;
    let status = child.wait().await?;
    if !status.success() {
        bail!("kcat ended with {status}");
    }
    Ok(cpu_us as f64 * 1000.0 / records as f64)
}

/// How rows are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Native,
    Json,
}

/// A table that nothing merges, and the same rows in both formats.
pub(super) struct Inserting<'a> {
    bed: &'a Bed,
    client: Client,
    native: Vec<u8>,
    json: Vec<u8>,
    rows: u64,
    inserted: u64,
}

impl<'a> Inserting<'a> {
    /// `file`: the records that become the rows of one batch.
    pub(super) async fn new(bed: &'a Bed, driver: &Driver, file: &str) -> anyhow::Result<Self> {
        let client = bed.database("stages").await?;
        client.execute("SYSTEM STOP MERGES", &[]).await?;
        let out = bed.dir.path().join("rows");
        let out = out.to_str().context("a temporary path that is no text")?;
        let rows = driver.rows("native", file, out).await?;
        let native = read(out)?;
        driver.rows("json", file, out).await?;
        Ok(Self {
            bed,
            client,
            native,
            json: read(out)?,
            rows,
            inserted: 0,
        })
    }

    /// CPU nanoseconds of ClickHouse per row, until each batch is acknowledged.
    pub(super) async fn run(&mut self, format: Format) -> anyhow::Result<f64> {
        let pid = self.bed.stack.clickhouse.child().pid();
        let pid = pid.context("ClickHouse has ended")?;
        let before = process::cpu_us(pid)?;
        for _ in 0..INSERTS {
            self.insert(format).await?;
        }
        let cpu_us = process::cpu_us(pid)? - before;
        bed::exactly(
            &self.client,
            "SELECT count() FROM logs",
            self.inserted * self.rows,
        )
        .await?;
        Ok(cpu_us as f64 * 1000.0 / (INSERTS * self.rows) as f64)
    }

    /// With the processor's settings.
    async fn insert(&mut self, format: Format) -> anyhow::Result<()> {
        let (statement, body) = match format {
            Format::Native => ("INSERT INTO logs FORMAT Native", &self.native),
            Format::Json => ("INSERT INTO logs FORMAT JSONEachRow", &self.json),
        };
        let rows = self.rows.to_string();
        let token = format!("stages-{}", self.inserted);
        let settings = insert_settings(&rows, &token);
        let body = body.clone().into();
        self.client.insert(statement, &settings, body).await?;
        self.inserted += 1;
        Ok(())
    }

    /// Everything as it was.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        self.client.execute("SYSTEM START MERGES", &[]).await?;
        self.bed.drop_database("stages").await
    }
}

fn read(path: &str) -> anyhow::Result<Vec<u8>> {
    fs::read(Path::new(path)).with_context(|| format!("cannot read {path}"))
}
