//! A service that runs: its process, and what its admin server says.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail, ensure};
use local_stack::{Child, Ending, LocalStack, Ports, Service, ports::loopback};
use rustix::process::{Pid, Signal, kill_process};

use crate::{http, wait};

pub struct Running {
    pub child: Arc<Child>,
    admin: SocketAddr,
}

impl Running {
    pub(crate) fn start(local: &LocalStack, service: Service) -> anyhow::Result<Self> {
        let admin = loopback(Ports::free()?.processor_admin);
        // More than the shutdown budget of a service, and less than a person waits.
        let service = service
            .env("ADMIN_LISTEN", admin.to_string())
            .grace(Duration::from_secs(10));
        Ok(Self {
            child: local.spawn_service(service)?,
            admin,
        })
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        http::get(self.admin, path).await
    }

    /// Each series with its labels, as they stand on `/metrics`.
    pub async fn metrics(&self) -> anyhow::Result<BTreeMap<String, f64>> {
        let (_, page) = self.get("/metrics").await?;
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        });
        Ok(series.collect())
    }

    /// Status of `/live`, and status and body of `/ready`.
    pub async fn health(&self) -> anyhow::Result<(u16, u16, String)> {
        let (live, _) = self.get("/live").await?;
        let (ready, report) = self.get("/ready").await?;
        Ok((live, ready, report))
    }

    pub async fn ready(&self) -> anyhow::Result<()> {
        let what = format!("{} is ready", self.child.name());
        let waited = wait::until(&what, wait::LONG, async || {
            if !self.child.is_running() {
                bail!("{} has ended", self.child.name());
            }
            let answer = self.get("/ready").await;
            Ok(answer.is_ok_and(|(status, _)| status == 200).then_some(()))
        });
        waited.await.map_err(|error| self.with_log(error))
    }

    /// Waits until `/ready` is red because of this latch, and gives its reason.
    pub async fn says_unready(&self, latch: &str, within: Duration) -> anyhow::Result<String> {
        let what = format!("{} says that {latch} is not ready", self.child.name());
        let reason = wait::until(&what, within, async || {
            let (status, body) = self.get("/ready").await?;
            let report: serde_json::Value = serde_json::from_str(&body)?;
            let latches = report["latches"].as_array().cloned().unwrap_or_default();
            let closed = latches
                .iter()
                .find(|found| found["name"] == latch && found["ready"] == false);
            let reason = closed.and_then(|found| found["reason"].as_str());
            Ok(reason.filter(|_| status == 503).map(str::to_owned))
        })
        .await
        .map_err(|error| self.with_log(error))?;
        ensure!(!reason.is_empty(), "{latch} is red without a reason");
        Ok(reason)
    }

    /// SIGTERM, and the process's end.
    pub async fn stop(&self) -> Ending {
        self.child.stop().await
    }

    /// `kill -9`, and on again with the same settings.
    pub async fn kill_and_restart(&self) -> anyhow::Result<()> {
        self.child.kill9().await;
        Ok(self.child.start_again()?)
    }

    /// All that the service has said.
    pub fn log(&self) -> anyhow::Result<String> {
        let path = self.child.log();
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// The error with what the service said last.
    pub fn with_log(&self, error: anyhow::Error) -> anyhow::Error {
        let lines = self.child.last_lines(25).join("\n");
        error.context(format!("the end of {}'s log:\n{lines}", self.child.name()))
    }
}

impl Drop for Running {
    /// Without grace: a test that wants an orderly end stops it.
    fn drop(&mut self) {
        if let Some(pid) = self.child.pid().and_then(|pid| Pid::from_raw(pid as i32)) {
            // It may have ended in this moment.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}
