//! `replay`, ended half way: by a signal, or by another one.

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use contracts::dead_letter::{Reason, replays_of};
use rdkafka::{
    Message as _,
    message::OwnedMessage,
    producer::{FutureProducer, FutureRecord},
};
use rustix::process::Signal;
use serde_json::{Value, json};
use test_kit::{Space, wait};

use crate::{
    letters::{Letter, contains, dlq, ok, put_aside, said, some_letters, space},
    processes::{kill9, signal},
};

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
