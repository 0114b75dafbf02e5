//! A page of the listing, made as it is taken.
//!
//! Invariants: a page holds a filter and a place, and no more of the anomalies than what goes out
//! next; so a thousand readers that take nothing hold a thousand places. What is evicted meanwhile is
//! left out, as if the page had been asked for later; nothing comes twice.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use contracts::{Cursor, State};

use crate::log::{Entry, Matcher, SharedLog};

/// Episodes looked at in one go, so that nobody holds the log for long.
const SCAN: usize = 128;
/// What goes out in one go, but for the last anomaly in it.
const CHUNK: usize = 16 * 1024;

pub struct Page {
    pub log: Arc<SharedLog>,
    pub matcher: Matcher,
    pub state: Option<State>,
    /// Episodes that stand before it are listed, the latest first.
    pub from: u64,
    pub limit: usize,
    /// Where the log was when the page was asked for.
    pub cursor: Cursor,
}

/// A page under way.
struct Pages {
    page: Page,
    listed: usize,
    has_ended: bool,
}

impl Page {
    /// As `contracts::rest::AnomaliesPage`, of documents that are JSON already.
    pub fn into_body(self) -> Body {
        let pages = Pages {
            page: self,
            listed: 0,
            has_ended: false,
        };
        let chunks = futures::stream::unfold(pages, async |mut pages| {
            let chunk = pages.next().await?;
            Some((Ok::<_, Infallible>(chunk), pages))
        });
        Body::from_stream(chunks)
    }
}

impl Pages {
    async fn next(&mut self) -> Option<String> {
        if self.has_ended {
            return None;
        }
        let mut chunk = String::new();
        if self.listed == 0 {
            chunk.push_str(r#"{"anomalies":["#);
        }
        while chunk.len() < CHUNK && self.listed < self.page.limit {
            let looked_at = self.look();
            if looked_at.is_empty() {
                self.page.limit = self.listed;
                break;
            }
            for (opened, entry) in looked_at {
                if chunk.len() >= CHUNK || self.listed == self.page.limit {
                    break;
                }
                self.page.from = opened;
                if self.page.lists(&entry) {
                    if self.listed > 0 {
                        chunk.push(',');
                    }
                    chunk.push_str(entry.document());
                    self.listed += 1;
                }
            }
            // Others have their turn while nothing matches.
            tokio::task::yield_now().await;
        }
        if self.listed == self.page.limit {
            self.has_ended = true;
            let cursor = &self.page.cursor;
            // Writing to a string does not fail.
            let _ = write!(chunk, r#"],"cursor":"{cursor}"}}"#);
        }
        Some(chunk)
    }

    fn look(&self) -> Vec<(u64, Arc<Entry>)> {
        let log = self.page.log.read();
        let listed = log.listed_before(self.page.from).take(SCAN);
        listed
            .map(|(opened, entry)| (opened, Arc::clone(entry)))
            .collect()
    }
}

impl Page {
    fn lists(&self, entry: &Entry) -> bool {
        let is_in_state = |state| state == entry.facts.state;
        self.matcher.matches(&entry.facts) && self.state.is_none_or(is_in_state)
    }
}
