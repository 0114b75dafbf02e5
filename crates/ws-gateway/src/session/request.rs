//! Reads what a client sends, and says what is wrong with it.

use contracts::{Cursor, websocket::Filter};
use serde_json::Value;

use crate::filter::{self, BadField};

/// Longest cursor that is taken: more partitions than any topic of anomalies has.
const MOST_PARTITIONS: usize = 4096;

#[derive(Debug)]
pub enum Request {
    Subscribe {
        filter: Filter,
        since: Option<Cursor>,
    },
    Pong,
}

/// Answered with an `error` frame, or with 400.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadRequest {
    #[error("not JSON: {0}")]
    Json(String),
    #[error("unknown type {0}: send \"subscribe\" or \"pong\"")]
    Type(String),
    #[error("{0}")]
    Field(#[from] BadField),
    #[error("since: {0}")]
    Cursor(String),
}

impl BadRequest {
    /// Stable, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(_) => "bad_json",
            Self::Type(_) => "unknown_type",
            Self::Field(bad) if bad.is_severity => "unknown_severity",
            Self::Field(_) => "bad_frame",
            Self::Cursor(_) => "bad_cursor",
        }
    }
}

pub fn read(text: &str) -> Result<Request, BadRequest> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| BadRequest::Json(error.to_string()))?;
    let kind = value.get("type").unwrap_or(&Value::Null);
    if !matches!(kind.as_str(), Some("subscribe" | "pong")) {
        let shown: String = kind.to_string().chars().take(100).collect();
        return Err(BadRequest::Type(shown));
    }
    if kind == "pong" {
        return Ok(Request::Pong);
    }
    let of = |name: &str| value.get(name).unwrap_or(&Value::Null);
    let filter = filter::of_json(of("filter"))?;
    let since = match of("since") {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(cursor(text)?),
        _ => {
            let expected = "expected the cursor of an earlier frame as a text, or null";
            return Err(BadField::new("since", expected).into());
        }
    };
    Ok(Request::Subscribe { filter, since })
}

/// Where to go on. A cursor that another version of this server made means nothing here, as one of
/// another topic does; only what no server made is a mistake of who sends it.
pub fn cursor(text: &str) -> Result<Cursor, BadRequest> {
    if is_of_another_version(text) {
        return Ok(FOREIGN);
    }
    let cursor: Cursor = text
        .parse()
        .map_err(|error: contracts::cursor::BadCursor| BadRequest::Cursor(error.to_string()))?;
    if cursor.next.len() > MOST_PARTITIONS {
        let most = format!("not a cursor: more than {MOST_PARTITIONS} partitions");
        return Err(BadRequest::Cursor(most));
    }
    Ok(cursor)
}

/// The same for what a browser sends by itself, and would send again and again if it were refused.
pub fn last_event_id(text: &str) -> Cursor {
    cursor(text).unwrap_or(FOREIGN)
}

/// A cursor of no topic.
const FOREIGN: Cursor = Cursor {
    topic: 0,
    next: Vec::new(),
};

fn is_of_another_version(text: &str) -> bool {
    let version = text.split('.').next().unwrap_or_default();
    let is_number =
        (1..=9).contains(&version.len()) && version.bytes().all(|byte| byte.is_ascii_digit());
    is_number && version != "1" && text.len() > version.len()
}
