//! Questions that people ask, beside the work of the pipeline.
//!
//! Invariant: such a question is over, for ClickHouse too, when nobody waits for its answer. With
//! [`Client::for_questions`] it takes few threads, little memory and little time, and gives way.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clickhouse::query::Query;
use clickhouse::{RowOwned, RowRead};
use serde::Serialize;

use crate::{Client, Error};

/// Of a question alone; they are set for its request and change nothing else. All of them are
/// understood by every ClickHouse of the last years, and by the embedded engine.
const SETTINGS: [(&str, &str); 8] = [
    // What only reads is stopped when its connection is closed, also behind a proxy that closes it.
    ("readonly", "2"),
    ("cancel_http_readonly_queries_on_client_close", "1"),
    // Inserts come first: they run without a number where nobody gave them one, and threads that
    // answer are nice to theirs, where ClickHouse may say so.
    ("priority", "10"),
    ("os_thread_priority", "5"),
    ("max_threads", "2"),
    ("max_memory_usage", "536870912"),
    // The pipeline's own requests are of the same user, as a rule: they find room.
    ("max_concurrent_queries_for_user", "64"),
    ("timeout_overflow_mode", "throw"),
];

impl Client {
    /// For questions that may wait, and that nobody waits for longer than `within`.
    #[must_use]
    pub fn for_questions(&self, within: Duration) -> Self {
        let seconds = within.as_secs().max(1).to_string();
        let settings = SETTINGS
            .into_iter()
            .chain([("max_execution_time", seconds.as_str())]);
        let typed = settings.fold(self.typed().clone(), |typed, (name, value)| {
            typed.with_setting(name, value)
        });
        self.with_typed(typed)
    }

    pub(crate) fn question(&self, sql: &str) -> Question {
        let id = new_id();
        Question {
            query: self.typed().query(sql).with_setting("query_id", &id),
            asked: Asked {
                client: self.clone(),
                id,
                is_open: false,
            },
        }
    }
}

/// A question before it is asked.
pub(crate) struct Question {
    query: Query,
    asked: Asked,
}

impl Question {
    pub(crate) fn bind(mut self, value: impl Serialize) -> Self {
        self.query = self.query.bind(value);
        self
    }

    pub(crate) async fn all<T: RowOwned + RowRead>(mut self) -> Result<Vec<T>, Error> {
        self.asked.is_open = true;
        let answer = self.query.fetch_all::<T>().await;
        self.asked.is_open = false;
        Ok(answer?)
    }

    pub(crate) async fn one<T: RowOwned + RowRead>(mut self) -> Result<T, Error> {
        self.asked.is_open = true;
        let answer = self.query.fetch_one::<T>().await;
        self.asked.is_open = false;
        Ok(answer?)
    }
}

/// A question that was asked; dropped before its answer came, it is stopped. Closing its connection
/// does the same where ClickHouse hears of it.
struct Asked {
    client: Client,
    id: String,
    is_open: bool,
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let client = self.client.clone();
        let statement = format!("KILL QUERY WHERE query_id = '{}' ASYNC", self.id);
        runtime.spawn(async move {
            // Its own time limit is left, where this is not allowed.
            if let Err(error) = client.execute(&statement, &[]).await {
                tracing::debug!(%error, "a question was not stopped");
            }
        });
    }
}

/// Nobody else's, and nobody's can be guessed.
fn new_id() -> String {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("barograph-{:016x}-{number}", *PROCESS)
}
