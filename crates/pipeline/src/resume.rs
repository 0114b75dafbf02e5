//! Where a newly assigned partition begins: a pure function of what Kafka and the store say.

use crate::{
    Day, Incarnation, Intent, Line, Mark, NextOffset, Offset,
    batch::Last,
    intent::{BadIntent, CommitMetadata, read},
};

/// Where a group begins that has no committed offset and no stored row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
}

/// What Kafka says of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaState {
    /// What the group remembers: the committed offset and its metadata.
    pub committed: Option<(NextOffset, String)>,
    /// First offset that is kept.
    pub low: i64,
    /// Next offset that will be given.
    pub high: i64,
}

/// What is kept of a partition's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accounted {
    /// Everything before it is finished, and kept as lines.
    pub end: NextOffset,
    /// Of the last line.
    pub day: Day,
    pub last: Option<Last>,
}

/// Rows may stand up to `end` that no intent names, stored since that day: somebody has set the
/// group's offset back, or an old one was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsettled {
    pub end: NextOffset,
    pub since: Day,
}

/// Where a task begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResumePoint {
    /// First record that teaches the detectors.
    pub replay_from: NextOffset,
    /// First record that is stored.
    pub take_from: NextOffset,
    /// The batch that an earlier owner announced.
    pub announced: Option<Intent>,
    pub unsettled: Option<Unsettled>,
}

/// Where the work of earlier owners stands, as far as the group and the account know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommittedState {
    /// Everything before it is finished. `None`: only the rows themselves can say.
    pub next: Option<NextOffset>,
    pub intent: Option<Intent>,
    /// What became of the offsets before `next` that are in no line yet.
    pub account: Option<Line>,
    pub last: Option<Last>,
    /// Rows past `next` were stored on that day or later.
    pub since: Day,
    /// An offset that Barograph did not commit.
    pub foreign: Option<NextOffset>,
    /// What is committed, where it says the same.
    pub committed: Option<Mark>,
}

impl CommittedState {
    const NONE: Self = Self {
        next: None,
        intent: None,
        account: None,
        last: None,
        since: Day::new(0),
        foreign: None,
        committed: None,
    };
}

/// Reads the committed offset for what it is worth: only what Barograph wrote there says anything, and
/// not against the account, which goes no further than what is finished, whoever sets offsets.
///
/// | stands committed | account kept to `L` | believed |
/// |---|---|---|
/// | nothing | yes | `L`, and what its last line says |
/// | nothing | no | nothing: only rows can say |
/// | ours, at `M ≥ L` | yes | `M`, its intent, its open line unless `M = L` |
/// | ours, at `M` | no | `M`, its intent, its open line |
/// | ours, at `M < L`: an old one was restored | yes | `L` |
/// | ours, of another incarnation of the topic | either | as if nothing stood there |
/// | somebody else's, at `F` | yes | `L` |
/// | somebody else's, at `F` | no | nothing; `F` is where to begin if no row says otherwise |
/// | ours, and not readable | either | an error: the partition waits for somebody to look |
pub fn committed_state(
    known: &KafkaState,
    here: Incarnation,
    accounted: Option<Accounted>,
) -> Result<CommittedState, BadIntent> {
    // Of the day before: two hosts' clocks may differ.
    let by_account = accounted.map_or(CommittedState::NONE, |accounted| CommittedState {
        next: Some(accounted.end),
        last: accounted.last,
        since: accounted.day.before(1),
        ..CommittedState::NONE
    });
    let Some((next, metadata)) = &known.committed else {
        return Ok(by_account);
    };
    Ok(match read(metadata, *next, here)? {
        CommitMetadata::OtherIncarnation => by_account,
        CommitMetadata::Foreign => CommittedState {
            foreign: Some(*next),
            ..by_account
        },
        CommitMetadata::Ours(mark) if by_account.next.is_some_and(|end| end > mark.next) => {
            by_account
        }
        CommitMetadata::Ours(mark) => CommittedState {
            next: Some(mark.next),
            intent: mark.intent,
            // Kept at the orderly end of the owner before: not open any more.
            account: mark.account.filter(|_| by_account.next != Some(mark.next)),
            last: mark.last.or(by_account.last),
            since: match (mark.account, by_account.next, mark.intent) {
                (Some(line), None, _) => line.day.before(1),
                (None, None, Some(Intent { day: Some(day), .. })) => day.before(1),
                _ => by_account.since,
            },
            foreign: None,
            committed: Some(mark),
        },
    })
}

/// Decides where to take over, and how many records are gone for good.
///
/// | believed | highest row | takes over at |
/// |---|---|---|
/// | `N` | none past `N` | `N` |
/// | `N` | `R > N` | `N`; up to `R` each batch is counted before it is inserted |
/// | nothing | `R` | `R`: all below it is settled |
/// | nothing | none | where this incarnation begins, else somebody's `F`, else [`Start`] says |
///
/// Where that lies before the first record that is kept, the first that is kept, and the difference is
/// gone; where it lies past the log's end, the end. An intent is announced again if all its records can
/// still come.
///
/// `stored`: one past the highest stored offset, if that is past what is claimed. `begins`: where
/// this incarnation of the partition begins. `replay_from` is left at `take_from`;
/// [`ResumePoint::replaying_from`] sets it.
pub fn decide(
    known: &KafkaState,
    committed_state: &CommittedState,
    stored: Option<NextOffset>,
    begins: Option<NextOffset>,
    start: Start,
) -> (ResumePoint, i64) {
    // Without an account, everything below the highest row is settled. Where there is nothing at
    // all, somebody may have said where to begin.
    let from = committed_state
        .next
        .or(stored)
        .or(begins)
        .or(committed_state.foreign);
    let from = from.map_or(
        match start {
            Start::Earliest => known.low,
            Start::Latest => known.high,
        },
        NextOffset::raw,
    );
    let gap = (known.low - from).max(0);
    let take_from = from.clamp(known.low, known.high.max(known.low));
    // An announced batch whose first records are gone can't be made again as it was; what is left
    // of it is settled by its own count.
    let announced = committed_state
        .intent
        .filter(|batch| gap == 0 && batch.end.raw() <= known.high);
    // An announced batch too may stand under another day than its intent's: whoever announced it may
    // have been making it again.
    let unsettled = stored
        .filter(|end| end.raw() > take_from)
        .map(|end| Unsettled {
            end,
            since: committed_state.since,
        });
    let take_from = NextOffset::resume_at(Offset::new(take_from));
    let resume = ResumePoint {
        replay_from: take_from,
        take_from,
        announced,
        unsettled,
    };
    (resume, gap)
}

impl ResumePoint {
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
    use crate::LeaderEpoch;
    use crate::fixture::at;

    fn here() -> Incarnation {
        Incarnation::of(Uuid::from_u128(1), "g")
    }

    fn mark(next: i64, intent: Option<i64>) -> Mark {
        Mark {
            next: at(next),
            incarnation: here(),
            last: None,
            account: None,
            intent: intent.map(|end| Intent {
                end: at(end),
                day: Some(Day::new(20_000)),
            }),
        }
    }

    /// What somebody commits.
    enum By {
        Nobody,
        Us(i64, Option<i64>),
        Others(i64),
    }
    use By::{Nobody, Others, Us};

    fn known(by: &By, (low, high): (i64, i64)) -> KafkaState {
        let committed = match by {
            Nobody => None,
            Us(next, intent) => Some((at(*next), mark(*next, *intent).metadata())),
            Others(next) => Some((at(*next), String::new())),
        };
        KafkaState {
            committed,
            low,
            high,
        }
    }

    fn lines_to(end: i64) -> Accounted {
        Accounted {
            end: at(end),
            day: Day::new(19_990),
            last: None,
        }
    }

    /// What is told: where it begins, the announced end, up to where rows may stand, what is gone.
    #[track_caller]
    fn check(
        by: &By,
        (accounted, stored): (Option<i64>, Option<i64>),
        range: (i64, i64),
        start: Start,
        expected: (i64, Option<i64>, Option<i64>, i64),
    ) {
        let known = known(by, range);
        let committed_state = committed_state(&known, here(), accounted.map(lines_to)).unwrap();
        let (resume, gap) = decide(&known, &committed_state, stored.map(at), None, start);
        let told = (
            resume.take_from.raw(),
            resume.announced.map(|batch| batch.end.raw()),
            resume.unsettled.map(|rows| rows.end.raw()),
            gap,
        );
        assert_eq!(told, expected);
    }

    #[test]
    fn begins_where_the_work_stands_and_says_what_is_gone() {
        use Start::{Earliest, Latest};
        let nothing = (None, None);
        let whole = (0, 500);
        check(&Nobody, nothing, whole, Earliest, (0, None, None, 0));
        check(&Nobody, nothing, (20, 500), Earliest, (20, None, None, 0));
        check(&Nobody, nothing, whole, Latest, (500, None, None, 0));
        check(
            &Nobody,
            (None, Some(60)),
            whole,
            Latest,
            (60, None, None, 0),
        );
        check(
            &Nobody,
            (None, Some(60)),
            (90, 500),
            Latest,
            (90, None, None, 30),
        );
        check(
            &Us(300, None),
            nothing,
            whole,
            Earliest,
            (300, None, None, 0),
        );
        let open = Us(300, Some(350));
        check(&open, nothing, whole, Earliest, (300, Some(350), None, 0));
        // The batch may be stored: its own count settles it.
        check(
            &open,
            (Some(250), Some(350)),
            whole,
            Earliest,
            (300, Some(350), Some(350), 0),
        );
        check(
            &Us(50, Some(90)),
            nothing,
            (80, 500),
            Earliest,
            (80, None, None, 30),
        );
        check(&Nobody, nothing, (0, 0), Earliest, (0, None, None, 0));
    }

    #[test]
    fn offsets_that_others_set_move_nothing_where_the_account_says_how_far_it_went() {
        use Start::Earliest;
        let whole = (0, 500);
        let known = (Some(250), Some(320));
        for by in [Others(0), Others(240), Others(300), Others(500), Nobody] {
            check(&by, known, whole, Earliest, (250, None, Some(320), 0));
        }
        // A restored old mark of ours.
        check(
            &Us(100, Some(150)),
            known,
            whole,
            Earliest,
            (250, None, Some(320), 0),
        );
        // Rows from before accounts were kept: everything below the highest is settled.
        check(
            &Others(0),
            (None, Some(320)),
            whole,
            Earliest,
            (320, None, None, 0),
        );
        // Nothing is known at all: an operator has said where to begin.
        check(
            &Others(300),
            (None, None),
            whole,
            Earliest,
            (300, None, None, 0),
        );
    }

    #[test]
    fn an_account_that_went_further_than_the_last_commit_is_believed() {
        let known = known(&Us(300, Some(350)), (0, 500));
        let committed_state = committed_state(&known, here(), Some(lines_to(350))).unwrap();
        assert_eq!(
            (committed_state.next, committed_state.intent),
            (Some(at(350)), None)
        );
        assert_eq!(committed_state.committed, None);
    }

    /// Rows that count as kept and as open too would be missed by the audit.
    #[test]
    fn a_line_that_is_kept_is_not_open_any_more() {
        let open = Line {
            first: Offset::new(200),
            end: at(300),
            day: Day::new(20_000),
            rows: 100,
            dead_letters: 0,
            holes: [0; 3],
            last: None,
        };
        let committed = Mark {
            account: Some(open),
            ..mark(300, None)
        };
        let known = KafkaState {
            committed: Some((at(300), committed.metadata())),
            low: 0,
            high: 500,
        };
        let begins_with = |kept: Option<i64>| {
            let committed_state = committed_state(&known, here(), kept.map(lines_to)).unwrap();
            (committed_state.next, committed_state.account)
        };
        assert_eq!(begins_with(None), (Some(at(300)), Some(open)));
        assert_eq!(begins_with(Some(200)), (Some(at(300)), Some(open)));
        assert_eq!(begins_with(Some(300)), (Some(at(300)), None));
    }

    #[test]
    fn rows_are_looked_for_since_the_day_of_the_last_line() {
        let since = |by: &By, accounted: Option<Accounted>| {
            committed_state(&known(by, (0, 500)), here(), accounted)
                .unwrap()
                .since
        };
        assert_eq!(since(&Others(3), Some(lines_to(5))), Day::new(19_989));
        assert_eq!(
            since(&Us(300, Some(350)), Some(lines_to(5))),
            Day::new(19_989)
        );
        assert_eq!(since(&Us(300, Some(350)), None), Day::new(19_999));
        assert_eq!(since(&Us(300, None), None), Day::new(0));
    }

    #[test]
    fn an_offset_of_another_life_of_the_topic_means_nothing() {
        let before = Mark {
            incarnation: Incarnation::of(Uuid::from_u128(2), "g"),
            ..mark(300, None)
        };
        let known = KafkaState {
            committed: Some((before.next, before.metadata())),
            low: 0,
            high: 500,
        };
        assert_eq!(
            committed_state(&known, here(), None),
            Ok(CommittedState::NONE)
        );
        let begins = Some(at(20));
        let (resume, _) = decide(&known, &CommittedState::NONE, None, begins, Start::Latest);
        assert_eq!(resume.take_from, at(20));
    }

    #[test]
    fn the_last_record_is_the_marks_or_else_the_accounts() {
        let last = |offset| Last {
            offset: Offset::new(offset),
            epoch: LeaderEpoch(4),
        };
        let accounted = Accounted {
            last: Some(last(240)),
            ..lines_to(250)
        };
        let with = |by: &By| {
            let known = known(by, (0, 500));
            committed_state(&known, here(), Some(accounted))
                .unwrap()
                .last
        };
        assert_eq!(with(&Others(0)), Some(last(240)));
        assert_eq!(with(&Us(300, None)), Some(last(240)));
    }

    #[test]
    fn replays_what_is_kept() {
        let resume = ResumePoint {
            replay_from: at(300),
            take_from: at(300),
            announced: None,
            unsettled: None,
        };
        for (from, low, expected) in [(250, 0, 250), (250, 280, 280), (400, 0, 300), (0, 300, 300)]
        {
            assert_eq!(resume.replaying_from(from, low).replay_from, at(expected));
        }
    }
}
