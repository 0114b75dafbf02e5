//! What somebody is told whose request or connection is not taken.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use contracts::rest::ApiError;

use super::metrics::Refused;

#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    pub(super) fn bad_host(problem: &str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: "bad_host",
            message: problem.to_owned(),
        }
    }

    pub(super) fn foreign_host(authority: &str, option: &str) -> Self {
        // A name that was read: letters, digits and a few signs.
        let shown: String = authority.chars().take(100).collect();
        Self {
            status: StatusCode::MISDIRECTED_REQUEST,
            code: "host_not_allowed",
            message: format!("{shown} is no name of this server; if it should be, set {option}"),
        }
    }

    pub(super) fn large_body(most: u64) -> Self {
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            code: "body_too_large",
            message: format!("a request may have a body of {most} bytes"),
        }
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    fn body(self) -> ApiError {
        ApiError {
            code: self.code.to_owned(),
            message: self.message,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.body())).into_response()
    }
}

/// A whole answer for a connection that gets no server.
pub(super) fn no_place(why: Refused) -> String {
    let (code, message) = match why {
        Refused::Full => (
            "too_many_connections",
            "as many connections as may be are open; try again",
        ),
        Refused::Address => (
            "too_many_connections_from_here",
            "as many connections as may be are open from this address; close some",
        ),
        Refused::Host => ("host_not_allowed", ""),
    };
    let body = format!(r#"{{"code":"{code}","message":"{message}"}}"#);
    let length = body.len();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         retry-after: 5\r\nconnection: close\r\n\r\n{body}"
    )
}
