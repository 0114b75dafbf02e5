use contracts::websocket::ServerFrame;

use super::*;
use crate::anomalies::anomaly;

fn log(entries: usize) -> Log {
    let mut log = Log::new(Bounds {
        entries,
        bytes: usize::MAX,
    });
    log.begin(0xfeed, &[0, 0]);
    log
}

fn append(log: &mut Log, partition: usize, offset: i64, id: u128, version: u32) -> Appended {
    let anomaly = anomaly(id, version);
    let document = serde_json::to_string(&anomaly).unwrap();
    log.append(&Record {
        partition,
        offset,
        anomaly: &anomaly,
        document: &document,
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    })
}

#[test]
fn a_frame_is_what_the_contract_says_with_everybodys_cursor_or_ones_own() {
    let mut log = log(10);
    append(&mut log, 1, 4, 1, 1);
    let entry = log.get(0).unwrap();
    let own = Cursor {
        topic: 0xfeed,
        next: vec![9, 5],
    };
    for (text, wanted) in [
        (entry.frame(), "1.feed.0.5"),
        (entry.frame_with(&own), "1.feed.9.5"),
    ] {
        let ServerFrame::Anomaly {
            cursor,
            anomaly: read,
            traceparent,
        } = serde_json::from_str(&text).unwrap()
        else {
            panic!("{text}");
        };
        assert_eq!(cursor, wanted);
        assert_eq!(*read, anomaly(1, 1));
        assert!(traceparent.unwrap().starts_with("00-4bf9"));
    }
    assert_eq!(entry.cursor_text(), "1.feed.0.5");
}

#[test]
fn a_version_that_was_there_is_dropped_and_the_cursor_passes_it() {
    let mut log = log(10);
    assert_eq!(append(&mut log, 0, 0, 1, 2), Appended::Kept);
    for (offset, version) in [(1, 2), (2, 1)] {
        assert_eq!(append(&mut log, 0, offset, 1, version), Appended::Duplicate);
    }
    assert_eq!(append(&mut log, 0, 3, 1, 3), Appended::Kept);
    assert_eq!((log.end(), log.next_offsets()), (2, &[4, 0][..]));
}

#[test]
fn bounds_of_number_and_bytes_hold_and_the_floor_follows() {
    let mut log = log(3);
    for offset in 0..5 {
        append(&mut log, 0, offset, offset as u128, 1);
    }
    assert_eq!((log.base(), log.end(), log.floor()), (2, 5, &[2, 0][..]));
    assert!(
        log.newest(Uuid::from_u128(1)).is_none(),
        "evicted from listings as well"
    );

    let one = log.get(4).unwrap().bytes();
    let bounds = Bounds {
        entries: 100,
        bytes: one * 2 + 10,
    };
    let mut log = Log::new(bounds);
    log.begin(1, &[0]);
    for offset in 0..5 {
        append(&mut log, 0, offset, offset as u128, 1);
        assert!(log.bytes() <= bounds.bytes);
    }
    assert_eq!(log.end() - log.base(), 2);
}

#[test]
fn a_listing_shows_the_newest_version_where_the_first_one_stood() {
    let mut log = log(10);
    for (offset, (id, version)) in [(1, 1), (2, 1), (1, 2), (3, 1)].into_iter().enumerate() {
        append(&mut log, 0, offset as i64, id, version);
    }
    let listed = |before: u64| {
        log.listed_before(before)
            .map(|(_, entry)| (entry.facts.id.as_u128(), entry.facts.version))
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(log.end()), [(3, 1), (2, 1), (1, 2)]);
    let second = log.opened(Uuid::from_u128(2)).unwrap();
    assert_eq!(listed(second), [(1, 2)]);
}

#[test]
fn another_topic_leaves_nothing_of_the_one_before() {
    let mut log = log(10);
    append(&mut log, 0, 0, 1, 1);
    log.set_loaded();
    log.begin(0xbeef, &[0]);
    assert_eq!((log.base(), log.end(), log.generation()), (1, 1, 2));
    assert!(!log.is_loaded() && log.newest(Uuid::from_u128(1)).is_none());
    assert_eq!(append(&mut log, 0, 0, 1, 1), Appended::Kept);
}

#[test]
fn what_lies_before_the_log_is_remembered_but_not_kept() {
    let mut log = Log::new(Bounds {
        entries: 10,
        bytes: usize::MAX,
    });
    log.begin(1, &[5]);
    assert_eq!(append(&mut log, 0, 3, 1, 1), Appended::Remembered);
    assert_eq!(append(&mut log, 0, 5, 1, 1), Appended::Duplicate);
    assert_eq!(append(&mut log, 0, 6, 2, 1), Appended::Kept);
}
