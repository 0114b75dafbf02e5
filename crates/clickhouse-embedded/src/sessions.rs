//! HTTP sessions: each keeps one engine connection between its requests.
//! Invariant: a session's connection serves one request at a time; a second one is refused.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    exception::{Exception, Own},
    ffi::Connection,
    request::SessionWish,
};

/// More sessions than this are refused; each costs a connection.
const LIMIT: usize = 1024;

enum State {
    Busy,
    Idle {
        connection: Connection,
        until: Instant,
    },
}

/// All sessions by id.
#[derive(Clone, Default)]
pub(crate) struct Sessions(Arc<Mutex<HashMap<String, State>>>);

/// A session's right to run; without a connection yet if the session is new.
pub(crate) struct Turn {
    sessions: Sessions,
    id: String,
    timeout: Duration,
    close: bool,
    connection: Option<Connection>,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, State>> {
        // The map is changed by single inserts and removals, so a panic elsewhere leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the session, new or kept.
    pub(crate) fn enter(&self, wish: &SessionWish) -> Result<Turn, Exception> {
        self.expire();
        let mut states = self.lock();
        let connection = match states.remove(&wish.id) {
            Some(State::Busy) => {
                states.insert(wish.id.clone(), State::Busy);
                let message = format!("Session {} is locked by a concurrent client", wish.id);
                return Err(Exception::own(Own::SessionIsLocked, message));
            }
            Some(State::Idle { connection, .. }) => Some(connection),
            None if wish.must_exist => {
                return Err(Exception::own(
                    Own::SessionNotFound,
                    format!("Session {} not found", wish.id),
                ));
            }
            None if states.len() >= LIMIT => {
                return Err(Exception::own(
                    Own::TooManySimultaneousQueries,
                    format!("More than {LIMIT} sessions"),
                ));
            }
            None => None,
        };
        states.insert(wish.id.clone(), State::Busy);
        Ok(Turn {
            sessions: self.clone(),
            id: wish.id.clone(),
            timeout: wish.timeout,
            close: wish.close,
            connection,
        })
    }

    /// Closes every session whose time is over.
    pub(crate) fn expire(&self) {
        let now = Instant::now();
        self.lock()
            .retain(|_, state| !matches!(state, State::Idle { until, .. } if *until <= now));
    }

    /// Closes every session that is not running anything.
    pub(crate) fn close_all(&self) {
        self.lock().clear();
    }
}

impl Turn {
    /// The session's connection, if it has one.
    pub(crate) fn take(&mut self) -> Option<Connection> {
        self.connection.take()
    }

    /// Leaves the connection to the session's next request.
    pub(crate) fn keep(mut self, connection: Connection) {
        if !self.close {
            self.connection = Some(connection);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut states = self.sessions.lock();
        match self.connection.take() {
            Some(connection) => {
                let until = Instant::now() + self.timeout;
                states.insert(
                    std::mem::take(&mut self.id),
                    State::Idle { connection, until },
                );
            }
            None => {
                states.remove(&self.id);
            }
        }
    }
}
