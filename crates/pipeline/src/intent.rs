//! What a partition's owner says it is about to insert, kept in the metadata of the committed offset.
//!
//! Invariant: once an intent was committed for a block that starts at `a`, the block's end never
//! changes, whoever inserts it, until an offset past `a` is committed.

use std::fmt;

use crate::NextOffset;

/// End (exclusive) of the block that begins at the committed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intent {
    pub end: NextOffset,
}

/// Metadata that this version cannot read. Nothing is consumed until somebody looks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the committed offset carries metadata that is not a block's intent: {0:?}; \
     was the group used by another program, or by a newer version?"
)]
pub struct BadIntent(String);

impl Intent {
    /// ASCII and versioned: `barograph1:<end>`.
    pub fn encode(self) -> String {
        format!("barograph1:{}", self.end)
    }

    /// `None`: no block is open. Empty metadata is what any other consumer of the group leaves.
    pub fn decode(metadata: &str, committed: NextOffset) -> Result<Option<Self>, BadIntent> {
        if metadata.is_empty() {
            return Ok(None);
        }
        metadata
            .strip_prefix("barograph1:")
            .and_then(|end| end.parse::<i64>().ok())
            .filter(|end| *end > committed.raw())
            .map(|end| {
                Some(Self {
                    end: NextOffset::resume_at(crate::Offset::new(end)),
                })
            })
            .ok_or_else(|| BadIntent(metadata.chars().take(100).collect()))
    }
}

impl fmt::Display for Intent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.end.fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Offset;

    #[test]
    fn round_trips_and_refuses_what_it_did_not_write() {
        let at = |raw| NextOffset::resume_at(Offset::new(raw));
        let intent = Intent { end: at(42) };
        assert_eq!(Intent::decode(&intent.encode(), at(7)), Ok(Some(intent)));
        assert_eq!(Intent::decode("", at(7)), Ok(None));
        for wrong in [
            "barograph2:42",
            "barograph1:",
            "barograph1:x",
            "barograph1:7",
            "barograph1:3",
            "flink",
        ] {
            assert!(Intent::decode(wrong, at(7)).is_err(), "{wrong}");
        }
    }
}
