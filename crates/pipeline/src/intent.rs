//! What a partition's owner says it is about to insert, kept in the metadata of the committed offset.
//!
//! Invariants: once an intent was committed for a block that starts at `a`, the block's end never
//! changes, whoever inserts it, until an offset past `a` is committed (only a block that the store
//! rejects for its data is split); what one life of a topic committed says nothing about another.

use crate::{Incarnation, NextOffset, Offset};

/// One committed offset with everything it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Everything before it is finished.
    pub next: NextOffset,
    pub incarnation: Incarnation,
    /// End (exclusive) of the block that begins at `next` and may have been inserted.
    pub intent: Option<NextOffset>,
}

/// Metadata that this version cannot read. Nothing is consumed until somebody looks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the committed offset carries metadata that is not a block's intent: {0:?}; \
     was the group used by another program, or by a newer version?"
)]
pub struct BadIntent(String);

/// What metadata says about the offset it stands by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// The offset was committed for this life of the topic, with a block open or not.
    Here(Option<NextOffset>),
    /// It was committed for another life of the topic: the number means nothing here.
    Elsewhere,
    /// Somebody else committed it: an operator with Kafka's own tools, another program.
    ByOthers,
}

impl Mark {
    /// ASCII and versioned: `barograph2:<incarnation>:<end>`, the end empty where no block is open.
    pub fn metadata(&self) -> String {
        let end = self.intent.map(|end| end.to_string()).unwrap_or_default();
        format!("barograph2:{}:{end}", self.incarnation)
    }
}

/// Reads what stands by the committed offset `next` in the eyes of `here`.
///
/// Empty metadata is what Kafka's own tools and other consumers leave; version 1 named no incarnation.
pub fn read(metadata: &str, next: NextOffset, here: Incarnation) -> Result<Said, BadIntent> {
    let bad = || BadIntent(metadata.chars().take(100).collect());
    let end_of = |text: &str| {
        let end = text.parse::<i64>().ok().filter(|end| *end > next.raw());
        end.map(|end| NextOffset::resume_at(Offset::new(end)))
            .ok_or_else(bad)
    };
    if metadata.is_empty() {
        return Ok(Said::ByOthers);
    }
    if let Some(end) = metadata.strip_prefix("barograph1:") {
        return Ok(Said::Here(Some(end_of(end)?)));
    }
    let (incarnation, end) = metadata
        .strip_prefix("barograph2:")
        .and_then(|rest| rest.split_once(':'))
        .ok_or_else(bad)?;
    if incarnation.len() != 16 || u64::from_str_radix(incarnation, 16).is_err() {
        return Err(bad());
    }
    let intent = if end.is_empty() {
        None
    } else {
        Some(end_of(end)?)
    };
    if incarnation == here.to_string() {
        Ok(Said::Here(intent))
    } else {
        Ok(Said::Elsewhere)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn at(raw: i64) -> NextOffset {
        NextOffset::resume_at(Offset::new(raw))
    }

    #[test]
    fn round_trips_and_knows_its_own_life_of_the_topic() {
        let here = Incarnation::of(Uuid::from_u128(1), "g");
        let before = Incarnation::of(Uuid::from_u128(2), "g");
        for intent in [None, Some(at(42))] {
            let mark = Mark {
                next: at(7),
                incarnation: here,
                intent,
            };
            assert_eq!(read(&mark.metadata(), at(7), here), Ok(Said::Here(intent)));
            assert_eq!(read(&mark.metadata(), at(7), before), Ok(Said::Elsewhere));
        }
        assert_eq!(read("", at(7), here), Ok(Said::ByOthers));
        assert_eq!(
            read("barograph1:42", at(7), here),
            Ok(Said::Here(Some(at(42))))
        );
    }

    #[test]
    fn refuses_what_it_did_not_write() {
        let here = Incarnation::of(Uuid::from_u128(1), "g");
        for wrong in [
            "barograph3:0000000000000000:42",
            "barograph2:42",
            "barograph2:xyz:42",
            "barograph2:0000000000000000:x",
            "barograph2:0000000000000000:7",
            "barograph1:",
            "barograph1:x",
            "barograph1:7",
            "barograph1:3",
            "flink",
        ] {
            assert!(read(wrong, at(7), here).is_err(), "{wrong}");
        }
    }
}
