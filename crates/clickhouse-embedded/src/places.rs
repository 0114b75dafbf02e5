//! How many statements run at once, and who waits.
//! Invariant: results that nobody takes off can hold all places for reading, and still there is one
//! for what writes, and one for whoever comes to stop them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{
    exception::{Exception, Own},
    kinds::Effect,
};

/// How many requests may wait for a place, per place.
const WAITING_PER_PLACE: usize = 64;
/// KILL statements that run at once, beside the places.
const STOPPERS: usize = 2;
/// For so many places there is one more for what writes.
const PLACES_PER_RESERVED: usize = 4;

pub(crate) struct Places {
    all: Arc<Semaphore>,
    reading: Arc<Semaphore>,
    stopping: Arc<Semaphore>,
    count: usize,
    readers: usize,
    waiting: AtomicUsize,
}

/// The right to run a statement, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _place: OwnedSemaphorePermit,
    _reading: Option<OwnedSemaphorePermit>,
}

/// What a statement needs a place for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Read,
    Write,
    /// To stop another one.
    Stop,
}

impl From<Effect> for Need {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::Reads | Effect::Session => Self::Read,
            Effect::Writes => Self::Write,
        }
    }
}

/// Counts a request among those that wait.
struct Waiting<'p>(&'p AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Places {
    pub(crate) fn new(readers: usize) -> Self {
        let count = readers + readers.div_ceil(PLACES_PER_RESERVED);
        Self {
            all: Arc::new(Semaphore::new(count)),
            reading: Arc::new(Semaphore::new(readers)),
            stopping: Arc::new(Semaphore::new(STOPPERS)),
            count,
            readers,
            waiting: AtomicUsize::new(0),
        }
    }

    /// Waits for a place, in the order of arrival.
    pub(crate) async fn take(&self, need: Need) -> Result<Place, Exception> {
        let limit = self.readers * WAITING_PER_PLACE;
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if waiting >= limit && need == Need::Read && self.reading.available_permits() == 0 {
            return Err(busy(format!(
                "Too many simultaneous queries. {} run and {limit} wait",
                self.readers
            )));
        }
        if need == Need::Stop {
            return Ok(Place {
                _place: acquire(&self.stopping).await?,
                _reading: None,
            });
        }
        let reading = match need {
            Need::Read => Some(acquire(&self.reading).await?),
            Need::Write | Need::Stop => None,
        };
        Ok(Place {
            _place: acquire(&self.all).await?,
            _reading: reading,
        })
    }

    /// Whether all places were free within the time. From then on nobody else gets one.
    pub(crate) async fn emptied_within(&self, time: Duration) -> bool {
        let count = u32::try_from(self.count).unwrap_or(u32::MAX);
        match timeout(time, self.all.acquire_many(count)).await {
            Ok(Ok(everything)) => everything.forget(),
            Ok(Err(_closed)) => {}
            Err(_elapsed) => return false,
        }
        true
    }

    /// Whatever still waits is refused.
    pub(crate) fn close(&self) {
        for places in [&self.reading, &self.all, &self.stopping] {
            places.close();
        }
    }
}

async fn acquire(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Exception> {
    Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(|_closed| busy("The server is shutting down".to_owned()))
}

fn busy(message: String) -> Exception {
    Exception::own(Own::TooManySimultaneousQueries, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readers_leave_a_place_for_writers_and_stoppers() {
        for count in [1, 2, 4, 8] {
            let places = Places::new(count);
            let mut held = Vec::new();
            while places.reading.available_permits() > 0 {
                held.push(places.take(Need::Read).await.expect("is free"));
            }
            assert_eq!(held.len(), count);
            held.push(places.take(Need::Write).await.expect("is kept for it"));
            held.push(places.take(Need::Stop).await.expect("needs none"));
        }
    }

    #[tokio::test]
    async fn whoever_waits_at_the_end_is_refused() {
        let places = Places::new(1);
        let held = places.take(Need::Read).await.expect("is free");
        assert!(!places.emptied_within(Duration::ZERO).await);
        drop(held);
        assert!(places.emptied_within(Duration::ZERO).await);
        places.close();
        assert_eq!(
            places.take(Need::Write).await.expect_err("is closed").code,
            202
        );
    }
}
