//! A place in the stream of anomalies that a client can come back to.
//!
//! The stream is a Kafka topic, so the cursor is one next offset per partition, with the topic's
//! identity: a cursor of a topic that was deleted and made anew is recognised as foreign. Clients
//! must treat the text as opaque.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Which topic, by the identity Kafka gave it.
    pub topic: u64,
    /// Next offset to deliver, by partition number.
    pub next: Vec<i64>,
}

/// The text is not a cursor of this server's making.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a cursor: {0:?}; pass back the text of an earlier frame unchanged")]
pub struct BadCursor(String);

impl fmt::Display for Cursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "1.{:x}", self.topic)?;
        for next in &self.next {
            write!(out, ".{next}")?;
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let bad = || BadCursor(text.chars().take(200).collect());
        let mut fields = text.split('.');
        if fields.next() != Some("1") {
            return Err(bad());
        }
        let topic = fields
            .next()
            .and_then(|field| u64::from_str_radix(field, 16).ok())
            .ok_or_else(bad)?;
        let next = fields
            .map(next_offset)
            .collect::<Option<Vec<_>>>()
            .ok_or_else(bad)?;
        Ok(Self { topic, next })
    }
}

/// Digits. More of them than an offset has are the largest one, which no topic has reached.
fn next_offset(field: &str) -> Option<i64> {
    let is_number = !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| field.parse().unwrap_or(i64::MAX))
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <std::borrow::Cow<'de, str>>::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        let cursor = Cursor {
            topic: 0xdead_beef,
            next: vec![0, 17, 4_000_000_000],
        };
        assert_eq!(cursor.to_string(), "1.deadbeef.0.17.4000000000");
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }

    #[test]
    fn refuses_what_it_did_not_write() {
        for text in [
            "", "2.ff.0", "1", "1.xyz.0", "1.ff.-3", "1.ff.+3", "1.ff.a", "1.ff.0.", "1.ff. 1",
        ] {
            assert!(text.parse::<Cursor>().is_err(), "{text:?}");
        }
        let huge: Cursor = "1.ff.99999999999999999999".parse().unwrap();
        assert_eq!(huge.next, [i64::MAX]);
    }
}
