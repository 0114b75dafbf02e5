//! One version of an anomaly, serialised once for everybody.
//!
//! Invariant: the text is the whole server-sent event, and the frame in it, its cursor and its anomaly
//! are places in it: what waits for ten thousand clients is one text. A client whose cursor differs
//! (it knows more of one partition) gets a copy with another cursor in it.

use std::fmt::Write as _;
use std::ops::Range;

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use contracts::{Anomaly, Cursor, Severity, State, Timestamp};
use uuid::Uuid;

/// What filters and listings ask of an anomaly.
#[derive(Debug)]
pub struct Facts {
    pub id: Uuid,
    pub version: u32,
    pub state: State,
    pub severity: Severity,
    pub kind: String,
    pub service: String,
    pub services: Vec<String>,
    pub published_at: Timestamp,
    /// Title, service and sample lines in lower case, each ended by a NUL.
    pub haystack: String,
}

impl Facts {
    pub fn of(anomaly: &Anomaly) -> Self {
        let mut haystack = String::new();
        let samples = anomaly.samples.iter().map(|sample| &sample.message);
        for text in [&anomaly.title, &anomaly.service]
            .into_iter()
            .chain(samples)
        {
            haystack.push_str(&text.to_lowercase());
            haystack.push('\0');
        }
        Self {
            id: anomaly.id,
            version: anomaly.version,
            state: anomaly.state,
            severity: anomaly.severity,
            kind: anomaly.kind.clone(),
            service: anomaly.service.clone(),
            services: anomaly.services.clone(),
            published_at: anomaly.published_at,
            haystack,
        }
    }

    /// Those that filters ask for, some perhaps twice.
    pub(super) fn all_services(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.service).chain(&self.services)
    }
}

#[derive(Debug)]
pub struct Entry {
    pub partition: usize,
    pub offset: i64,
    /// Next offset per partition, once this entry was delivered.
    pub next: Box<[i64]>,
    pub facts: Facts,
    /// All of it; `frame` shares it.
    event: Bytes,
    frame: Utf8Bytes,
    /// In the frame.
    cursor: Range<usize>,
    anomaly: Range<usize>,
}

impl Entry {
    /// `document` is the anomaly as JSON on one line.
    pub fn new(
        partition: usize,
        offset: i64,
        cursor: Cursor,
        facts: Facts,
        document: &str,
        traceparent: Option<&str>,
    ) -> Self {
        let mut event = String::with_capacity(document.len() + 240);
        // Writing to a string does not fail, and a cursor has nothing to escape.
        let _ = write!(event, "id: {cursor}\ndata: ");
        let frame_from = event.len();
        event.push_str(r#"{"type":"anomaly","cursor":""#);
        let cursor_from = event.len() - frame_from;
        let _ = write!(event, "{cursor}");
        let cursor_range = cursor_from..event.len() - frame_from;
        event.push_str(r#"","anomaly":"#);
        let anomaly_from = event.len() - frame_from;
        event.push_str(document);
        let anomaly_range = anomaly_from..event.len() - frame_from;
        event.push_str(r#","traceparent":"#);
        match traceparent {
            Some(traceparent) => {
                let text = serde_json::Value::from(traceparent);
                let _ = write!(event, "{text}}}");
            }
            None => event.push_str("null}"),
        }
        let frame_to = event.len();
        event.push_str("\n\n");
        event.shrink_to_fit();
        let event = Bytes::from(event);
        Self {
            partition,
            offset,
            next: cursor.next.into_boxed_slice(),
            facts,
            // Part of a text, between whole characters: it is one.
            frame: Utf8Bytes::try_from(event.slice(frame_from..frame_to)).unwrap_or_default(),
            event,
            cursor: cursor_range,
            anomaly: anomaly_range,
        }
    }

    /// The frame as everybody gets it, shared.
    pub fn frame(&self) -> Utf8Bytes {
        self.frame.clone()
    }

    /// The frame as a server-sent event, shared.
    pub fn event(&self) -> Bytes {
        self.event.clone()
    }

    /// The frame with another cursor in it.
    pub fn frame_with(&self, cursor: &Cursor) -> Utf8Bytes {
        let (before, after) = (
            &self.frame[..self.cursor.start],
            &self.frame[self.cursor.end..],
        );
        format!("{before}{cursor}{after}").into()
    }

    pub fn cursor_text(&self) -> &str {
        &self.frame[self.cursor.clone()]
    }

    /// The anomaly as JSON.
    pub fn document(&self) -> &str {
        &self.frame[self.anomaly.clone()]
    }

    /// About what it takes in memory.
    pub fn bytes(&self) -> usize {
        let facts = &self.facts;
        let services: usize = facts
            .services
            .iter()
            .map(|service| service.len() + 24)
            .sum();
        size_of::<Self>()
            + self.event.len()
            + facts.haystack.len()
            + facts.kind.len()
            + facts.service.len()
            + services
            + self.next.len() * 8
    }
}
