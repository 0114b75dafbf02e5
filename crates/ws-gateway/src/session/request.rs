//! Reads what a client sends, and says what is wrong with it.

use contracts::{
    Cursor, Severity,
    websocket::{ClientFrame, Filter},
};
use serde_json::Value;

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
    #[error("not a text frame; send JSON as text")]
    Binary,
    #[error("unknown type {0}: send \"subscribe\" or \"pong\"")]
    Type(String),
    #[error("{0}")]
    Severity(String),
    #[error("{0}")]
    Cursor(String),
    #[error("{0}")]
    Frame(String),
}

impl BadRequest {
    /// Stable, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(_) => "bad_json",
            Self::Binary => "not_text",
            Self::Type(_) => "unknown_type",
            Self::Severity(_) => "unknown_severity",
            Self::Cursor(_) => "bad_cursor",
            Self::Frame(_) => "bad_frame",
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
    let severity = value
        .pointer("/filter/min_severity")
        .and_then(Value::as_str);
    if let Some(Err(error)) = severity.map(str::parse::<Severity>) {
        return Err(BadRequest::Severity(error.to_string()));
    }
    match serde_json::from_value(value) {
        Ok(ClientFrame::Pong) => Ok(Request::Pong),
        Ok(ClientFrame::Subscribe { filter, since }) => {
            let since = since.as_deref().map(cursor).transpose()?;
            Ok(Request::Subscribe { filter, since })
        }
        Err(error) => Err(BadRequest::Frame(error.to_string())),
    }
}

pub fn cursor(text: &str) -> Result<Cursor, BadRequest> {
    let cursor: Cursor = text
        .parse()
        .map_err(|error: contracts::cursor::BadCursor| BadRequest::Cursor(error.to_string()))?;
    if cursor.next.len() > MOST_PARTITIONS {
        let most = format!("not a cursor: more than {MOST_PARTITIONS} partitions");
        return Err(BadRequest::Cursor(most));
    }
    Ok(cursor)
}
