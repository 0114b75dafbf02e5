//! What a partition's owner says it is about to insert, kept in the metadata of the committed offset.
//!
//! Invariants: once an intent was committed for a batch that starts at `a`, the batch's end never
//! changes, whoever inserts it, until an offset past `a` is committed (only a batch that the store
//! rejects for its data is split), and neither does its day; what one incarnation of a topic committed says nothing about another.

use crate::{Day, Incarnation, LeaderEpoch, Line, NextOffset, Offset, batch::Last};

/// A batch that begins at the committed offset and may have been inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intent {
    pub end: NextOffset,
    /// Of its rows. `None`: an earlier version announced it, whose intents have no day.
    pub day: Option<Day>,
}

/// One committed offset with everything it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Everything before it is finished.
    pub next: NextOffset,
    pub incarnation: Incarnation,
    /// The last record before it, or of the batch that is announced.
    pub last: Option<Last>,
    /// What became of the last offsets before it, which is kept nowhere else yet.
    pub account: Option<Line>,
    pub intent: Option<Intent>,
}

/// Metadata that this version cannot read. Nothing is consumed until somebody looks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the committed offset carries metadata of a newer or a damaged Barograph: {0:?}; run the newer \
     version, or stop all of the group's members and reset its offsets, wherever to: what is stored \
     already is not stored again"
)]
pub struct BadIntent(String);

/// What metadata says about the offset it stands by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitMetadata {
    /// The offset was committed for this incarnation of the topic.
    Ours(Mark),
    /// It was committed for another incarnation of the topic: the number means nothing here.
    OtherIncarnation,
    /// Somebody else committed it: an operator's tool, another program of the same group.
    Foreign,
}

impl Mark {
    /// ASCII and versioned: `barograph3:<incarnation>:<last>:<account>:<intent>`, where `last` is
    /// `<offset>,<epoch>`, the account is `<first>,<rows>,<dead letters>,<holes>…,<day>` and the intent is
    /// `<end>,<day>`; each is empty where there is none.
    pub fn metadata(&self) -> String {
        let last = self
            .last
            .map(|Last { offset, epoch }| format!("{offset},{}", epoch.0));
        let account = self.account.map(|line| {
            let holes = line.holes.map(|holes| holes.to_string()).join(",");
            let Line {
                first,
                rows,
                dead_letters,
                day,
                ..
            } = line;
            format!("{first},{rows},{dead_letters},{holes},{day}")
        });
        let intent = self.intent.map(|Intent { end, day }| {
            let day = day.map(|day| day.to_string()).unwrap_or_default();
            format!("{end},{day}")
        });
        format!(
            "barograph3:{}:{}:{}:{}",
            self.incarnation,
            last.unwrap_or_default(),
            account.unwrap_or_default(),
            intent.unwrap_or_default()
        )
    }
}

/// Reads what stands by the committed offset `next` in the eyes of `here`.
///
/// Version 1 named no incarnation, version 2 no day and no account. Everything that Barograph did not
/// write is foreign.
pub fn read(
    metadata: &str,
    next: NextOffset,
    here: Incarnation,
) -> Result<CommitMetadata, BadIntent> {
    if !metadata.starts_with("barograph") {
        return Ok(CommitMetadata::Foreign);
    }
    read_fields(metadata, next, here).ok_or_else(|| BadIntent(metadata.chars().take(100).collect()))
}

fn read_fields(metadata: &str, next: NextOffset, here: Incarnation) -> Option<CommitMetadata> {
    let mut mark = Mark {
        next,
        incarnation: here,
        last: None,
        account: None,
        intent: None,
    };
    let (version, rest) = metadata.split_once(':')?;
    if version == "barograph1" {
        mark.intent = Some(read_intent(&format!("{rest},"), next)?);
        return Some(CommitMetadata::Ours(mark));
    }
    let (incarnation, rest) = rest.split_once(':')?;
    if incarnation.len() != 16 || u64::from_str_radix(incarnation, 16).is_err() {
        return None;
    }
    match version {
        "barograph2" if rest.is_empty() => {}
        "barograph2" => mark.intent = Some(read_intent(&format!("{rest},"), next)?),
        "barograph3" => {
            let mut fields = rest
                .split(':')
                .map(|field| (!field.is_empty()).then_some(field));
            let mut field = || fields.next();
            let (last, account, intent) = (field()?, field()?, field()?);
            if field().is_some() {
                return None;
            }
            if let Some(last) = last {
                let (offset, epoch) = last.split_once(',')?;
                mark.last = Some(Last {
                    offset: Offset::new(offset.parse().ok()?),
                    epoch: LeaderEpoch(epoch.parse().ok()?),
                });
            }
            if let Some(account) = account {
                mark.account = Some(read_account(account, &mark)?);
            }
            if let Some(intent) = intent {
                mark.intent = Some(read_intent(intent, next)?);
            }
        }
        _ => return None,
    }
    Some(if incarnation == here.to_string() {
        CommitMetadata::Ours(mark)
    } else {
        CommitMetadata::OtherIncarnation
    })
}

fn read_intent(text: &str, next: NextOffset) -> Option<Intent> {
    let (end, day) = text.split_once(',')?;
    let end = end.parse::<i64>().ok().filter(|end| *end > next.raw())?;
    let day = if day.is_empty() {
        None
    } else {
        Some(Day::new(day.parse().ok()?))
    };
    Some(Intent {
        end: NextOffset::resume_at(Offset::new(end)),
        day,
    })
}

fn read_account(text: &str, mark: &Mark) -> Option<Line> {
    let numbers: Option<Vec<u64>> = text.split(',').map(|number| number.parse().ok()).collect();
    let numbers = numbers?;
    let [first, rows, dead_letters, rest @ ..] = numbers.as_slice() else {
        return None;
    };
    let (day, holes) = rest.split_last()?;
    let line = Line {
        first: Offset::new(i64::try_from(*first).ok()?),
        end: mark.next,
        day: Day::new(u16::try_from(*day).ok()?),
        rows: *rows,
        dead_letters: *dead_letters,
        holes: holes.try_into().ok()?,
        last: mark.last,
    };
    (line.first < mark.next.offset()).then_some(line)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::fixture::at;

    fn mark(here: Incarnation) -> Mark {
        Mark {
            next: at(7),
            incarnation: here,
            last: None,
            account: None,
            intent: None,
        }
    }

    #[test]
    fn round_trips_and_knows_its_own_life_of_the_topic() {
        let here = Incarnation::of(Uuid::from_u128(1), "g");
        let before = Incarnation::of(Uuid::from_u128(2), "g");
        let (end, day) = (at(42), Some(Day::new(20_783)));
        let last = Some(Last {
            offset: Offset::new(5),
            epoch: LeaderEpoch::UNKNOWN,
        });
        let account = Some(Line {
            first: Offset::new(2),
            end: at(7),
            day: Day::new(3),
            rows: 1,
            dead_letters: 2,
            holes: [0, 2, 0],
            last,
        });
        for intent in [
            None,
            Some(Intent { end, day }),
            Some(Intent { end, day: None }),
        ] {
            for account in [None, account] {
                let mark = Mark {
                    last,
                    account,
                    intent,
                    ..mark(here)
                };
                assert_eq!(
                    read(&mark.metadata(), at(7), here),
                    Ok(CommitMetadata::Ours(mark))
                );
                for elsewhere in [before, here.in_life(1)] {
                    let said = read(&mark.metadata(), at(7), elsewhere);
                    assert_eq!(said, Ok(CommitMetadata::OtherIncarnation));
                }
            }
        }
        let before_days = Ok(CommitMetadata::Ours(Mark {
            intent: Some(Intent { end, day: None }),
            ..mark(here)
        }));
        assert_eq!(read("barograph1:42", at(7), here), before_days);
        let second = format!("barograph2:{here}:42");
        assert_eq!(read(&second, at(7), here), before_days);
        let second = format!("barograph2:{here}:");
        assert_eq!(
            read(&second, at(7), here),
            Ok(CommitMetadata::Ours(mark(here)))
        );
    }

    #[test]
    fn what_others_commit_is_told_apart() {
        let here = Incarnation::of(Uuid::from_u128(1), "g");
        for metadata in ["", "flink", "{\"a\":1}", "12"] {
            assert_eq!(
                read(metadata, at(7), here),
                Ok(CommitMetadata::Foreign),
                "{metadata}"
            );
        }
    }

    #[test]
    fn refuses_what_a_newer_version_wrote_and_what_is_damaged() {
        let here = Incarnation::of(Uuid::from_u128(1), "g");
        for wrong in [
            "barograph",
            "barograph4:0000000000000000:::42,20783",
            "barograph3:0000000000000000:42",
            "barograph3:0000000000000000:::42",
            "barograph3:0000000000000000:::7,20783",
            "barograph3:0000000000000000:::42,65536",
            "barograph3:0000000000000000:::42,x",
            "barograph3:0000000000000000:::42,20783:",
            "barograph3:0000000000000000:5::",
            "barograph3:0000000000000000::2,1,2,0,2,3:",
            "barograph3:0000000000000000::7,1,2,0,2,0,3:",
            "barograph3:42,20783",
            "barograph2:42",
            "barograph2:xyz:42",
            "barograph2:0000000000000000:x",
            "barograph2:0000000000000000:7",
            "barograph1:",
            "barograph1:x",
            "barograph1:7",
            "barograph1:3",
        ] {
            assert!(read(wrong, at(7), here).is_err(), "{wrong}");
        }
    }
}
