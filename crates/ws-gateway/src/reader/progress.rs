//! Whether what the topic holds arrives.
//!
//! A consumer may stop without an error: its fetches are answered by nobody, or are never sent again after a
//! connection was lost. Whoever looks at the topic's end beside it notices.
//!
//! Invariant: a partition is waited for only while something of it is due: what a consumer has read to the end is
//! not, although its last offsets may be of no record.

use std::time::{Duration, Instant};

/// That nothing comes although it is due is taken for a consumer that has stopped after this long.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);

/// Of one consumer.
pub(super) struct Progress(Vec<Place>);

#[derive(Clone, Copy, Default)]
struct Place {
    /// At the last look.
    next: i64,
    end: i64,
    /// The consumer has said so since then.
    is_at_end: bool,
    due_since: Option<Instant>,
}

/// What is due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// Offsets that are there and were not read.
    pub(super) offsets: i64,
    /// For how long nothing has come of a partition of which something is due.
    pub(super) waited: Duration,
}

impl Progress {
    /// `next`: where each partition is read from.
    pub(super) fn of(next: &[i64]) -> Self {
        let place = |next: &i64| Place {
            next: *next,
            end: *next,
            ..Place::default()
        };
        Self(next.iter().map(place).collect())
    }

    /// The consumer has read a partition to its end.
    pub(super) fn is_at_end(&mut self, partition: i32) {
        if let Ok(partition) = usize::try_from(partition)
            && let Some(place) = self.0.get_mut(partition)
        {
            place.is_at_end = true;
        }
    }

    /// Whether everything before `goal` was read.
    pub(super) fn has_read(&self, next: &[i64], goal: &[i64]) -> bool {
        let mut goals = goal.iter().enumerate();
        goals.all(|(partition, goal)| {
            let is_at_end = self.0.get(partition).is_some_and(|place| place.is_at_end);
            is_at_end || next.get(partition).copied().unwrap_or(0) >= *goal
        })
    }

    /// A look found nobody: what is due is waited for from the next one on.
    pub(super) fn nobody_answered(&mut self) {
        for place in &mut self.0 {
            place.due_since = None;
        }
    }

    /// The topic was looked at: it has these ends, and is read up to `next`.
    pub(super) fn looked(&mut self, next: &[i64], ends: &[i64], now: Instant) -> Due {
        let mut due = Due::default();
        for ((place, next), end) in self.0.iter_mut().zip(next).zip(ends) {
            if *end > place.end {
                // What it has said was of the end before.
                place.is_at_end = false;
            }
            let has_moved = *next > place.next;
            (place.next, place.end) = (*next, *end);
            let is_due = next < end && !place.is_at_end;
            place.due_since = match place.due_since {
                Some(since) if is_due && !has_moved => Some(since),
                _ => is_due.then_some(now),
            };
            if let Some(since) = place.due_since {
                due.offsets += end - next;
                due.waited = due.waited.max(now.saturating_duration_since(since));
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_due_and_does_not_come_is_waited_for_and_what_moves_is_not() {
        let begun = Instant::now();
        let mut progress = Progress::of(&[5, 0]);
        assert_eq!(progress.looked(&[5, 0], &[5, 0], begun), Due::default());
        let due = progress.looked(&[5, 0], &[9, 0], begun + SECOND);
        assert_eq!((due.offsets, due.waited), (4, Duration::ZERO));
        let due = progress.looked(&[5, 0], &[12, 0], begun + 9 * SECOND);
        assert_eq!((due.offsets, due.waited), (7, PATIENCE));
        let due = progress.looked(&[6, 0], &[12, 0], begun + 10 * SECOND);
        assert_eq!((due.offsets, due.waited), (6, Duration::ZERO), "it moves");
        progress.nobody_answered();
        let due = progress.looked(&[6, 0], &[12, 0], begun + 40 * SECOND);
        assert_eq!(
            (due.offsets, due.waited),
            (6, Duration::ZERO),
            "kafka was away"
        );
        assert_eq!(
            progress.looked(&[12, 0], &[12, 0], begun + 41 * SECOND),
            Due::default()
        );
    }

    #[test]
    fn an_end_without_a_record_is_reached_and_a_later_one_is_due_again() {
        let begun = Instant::now();
        let mut progress = Progress::of(&[5]);
        assert!(!progress.has_read(&[5], &[6]));
        progress.looked(&[5], &[6], begun);
        progress.is_at_end(0);
        assert!(progress.has_read(&[5], &[6]), "the last offset is a marker");
        let later = progress.looked(&[5], &[6], begun + 60 * SECOND);
        assert_eq!(later, Due::default());
        let later = progress.looked(&[5], &[8], begun + 61 * SECOND);
        assert_eq!((later.offsets, later.waited), (3, Duration::ZERO));
        progress.is_at_end(7);
        progress.is_at_end(-1);
    }
}
