//! Answers that many ask for at once and that may be a moment old.
//!
//! Invariants: for one key, one question is under way at a time, and ends when nobody waits for it any
//! more; an answer is new for `fresh_for`. Where there is no turn for a new question, an answer that is
//! older, up to [`STALE_FOR`], is better than none.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use tokio::time::Instant;

use crate::refusal::Refusal;

/// Keys that are remembered; callers choose them, so there must be an end.
const MOST_KEYS: usize = 64;
const STALE_FOR: Duration = Duration::from_mins(1);

type Flight<V> = Shared<BoxFuture<'static, Result<V, Refusal>>>;
type WeakFlight<V> = WeakShared<BoxFuture<'static, Result<V, Refusal>>>;

pub struct Cached<K, V: Clone> {
    slots: Mutex<HashMap<K, Slot<V>>>,
}

struct Slot<V: Clone> {
    asked: Instant,
    flight: Option<WeakFlight<V>>,
    last: Option<(Instant, V)>,
}

impl<K, V: Clone> Default for Cached<K, V> {
    fn default() -> Self {
        Self {
            slots: Mutex::default(),
        }
    }
}

impl<K: Eq + Hash + Clone, V: Clone + Send + Sync + 'static> Cached<K, V> {
    /// The last answer, or that of the question under way, or a new one. Errors are not remembered.
    pub async fn get<F>(
        &self,
        key: K,
        fresh_for: Duration,
        ask: impl FnOnce() -> F,
    ) -> Result<V, Refusal>
    where
        F: Future<Output = Result<V, Refusal>> + Send + 'static,
    {
        let flight = match self.join(&key, fresh_for, ask) {
            Ok(answer) => return Ok(answer),
            Err(flight) => flight,
        };
        let answered = flight.await;
        let mut slots = self.slots();
        match (&answered, slots.get_mut(&key)) {
            (Ok(answer), Some(slot)) => slot.last = Some((Instant::now(), answer.clone())),
            (Err(Refusal::Busy), Some(slot)) => {
                if let Some((since, answer)) = &slot.last
                    && since.elapsed() < STALE_FOR
                {
                    return Ok(answer.clone());
                }
            }
            _ => {}
        }
        answered
    }

    /// An answer that is new enough, or the question to wait for.
    fn join<F>(&self, key: &K, fresh_for: Duration, ask: impl FnOnce() -> F) -> Result<V, Flight<V>>
    where
        F: Future<Output = Result<V, Refusal>> + Send + 'static,
    {
        let mut slots = self.slots();
        let now = Instant::now();
        if let Some(slot) = slots.get_mut(key) {
            slot.asked = now;
            if let Some((since, answer)) = &slot.last
                && now.duration_since(*since) < fresh_for
            {
                return Ok(answer.clone());
            }
            let under_way = slot.flight.as_ref().and_then(WeakShared::upgrade);
            // One that has its answer was asked before this one came.
            if let Some(flight) = under_way.filter(|flight| flight.peek().is_none()) {
                return Err(flight);
            }
        } else if slots.len() >= MOST_KEYS {
            forget_one(&mut slots);
        }
        let flight = ask().boxed().shared();
        let slot = slots.entry(key.clone()).or_insert(Slot {
            asked: now,
            flight: None,
            last: None,
        });
        slot.flight = flight.downgrade();
        Err(flight)
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<K, Slot<V>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one asked for longest ago. A question that is under way is held by who waits for it.
fn forget_one<K: Eq + Hash + Clone, V: Clone>(slots: &mut HashMap<K, Slot<V>>) {
    let oldest = slots.iter().min_by_key(|(_, slot)| slot.asked);
    if let Some(key) = oldest.map(|(key, _)| key.clone()) {
        slots.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    /// Answers with how often it was asked, once it is let go on.
    #[derive(Clone, Default)]
    struct Source {
        asked: Arc<AtomicUsize>,
        ended: Arc<AtomicUsize>,
        go_on: Arc<Notify>,
    }

    impl Source {
        fn ask(&self) -> impl Future<Output = Result<usize, Refusal>> + Send + use<> {
            struct Ended(Arc<AtomicUsize>);
            impl Drop for Ended {
                fn drop(&mut self) {
                    self.0.fetch_add(1, Ordering::SeqCst);
                }
            }
            let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            let (ended, go_on) = (Ended(Arc::clone(&self.ended)), Arc::clone(&self.go_on));
            async move {
                go_on.notified().await;
                drop(ended);
                Ok(number)
            }
        }

        fn counts(&self) -> (usize, usize) {
            let of = |count: &AtomicUsize| count.load(Ordering::SeqCst);
            (of(&self.asked), of(&self.ended))
        }
    }

    #[tokio::test]
    async fn many_who_ask_at_once_cost_one_question_and_errors_are_asked_again() {
        let cached = Cached::default();
        let away = async || Err::<usize, _>(Refusal::Busy);
        assert!(cached.get("a", HOUR, away).await.is_err());
        let source = Source::default();
        let get = || cached.get("a", HOUR, || source.ask());
        let (first, second, ()) = futures::join!(get(), get(), async { source.go_on.notify_one() });
        assert_eq!((first.ok(), second.ok()), (Some(1), Some(1)));
        assert_eq!(get().await.ok(), Some(1), "still fresh");
        assert_eq!(source.counts(), (1, 1));
        for key in 0..1000 {
            let key = &*Box::leak(key.to_string().into_boxed_str());
            let _ = cached.get(key, HOUR, async || Ok(0)).await;
        }
        assert!(cached.slots().len() <= MOST_KEYS);
    }

    #[tokio::test]
    async fn a_question_ends_with_the_last_who_waits_for_it() {
        let cached = Cached::default();
        let source = Source::default();
        let mut first = Box::pin(cached.get("a", HOUR, || source.ask()));
        let mut second = Box::pin(cached.get("a", HOUR, || source.ask()));
        assert!(futures::poll!(&mut first).is_pending());
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        assert_eq!(source.counts(), (1, 0), "somebody waits");
        drop(second);
        assert_eq!(source.counts(), (1, 1));
        let again = cached.get("a", HOUR, || source.ask());
        let (again, ()) = futures::join!(again, async { source.go_on.notify_one() });
        assert_eq!(again.ok(), Some(2));
    }

    #[tokio::test]
    async fn without_a_turn_an_older_answer_will_do() {
        let cached = Cached::default();
        let busy = async || Err(Refusal::Busy);
        assert!(cached.get("a", Duration::ZERO, busy).await.is_err());
        let answer = cached.get("a", Duration::ZERO, async || Ok(1)).await;
        assert_eq!(answer.ok(), Some(1));
        assert_eq!(cached.get("a", Duration::ZERO, busy).await.ok(), Some(1));
        let other = async || Err(Refusal::Fatal("no".to_owned()));
        assert!(cached.get("a", Duration::ZERO, other).await.is_err());
    }
}
