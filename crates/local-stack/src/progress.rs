//! What a stack tells whoever started it, while it happens.
//!
//! Invariant: an event is a fact with its numbers; how it looks on a terminal is decided elsewhere.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::child::Ending;

#[derive(Debug, Clone)]
pub enum Event {
    /// Something else has to finish first, for example another process that fills the same cache.
    Waiting {
        on: String,
    },
    /// A first-run download goes on. Bytes; `total` is absent where nobody says it.
    Fetching {
        what: &'static str,
        done: u64,
        total: Option<u64>,
    },
    Fetched {
        what: &'static str,
    },
    Starting {
        part: String,
    },
    Ready {
        part: String,
        after: Duration,
    },
    /// A part ended without being asked to; it is started again after `retry_in`.
    Died {
        part: String,
        ending: Ending,
        log: PathBuf,
        last_lines: Vec<String>,
        retry_in: Duration,
    },
    /// Starting a part again did not work. If it does not run, another attempt follows.
    RestartFailed {
        part: String,
        reason: String,
    },
}

/// Receives every event, from any thread.
pub type Progress = Arc<dyn Fn(Event) + Send + Sync>;

/// For tests and callers that have nobody to tell.
pub fn silent() -> Progress {
    Arc::new(|_| {})
}
