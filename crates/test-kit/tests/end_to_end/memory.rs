//! What the detectors know survives a restart, and where it can't, that is counted and said.

use anyhow::Context as _;
use test_kit::{Running, Space, wait};

use crate::{crashes::load, stack};

const RECORDS: u64 = 5000;

/// How often partitions began in this way, in this life of the processor.
async fn began(processor: &Running, source: &str) -> anyhow::Result<u64> {
    let name = format!("barograph_detector_starts_total{{source=\"{source}\"}}");
    let found = processor.metrics().await?.get(&name).copied();
    Ok(found.context(name)? as u64)
}

async fn comes_to(processor: &Running, source: &str, count: u64) -> anyhow::Result<()> {
    let what = format!("{count} partitions began as {source}");
    let begun = wait::until(&what, wait::LONG, async || {
        let now = began(processor, source).await.unwrap_or_default();
        Ok((now >= count).then_some(()))
    });
    begun.await.map_err(|error| processor.with_log(error))
}

async fn snapshots(space: &Space) -> anyhow::Result<u64> {
    space.number("SELECT count() FROM detector_snapshots").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn detectors_go_on_from_their_snapshot_and_say_when_they_cannot() -> anyhow::Result<()> {
    let space = stack().await?.space_of("remembered", 1).await?;
    space.produce(load(RECORDS)).await?;
    let processor = space.processor("processor")?;
    comes_to(&processor, "whole", 1).await?;
    space.all_arrived(&processor).await?;
    assert!(processor.stop().await.is_success());
    assert!(
        snapshots(&space).await? > 0,
        "an orderly end keeps a snapshot"
    );

    processor.child.start_again()?;
    comes_to(&processor, "restored", 1).await?;
    assert!(processor.stop().await.is_success());

    // What has changed since is kept by itself.
    let changes =
        "SELECT count() FROM detector_changes WHERE since IN (SELECT id FROM detector_snapshots)";
    let before = space.number(changes).await?;
    space.produce(load(500)).await?;
    processor.child.start_again()?;
    space.all_arrived(&processor).await?;
    assert!(processor.stop().await.is_success());
    assert!(space.number(changes).await? > before);
    processor.child.start_again()?;
    comes_to(&processor, "restored", 1).await?;
    assert!(processor.stop().await.is_success());

    // The newest one is damaged: the one before it serves, and the damage is counted.
    let damaged = "INSERT INTO detector_snapshots (incarnation, kafka_partition, slot, next_offset, compatibility, format, state) \
        SELECT incarnation, kafka_partition, (slot + 1) % 8, next_offset, compatibility, format, 'damaged' \
        FROM detector_snapshots ORDER BY next_offset DESC LIMIT 1";
    space.client.execute(damaged, &[]).await?;
    processor.child.start_again()?;
    comes_to(&processor, "snapshot_unreadable", 1).await?;
    assert!(processor.stop().await.is_success());

    // None is left: they learn anew, from the whole topic as long as it holds everything.
    space
        .client
        .execute("TRUNCATE TABLE detector_snapshots", &[])
        .await?;
    processor.child.start_again()?;
    comes_to(&processor, "whole", 1).await?;
    assert!(processor.stop().await.is_success());
    Ok(())
}

/// Records come all the time, and what is known of them is kept every second: some time later somebody
/// makes a whole of all these changes, and who begins then goes on from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_changes_are_made_a_whole() -> anyhow::Result<()> {
    let space = stack().await?.space_of("folded", 1).await?;
    let service = space.service("anomaly-processor", "processor");
    let processor = space.stack.spawn(service.env("SNAPSHOT_INTERVAL", "1s"))?;
    let wholes =
        "SELECT count() FROM detector_snapshots WHERE id IN (SELECT id FROM detector_changes)";
    wait::until("changes are a whole", wait::LONG, async || {
        space.produce(load(100)).await?;
        Ok((space.number(wholes).await? > 0).then_some(()))
    })
    .await
    .map_err(|error| processor.with_log(error))?;
    space.all_arrived(&processor).await?;
    let (_, page) = processor.get("/metrics").await?;
    assert!(page.contains("barograph_snapshots_total{outcome=\"failed\"} 0"));
    assert!(processor.stop().await.is_success());
    processor.child.start_again()?;
    comes_to(&processor, "restored", 1).await?;
    assert!(processor.stop().await.is_success());
    Ok(())
}
