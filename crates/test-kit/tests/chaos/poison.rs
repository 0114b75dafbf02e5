//! What nobody should send, among what everybody does: records larger than any topic takes, batches
//! that no client can unpack, very long lines, times that mean nothing.
//!
//! Invariant: it is known of each piece where it lies and what has to become of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use contracts::dead_letter::{REASON, Reason, SOURCE_OFFSET, SOURCE_PARTITION};
use rdkafka::{
    admin::{AdminOptions, AlterConfig, ResourceSpecifier},
    producer::{FutureProducer, FutureRecord},
};
use test_kit::{Space, header, lines::now};

use crate::{operator::admin, report::Tally, world::World, world::incarnation_of};

const SEND_WITHIN: Duration = Duration::from_secs(60);
const DAY: i64 = 86_400_000;

/// What has to become of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Row,
    Letter(Reason),
    /// Neither: passed, and counted.
    Hole,
}

/// Where each piece lies.
pub(crate) type Placed = BTreeMap<(i32, i64), Fate>;

struct Piece {
    payload: Vec<u8>,
    /// Kafka's time, ms.
    time: i64,
    fate: Fate,
}

fn text(length: usize) -> Vec<u8> {
    let mut line = br#"{"message":"a long line "#.to_vec();
    line.resize(length, b'x');
    line.extend(br#""}"#);
    line
}

/// Twenty megabytes that are no text, lines too long for any topic, one that is just long, and times of
/// Kafka's and of the records' own.
fn odd() -> Vec<Piece> {
    let now = now();
    let piece = |payload, time, fate| Piece {
        payload,
        time,
        fate,
    };
    let mut pieces = vec![
        piece(vec![0xff; 20_000_000], now, Fate::Letter(Reason::NotUtf8)),
        piece(text(40_000_000), now, Fate::Letter(Reason::TooLarge)),
        piece(text(8_000_000), now, Fate::Row),
    ];
    for time in [-1, now / 1000, now - 40 * DAY, now + 400 * DAY] {
        let line = format!(r#"{{"message":"taken at {time} by Kafka"}}"#);
        pieces.push(piece(line.into_bytes(), time, Fate::Row));
        let line = format!(r#"{{"timestamp":{time},"message":"said to be of {time}"}}"#);
        pieces.push(piece(line.into_bytes(), now, Fate::Row));
    }
    pieces
}

/// More, once unpacked, than a client takes in a batch.
fn undecodable() -> Vec<Piece> {
    vec![Piece {
        payload: vec![b' '; 400_000_000],
        time: now(),
        fate: Fate::Hole,
    }]
}

impl World {
    pub(crate) async fn is_fed_what_is_odd(&mut self) -> anyhow::Result<()> {
        takes_any_time(&self.space).await?;
        self.place(odd()).await
    }

    pub(crate) async fn is_fed_what_cannot_be_unpacked(&mut self) -> anyhow::Result<()> {
        self.place(undecodable()).await
    }

    /// Each as a batch of its own, packed so well that it passes the broker's limit.
    async fn place(&mut self, pieces: Vec<Piece>) -> anyhow::Result<()> {
        let producer: FutureProducer = self
            .space
            .connection
            .config()
            .set("compression.type", "zstd")
            .set("message.max.bytes", "1000000000")
            .set("batch.num.messages", "1")
            .set("message.timeout.ms", "120000")
            .create()?;
        for piece in pieces {
            let record = FutureRecord::to(&self.space.logs)
                .key("poison")
                .timestamp(piece.time)
                .payload(&piece.payload);
            let sent = producer.send(record, SEND_WITHIN).await;
            let at = sent.map_err(|(error, _)| error)?;
            self.placed.insert((at.partition, at.offset), piece.fate);
        }
        Ok(())
    }

    /// Records that can become neither a row nor a letter.
    pub(crate) fn holes_placed(&self) -> u64 {
        let holes = self.placed.values().filter(|fate| **fate == Fate::Hole);
        holes.count() as u64
    }
}

/// By its defaults a topic takes no time that is more than an hour ahead.
async fn takes_any_time(space: &Space) -> anyhow::Result<()> {
    let topic = ResourceSpecifier::Topic(&space.logs);
    let largest = i64::MAX.to_string();
    let setting = AlterConfig::new(topic).set("message.timestamp.after.max.ms", &largest);
    let results = admin(space)?
        .alter_configs(&[setting], &AdminOptions::new())
        .await?;
    for result in results {
        result.map_err(|(_, code)| anyhow::anyhow!("{code}"))?;
    }
    Ok(())
}

/// Each piece has become what it had to. What was passed is known by what the processors said.
pub(crate) async fn check(space: &Space, placed: &Placed, tally: &mut Tally) -> anyhow::Result<()> {
    if placed.is_empty() {
        return Ok(());
    }
    let incarnation = incarnation_of(space).await?;
    let letters: BTreeSet<_> = (space.read(&space.dead_letters).await?.iter())
        .map(|letter| {
            let number = |name| header(letter, name).parse().unwrap_or(-1);
            let at = (number(SOURCE_PARTITION) as i32, number(SOURCE_OFFSET));
            (at, header(letter, REASON))
        })
        .collect();
    for (at, fate) in placed {
        let (partition, offset) = at;
        let query = format!(
            "SELECT count() FROM logs WHERE incarnation = '{incarnation}' \
             AND kafka_partition = {partition} AND kafka_offset = {offset}"
        );
        let is_row = space.number(&query).await? == 1;
        let why = letters.iter().find(|(letter, _)| letter == at);
        let why = why.map(|(_, reason)| reason.as_str());
        let is_hole = tally.passed.contains(at);
        let became = (is_row, why, is_hole);
        let expected = match fate {
            Fate::Row => (true, None, false),
            Fate::Letter(reason) => (false, Some(reason.as_str()), false),
            Fate::Hole => (false, None, true),
        };
        tally.odd_pieces += 1;
        if became != expected {
            tally.violations.push(format!(
                "{fate:?} at {at:?} became (row, dead letter, passed) {became:?}"
            ));
        }
    }
    Ok(())
}
