//! One dead letter, as it stands in its topic.
//!
//! Invariant: a letter that another program wrote, without our headers, is read all the same.

use std::{fmt, str::FromStr};

use contracts::{
    Timestamp,
    dead_letter::{self as header, REPLAYED_FROM, REPLAYED_TIMESTAMP},
};
use kafka_io::headers;
use rdkafka::{Message as _, message::OwnedMessage};

/// A place in the dead-letter topic, written `partition:offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Position {
    pub(super) partition: i32,
    pub(super) offset: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.partition, self.offset)
    }
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = |(partition, offset): (&str, &str)| {
            Some(Self {
                partition: partition.parse().ok()?,
                offset: offset.parse().ok()?,
            })
        };
        text.split_once(':')
            .and_then(read)
            .filter(|it| it.partition >= 0 && it.offset >= 0)
            .ok_or_else(|| "not a position; one is written partition:offset, as in 0:17".to_owned())
    }
}

/// A record's place in any topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(super) struct Spot {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

impl fmt::Display for Spot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

/// What was the same record in the source: same place and same bytes. The bytes belong to it,
/// because a topic that was made anew counts its offsets from 0 again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Identity(String);

impl Identity {
    /// As it was written by its `Display`.
    pub(super) fn remembered(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Name and value of a header.
pub(super) type Header = (Vec<u8>, Option<Vec<u8>>);

/// What was cut, as it was before.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(super) struct Whole {
    pub(super) bytes: u64,
    /// In hex.
    pub(super) sha256: String,
}

/// What of the record was too large to be put aside; `None`: that is there, and whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub(super) struct Cut {
    pub(super) value: Option<Whole>,
    pub(super) key: Option<Whole>,
    pub(super) headers: Option<Whole>,
    /// Of the record; the letter has the first of them.
    pub(super) header_count: Option<u64>,
}

impl Cut {
    pub(super) fn is_something(&self) -> bool {
        self.value.is_some() || self.key.is_some() || self.headers.is_some()
    }
}

#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) position: Position,
    /// When it was put aside.
    pub(super) at: Timestamp,
    /// Empty where the letter has none.
    pub(super) reason: String,
    pub(super) error: String,
    /// `None`: the letter does not say where its record came from. The topic's name is a legal one.
    pub(super) source: Option<Spot>,
    /// Kafka's time of the record, from when it first came; `None`: the letter does not say.
    pub(super) record_time: Option<Timestamp>,
    pub(super) key: Option<Vec<u8>>,
    /// `None`: the record is a tombstone.
    pub(super) payload: Option<Vec<u8>>,
    /// The record's own, in order.
    pub(super) headers: Vec<Header>,
    pub(super) cut: Cut,
}

impl Letter {
    pub(super) fn of(message: &OwnedMessage) -> Self {
        let mut letter = Self {
            position: Position {
                partition: message.partition(),
                offset: message.offset(),
            },
            at: Timestamp::from_millis(message.timestamp().to_millis().unwrap_or(0)),
            reason: String::new(),
            error: String::new(),
            source: None,
            record_time: None,
            key: message.key().map(<[u8]>::to_vec),
            payload: message.payload().map(<[u8]>::to_vec),
            headers: Vec::new(),
            cut: Cut::default(),
        };
        let list = message
            .headers()
            .map(rdkafka::message::OwnedHeaders::as_borrowed);
        let all: Vec<_> = list.map(headers::all).into_iter().flatten().collect();
        // Before there was a format, a record's headers were not told apart from the letter's own.
        let told_apart = all
            .iter()
            .any(|(name, _)| *name == header::FORMAT.as_bytes());
        let (mut topic, mut partition, mut offset) = (None, None, None);
        let (mut value, mut key, mut kept) = (Claim::default(), Claim::default(), Claim::default());
        for (name, found) in all {
            let text = || String::from_utf8_lossy(found.unwrap_or_default()).into_owned();
            let number = || text().parse::<u64>().ok();
            match std::str::from_utf8(name).unwrap_or_default() {
                header::FORMAT => {}
                header::REASON => letter.reason = text(),
                header::ERROR => letter.error = text(),
                header::SOURCE_TOPIC => topic = Some(text()).filter(|it| is_topic(it)),
                header::SOURCE_PARTITION => partition = text().parse().ok(),
                header::SOURCE_OFFSET => offset = text().parse().ok(),
                header::SOURCE_TIMESTAMP if told_apart => {
                    letter.record_time = text().parse().ok().map(Timestamp::from_millis);
                }
                header::VALUE_LENGTH if told_apart => value.0 = number(),
                header::VALUE_SHA256 if told_apart => value.1 = Some(text()),
                header::KEY_LENGTH if told_apart => key.0 = number(),
                header::KEY_SHA256 if told_apart => key.1 = Some(text()),
                header::HEADERS_LENGTH if told_apart => kept.0 = number(),
                header::HEADERS_SHA256 if told_apart => kept.1 = Some(text()),
                header::HEADERS_COUNT if told_apart => letter.cut.header_count = number(),
                _ => {
                    let own = if told_apart {
                        header::on_record(name)
                    } else {
                        name
                    };
                    letter
                        .headers
                        .push((own.to_vec(), found.map(<[u8]>::to_vec)));
                }
            }
        }
        letter.cut.value = whole(value);
        letter.cut.key = whole(key);
        letter.cut.headers = whole(kept);
        if let (Some(topic), Some(partition), Some(offset)) = (topic, partition, offset) {
            letter.source = Some(Spot {
                topic,
                partition,
                offset,
            });
        }
        letter
    }

    /// The record's headers without those that an earlier replay put behind them.
    pub(super) fn headers_before_replay(&self) -> &[Header] {
        let is = |header: &Header, name: &str| header.0 == name.as_bytes();
        match self.headers.as_slice() {
            [own @ .., time, from] if is(time, REPLAYED_TIMESTAMP) && is(from, REPLAYED_FROM) => {
                own
            }
            [own @ .., from] if is(from, REPLAYED_FROM) => own,
            all => all,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.payload.as_deref().unwrap_or_default()
    }

    pub(super) fn identity(&self) -> Identity {
        let place = match &self.source {
            Some(source) => source.to_string(),
            None => format!("letter/{}", self.position),
        };
        let digest = fnv1a(
            self.key
                .iter()
                .flatten()
                // Keeps key and payload apart.
                .chain(&[0xff])
                .chain(self.bytes()),
        );
        Identity(format!("{place}/{digest:016x}"))
    }
}

/// Length and hash, as two headers say them.
type Claim = (Option<u64>, Option<String>);

fn whole((bytes, sha256): Claim) -> Option<Whole> {
    Some(Whole {
        bytes: bytes?,
        sha256: sha256.unwrap_or_default(),
    })
}

/// By Kafka's rule for names: whoever wrote the header, it can be shown and asked for as it is.
fn is_topic(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=249).contains(&name.len()) && name.bytes().all(legal)
}

/// FNV-1a with 64 bits (Fowler, Noll, Vo): tells bytes apart that nobody forged.
fn fnv1a<'a>(bytes: impl Iterator<Item = &'a u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_is_written() {
        let position: Position = "3:17".parse().unwrap();
        assert_eq!(position.to_string(), "3:17");
        for wrong in ["", "3", "3:", ":17", "a:b", "-1:2", "1:-2", "1:2:3"] {
            assert!(wrong.parse::<Position>().is_err(), "{wrong}");
        }
    }

    /// The digest stands in a topic: it must stay what it is.
    #[test]
    fn the_digest_is_the_published_one() {
        assert_eq!(fnv1a(b"".iter()), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar".iter()), 0x8594_4171_f739_67e8);
    }
}
