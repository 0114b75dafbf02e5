//! Who may ask ClickHouse now: a few at once, a few more who wait for a moment, and nobody else.
//! Invariant: however many ask, ClickHouse works on no more than so many questions of ours.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::refusal::Refusal;

const MOST_WAITING: usize = 16;
const WAIT_AT_MOST: Duration = Duration::from_secs(3);

#[derive(Clone)]
pub struct Turns {
    free: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    wait_at_most: Duration,
}

/// One who asks; dropped when the answer is there.
pub struct Turn(#[expect(dead_code, reason = "held")] OwnedSemaphorePermit);

impl Turns {
    pub fn new(most: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(most)),
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
            wait_at_most: WAIT_AT_MOST,
        }
    }

    pub async fn take(&self) -> Result<Turn, Refusal> {
        if let Ok(turn) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(Turn(turn));
        }
        let Ok(_waiting) = self.waiting.try_acquire() else {
            return Err(Refusal::Busy);
        };
        let turn = Arc::clone(&self.free).acquire_owned();
        match tokio::time::timeout(self.wait_at_most, turn).await {
            Ok(Ok(turn)) => Ok(Turn(turn)),
            Ok(Err(_)) | Err(_) => Err(Refusal::Busy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_few_ask_a_few_wait_and_the_rest_are_refused() {
        let turns = Turns {
            wait_at_most: Duration::from_secs(1),
            ..Turns::new(2)
        };
        let first = turns.take().await.unwrap();
        let _second = turns.take().await.unwrap();
        let mut waiting: Vec<_> = (0..MOST_WAITING).map(|_| Box::pin(turns.take())).collect();
        for turn in &mut waiting {
            assert!(futures::poll!(turn).is_pending());
        }
        assert!(matches!(turns.take().await, Err(Refusal::Busy)));
        drop(first);
        let _third = waiting.remove(0).await.unwrap();
        // Nobody is done in time.
        for turn in waiting {
            assert!(turn.await.is_err());
        }
        assert!(matches!(turns.take().await, Err(Refusal::Busy)));
    }
}
