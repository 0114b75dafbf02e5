//! `barograph dlq` on a real Kafka, and with the real processor.
//!
//! The programs under test are built by `cargo build --release --workspace --bins`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use std::{
    collections::BTreeMap,
    process::{Command, Output, Stdio},
    time::Duration,
};

use contracts::{
    dead_letter::{
        ERROR, REASON, REPLAYED_FROM, Reason, SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC,
        replays_of,
    },
    topics::TRACEPARENT,
};
use rdkafka::{
    Message as _,
    message::{Header, OwnedHeaders, OwnedMessage},
    producer::{FutureProducer, FutureRecord},
};
use rustix::process::Signal;
use serde_json::{Value, json};
use test_kit::{Message, Space, Stack, header, wait};

mod processes;
use processes::{kill9, signal};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const BINARY: &[u8] = b"\x1f\x8b\x08\x00\xff\x00 log";

async fn space(name: &str) -> anyhow::Result<Space> {
    let scratch = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    Stack::shared(scratch).await?.space(name).await
}

fn dlq(space: &Space, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_barograph"));
    command
        .arg("dlq")
        .args(args)
        .env("KAFKA_BROKERS", &space.connection.brokers)
        .env("KAFKA_TOPIC", &space.logs)
        .env_remove("KAFKA_BROKER")
        .stdin(Stdio::null());
    command
}

#[track_caller]
fn said(output: Output, code: i32) -> String {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{stdout}{stderr}");
    stdout + &stderr
}

#[track_caller]
fn ok(space: &Space, args: &[&str]) -> String {
    said(dlq(space, args).output().unwrap(), 0)
}

#[track_caller]
fn json(space: &Space, args: &[&str]) -> Value {
    serde_json::from_str(&ok(space, args)).unwrap()
}

#[track_caller]
fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

struct Letter<'a> {
    reason: Reason,
    /// Partition and offset.
    source: (i32, i64),
    key: Option<&'a str>,
    payload: &'a [u8],
}

/// As the processor writes them.
async fn put_aside(space: &Space, letters: &[Letter<'_>]) -> anyhow::Result<()> {
    let producer: FutureProducer = space.connection.config().create()?;
    let topic = space.dead_letter_topic();
    let sending = letters.iter().map(|letter| {
        let (partition, offset) = (letter.source.0.to_string(), letter.source.1.to_string());
        let headers = [
            (REASON, letter.reason.as_str()),
            (ERROR, "the \x1b[31merror"),
            (SOURCE_TOPIC, &space.logs),
            (SOURCE_PARTITION, &partition),
            (SOURCE_OFFSET, &offset),
            (TRACEPARENT, TRACE),
        ];
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| {
                all.insert(Header {
                    key,
                    value: Some(*value),
                })
            });
        let mut record = FutureRecord::<str, [u8]>::to(&topic)
            .payload(letter.payload)
            .headers(headers);
        record.key = letter.key;
        producer.send_result(record).map_err(|(error, _)| error)
    });
    for delivery in sending.collect::<Result<Vec<_>, _>>()? {
        delivery.await?.map_err(|(error, _)| error)?;
    }
    Ok(())
}

async fn some_letters(space: &Space) -> anyhow::Result<()> {
    let cut_off = b"{\"message\":\"m\x1b[2J";
    let letter = |reason, source, key, payload| Letter {
        reason,
        source,
        key,
        payload,
    };
    let letters = [
        letter(Reason::BrokenJson, (1, 7), Some("checkout"), &cut_off[..]),
        letter(Reason::NotUtf8, (0, 3), None, BINARY),
        letter(Reason::BrokenJson, (1, 7), Some("checkout"), &cut_off[..]),
        letter(Reason::Empty, (0, 4), Some("cart"), b""),
        letter(Reason::BrokenJson, (0, 9), Some("cart"), b"{}{}"),
    ];
    put_aside(space, &letters).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_counts_letters_and_records_and_shows_the_newest() -> anyhow::Result<()> {
    let space = space("dlq-list").await?;
    contains(
        &ok(&space, &["list"]),
        &["dlq-list-logs.dlq is empty: everything could be read."],
    );
    some_letters(&space).await?;
    let text = ok(&space, &["list"]);
    contains(
        &text,
        &[
            "5 letters of dlq-list-logs.dlq, about 4 distinct records",
            "broken_json  3        2",
            "same as 0:0",
            "dlq-list-logs/1/7",
            r#"{"message":"m\u{1b}[2J"#,
            r"\u{1f}\x8b\u{8}\u{0}\xff\u{0} log",
        ],
    );
    assert!(!text.contains('\x1b'), "{text:?}");

    let of = |args: &[&str]| {
        let all: Vec<_> = ["list", "--json"].iter().chain(args).copied().collect();
        json(&space, &all)
    };
    let all = of(&[]);
    assert_eq!((&all["letters"], &all["distinct"]), (&json!(5), &json!(4)));
    assert_eq!(all["newest"][2]["duplicate_of"], "0:0");
    let chosen = of(&[
        "--reason", "not_utf8", "--reason", "empty", "--since", "1h", "--limit", "1",
    ]);
    assert_eq!(chosen["letters"], 2);
    assert_eq!(chosen["newest"].as_array().unwrap().len(), 1);
    assert_eq!(chosen["newest"][0]["position"], "0:3");
    let since = chosen["newest"][0]["at"].as_str().unwrap().to_owned();
    assert_eq!(
        of(&["--since", &since])["newest"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()["position"],
        "0:4"
    );
    assert_eq!(of(&["--since", "2999-01-01T00:00:00Z"])["letters"], 0);
    let none = ok(&space, &["list", "--since", "2999-01-01T00:00:00Z"]);
    contains(&none, &["None of the 5 letters"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn show_says_everything_about_a_letter() -> anyhow::Result<()> {
    let space = space("dlq-show").await?;
    some_letters(&space).await?;
    let text = ok(&space, &["show", "0:1"]);
    contains(
        &text,
        &[
            "not_utf8",
            "dlq-show-logs/0/3",
            r"the \u{1b}[31merror",
            "byte 1 is the first that is not",
            "the first bytes are those of gzip",
            "let the sender encode as UTF-8",
            &format!("traceparent = {TRACE}"),
            "00000000  1f 8b 08 00 ff 00 20 6c",
        ],
    );
    let text = ok(&space, &["show", "0:0"]);
    contains(
        &text,
        &[
            "line 1, column 13: a control character in a string must be escaped",
            "key          checkout",
            r#"{"message":"m\u{1b}[2J"#,
        ],
    );
    assert!(!text.contains('\x1b'), "{text:?}");
    let raw = dlq(&space, &["show", "0:1", "--raw"]).output()?;
    assert_eq!(raw.stdout, BINARY);
    let document = json(&space, &["show", "0:1", "--json"]);
    assert_eq!(document["payload"]["hex"], "1f8b0800ff00206c6f67");
    assert_eq!(document["source"]["offset"], 3);

    let gone = said(dlq(&space, &["show", "0:99"]).output()?, 1);
    contains(&gone, &["has no letter at 0:99: partition 0 holds 0 to 4"]);
    let gone = said(dlq(&space, &["show", "7:0"]).output()?, 1);
    contains(&gone, &["has no partition 7"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_command_line_and_a_missing_topic_are_told_apart() -> anyhow::Result<()> {
    let space = space("dlq-wrong").await?;
    some_letters(&space).await?;
    let usage: [(&[&str], &str); 7] = [
        (&["replay"], "--reason"),
        (
            &["replay", "--all", "--reason", "empty"],
            "cannot be used with",
        ),
        (&["replay", "--all"], "add --yes"),
        (&["replay", "--position", "17"], "partition:offset"),
        (&["list", "--reason", "bad"], "broken_json"),
        (&["list", "--since", "yesterday"], "30m"),
        (&["show"], "P:O"),
    ];
    for (args, expected) in usage {
        contains(&said(dlq(&space, args).output()?, 64), &[expected]);
    }
    for action in ["list", "replay"] {
        let mut command = dlq(&space, &[action, "--topic", "nowhere.dlq"]);
        if action == "replay" {
            command.args(["--all", "--yes"]);
        }
        let text = said(command.output()?, 1);
        contains(
            &text,
            &[
                "topic nowhere.dlq: does not exist",
                "--topic or KAFKA_TOPIC",
            ],
        );
    }
    let text = said(
        dlq(&space, &["replay", "--all", "--yes", "--to", "nowhere"]).output()?,
        1,
    );
    contains(&text, &["cannot be sent to nowhere", "does not exist"]);
    let text = said(
        dlq(&space, &["replay", "--position", "0:77", "--yes"]).output()?,
        1,
    );
    contains(&text, &["has no letter at 0:77"]);
    Ok(())
}

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

/// Notes of a replay that was killed: one letter had been sent, one had not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_interrupted_replay_has_sent_is_found() -> anyhow::Result<()> {
    let space = space("dlq-settle").await?;
    some_letters(&space).await?;
    ok(
        &space,
        &["replay", "--position", "0:1", "--position", "0:4", "--yes"],
    );
    let memory = replays_of(&space.dead_letter_topic());
    let notes = space.read(&memory).await?;
    // The first note about each letter again: as if the acknowledgement had never been noted.
    let producer: FutureProducer = space.connection.config().create()?;
    let mut forgotten = 0;
    for note in &notes {
        let value: Value = serde_json::from_slice(note.payload().unwrap())?;
        if value["note"] != "sending" {
            continue;
        }
        forgotten += 1;
        let record = FutureRecord::<[u8], [u8]>::to(&memory)
            .key(note.key().unwrap())
            .payload(note.payload().unwrap());
        producer
            .send(record, Duration::ZERO)
            .await
            .map_err(|(error, _)| error)?;
    }
    assert_eq!(forgotten, 2);
    let unsent = json!({"note": "sending", "run": 0, "letter": "0:3", "from": [0, 0]}).to_string();
    let key = {
        // FNV-1a of `cart`, 0xff and no payload.
        let digest = b"cart\xff"
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
            });
        format!("{0}/0/4/{digest:016x} {0}", space.logs)
    };
    let record = FutureRecord::to(&memory).key(&key).payload(&unsent);
    producer
        .send(record, Duration::ZERO)
        .await
        .map_err(|(error, _)| error)?;

    let text = ok(&space, &["replay", "--all", "--yes"]);
    contains(
        &text,
        &[
            "3 of them may have been sent by a replay that was interrupted",
            "looking through 2 records of dlq-settle-logs for the 3 letters",
            "2 of them had been sent",
            "2 sent and acknowledged.",
        ],
    );
    assert_eq!(space.records_in(&space.logs).await?, 4);
    Ok(())
}

/// More than is sent while the test looks.
const MANY: usize = 20_000;

async fn many_letters(space: &Space) -> anyhow::Result<()> {
    let payloads: Vec<String> = (0..MANY).map(|number| format!("{{{number}")).collect();
    let letters: Vec<_> = (0..)
        .zip(&payloads)
        .map(|(number, payload)| Letter {
            reason: Reason::BrokenJson,
            source: ((number % 2) as i32, number / 2),
            key: Some("checkout"),
            payload: payload.as_bytes(),
        })
        .collect();
    put_aside(space, &letters).await
}

/// Starts a replay, and returns when it has sent something.
async fn under_way(space: &Space) -> anyhow::Result<std::process::Child> {
    let child = dlq(space, &["replay", "--all", "--yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    wait::until("something was replayed", wait::LONG, async || {
        Ok((space.records_in(&space.logs).await? > 0).then_some(()))
    })
    .await?;
    Ok(child)
}

/// How often each record was sent.
async fn times(space: &Space) -> anyhow::Result<BTreeMap<Vec<u8>, usize>> {
    let mut times = BTreeMap::new();
    for record in space.read(&space.logs).await? {
        let payload = OwnedMessage::payload(&record).unwrap_or_default().to_vec();
        *times.entry(payload).or_default() += 1;
    }
    Ok(times)
}

/// Would catch a memory written too late, which doubles, or too early, which loses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_killed_half_way_goes_on_without_loss_or_double() -> anyhow::Result<()> {
    let space = space("dlq-kill").await?;
    many_letters(&space).await?;
    let mut child = under_way(&space).await?;
    kill9(child.id());
    child.wait()?;
    let before = space.records_in(&space.logs).await?;
    assert!(before < MANY as u64, "it had finished: nothing is tested");
    ok(&space, &["replay", "--all", "--yes"]);
    let times = times(&space).await?;
    assert_eq!(times.len(), MANY);
    assert!(times.values().all(|count| *count == 1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_is_asked_to_end_says_how_far_it_came() -> anyhow::Result<()> {
    let space = space("dlq-interrupt").await?;
    many_letters(&space).await?;
    let child = under_way(&space).await?;
    signal(child.id(), Signal::INT);
    let text = said(child.wait_with_output()?, 1);
    contains(
        &text,
        &["Interrupted: ", "The same command sends the rest."],
    );
    ok(&space, &["replay", "--all", "--yes"]);
    let times = times(&space).await?;
    assert_eq!(times.len(), MANY);
    assert!(times.values().all(|count| *count == 1));
    Ok(())
}

/// Two operators at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_replay_ends_an_older_one() -> anyhow::Result<()> {
    let space = space("dlq-two").await?;
    many_letters(&space).await?;
    let child = under_way(&space).await?;
    signal(child.id(), Signal::STOP);
    ok(&space, &["replay", "--all", "--yes"]);
    signal(child.id(), Signal::CONT);
    let text = said(child.wait_with_output()?, 1);
    contains(&text, &["another replay of these letters has begun"]);
    let times = times(&space).await?;
    assert_eq!(times.len(), MANY);
    // At most the batch that was on its way.
    let doubled: usize = times.values().map(|count| count - 1).sum();
    assert!(doubled <= 500, "{doubled}");
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
