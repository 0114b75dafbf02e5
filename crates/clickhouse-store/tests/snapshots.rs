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
    snapshots::{CHANGES, Maker, Of, WHOLES, kept, newest_at_or_before, store},
};
use pipeline::{NextOffset, Offset, Snapshot, StateId};
use support::{Engine, answer};

const MAKER: Maker = Maker {
    compatibility: u64::MAX - 1,
    format: 3,
};

fn of(incarnation: &str, partition: i32) -> Of {
    Of {
        incarnation: incarnation.to_owned(),
        partition,
    }
}

fn ours() -> Of {
    of("0123456789abcdef", 2)
}

fn next(offset: i64) -> NextOffset {
    NextOffset::resume_at(Offset::new(offset))
}

fn whole(next_offset: i64) -> Snapshot {
    Snapshot {
        next: next(next_offset),
        id: StateId(1000 + next_offset.cast_unsigned()),
        since: None,
        bytes: next_offset.to_le_bytes().to_vec(),
    }
}

fn changes(since: &Snapshot, next_offset: i64) -> Snapshot {
    Snapshot {
        since: Some(since.id),
        ..whole(next_offset)
    }
}

async fn keep(client: &Client, snapshot: &Snapshot) {
    store(client, &ours(), MAKER, snapshot).await.unwrap();
}

async fn found(client: &Client, at_most: i64) -> Option<(Snapshot, Vec<Snapshot>)> {
    newest_at_or_before(client, &ours(), next(at_most))
        .await
        .unwrap()
}

async fn at_or_before(client: &Client, offset: i64) -> Option<i64> {
    let found = found(client, offset).await;
    found.map(|(whole, _)| whole.next.raw())
}

async fn offsets_of_wholes(client: &Client) -> Vec<i64> {
    let kept = kept(client, &ours()).await.unwrap();
    kept.iter().map(|kept| kept.next_offset).collect()
}

#[tokio::test]
async fn the_newest_that_is_not_past_the_offset_is_found() {
    let engine = Engine::start();
    let client = engine.database("newest", ALL).await;
    assert_eq!(at_or_before(&client, i64::MAX).await, None);
    for next in [100, 200, 300] {
        keep(&client, &whole(next)).await;
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
        let others = of(incarnation, partition);
        let found = newest_at_or_before(&client, &others, next(5000))
            .await
            .unwrap();
        assert_eq!(found, None);
        assert!(kept(&client, &others).await.unwrap().is_empty());
    }
    // None that fits is not the same as none at all.
    assert_eq!(offsets_of_wholes(&client).await, [300, 200, 100]);
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
            bytes: state,
            ..whole(at as i64)
        };
        keep(&client, &written).await;
        assert_eq!(found(&client, at as i64).await, Some((written, Vec::new())));
    }
    let kept = kept(&client, &ours()).await.unwrap();
    let sizes: Vec<u64> = kept.iter().map(|kept| kept.size).collect();
    assert_eq!(sizes, [256 * 8192, 256, 1, 0]);
}

#[tokio::test]
async fn the_last_few_stay_and_the_same_again_takes_no_place() {
    let engine = Engine::start();
    let client = engine.database("few", ALL).await;
    for next in 0..20 {
        keep(&client, &whole(next)).await;
        keep(&client, &whole(next)).await;
    }
    let stay: Vec<i64> = (20 - i64::from(WHOLES)..20).rev().collect();
    for merged in [false, true] {
        if merged {
            answer(&client, "OPTIMIZE TABLE detector_snapshots FINAL").await;
        }
        assert_eq!(offsets_of_wholes(&client).await, stay, "merged: {merged}");
    }
    // A group that was set back goes on from there: what it knows now takes the places of the oldest.
    for next in [3, 4] {
        keep(&client, &whole(next)).await;
    }
    assert_eq!(at_or_before(&client, 10).await, Some(4));
    let still = offsets_of_wholes(&client).await;
    assert_eq!(still.len(), usize::from(WHOLES));
}

#[tokio::test]
async fn changes_are_found_with_the_whole_that_they_lead_on_from() {
    let engine = Engine::start();
    let client = engine.database("changes", ALL).await;
    let whole = whole(100);
    let first = changes(&whole, 110);
    let second = changes(&first, 120);
    // Of somebody who knew something else, and of what was never kept.
    let stray = changes(&self::whole(7), 115);
    let torn = changes(&self::whole(8), 140);
    // In whatever order they arrive, and again.
    for snapshot in [&second, &stray, &whole, &first, &torn, &first] {
        keep(&client, snapshot).await;
    }
    let all = [first.clone(), second.clone()];
    for (at_most, lead_on) in [(105, 0), (110, 1), (119, 1), (120, 2), (5000, 2)] {
        let expected = Some((whole.clone(), all[..lead_on].to_vec()));
        assert_eq!(found(&client, at_most).await, expected, "{at_most}");
    }
    assert_eq!(found(&client, 99).await, None);
    // Somebody made a whole of them: its changes follow, whoever wrote them.
    let third = changes(&second, 130);
    let folded = Snapshot {
        since: None,
        ..second.clone()
    };
    keep(&client, &third).await;
    keep(&client, &folded).await;
    assert_eq!(found(&client, 5000).await, Some((folded, vec![third])));

    // The last few stay.
    let mut last = self::whole(200);
    keep(&client, &last).await;
    for at in 0..i64::from(CHANGES) + 6 {
        last = changes(&last, 201 + at);
        keep(&client, &last).await;
    }
    let count = answer(&client, "SELECT count() FROM detector_changes FINAL").await;
    assert_eq!(count.trim(), CHANGES.to_string());
}

/// A row of before states had a name.
#[tokio::test]
async fn an_old_snapshot_is_a_whole_that_nothing_leads_on_from() {
    let engine = Engine::start();
    let client = engine.database("old", ALL).await;
    answer(
        &client,
        "INSERT INTO detector_snapshots (incarnation, kafka_partition, slot, next_offset, compatibility, format, state) \
         VALUES ('0123456789abcdef', 2, 0, 100, 1, 2, 'old')",
    )
    .await;
    keep(
        &client,
        &Snapshot {
            since: Some(StateId(0)),
            ..whole(110)
        },
    )
    .await;
    let (old, changes) = found(&client, 5000).await.unwrap();
    assert_eq!((old.next, old.bytes), (next(100), b"old".to_vec()));
    assert!(changes.is_empty());
}
