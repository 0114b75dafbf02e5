//! CPU time of the stores, and when ClickHouse has nothing left to do.

use std::time::{Duration, Instant};

use clickhouse_store::Client;

use crate::{bed::Bed, process};

/// The stores' CPU time at one moment, µs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) at: Instant,
    pub(super) clickhouse: u64,
    pub(super) kafka: u64,
}

impl Mark {
    pub(super) fn now(bed: &Bed) -> anyhow::Result<Self> {
        let cpu = |pid: Option<u32>| pid.map_or(Ok(0), process::cpu_us);
        Ok(Self {
            at: Instant::now(),
            clickhouse: cpu(bed.stack.clickhouse.child().pid())?,
            kafka: cpu(bed.stack.kafka.child().pid())?,
        })
    }
}

/// How the wait for ClickHouse's merges ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settled {
    pub(super) parts: u64,
    /// It was still merging when patience ran out: its CPU time is not all there.
    pub(super) gave_up: bool,
}

const QUIET: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until nothing is merged and the parts have been the same for two seconds.
pub(super) async fn settle(client: &Client) -> anyhow::Result<Settled> {
    let begun = Instant::now();
    let (mut parts, mut since) = (u64::MAX, begun);
    loop {
        let (merges, now) = client
            .typed()
            .query(
                "SELECT assumeNotNull((SELECT count() FROM system.merges)), assumeNotNull((\
                 SELECT count() FROM system.parts WHERE active AND database = currentDatabase()))",
            )
            .fetch_one::<(u64, u64)>()
            .await?;
        if merges > 0 || now != parts {
            (parts, since) = (now, Instant::now());
        }
        let gave_up = begun.elapsed() > PATIENCE;
        if since.elapsed() >= QUIET || gave_up {
            return Ok(Settled { parts, gave_up });
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
