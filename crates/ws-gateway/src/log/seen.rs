//! Which versions of a partition were there already.
//!
//! Processors publish at least once, so a version may come again. Invariant: the answer for an offset
//! depends only on the records of the window before it, never on where reading began; so a gateway
//! that starts later on the same topic drops the same records.

use std::collections::{HashMap, VecDeque};

use uuid::Uuid;

/// The last `window` offsets of one partition.
#[derive(Debug)]
pub(super) struct Seen {
    window: i64,
    /// Every record of the window, oldest first.
    order: VecDeque<(i64, Uuid)>,
    /// Per id: offsets rise and versions fall, so that the first is the highest of the window.
    highest: HashMap<Uuid, Vec<(i64, u32)>>,
}

impl Seen {
    pub(super) fn new(window: i64) -> Self {
        Self {
            window,
            order: VecDeque::new(),
            highest: HashMap::new(),
        }
    }

    /// Takes the record in and says whether its version is higher than all of its id in the window.
    /// Offsets must rise from call to call.
    pub(super) fn is_news(&mut self, offset: i64, id: Uuid, version: u32) -> bool {
        self.forget_before(offset.saturating_sub(self.window));
        let versions = self.highest.entry(id).or_default();
        let is_news = versions
            .first()
            .is_none_or(|(_, highest)| *highest < version);
        while versions.last().is_some_and(|(_, lower)| *lower <= version) {
            versions.pop();
        }
        versions.push((offset, version));
        self.order.push_back((offset, id));
        is_news
    }

    fn forget_before(&mut self, oldest: i64) {
        while let Some((offset, id)) = self.order.front().copied() {
            if offset >= oldest {
                break;
            }
            self.order.pop_front();
            let Some(versions) = self.highest.get_mut(&id) else {
                continue;
            };
            if versions.first().is_some_and(|(first, _)| *first <= offset) {
                versions.remove(0);
            }
            if versions.is_empty() {
                self.highest.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: i64 = 8;

    /// Straight from the definition.
    fn by_definition(records: &[(u8, u32)], at: usize) -> bool {
        let from = at.saturating_sub(WINDOW as usize);
        let (id, version) = records[at];
        !records[from..at]
            .iter()
            .any(|(other, seen)| *other == id && *seen >= version)
    }

    proptest! {
        #[test]
        fn the_answer_depends_on_the_window_alone(
            records in prop::collection::vec((0_u8..4, 1_u32..6), 0..60),
            start in 0_usize..30,
        ) {
            let start = start.min(records.len());
            let mut seen = Seen::new(WINDOW);
            for at in start..records.len() {
                let (id, version) = records[at];
                let answer = seen.is_news(at as i64, Uuid::from_u128(id.into()), version);
                if at - start >= WINDOW as usize || start == 0 {
                    prop_assert_eq!(answer, by_definition(&records, at), "at {}", at);
                }
            }
            prop_assert!(seen.order.len() <= WINDOW as usize + 1);
            prop_assert!(seen.highest.len() <= seen.order.len());
        }
    }
}
