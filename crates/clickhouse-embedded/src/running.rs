//! The queries that run now, and how they are stopped.
//! Invariant: a query id runs once at a time, and a query leaves the list when it has ended.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    exception::{Exception, Own},
    ffi::{Call, Connection, Engine},
    sql_text::literal,
};

/// All running queries by id.
#[derive(Clone, Default)]
pub(crate) struct Running(Arc<Mutex<HashMap<String, Arc<Control>>>>);

/// One running query, as seen by those who may stop it.
#[derive(Debug)]
pub(crate) struct Control {
    pub query_id: String,
    cancelled: watch::Sender<bool>,
    ended: watch::Sender<bool>,
}

/// Keeps a query in the list until it is dropped.
pub(crate) struct Listed {
    running: Running,
    pub control: Arc<Control>,
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Control>>> {
        // Single inserts and removals: a panic elsewhere leaves the map whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists a query; refused while one with its id runs.
    pub(crate) fn enter(&self, query_id: &str) -> Result<Listed, Exception> {
        let mut queries = self.lock();
        if queries.contains_key(query_id) {
            let message = format!("Query with id = {query_id} is already running");
            return Err(Exception::own(
                Own::QueryWithSameIdIsAlreadyRunning,
                message,
            ));
        }
        let control = Arc::new(Control {
            query_id: query_id.to_owned(),
            cancelled: watch::Sender::new(false),
            ended: watch::Sender::new(false),
        });
        queries.insert(query_id.to_owned(), Arc::clone(&control));
        Ok(Listed {
            running: self.clone(),
            control,
        })
    }

    /// Takes these queries away from their clients: what waits for one to read waits no longer.
    pub(crate) fn let_go(&self, query_ids: &HashSet<String>) {
        for (id, control) in self.lock().iter() {
            if query_ids.contains(id) {
                control.cancelled.send_replace(true);
            }
        }
    }

    pub(crate) fn all(&self) -> Vec<Arc<Control>> {
        self.lock().values().cloned().collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.running.lock().remove(&self.control.query_id);
        self.control.ended.send_replace(true);
    }
}

impl Control {
    pub(crate) fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }

    /// Waits on the query's own blocking thread, until `future` is ready or the query is cancelled.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut cancelled = self.cancelled.subscribe();
        tokio::runtime::Handle::current().block_on(async move {
            tokio::select! {
                biased;
                ready = future => Some(ready),
                () = async { drop(cancelled.wait_for(|over| *over).await) } => None,
            }
        })
    }

    /// Stops the query: between blocks by the flag, inside the engine by KILL. Returns when it has
    /// ended. KILL is repeated because it finds only queries that the engine has begun.
    pub(crate) async fn cancel(self: Arc<Self>, killer: Killer) {
        self.cancelled.send_replace(true);
        let mut ended = self.ended.subscribe();
        let mut pause = Duration::from_millis(20);
        loop {
            let (killer, id) = (killer.clone(), self.query_id.clone());
            if *ended.borrow() {
                return;
            }
            let _ = tokio::task::spawn_blocking(move || killer.kill(&id)).await;
            if tokio::time::timeout(pause, ended.wait_for(|over| *over))
                .await
                .is_ok()
            {
                return;
            }
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }
}

/// Opens a connection beside the pool to stop a query.
#[derive(Clone)]
pub(crate) struct Killer {
    pub engine: Engine,
    pub arguments: Arc<Vec<String>>,
}

impl Killer {
    fn kill(&self, query_id: &str) {
        let text = format!(
            "KILL QUERY WHERE Settings['log_comment'] = {} ASYNC FORMAT Null",
            literal(query_id)
        );
        let connected: Result<Connection, _> = self.engine.connect(&self.arguments);
        let killed = connected
            .map_err(|error| error.to_string())
            .and_then(|mut connection| {
                connection
                    .query(Call {
                        text: text.as_bytes(),
                        format: "Null",
                        parameters: &[],
                    })
                    .map(drop)
            });
        if let Err(error) = killed {
            tracing::warn!(query_id, error, "cannot cancel a query");
        }
    }
}

/// Cancels a query unless it is told that the client has everything.
pub(crate) struct CancelOnDrop {
    control: Option<Arc<Control>>,
    killer: Killer,
}

impl CancelOnDrop {
    pub(crate) fn new(control: Arc<Control>, killer: Killer) -> Self {
        Self {
            control: Some(control),
            killer,
        }
    }

    /// The query ended, or must end by itself.
    pub(crate) fn disarm(&mut self) {
        self.control = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(control) = self.control.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(control.cancel(self.killer.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_runs_once_at_a_time() {
        let running = Running::default();
        let first = running.enter("q").expect("is free");
        assert_eq!(running.enter("q").err().expect("is taken").code, 216);
        drop(first);
        assert!(running.is_empty());
        running.enter("q").expect("is free again");
    }
}
