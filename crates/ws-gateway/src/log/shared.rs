//! The log between its one writer and its many readers.
//!
//! Invariants: whoever listens wakes after the change can be read; what a listener may pass over was
//! held against its filter. Locks are taken in this order: the log, the
//! listeners, those in doubt.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::task::{Context, Poll};

use contracts::websocket::Filter;
use tokio::sync::Notify;

use super::listeners::{Listeners, Waiter};
use super::{Bounds, Log, Matcher};

pub struct SharedLog {
    log: RwLock<Log>,
    listeners: Mutex<Listeners>,
    /// Those who wait to hear what the topic holds; every change wakes them.
    doubting: Mutex<Vec<Arc<Waiter>>>,
    doubted: Notify,
}

impl SharedLog {
    pub fn new(bounds: Bounds) -> Self {
        Self {
            log: RwLock::new(Log::new(bounds)),
            listeners: Mutex::default(),
            doubting: Mutex::default(),
            doubted: Notify::new(),
        }
    }

    /// Ends when somebody waits for a look at the topic.
    pub async fn doubted(&self) {
        self.doubted.notified().await;
    }

    pub fn is_doubted(&self) -> bool {
        !self.doubting().is_empty()
    }

    fn doubting(&self) -> MutexGuard<'_, Vec<Arc<Waiter>>> {
        self.doubting.lock().unwrap_or_else(PoisonError::into_inner)
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
            let (generation, end) = (log.generation(), log.end());
            let answer = change(&mut log);
            let is_continued = log.generation() == generation && log.base() <= end;
            if !is_continued {
                self.listeners().call_everybody(end, &mut called);
            } else if log.end() > end {
                let listeners = self.listeners();
                for (place, entry) in (end..).zip(log.from(end)) {
                    listeners.call(place, &entry.facts, &mut called);
                }
            }
            for waiter in self.doubting().drain(..) {
                if waiter.hear(0) {
                    called.push(waiter);
                }
            }
            answer
        };
        for waiter in called {
            waiter.wake();
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
    waiter: Arc<Waiter>,
    joined: Option<Arc<Matcher>>,
}

impl Listener {
    pub fn new(log: Arc<SharedLog>) -> Self {
        Self {
            log,
            waiter: Arc::default(),
            joined: None,
        }
    }

    /// The prepared filter, shared with all who have the same. Listening begins with [`Self::listen`].
    pub fn join(&mut self, filter: Filter, _log: &RwLockReadGuard<'_, Log>) -> Arc<Matcher> {
        let wanted = Matcher::new(filter);
        let mut listeners = self.log.listeners();
        if let Some(matcher) = self.joined.take() {
            listeners.leave(&matcher, &self.waiter);
        }
        self.waiter.stop_listening();
        let matcher = listeners.join(wanted, Arc::clone(&self.waiter));
        self.joined = Some(Arc::clone(&matcher));
        matcher
    }

    /// From the end of the log as it is now.
    pub fn listen(&self, _log: &RwLockReadGuard<'_, Log>) {
        self.waiter.listen();
    }

    /// The next change wakes it, whatever it is, and the topic is looked at soon.
    pub fn doubt(&self, _log: &RwLockReadGuard<'_, Log>) {
        let mut doubting = self.log.doubting();
        if !doubting
            .iter()
            .any(|waiter| Arc::ptr_eq(waiter, &self.waiter))
        {
            doubting.push(Arc::clone(&self.waiter));
        }
        self.log.doubted.notify_one();
    }

    /// Place before which nothing matches of what came since it began to listen.
    pub fn clear_until(&self, log: &RwLockReadGuard<'_, Log>) -> u64 {
        self.waiter.clear_until().min(log.end())
    }

    pub fn poll_heard(&self, context: &Context<'_>) -> Poll<()> {
        self.waiter.poll_heard(context)
    }

    /// Ends when a matching entry came. At once while nobody listens.
    pub async fn heard(&self) {
        poll_fn(|context| self.poll_heard(context)).await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut doubting = self.log.doubting();
        doubting.retain(|waiter| !Arc::ptr_eq(waiter, &self.waiter));
        drop(doubting);
        if let Some(matcher) = self.joined.take() {
            self.log.listeners().leave(&matcher, &self.waiter);
        }
    }
}
