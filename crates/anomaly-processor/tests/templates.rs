//! What a task says of templates, and when.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in tests a panic is the report"
)]

use std::time::{Duration, Instant};

use anomaly_processor::{
    metrics::Metrics, partition_state::PartitionState, partition_task::PartitionTask, sinks,
};
use pipeline::{
    Assignment, Epoch, Incarnation, Limits, NextOffset, Offset, Partition, TaskId, Work,
    ports::{Bare, Record},
    resume::ResumePoint,
};
use service_kit::metrics::Registry;

fn at(offset: i64) -> NextOffset {
    NextOffset::resume_at(Offset::new(offset))
}

fn task(replay_from: i64, take_from: i64, state: PartitionState) -> PartitionTask {
    let id = TaskId {
        assignment: Assignment {
            partition: Partition(0),
            epoch: Epoch(1),
        },
        incarnation: Incarnation::of(uuid::Uuid::from_u128(1), "group"),
    };
    let resume = ResumePoint {
        replay_from: at(replay_from),
        take_from: at(take_from),
        announced: None,
        unsettled: None,
    };
    let (limits, every) = (Limits::default(), Duration::ZERO);
    PartitionTask::new(id, limits, state, resume, every, Instant::now())
}

fn nothing_known() -> PartitionState {
    let mining = template_mining::Limits::default();
    PartitionState::none(detection::Config::default(), mining)
}

fn take(task: &mut PartitionTask, offset: i64, payload: &str) {
    let record = Record {
        offset: Offset::new(offset),
        leader_epoch: pipeline::LeaderEpoch::UNKNOWN,
        kafka_time: 1_790_000_000_000,
        key: Some(b"login"),
        value: Some(payload.as_bytes()),
        rest: &Bare,
    };
    let metrics = Metrics::new(&Registry::new());
    task.take(&record, Instant::now(), &metrics, &mut sinks::Closed)
        .unwrap();
}

fn line(message: &str) -> String {
    format!(r#"{{"message":"{message}"}}"#)
}

/// Who began with nothing has other news than whoever stored those records: rows that follow refer
/// to them. A snapshot before they are stored would lose them.
#[test]
fn what_was_news_while_replaying_goes_with_the_first_rows_and_no_snapshot_comes_before() {
    let mut task = task(0, 20, nothing_known());
    for offset in 0..20 {
        let name = char::from(b'a' + offset as u8).to_string().repeat(4);
        take(&mut task, offset, &line(&format!("user {name} logged in")));
    }
    assert!(task.snapshot(Instant::now(), true).is_none());

    // A dead letter makes a batch, and has no row.
    take(&mut task, 20, "{");
    let batch = task.close().unwrap();
    assert!(batch.rows.is_empty() && batch.rows.templates.is_empty());
    assert!(task.snapshot(Instant::now(), true).is_none());

    take(&mut task, 21, &line("user zoe logged in"));
    let batch = task.close().unwrap();
    let id = batch.rows.template_ids().next().unwrap();
    let news = &batch.rows.templates;
    assert_eq!(news.texts()[&id].text, "user <*> logged in");
    assert!(!news.merges().is_empty());
    assert!(news.merges().iter().all(|(_, into)| *into == id));
    assert_eq!(news.texts()[&id].service, "login");
    assert!(batch.bytes > news.size());
    let kept = task.snapshot(Instant::now(), true);
    assert!(matches!(kept, Some(Work::Snapshot(_))));
}

#[test]
fn every_message_has_a_template_and_news_are_told_once() {
    let mut task = task(0, 0, nothing_known());
    let messages = ["", "   ", "ready", "ready", "42", "{{\\\"a\\\":1}}"];
    for (offset, message) in (0..).zip(messages) {
        take(&mut task, offset, &line(message));
    }
    let batch = task.close().unwrap();
    let ids: Vec<u64> = batch.rows.template_ids().collect();
    assert_eq!(ids.len(), messages.len());
    for id in &ids {
        assert_ne!(*id, 0, "that is for lines that were not mined");
        assert!(batch.rows.templates.texts().contains_key(id));
    }
    assert_eq!(ids[2], ids[3]);
    take(&mut task, 10, &line("ready"));
    assert!(task.close().unwrap().rows.templates.is_empty());
}

/// Restored, the miner gives every line the id that it would have been given, and has no news of
/// what was stored.
#[test]
fn a_restored_miner_goes_on() {
    let mut first = task(0, 0, nothing_known());
    for offset in 0..20 {
        take(
            &mut first,
            offset,
            &line(&format!("user u{offset} logged in")),
        );
    }
    let before = first.close().unwrap();
    let Some(Work::Snapshot(keep)) = first.snapshot(Instant::now(), true) else {
        panic!("a snapshot is due");
    };
    let (detection, mining) = (
        detection::Config::default(),
        template_mining::Limits::default(),
    );
    let (state, lost) = PartitionState::restore(&keep.snapshot, &[], detection, mining).unwrap();
    assert_eq!(lost, None);
    let mut second = task(20, 20, state);
    take(&mut second, 20, &line("user u77 logged in"));
    let batch = second.close().unwrap();
    assert!(batch.rows.templates.is_empty());
    assert_eq!(
        batch.rows.template_ids().next(),
        before.rows.template_ids().last()
    );
}
