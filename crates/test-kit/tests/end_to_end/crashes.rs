//! `kill -9` at any moment loses nothing and doubles nothing.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{
    Level,
    dead_letter::{SOURCE_OFFSET, SOURCE_PARTITION},
};
use test_kit::{
    Message, Space, header,
    lines::{line, now},
    wait,
};

use crate::{heavy, stack};

/// One in a thousand cannot be read.
pub(crate) fn load(records: u64) -> Vec<Message> {
    let record = |n: u64| {
        let service = format!("service-{}", n % 50);
        if n % 1000 == 999 {
            return Message::of(&service, format!("{{\"n\":{n}"));
        }
        Message::of(&service, format!("{{\"message\":\"request {n} done\"}}"))
    };
    (0..records).map(record).collect()
}

/// Exactly one row per readable record, a dead letter at least per other one.
pub(crate) async fn nothing_lost_or_doubled(space: &Space, records: u64) -> anyhow::Result<()> {
    let broken = records / 1000;
    let different = "SELECT uniqExact((incarnation, kafka_partition, kafka_offset)) FROM logs";
    assert_eq!(space.number(different).await?, records - broken);
    let counts = space.counts().await?;
    assert_eq!((counts.produced, counts.rows), (records, records - broken));
    assert_eq!(counts.in_windows, counts.rows, "counted by windows");
    let letters = space.read(&space.dead_letter_topic()).await?;
    let sources: BTreeSet<_> = letters
        .iter()
        .map(|letter| {
            (
                header(letter, SOURCE_PARTITION),
                header(letter, SOURCE_OFFSET),
            )
        })
        .collect();
    assert_eq!(sources.len() as u64, broken, "dead letters");
    Ok(())
}

pub(crate) async fn rows_reach(space: &Space, rows: u64) -> anyhow::Result<()> {
    let what = format!("{rows} rows");
    wait::until(&what, wait::LONG, async || {
        let there = space.number("SELECT count() FROM logs").await?;
        Ok((there >= rows).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_processor_killed_again_and_again_under_load_stores_each_record_once()
-> anyhow::Result<()> {
    const RECORDS: u64 = 200_000;
    let _alone = heavy().await?;
    let space = stack().await?.space_of("killed", 4).await?;
    // Small batches, so that there is always one on its way.
    let service = space
        .service("anomaly-processor", "processor")
        .env("BATCH_ROWS", "2000");
    let processor = space.stack.spawn(service)?;
    let (produced, killed) = tokio::join!(space.produce(load(RECORDS)), async {
        for kill in 1..=4 {
            rows_reach(&space, kill * 25_000).await?;
            processor.kill_and_restart().await?;
        }
        anyhow::Ok(())
    });
    produced?;
    killed.map_err(|error| processor.with_log(error))?;
    rows_reach(&space, RECORDS - RECORDS / 1000)
        .await
        .map_err(|error| processor.with_log(error))?;
    // What is committed is committed: another life of it finds nothing to do.
    processor.stop().await;
    processor.child.start_again()?;
    processor.ready().await?;
    nothing_lost_or_doubled(&space, RECORDS).await
}

/// A burst of errors in each of many new services, spread over some seconds of event time.
fn bursts(wave: usize) -> Vec<Message> {
    let start = now() - 120_000;
    let mut messages = Vec::new();
    for n in 0..40 {
        for service in 0..40 {
            let service = format!("wave-{wave}-service-{service}");
            messages.push(line(&service, start + n * 250, Level::Error, "no answer"));
        }
    }
    messages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_resumes_gets_each_version_once_whatever_is_killed() -> anyhow::Result<()> {
    let _alone = heavy().await?;
    let space = stack().await?.space_of("resumed", 2).await?;
    let processor = space.processor("processor")?;
    let (gateway, address) = space.gateway("gateway")?;
    gateway.ready().await?;
    let watcher = space.watch(&address).await?;
    for wave in 0..3 {
        let before = watcher.frames().len();
        space.produce(bursts(wave)).await?;
        // In the middle of the wave.
        wait::until("anomalies arrive", wait::LONG, async || {
            Ok((watcher.frames().len() > before).then_some(()))
        })
        .await
        .map_err(|error| processor.with_log(error))?;
        let (gateway, processor) =
            tokio::join!(gateway.kill_and_restart(), processor.kill_and_restart());
        gateway?;
        processor?;
    }
    space.all_arrived(&processor).await?;
    assert!(processor.stop().await.is_success());

    let mut versions: BTreeMap<_, BTreeSet<u32>> = BTreeMap::new();
    for anomaly in space.published().await? {
        versions
            .entry(anomaly.id)
            .or_default()
            .insert(anomaly.version);
    }
    assert_eq!(versions.len(), 3 * 40, "episodes");
    for (id, versions) in &versions {
        let newest = versions.last().copied().unwrap_or_default();
        assert_eq!(versions.len(), newest as usize, "{id} misses a version");
    }
    let published: BTreeSet<_> = versions
        .iter()
        .flat_map(|(id, versions)| versions.iter().map(|version| (*id, *version)))
        .collect();
    wait::until("everything has arrived", wait::LONG, async || {
        Ok((watcher.frames().len() >= published.len()).then_some(()))
    })
    .await
    .map_err(|error| gateway.with_log(error))?;
    let received: Vec<_> = watcher
        .frames()
        .iter()
        .map(|frame| (frame.anomaly.id, frame.anomaly.version))
        .collect();
    let different: BTreeSet<_> = received.iter().copied().collect();
    assert_eq!(received.len(), different.len(), "some came twice");
    assert_eq!(different, published);
    assert!(watcher.connections() > 3, "it was never interrupted");
    assert!(watcher.trouble().is_empty(), "{:?}", watcher.trouble());
    Ok(())
}
