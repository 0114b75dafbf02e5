//! The log between its one writer and its many readers.
//! Invariant: whoever waits for a change wakes after the change can be read.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::watch;

use super::{Bounds, Log};

pub struct SharedLog {
    log: RwLock<Log>,
    changes: watch::Sender<()>,
}

impl SharedLog {
    pub fn new(bounds: Bounds) -> Self {
        Self {
            log: RwLock::new(Log::new(bounds)),
            changes: watch::Sender::new(()),
        }
    }

    /// Held for a moment only, and never across an await.
    pub fn read(&self) -> RwLockReadGuard<'_, Log> {
        self.log.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the log and wakes those who wait.
    pub fn change<T>(&self, change: impl FnOnce(&mut Log) -> T) -> T {
        let answer = change(&mut self.log.write().unwrap_or_else(PoisonError::into_inner));
        self.changes.send_replace(());
        answer
    }

    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}
