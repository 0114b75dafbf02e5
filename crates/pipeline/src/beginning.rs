//! Where a newly assigned partition begins: a pure function of what Kafka and the store say.

use crate::{Incarnation, NextOffset, Offset, intent::BadIntent, intent::Said, intent::read};

/// Where a group begins that has no committed offset and no stored row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
}

/// What Kafka says of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What the group remembers: the committed offset and its metadata.
    pub committed: Option<(NextOffset, String)>,
    /// First offset that is kept.
    pub low: i64,
    /// Next offset that will be given.
    pub high: i64,
}

/// Where a lane begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beginning {
    /// First record that teaches the detectors.
    pub replay_from: NextOffset,
    /// First record that is stored.
    pub take_from: NextOffset,
    /// End of the block that an earlier owner announced.
    pub announced_end: Option<NextOffset>,
}

/// Where the work of earlier owners stands, as far as the group knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    At {
        next: NextOffset,
        intent: Option<NextOffset>,
    },
    /// Somebody else set the offset. Rows are stored once whoever did: where the store holds some, work
    /// goes on behind them, and the offset counts only where it holds none.
    SetByOthers { next: NextOffset },
    /// No offset is committed, or one of another life of the topic, or one past its end: the store
    /// knows what it holds.
    AskStore,
}

/// Reads the committed offset for what it is worth.
pub fn standing(known: &Known, here: Incarnation) -> Result<Standing, BadIntent> {
    let Some((next, metadata)) = &known.committed else {
        return Ok(Standing::AskStore);
    };
    Ok(match read(metadata, *next, here)? {
        Said::Here(intent) if next.raw() <= known.high => Standing::At {
            next: *next,
            intent,
        },
        Said::ByOthers => Standing::SetByOthers { next: *next },
        Said::Here(_) | Said::Elsewhere => Standing::AskStore,
    })
}

/// Decides where to take over, and how many records are gone for good.
///
/// `stored`: one past the highest stored offset, where the store was asked. `replay_from` is left at
/// `take_from`; [`Beginning::replaying_from`] sets it.
pub fn decide(
    known: &Known,
    standing: Standing,
    stored: Option<NextOffset>,
    start: Start,
) -> (Beginning, i64) {
    let (from, intent) = match standing {
        Standing::At { next, intent } => (Some(next), intent),
        Standing::AskStore => (stored, None),
        Standing::SetByOthers { next } => (stored.or(Some(next)), None),
    };
    let from = from.map_or(
        match start {
            Start::Earliest => known.low,
            Start::Latest => known.high,
        },
        NextOffset::raw,
    );
    let gap = (known.low - from).max(0);
    let take_from = from.clamp(known.low, known.high.max(known.low));
    // An announced block whose first records are gone can't be made again as it was; what is left
    // of it is settled by its own count.
    let announced_end = intent.filter(|end| gap == 0 && end.raw() <= known.high);
    let take_from = NextOffset::resume_at(Offset::new(take_from));
    let beginning = Beginning {
        replay_from: take_from,
        take_from,
        announced_end,
    };
    (beginning, gap)
}

impl Beginning {
    /// Replays from `from`, or from the first record that is kept, or not at all.
    pub fn replaying_from(self, from: i64, low: i64) -> Self {
        let from = from.max(low).min(self.take_from.raw());
        Self {
            replay_from: NextOffset::resume_at(Offset::new(from)),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::intent::Mark;

    fn at(raw: i64) -> NextOffset {
        NextOffset::resume_at(Offset::new(raw))
    }

    fn here() -> Incarnation {
        Incarnation::of(Uuid::from_u128(1), "g")
    }

    #[track_caller]
    fn check(
        committed: Option<(i64, Option<i64>)>,
        stored: Option<i64>,
        (low, high): (i64, i64),
        start: Start,
        expected: (i64, Option<i64>, i64),
    ) {
        let committed = committed.map(|(next, intent)| {
            let mark = Mark {
                next: at(next),
                incarnation: here(),
                intent: intent.map(at),
            };
            (mark.next, mark.metadata())
        });
        let known = Known {
            committed,
            low,
            high,
        };
        let standing = standing(&known, here()).unwrap();
        let (beginning, gap) = decide(&known, standing, stored.map(at), start);
        let told = (
            beginning.take_from.raw(),
            beginning.announced_end.map(NextOffset::raw),
            gap,
        );
        assert_eq!(told, expected);
    }

    #[test]
    fn begins_where_the_work_stands_and_says_what_is_gone() {
        use Start::{Earliest, Latest};
        // committed and intent, stored, (low, high) → take from, announced end, gap
        check(None, None, (0, 500), Earliest, (0, None, 0));
        check(None, None, (20, 500), Earliest, (20, None, 0));
        check(None, None, (0, 500), Latest, (500, None, 0));
        check(None, Some(60), (0, 500), Latest, (60, None, 0));
        check(None, Some(60), (90, 500), Latest, (90, None, 30));
        check(Some((300, None)), None, (0, 500), Earliest, (300, None, 0));
        check(
            Some((300, Some(350))),
            None,
            (0, 500),
            Earliest,
            (300, Some(350), 0),
        );
        check(
            Some((50, Some(90))),
            None,
            (80, 500),
            Earliest,
            (80, None, 30),
        );
        // Past the end: the topic is not what it was, and the store is asked.
        check(
            Some((700, None)),
            Some(40),
            (0, 500),
            Earliest,
            (40, None, 0),
        );
        check(Some((0, None)), None, (0, 0), Earliest, (0, None, 0));
    }

    #[test]
    fn an_offset_that_somebody_else_set_counts_where_nothing_is_stored() {
        let check = |set: i64, stored: Option<i64>, expected: i64| {
            let known = Known {
                committed: Some((at(set), String::new())),
                low: 0,
                high: 500,
            };
            let standing = standing(&known, here()).unwrap();
            let (beginning, gap) = decide(&known, standing, stored.map(at), Start::Latest);
            assert_eq!((beginning.take_from, gap), (at(expected), 0));
        };
        // To the earliest, back, forth, past the end; and before anything was stored.
        check(0, Some(300), 300);
        check(250, Some(300), 300);
        check(400, Some(300), 300);
        check(900, Some(300), 300);
        check(40, None, 40);
    }

    #[test]
    fn an_offset_of_another_life_of_the_topic_means_nothing() {
        let before = Mark {
            next: at(300),
            incarnation: Incarnation::of(Uuid::from_u128(2), "g"),
            intent: None,
        };
        let known = Known {
            committed: Some((before.next, before.metadata())),
            low: 0,
            high: 500,
        };
        assert_eq!(standing(&known, here()), Ok(Standing::AskStore));
    }

    #[test]
    fn replays_what_is_kept() {
        let beginning = Beginning {
            replay_from: at(300),
            take_from: at(300),
            announced_end: None,
        };
        for (from, low, expected) in [(250, 0, 250), (250, 280, 280), (400, 0, 300), (0, 300, 300)]
        {
            assert_eq!(
                beginning.replaying_from(from, low).replay_from,
                at(expected)
            );
        }
    }
}
