//! `replay`: each record once, as it was, and what becomes of it.

use contracts::{
    dead_letter::{REASON, REPLAYED_FROM, Reason},
    topics::TRACEPARENT,
};
use rdkafka::Message as _;
use serde_json::json;
use test_kit::{Message, header, wait};

use crate::letters::{BINARY, Letter, TRACE, contains, json, ok, put_aside, some_letters, space};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_sends_each_record_once_as_it_was() -> anyhow::Result<()> {
    let space = space("dlq-replay").await?;
    some_letters(&space).await?;
    let dry = ok(&space, &["replay", "--all", "--dry-run"]);
    contains(
        &dry,
        &[
            "5 letters of dlq-replay-logs.dlq selected",
            "1 left out: the same record as another letter",
            "4 to send to dlq-replay-logs: 2 broken_json, 1 empty, 1 not_utf8",
            "0:4 → dlq-replay-logs",
            "Nothing was sent",
        ],
    );
    assert_eq!(space.records_in(&space.logs).await?, 0);

    let first = ok(
        &space,
        &["replay", "--position", "0:1", "--position", "0:2", "--yes"],
    );
    contains(&first, &["2 sent and acknowledged."]);
    let records = space.read(&space.logs).await?;
    let record = |partition| {
        let mut all = records.iter().filter(move |it| it.partition() == partition);
        (all.next().unwrap(), all.count())
    };
    let ((binary, others), (cut_off, more)) = (record(0), record(1));
    assert_eq!((others, more), (0, 0));
    assert_eq!(binary.payload(), Some(BINARY));
    assert_eq!(binary.key(), None);
    assert_eq!(cut_off.key(), Some(&b"checkout"[..]));
    assert_eq!(header(cut_off, TRACEPARENT), TRACE);
    assert_eq!(header(cut_off, REPLAYED_FROM), "dlq-replay-logs.dlq/0/2");
    assert_eq!(header(cut_off, REASON), "");

    // 0:0 is the same record as 0:2.
    let second = ok(&space, &["replay", "--all", "--yes"]);
    contains(
        &second,
        &[
            "2 left out: replayed before",
            "1 left out: the same",
            "2 sent and",
        ],
    );
    let third = ok(&space, &["replay", "--all", "--yes"]);
    contains(&third, &["Nothing to send."]);
    assert_eq!(space.records_in(&space.logs).await?, 4);
    let again = ok(&space, &["replay", "--reason", "empty", "--again", "--yes"]);
    contains(&again, &["1 sent and acknowledged."]);
    assert_eq!(space.records_in(&space.logs).await?, 5);

    let elsewhere = ok(
        &space,
        &["replay", "--all", "--yes", "--to", &space.anomalies],
    );
    contains(&elsewhere, &["4 sent and acknowledged."]);
    assert_eq!(space.records_in(&space.anomalies).await?, 4);
    contains(&ok(&space, &["list"]), &["same as 0:0, replayed"]);
    contains(
        &ok(&space, &["show", "0:0"]),
        &["sent to dlq-replay-logs/1/0 at"],
    );
    assert_eq!(space.records_in(&space.dead_letter_topic()).await?, 5);
    Ok(())
}

/// The source was deleted and made anew: the same place, another record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_record_at_the_same_place_is_another_record() -> anyhow::Result<()> {
    let space = space("dlq-anew").await?;
    let letter = |payload| Letter {
        reason: Reason::BrokenJson,
        source: (0, 0),
        key: None,
        payload,
    };
    put_aside(&space, &[letter(b"{1")]).await?;
    ok(&space, &["replay", "--all", "--yes"]);
    put_aside(&space, &[letter(b"{2")]).await?;
    contains(
        &ok(&space, &["replay", "--all", "--yes"]),
        &["1 sent and acknowledged."],
    );
    assert_eq!(json(&space, &["list", "--json"])["distinct"], 2);
    Ok(())
}

/// The bytes are the same, so the processor refuses them again, at the new place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_still_unreadable_comes_back_and_is_known() -> anyhow::Result<()> {
    let space = space("dlq-round").await?;
    let processor = space.processor("processor")?;
    let broken = Message::of("cart", &b"{\"message\":"[..]);
    space.produce(vec![broken]).await?;
    space.all_arrived(&processor).await?;
    let letters = json(&space, &["list", "--json"]);
    assert_eq!(letters["newest"][0]["reason"], "broken_json");

    ok(&space, &["replay", "--all", "--yes"]);
    let counts = space.all_arrived(&processor).await?;
    assert_eq!((counts.produced, counts.dead_letters), (2, 2));
    let letters = json(&space, &["list", "--json"]);
    assert_eq!(
        (&letters["letters"], &letters["distinct"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(letters["newest"][0]["replayed"], true);
    assert_eq!(letters["newest"][1]["replay_of"], "0:0");
    let plan = ok(&space, &["replay", "--all", "--dry-run"]);
    contains(
        &plan,
        &[
            "1 left out: replayed before",
            "1 of them were replayed and came back",
        ],
    );

    // What an earlier version could not read, and this one can, becomes a row.
    let letter = Letter {
        reason: Reason::RejectedRow,
        source: (0, 1_000_000),
        key: Some("cart"),
        payload: br#"{"message":"readable now"}"#,
    };
    put_aside(&space, &[letter]).await?;
    ok(&space, &["replay", "--reason", "rejected_row", "--yes"]);
    wait::until("the row is there", wait::LONG, async || {
        let rows = space.number("SELECT count() FROM logs").await?;
        Ok((rows == 1).then_some(()))
    })
    .await
    .map_err(|error| processor.with_log(error))
}
