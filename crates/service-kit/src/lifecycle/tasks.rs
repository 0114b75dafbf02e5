//! Tasks that are watched, and the handle that stops them.
//! Invariant: a task that fails begins a shutdown, and the first failure decides the exit code.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::exit::{Exit, HasExit};
use super::guard::{Panicked, catch_panic, catch_panic_of};
use super::readiness::Readiness;
use crate::metrics::{Counter, Counters, Registry, Unit};

/// Shutdowns that began; more of these than completed ones were killed.
pub const SHUTDOWNS_STARTED: Counter = Counter::new(
    "barograph_shutdowns_started_total",
    Unit::Count,
    "Shutdowns that began.",
);

/// Shutdowns that ended within their budget.
pub const SHUTDOWNS_COMPLETED: Counter = Counter::new(
    "barograph_shutdowns_completed_total",
    Unit::Count,
    "Shutdowns that ended within their budget.",
);

/// The tasks of a service and their common end. Clones are the same tasks.
#[derive(Clone)]
pub struct Tasks {
    shared: Arc<Shared>,
}

struct Shared {
    stopping: watch::Sender<bool>,
    /// Number of running tasks; what `idle` waits for.
    running: watch::Sender<usize>,
    state: Mutex<State>,
    readiness: Readiness,
    started: Counters,
    completed: Counters,
}

#[derive(Default)]
struct State {
    next_id: u64,
    names: BTreeMap<u64, &'static str>,
    failure: Option<Exit>,
}

impl Tasks {
    pub(super) fn new(readiness: Readiness, registry: &Registry) -> Self {
        let shared = Shared {
            stopping: watch::Sender::new(false),
            running: watch::Sender::new(0),
            state: Mutex::default(),
            readiness,
            started: registry.counter(&SHUTDOWNS_STARTED),
            completed: registry.counter(&SHUTDOWNS_COMPLETED),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Tasks without a service around them: for tests, and for tools that run a body themselves.
    pub fn detached() -> Self {
        Self::new(Readiness::new(), &Registry::new())
    }

    /// Begins the shutdown: `/ready` turns red and every `stopping` wakes. Once is enough.
    pub fn shutdown(&self) {
        self.shutdown_because("asked by the service");
    }

    pub(super) fn shutdown_because(&self, reason: &str) {
        // First, so that nobody who saw `stopping` finds `/ready` green.
        self.shared.readiness.stop();
        let begins = self.shared.stopping.send_if_modified(|stopping| {
            let begins = !*stopping;
            *stopping = true;
            begins
        });
        if begins {
            self.shared.started.inc();
            tracing::info!(reason, "shutdown begins");
        }
    }

    pub fn is_stopping(&self) -> bool {
        *self.shared.stopping.borrow()
    }

    /// Ends when a shutdown has begun. Safe to drop and to ask again.
    pub async fn stopping(&self) {
        let mut receiver = self.shared.stopping.subscribe();
        // The sender lives in `self`, so waiting ends only with the value.
        let _ = receiver.wait_for(|stopping| *stopping).await;
    }

    /// Runs a task until it ends by itself; it should end soon after `stopping`.
    ///
    /// A panic or an error begins the shutdown of the whole service.
    pub fn spawn<F, E>(&self, name: &'static str, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Error + HasExit + Send + 'static,
    {
        let running = self.track(name);
        let tasks = self.clone();
        tokio::spawn(async move {
            let outcome = catch_panic(future).await;
            tasks.settle(name, outcome);
            drop(running);
        });
    }

    /// The same for work that blocks, on a thread of its own; it asks `is_stopping` now and then.
    pub fn spawn_thread<F, E>(&self, name: &'static str, work: F) -> io::Result<()>
    where
        F: FnOnce() -> Result<(), E> + Send + 'static,
        E: Error + HasExit,
    {
        let running = self.track(name);
        let tasks = self.clone();
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread.spawn(move || {
            let outcome = catch_panic_of(work);
            tasks.settle(name, outcome);
            drop(running);
        })?;
        Ok(())
    }

    /// Names of the tasks that have not ended.
    pub fn running(&self) -> Vec<&'static str> {
        self.with(|state| state.names.values().copied().collect())
    }

    /// Ends when no task is running.
    pub async fn idle(&self) {
        let mut receiver = self.shared.running.subscribe();
        // The sender lives in `self`, so waiting ends only with the value.
        let _ = receiver.wait_for(|running| *running == 0).await;
    }

    /// How the process should end because of its tasks, so far.
    pub fn failure(&self) -> Option<Exit> {
        self.with(|state| state.failure)
    }

    pub(super) fn completed(&self) {
        self.shared.completed.inc();
    }

    /// Remembers a failure and begins the shutdown for it.
    pub(super) fn settle<E: Error + HasExit>(
        &self,
        task: &'static str,
        outcome: Result<Result<(), E>, Panicked>,
    ) {
        let exit = match outcome {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                let exit = error.exit();
                tracing::error!(
                    task,
                    error = chain(&error),
                    exit = exit.code(),
                    "task failed"
                );
                exit
            }
            Err(Panicked(message)) => {
                tracing::error!(task, message, "task panicked");
                Exit::Fatal
            }
        };
        self.with(|state| {
            state.failure.get_or_insert(exit);
        });
        self.shutdown_because("a task failed");
    }

    pub(super) fn track(&self, name: &'static str) -> Running {
        let id = self.with(|state| {
            let id = state.next_id;
            state.next_id += 1;
            state.names.insert(id, name);
            // Under the lock, so that the counts are told in their order.
            self.shared.running.send_replace(state.names.len());
            id
        });
        Running {
            tasks: self.clone(),
            id,
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self
            .shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner))
    }
}

/// A task that has not ended; dropped when it has, also when it was aborted.
pub(super) struct Running {
    tasks: Tasks,
    id: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        let id = self.id;
        self.tasks.with(|state| {
            state.names.remove(&id);
            self.tasks.shared.running.send_replace(state.names.len());
        });
    }
}

/// The error and what caused it, on one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some errors repeat their cause in their own text.
        if !line.ends_with(&text) {
            line = format!("{line}: {text}");
        }
        cause = error.source();
    }
    line
}
