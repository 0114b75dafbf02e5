//! Answers that many ask for at once and that may be a moment old.
//! Invariant: for one key, one question is under way at a time, and an answer lives for `fresh_for`.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// Keys that are remembered; callers choose them, so there must be an end.
const MOST_KEYS: usize = 64;

type Slot<V> = Arc<Mutex<Option<(Instant, V)>>>;

pub struct Cached<K, V> {
    fresh_for: Duration,
    slots: std::sync::Mutex<HashMap<K, Slot<V>>>,
}

impl<K: Eq + Hash, V: Clone> Cached<K, V> {
    pub fn new(fresh_for: Duration) -> Self {
        Self {
            fresh_for,
            slots: std::sync::Mutex::default(),
        }
    }

    /// The last answer, or a new one. Errors are not remembered.
    pub async fn get<E>(&self, key: K, ask: impl AsyncFnOnce() -> Result<V, E>) -> Result<V, E> {
        let slot = self.slot(key);
        let mut slot = slot.lock().await;
        if let Some((since, answer)) = slot.as_ref()
            && since.elapsed() < self.fresh_for
        {
            return Ok(answer.clone());
        }
        let answer = ask().await?;
        *slot = Some((Instant::now(), answer.clone()));
        Ok(answer)
    }

    fn slot(&self, key: K) -> Slot<V> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MOST_KEYS && !slots.contains_key(&key) {
            // Those under way are held by who asks.
            slots.clear();
        }
        Arc::clone(slots.entry(key).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn many_who_ask_at_once_cost_one_question_and_errors_are_asked_again() {
        let cached = Cached::new(Duration::from_hours(1));
        let asked = Cell::new(0);
        let ask = async || {
            asked.set(asked.get() + 1);
            tokio::task::yield_now().await;
            if asked.get() == 1 {
                Err("away")
            } else {
                Ok(asked.get())
            }
        };
        assert_eq!(cached.get("a", ask).await, Err("away"));
        let answers = futures::join!(cached.get("a", ask), cached.get("a", ask));
        assert_eq!(answers, (Ok(2), Ok(2)));
        for key in 0..1000 {
            let _ = cached
                .get(Box::leak(key.to_string().into_boxed_str()), ask)
                .await;
        }
        assert!(cached.slots.lock().unwrap().len() <= MOST_KEYS);
    }
}
