//! Errors of the API: a status, a stable code, a sentence.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use contracts::rest::ApiError;
use pipeline::ports::Kind;

use crate::filter::BadField;
use crate::session::BadRequest;

#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    #[error("{name}: {problem}")]
    Parameter { name: String, problem: String },
    #[error("{message}")]
    Request { code: &'static str, message: String },
    #[error("{0}")]
    NotFound(String),
    #[error(
        "a page from elsewhere may not ask; if it should, name its origin in GATEWAY_ALLOWED_ORIGINS"
    )]
    Origin,
    /// Something the answer needs is away; it comes back.
    #[error("{message}")]
    Unavailable { code: &'static str, message: String },
    /// As many questions are under way as may be.
    #[error("too many questions are being answered (GATEWAY_MAX_QUESTIONS); try again")]
    Busy,
    #[error("{0}")]
    Fatal(String),
}

impl Refusal {
    pub fn parameter(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Parameter {
            name: name.into(),
            problem: problem.into(),
        }
    }

    pub fn starting() -> Self {
        Self::Unavailable {
            code: "starting",
            message: "the topic of anomalies has not been read to its end yet; see /ready"
                .to_owned(),
        }
    }

    pub fn full() -> Self {
        Self::Unavailable {
            code: "too_many_clients",
            message: "as many clients as may be are connected (GATEWAY_MAX_CLIENTS)".to_owned(),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Parameter { .. } | Self::Request { .. } => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Unavailable { .. } | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Fatal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Parameter { .. } => "bad_parameter",
            Self::Request { code, .. } | Self::Unavailable { code, .. } => code,
            Self::NotFound(_) => "not_found",
            Self::Origin => "origin_not_allowed",
            Self::Busy => "too_many_questions",
            Self::Fatal(_) => "internal",
        }
    }
}

impl From<BadField> for Refusal {
    fn from(bad: BadField) -> Self {
        Self::parameter(bad.field, bad.problem)
    }
}

impl From<BadRequest> for Refusal {
    fn from(bad: BadRequest) -> Self {
        Self::Request {
            code: bad.code(),
            message: bad.to_string(),
        }
    }
}

impl From<clickhouse_store::Error> for Refusal {
    fn from(error: clickhouse_store::Error) -> Self {
        use clickhouse_store::Error;
        if error.kind() == Kind::Transient {
            tracing::debug!(%error, "a question was not answered");
            let message = if matches!(error, Error::Exception { .. }) {
                "ClickHouse cannot answer now; try again"
            } else {
                "ClickHouse does not answer; try again"
            };
            return Self::Unavailable {
                code: "clickhouse_unavailable",
                message: message.to_owned(),
            };
        }
        tracing::error!(%error, "a question was refused");
        Self::Fatal("ClickHouse refused the question; the gateway's log says why".to_owned())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = ApiError {
            code: self.code().to_owned(),
            message: self.to_string(),
        };
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}
