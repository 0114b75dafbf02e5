//! What stands on a dead letter: the original bytes as the value, the rest in headers.

use std::fmt;

pub const REASON: &str = "reason";
pub const ERROR: &str = "error";
pub const SOURCE_TOPIC: &str = "source-topic";
pub const SOURCE_PARTITION: &str = "source-partition";
pub const SOURCE_OFFSET: &str = "source-offset";

/// On a record that was sent again from the dead letters: `topic/partition/offset` of its letter.
pub const REPLAYED_FROM: &str = "replayed-from";

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
    /// ClickHouse refused the row.
    RejectedRow,
}

impl Reason {
    pub const ALL: [Self; 5] = [
        Self::Empty,
        Self::NotUtf8,
        Self::BrokenJson,
        Self::NoMessage,
        Self::RejectedRow,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotUtf8 => "not_utf8",
            Self::BrokenJson => "broken_json",
            Self::NoMessage => "no_message",
            Self::RejectedRow => "rejected_row",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}
