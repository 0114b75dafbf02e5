//! What stands on a dead letter: the original key, value and headers, and headers of its own beside
//! them that say why and whence.
//!
//! Invariant: what is the letter's and what is the record's is told apart whatever names a record's
//! headers have ([`on_letter`], [`on_record`]).

use std::{borrow::Cow, fmt};

/// How the letter is written; a letter without it is of before the record's headers were kept.
pub const FORMAT: &str = "letter-format";
pub const FORMAT_NOW: &str = "2";
pub const REASON: &str = "reason";
pub const ERROR: &str = "error";
pub const SOURCE_TOPIC: &str = "source-topic";
pub const SOURCE_PARTITION: &str = "source-partition";
pub const SOURCE_OFFSET: &str = "source-offset";
/// Kafka's time of the record, in ms since the epoch.
pub const SOURCE_TIMESTAMP: &str = "source-timestamp";

/// On a letter whose value was cut: how long it was, and its SHA-256 in hex.
pub const VALUE_LENGTH: &str = "value-length";
pub const VALUE_SHA256: &str = "value-sha256";
/// The same of its key.
pub const KEY_LENGTH: &str = "key-length";
pub const KEY_SHA256: &str = "key-sha256";
/// How many headers the record had, where the last of them were left out, with the length and the
/// SHA-256 of all of them as a Kafka record has them: each name and value behind its length in four
/// bytes, -1 for no value.
pub const HEADERS_COUNT: &str = "headers-count";
pub const HEADERS_LENGTH: &str = "headers-length";
pub const HEADERS_SHA256: &str = "headers-sha256";

/// On a record that was sent again from the dead letters, its last header: `topic/partition/offset`
/// of its letter.
pub const REPLAYED_FROM: &str = "replayed-from";
/// The header before that: Kafka's time of the record when it first came, in ms since the epoch.
pub const REPLAYED_TIMESTAMP: &str = "replayed-timestamp";

/// What is put before the name of a record's header that could be taken for one of a letter.
const KEPT: &str = "original-";

const OF_LETTERS: [&str; 14] = [
    FORMAT,
    REASON,
    ERROR,
    SOURCE_TOPIC,
    SOURCE_PARTITION,
    SOURCE_OFFSET,
    SOURCE_TIMESTAMP,
    VALUE_LENGTH,
    VALUE_SHA256,
    KEY_LENGTH,
    KEY_SHA256,
    HEADERS_COUNT,
    HEADERS_LENGTH,
    HEADERS_SHA256,
];

/// Whether a letter's header of this name is about the letter.
pub fn is_of_letter(name: &[u8]) -> bool {
    OF_LETTERS.iter().any(|own| own.as_bytes() == name)
}

/// The name on a letter of a record's header: its own, unless that could be mistaken.
pub fn on_letter(name: &[u8]) -> Cow<'_, [u8]> {
    if is_of_letter(name) || name.starts_with(KEPT.as_bytes()) {
        Cow::Owned([KEPT.as_bytes(), name].concat())
    } else {
        Cow::Borrowed(name)
    }
}

/// The name on the record of what has this name on a letter of [`FORMAT_NOW`].
pub fn on_record(name: &[u8]) -> &[u8] {
    name.strip_prefix(KEPT.as_bytes()).unwrap_or(name)
}

/// The compacted topic that remembers which letters of a dead-letter topic were sent again.
pub fn replays_of(dead_letters: &str) -> String {
    format!("{dead_letters}.replays")
}

/// Why a record could not be read. A closed set: it is a metric label too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No payload, or only white space.
    Empty,
    /// The payload is not UTF-8.
    NotUtf8,
    /// It begins with `{` and is not a JSON object.
    BrokenJson,
    /// A JSON object without a message.
    NoMessage,
    /// It holds several records, which would share an offset.
    SeveralRecords,
    /// It is longer than a line may be.
    TooLarge,
    /// ClickHouse refused the row.
    RejectedRow,
}

impl Reason {
    pub const ALL: [Self; 7] = [
        Self::Empty,
        Self::NotUtf8,
        Self::BrokenJson,
        Self::NoMessage,
        Self::SeveralRecords,
        Self::TooLarge,
        Self::RejectedRow,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotUtf8 => "not_utf8",
            Self::BrokenJson => "broken_json",
            Self::NoMessage => "no_message",
            Self::SeveralRecords => "several_records",
            Self::TooLarge => "too_large",
            Self::RejectedRow => "rejected_row",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_records_headers_have_their_names_again_whatever_these_are() {
        let names: [&[u8]; 9] = [
            b"",
            b"a",
            b"reason",
            b"original-reason",
            b"original-original-reason",
            b"original-",
            b"letter-format",
            b"replayed-from",
            b"\xff",
        ];
        let mut kept = HashSet::new();
        for name in names {
            let on_letter = on_letter(name);
            assert!(!is_of_letter(&on_letter), "{on_letter:?}");
            assert_eq!(on_record(&on_letter), name);
            assert!(kept.insert(on_letter.into_owned()));
        }
    }
}
