//! The log between its one writer and its many readers.
//!
//! Invariants: whoever listens wakes after the change can be read; what a listener may pass over was
//! held against its filter. Locks are taken in this order: the log, the listeners.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::task::{Context, Poll};

use contracts::websocket::Filter;

use super::listeners::{Ear, Listeners};
use super::{Bounds, Log, Matcher};

pub struct SharedLog {
    log: RwLock<Log>,
    listeners: Mutex<Listeners>,
}

impl SharedLog {
    pub fn new(bounds: Bounds) -> Self {
        Self {
            log: RwLock::new(Log::new(bounds)),
            listeners: Mutex::default(),
        }
    }

    /// Held for a moment only, and never across an await.
    pub fn read(&self) -> RwLockReadGuard<'_, Log> {
        self.log.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the log and wakes those whom it concerns.
    pub fn change<T>(&self, change: impl FnOnce(&mut Log) -> T) -> T {
        let mut called = Vec::new();
        let answer = {
            let mut log = self.log.write().unwrap_or_else(PoisonError::into_inner);
            let (life, end) = (log.life(), log.end());
            let answer = change(&mut log);
            let is_continued = log.life() == life && log.base() <= end;
            if !is_continued {
                self.listeners().call_everybody(end, &mut called);
            } else if log.end() > end {
                let listeners = self.listeners();
                for (place, entry) in (end..).zip(log.from(end)) {
                    listeners.call(place, &entry.facts, &mut called);
                }
            }
            answer
        };
        for ear in called {
            ear.wake();
        }
        answer
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes one session for what its filter matches.
pub struct Listener {
    log: Arc<SharedLog>,
    ear: Arc<Ear>,
    joined: Option<Arc<Matcher>>,
}

impl Listener {
    pub fn new(log: Arc<SharedLog>) -> Self {
        Self {
            log,
            ear: Arc::default(),
            joined: None,
        }
    }

    /// The prepared filter, shared with all who have the same. Listening begins with [`Self::listen`].
    pub fn join(&mut self, filter: Filter, _log: &RwLockReadGuard<'_, Log>) -> Arc<Matcher> {
        let wanted = Matcher::new(filter);
        let mut listeners = self.log.listeners();
        if let Some(matcher) = self.joined.take() {
            listeners.leave(&matcher, &self.ear);
        }
        self.ear.stop_listening();
        let matcher = listeners.join(wanted, Arc::clone(&self.ear));
        self.joined = Some(Arc::clone(&matcher));
        matcher
    }

    /// From the end of the log as it is now.
    pub fn listen(&self, _log: &RwLockReadGuard<'_, Log>) {
        self.ear.listen();
    }

    /// Place before which nothing matches of what came since it began to listen.
    pub fn clear_until(&self, log: &RwLockReadGuard<'_, Log>) -> u64 {
        self.ear.clear_until().min(log.end())
    }

    pub fn poll_heard(&self, context: &Context<'_>) -> Poll<()> {
        self.ear.poll_heard(context)
    }

    /// Ends when a matching entry came. At once while nobody listens.
    pub async fn heard(&self) {
        poll_fn(|context| self.poll_heard(context)).await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(matcher) = self.joined.take() {
            self.log.listeners().leave(&matcher, &self.ear);
        }
    }
}
