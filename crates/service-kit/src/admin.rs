//! The endpoints for whoever operates a service: /live, /ready, /metrics.
//! Invariant: /live does not depend on any other part of the process.

use axum::Json;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::lifecycle::Readiness;
use crate::metrics::Registry;

/// /live, /ready and /metrics, for a server of its own or to merge into another.
pub fn router(readiness: Readiness, registry: Registry) -> Router {
    Router::new()
        .route("/live", get(async || "live\n"))
        .route("/ready", get(async move || ready(&readiness)))
        .route("/metrics", get(async move || metrics(&registry)))
}

fn ready(readiness: &Readiness) -> Response {
    let report = readiness.report();
    let status = if report.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(report)).into_response()
}

fn metrics(registry: &Registry) -> Response {
    let format = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (format, registry.encode()).into_response()
}
