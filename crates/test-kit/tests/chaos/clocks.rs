//! Services whose clocks are wrong, and what is told of all the others.
//!
//! Invariant: what is told of the others is, version for version, what is told where these clocks are
//! right. As in `detection`'s tests of clocks, where in the topic the lines lie is left out of that, and
//! which of them are shown: a window closes at another line.

use std::collections::BTreeMap;

use anyhow::Context as _;
use contracts::{Anomaly, Timestamp};
use kafka_io::producer;
use rdkafka::{
    Message as _,
    message::{Header, OwnedHeaders, OwnedMessage},
    producer::{FutureProducer, FutureRecord},
};
use test_kit::{Space, all_headers};
use uuid::Uuid;

use crate::{report::Tally, told, world::World};

/// Before the names of services whose clocks are wrong.
pub(crate) const WRONG: &str = "wrong-";
/// What a record of theirs would be by a right clock: Kafka's time, and the line.
const RIGHT_TIME: &str = "right-time";
const RIGHT_LINE: &str = "right-line";
const HOUR: i64 = 3_600_000;

/// One clock's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clock {
    Fast,
    Slow,
    /// It is set an hour on in the middle, by itself and by Kafka's time.
    Step,
    /// It gains a second a minute.
    Drift,
    /// Of every other line, as of one of two hosts.
    HostFast,
    /// Kafka's time alone.
    KafkaFast,
}

const CLOCKS: [Clock; 6] = [
    Clock::Fast,
    Clock::Slow,
    Clock::Step,
    Clock::Drift,
    Clock::HostFast,
    Clock::KafkaFast,
];

/// What the clock of the `number`-th service of this kind says `at` ms after it went wrong: what it adds to
/// the line's time, and to Kafka's.
pub(crate) fn off(number: usize, at: i64, line: u64) -> (i64, i64) {
    match CLOCKS[number % CLOCKS.len()] {
        Clock::Step if at < HOUR / 12 => (0, 0),
        Clock::Fast | Clock::Step => (HOUR, HOUR),
        Clock::Slow => (-HOUR, -HOUR),
        Clock::Drift => (at / 60, at / 60),
        Clock::HostFast if line.is_multiple_of(2) => (300_000, 300_000),
        Clock::HostFast => (0, 0),
        Clock::KafkaFast => (0, HOUR),
    }
}

/// Says beside the record what a right clock would have made of it.
pub(crate) fn with_truth(time: i64, line: &[u8]) -> OwnedHeaders {
    OwnedHeaders::new()
        .insert(Header {
            key: RIGHT_TIME,
            value: Some(&time.to_string()),
        })
        .insert(Header {
            key: RIGHT_LINE,
            value: Some(line),
        })
}

/// The whole topic once more, record for record at the same offsets, with right clocks. Returns how many
/// were wrong.
async fn put_right(from: &Space, to: &Space) -> anyhow::Result<u64> {
    let mut messages = from.read(&from.logs).await?;
    messages.sort_by_key(|message| (message.partition(), message.offset()));
    let producer: FutureProducer = producer::config(&to.connection).create()?;
    let mut wrong = 0;
    let mut sends = Vec::new();
    for message in &messages {
        let truth = truth_of(message)?;
        wrong += u64::from(truth.is_some());
        let (time, line) = match &truth {
            Some((time, line)) => (*time, line.as_slice()),
            None => (
                message.timestamp().to_millis().unwrap_or(-1),
                message.payload().unwrap_or_default(),
            ),
        };
        let record = FutureRecord::to(&to.logs)
            .partition(message.partition())
            .timestamp(time)
            .key(message.key().unwrap_or_default())
            .payload(line);
        let sent = producer.send_result(record);
        sends.push(sent.map_err(|(error, _)| error)?);
    }
    for (message, delivered) in messages.iter().zip(sends) {
        let at = delivered.await?.map_err(|(error, _)| error)?;
        anyhow::ensure!(
            at.offset == message.offset(),
            "a topic with holes cannot be put right"
        );
    }
    Ok(wrong)
}

fn truth_of(message: &OwnedMessage) -> anyhow::Result<Option<(i64, Vec<u8>)>> {
    let headers: BTreeMap<_, _> = all_headers(message).into_iter().collect();
    let value = |name: &str| headers.get(name.as_bytes()).cloned().flatten();
    let (Some(time), Some(line)) = (value(RIGHT_TIME), value(RIGHT_LINE)) else {
        return Ok(None);
    };
    let time = String::from_utf8(time)?.parse().context(RIGHT_TIME)?;
    Ok(Some((time, line)))
}

/// What is told of the others, but where, sorted.
fn of_others(told: impl IntoIterator<Item = Anomaly>) -> Vec<String> {
    let others = told
        .into_iter()
        .filter(|anomaly| !anomaly.service.starts_with(WRONG));
    let mut said: Vec<_> = others
        .map(|mut anomaly| {
            anomaly.id = Uuid::nil();
            anomaly.published_at = Timestamp::from_millis(0);
            anomaly.samples.clear();
            let evidence = &mut anomaly.evidence;
            (evidence.first_offset, evidence.last_offset) = (0, 0);
            evidence.topic.clear();
            evidence.incarnation.clear();
            serde_json::to_string(&anomaly).unwrap_or_default()
        })
        .collect();
    said.sort();
    said
}

/// What one of them says and the other does not, a few of each.
fn differences(told: &[String], right: &[String]) -> Vec<String> {
    let missing_in = |some: &[String], all: &[String], what: &str| -> Vec<String> {
        let missing = all.iter().filter(|said| !some.contains(said));
        missing
            .take(3)
            .map(|said| format!("{what}: {said}"))
            .collect()
    };
    let mut found = missing_in(told, right, "told of others by right clocks only");
    found.extend(missing_in(
        right,
        told,
        "told of others by wrong clocks only",
    ));
    if found.is_empty() && told.len() != right.len() {
        found.push(format!(
            "{} versions told of others, {} by right clocks",
            told.len(),
            right.len()
        ));
    }
    found
}

/// Against a run over the same records with right clocks. The group's offsets are gone.
pub(crate) async fn change_nothing_for_others(world: &mut World) -> anyhow::Result<()> {
    let told = told::versions(&world.space, &mut Tally::default()).await?;
    let partitions = world.space.partitions().await?;
    let right = world
        .space
        .stack
        .space_of("chaos-right", partitions)
        .await?;
    world.tally.wrong_clocks += put_right(&world.space, &right).await?;
    told::read_through(&right, 0).await?;
    let expected = told::versions(&right, &mut Tally::default()).await?;
    let (told, expected) = (
        of_others(told.into_values()),
        of_others(expected.into_values()),
    );
    println!(
        "  {} versions told of others, {} by right clocks",
        told.len(),
        expected.len()
    );
    world.tally.violations.extend(differences(&told, &expected));
    Ok(())
}

#[test]
fn a_version_that_wrong_clocks_change_is_found() {
    let said = |text: &str| text.to_owned();
    assert!(differences(&[said("a"), said("b")], &[said("a"), said("b")]).is_empty());
    assert_eq!(
        differences(&[said("a"), said("c")], &[said("a"), said("b")]).len(),
        2
    );
    assert_eq!(differences(&[said("a"), said("a")], &[said("a")]).len(), 1);
}
