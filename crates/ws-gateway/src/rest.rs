//! The REST API under `/api/v1`.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use contracts::{State as EpisodeState, websocket::Filter};
use uuid::Uuid;

use crate::app::App;
use crate::log::{Entry, Matcher};
use crate::query::Query;
use crate::refusal::Refusal;

const MOST_PER_PAGE: u32 = 1000;
/// Episodes looked at in one go, so that nobody holds the log for long.
const SCAN: usize = 1000;

pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/anomalies", get(anomalies))
        .route("/api/v1/anomalies/{id}", get(anomaly))
        .route("/api/v1/volume", get(volume))
        .route("/api/v1/summary", get(summary))
        .route(
            "/api/{*rest}",
            get(async || Refusal::NotFound("no such resource".to_owned())),
        )
}

/// Newest version of each id, the latest episode first. `before` is the id of the last one of the
/// page before.
async fn anomalies(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let known = [
        "limit",
        "service",
        "kind",
        "min_severity",
        "text",
        "state",
        "before",
    ];
    let query = Query::read(query.as_deref(), &known)?;
    let limit = query.number("limit", 1, MOST_PER_PAGE, 100)? as usize;
    let matcher = Matcher::new(Filter {
        services: query.list("service"),
        kinds: query.list("kind"),
        min_severity: query.severity()?,
        text: query.text("text").unwrap_or_default().to_owned(),
    });
    let state = query.text("state").map(state_of).transpose()?;
    let before: Option<Uuid> = query.value("before", "the id of an anomaly")?;
    if !app.log.read().is_loaded() {
        return Err(Refusal::starting());
    }

    let (cursor, mut from) = {
        let log = app.log.read();
        let from = match before {
            None => log.end(),
            Some(id) => log.opened(id).ok_or_else(|| {
                Refusal::parameter(
                    "before",
                    "this anomaly is no longer kept, nor is any before it",
                )
            })?,
        };
        (log.cursor(), from)
    };
    let mut page: Vec<Arc<Entry>> = Vec::new();
    while page.len() < limit {
        let looked_at: Vec<(u64, Arc<Entry>)> = {
            let log = app.log.read();
            let listed = log.listed_before(from).take(SCAN);
            listed
                .map(|(opened, entry)| (opened, Arc::clone(entry)))
                .collect()
        };
        let Some((opened, _)) = looked_at.last() else {
            break;
        };
        from = *opened;
        let matching = looked_at
            .into_iter()
            .map(|(_, entry)| entry)
            .filter(|entry| {
                matcher.matches(&entry.facts)
                    && state.is_none_or(|state| state == entry.facts.state)
            });
        page.extend(matching.take(limit - page.len()));
    }

    // As contracts::rest::AnomaliesPage, of documents that are JSON already.
    let mut body = String::from(r#"{"anomalies":["#);
    for (index, entry) in page.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        body.push_str(entry.document());
    }
    // Writing to a string does not fail.
    let _ = write!(body, r#"],"cursor":"{cursor}"}}"#);
    Ok(json(body))
}

fn state_of(text: &str) -> Result<EpisodeState, Refusal> {
    use EpisodeState::{Closed, Opened, Updated};
    [Opened, Updated, Closed]
        .into_iter()
        .find(|state| state.as_str().eq_ignore_ascii_case(text))
        .ok_or_else(|| Refusal::parameter("state", "expected opened, updated or closed"))
}

async fn anomaly(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let id: Uuid = id
        .parse()
        .map_err(|_| Refusal::parameter("id", "expected a UUID"))?;
    let log = app.log.read();
    let newest = log.newest(id);
    match newest {
        Some(entry) => Ok(json(entry.document().to_owned())),
        None if log.is_loaded() => Err(Refusal::NotFound(
            "this anomaly is not among those that are kept".to_owned(),
        )),
        None => Err(Refusal::starting()),
    }
}

async fn volume(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(query.as_deref(), &["minutes", "service"])?;
    let minutes = query.number("minutes", 1, 10_080, 15)?;
    let service = query.text("service").unwrap_or_default();
    let volume = app.stored.volume(minutes, service).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(&*volume)).into_response())
}

async fn summary(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let summary = app.stored.summary().await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(summary)).into_response())
}

fn json(body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, body).into_response()
}
