//! The REST API under `/api/v1`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use contracts::State as EpisodeState;
use uuid::Uuid;

use crate::app::App;
use crate::log::Matcher;
use crate::page::Page;
use crate::query::Query;
use crate::refusal::Refusal;

const MOST_PER_PAGE: u32 = 1000;

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
    let query = Query::read(query.as_deref(), &["limit", "state", "before"], true)?;
    let limit = query.number("limit", 1, MOST_PER_PAGE, 100)? as usize;
    let matcher = Matcher::new(query.filter()?);
    let state = query.text("state").map(state_of).transpose()?;
    let before: Option<Uuid> = query.value("before", "the id of an anomaly")?;
    if !app.log.read().is_loaded() {
        return Err(Refusal::starting());
    }

    let (cursor, from) = {
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
    let page = Page {
        log: Arc::clone(&app.log),
        matcher,
        state,
        from,
        limit,
        cursor,
    };
    Ok(json(page.into_body()))
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
    let query = Query::read(query.as_deref(), &["minutes", "service"], false)?;
    let minutes = query.number("minutes", 1, 10_080, 15)?;
    let service = query.text("service").unwrap_or_default();
    let volume = app.stored.volume(minutes, service).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(volume)).into_response())
}

async fn summary(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let summary = app.stored.summary().await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(summary)).into_response())
}

fn json(body: impl Into<Body>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, body.into()).into_response()
}
