//! Snapshots of detectors on the real engine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in tests a panic is the report"
)]

mod support;

use clickhouse_store::{
    Client,
    migrate::ALL,
    snapshots::{KEPT, Snapshot, kept, newest_at_or_before, store},
};
use support::{Engine, answer};

fn snapshot(next_offset: i64) -> Snapshot {
    Snapshot {
        incarnation: "0123456789abcdef".to_owned(),
        partition: 2,
        next_offset,
        compatibility: u64::MAX - 1,
        format: 3,
        state: next_offset.to_le_bytes().to_vec(),
    }
}

async fn at_or_before(client: &Client, offset: i64) -> Option<i64> {
    let found = newest_at_or_before(client, "0123456789abcdef", 2, offset)
        .await
        .unwrap();
    found.map(|snapshot| snapshot.next_offset)
}

#[tokio::test]
async fn the_newest_that_is_not_past_the_offset_is_found() {
    let engine = Engine::start();
    let client = engine.database("newest", ALL).await;
    assert_eq!(at_or_before(&client, i64::MAX).await, None);
    for next in [100, 200, 300] {
        store(&client, &snapshot(next)).await.unwrap();
    }
    for (offset, found) in [
        (99, None),
        (100, Some(100)),
        (299, Some(200)),
        (5000, Some(300)),
    ] {
        assert_eq!(at_or_before(&client, offset).await, found, "{offset}");
    }
    // Neither another partition's nor another topic's.
    for (incarnation, partition) in [("0123456789abcdef", 1), ("' OR 1 --", 2)] {
        let found = newest_at_or_before(&client, incarnation, partition, 5000)
            .await
            .unwrap();
        assert_eq!(found, None);
        assert!(
            kept(&client, incarnation, partition)
                .await
                .unwrap()
                .is_empty()
        );
    }
    // None that fits is not the same as none at all.
    let offsets: Vec<i64> = kept(&client, "0123456789abcdef", 2)
        .await
        .unwrap()
        .iter()
        .map(|kept| kept.next_offset)
        .collect();
    assert_eq!(offsets, [300, 200, 100]);
}

#[tokio::test]
async fn any_bytes_come_back_as_they_were() {
    let engine = Engine::start();
    let client = engine.database("bytes", ALL).await;
    let all: Vec<u8> = (0..=u8::MAX).collect();
    for (at, state) in [Vec::new(), vec![0], all.clone(), all.repeat(8192)]
        .into_iter()
        .enumerate()
    {
        let written = Snapshot {
            state,
            ..snapshot(at as i64)
        };
        store(&client, &written).await.unwrap();
        let read = newest_at_or_before(&client, &written.incarnation, 2, at as i64)
            .await
            .unwrap();
        assert_eq!(read, Some(written));
    }
    let sizes: Vec<u64> = kept(&client, "0123456789abcdef", 2)
        .await
        .unwrap()
        .iter()
        .map(|kept| kept.size)
        .collect();
    assert_eq!(sizes, [256 * 8192, 256, 1, 0]);
}

#[tokio::test]
async fn the_last_few_stay_and_the_same_again_takes_no_place() {
    let engine = Engine::start();
    let client = engine.database("few", ALL).await;
    for next in 0..20 {
        store(&client, &snapshot(next)).await.unwrap();
        store(&client, &snapshot(next)).await.unwrap();
    }
    let stay: Vec<i64> = (20 - i64::from(KEPT)..20).rev().collect();
    for merged in [false, true] {
        if merged {
            answer(&client, "OPTIMIZE TABLE detector_snapshots FINAL").await;
        }
        let offsets: Vec<i64> = kept(&client, "0123456789abcdef", 2)
            .await
            .unwrap()
            .iter()
            .map(|kept| kept.next_offset)
            .collect();
        assert_eq!(offsets, stay, "merged: {merged}");
    }
    // A group that was set back goes on from there: what it knows now takes the places of the oldest.
    for next in [3, 4] {
        store(&client, &snapshot(next)).await.unwrap();
    }
    assert_eq!(at_or_before(&client, 10).await, Some(4));
    assert_eq!(
        kept(&client, "0123456789abcdef", 2).await.unwrap().len(),
        usize::from(KEPT)
    );
}
