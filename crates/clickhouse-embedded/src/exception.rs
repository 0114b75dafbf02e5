//! ClickHouse exceptions: code and text, as clients parse them.
//! Invariant: the text begins with `Code: N. DB::Exception: ` and ends with its name and the version.

use hyper::StatusCode;

use crate::status::status_of;

/// The exceptions that this front raises itself; the engine raises all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Own {
    UnexpectedEndOfFile,
    CannotReadAllData,
    BadArguments,
    ChecksumDoesntMatch,
    NotImplemented,
    SyntaxError,
    UnknownTypeOfQuery,
    UnknownCompressionMethod,
    Readonly,
    TooManySimultaneousQueries,
    QueryWithSameIdIsAlreadyRunning,
    QueryIsTooLarge,
    Aborted,
    MemoryLimitExceeded,
    CannotDecompress,
    IntoOutfileNotAllowed,
    SessionNotFound,
    SessionIsLocked,
    InvalidSessionTimeout,
    QueryWasCancelled,
    AccessDenied,
    AuthenticationFailed,
    LogicalError,
}

impl Own {
    /// ClickHouse's number and name for it.
    pub(crate) const fn code(self) -> (u32, &'static str) {
        match self {
            Self::UnexpectedEndOfFile => (3, "UNEXPECTED_END_OF_FILE"),
            Self::CannotReadAllData => (33, "CANNOT_READ_ALL_DATA"),
            Self::BadArguments => (36, "BAD_ARGUMENTS"),
            Self::ChecksumDoesntMatch => (40, "CHECKSUM_DOESNT_MATCH"),
            Self::NotImplemented => (48, "NOT_IMPLEMENTED"),
            Self::LogicalError => (49, "LOGICAL_ERROR"),
            Self::SyntaxError => (62, "SYNTAX_ERROR"),
            Self::UnknownTypeOfQuery => (78, "UNKNOWN_TYPE_OF_QUERY"),
            Self::UnknownCompressionMethod => (89, "UNKNOWN_COMPRESSION_METHOD"),
            Self::Readonly => (164, "READONLY"),
            Self::TooManySimultaneousQueries => (202, "TOO_MANY_SIMULTANEOUS_QUERIES"),
            Self::QueryWithSameIdIsAlreadyRunning => (216, "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING"),
            Self::QueryIsTooLarge => (229, "QUERY_IS_TOO_LARGE"),
            Self::Aborted => (236, "ABORTED"),
            Self::MemoryLimitExceeded => (241, "MEMORY_LIMIT_EXCEEDED"),
            Self::CannotDecompress => (271, "CANNOT_DECOMPRESS"),
            Self::IntoOutfileNotAllowed => (358, "INTO_OUTFILE_NOT_ALLOWED"),
            Self::SessionNotFound => (372, "SESSION_NOT_FOUND"),
            Self::SessionIsLocked => (373, "SESSION_IS_LOCKED"),
            Self::InvalidSessionTimeout => (374, "INVALID_SESSION_TIMEOUT"),
            Self::QueryWasCancelled => (394, "QUERY_WAS_CANCELLED"),
            Self::AccessDenied => (497, "ACCESS_DENIED"),
            Self::AuthenticationFailed => (516, "AUTHENTICATION_FAILED"),
        }
    }
}

/// An exception on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Exception {
    pub code: u32,
    /// Without the version, which `Exception::body` appends.
    text: String,
}

impl Exception {
    /// An exception of the front itself.
    pub(crate) fn own(kind: Own, message: impl std::fmt::Display) -> Self {
        let (code, name) = kind.code();
        Self {
            code,
            text: format!("Code: {code}. DB::Exception: {message}. ({name})"),
        }
    }

    /// Reads what the engine reported. Text without a code becomes code 49 (`LOGICAL_ERROR`).
    pub(crate) fn from_engine(report: &str) -> Self {
        let report = report.trim_end();
        match leading_code(report) {
            Some(code) => Self {
                code,
                text: unwrapped(report).to_owned(),
            },
            None => Self::own(Own::LogicalError, report.trim_end_matches('.')),
        }
    }

    /// The HTTP status that goes with it.
    pub(crate) fn status(&self) -> StatusCode {
        status_of(self.code)
    }

    /// The text as ClickHouse writes it into a response body, with a line break.
    pub(crate) fn body(&self, version: &str) -> String {
        format!("{} (version {version})\n", self.text)
    }
}

/// `Code: 60. DB::` and `Code: 60, e.displayText() = ` both begin with the number.
fn leading_code(report: &str) -> Option<u32> {
    let digits = report.strip_prefix("Code: ")?;
    let end = digits.find(|c: char| !c.is_ascii_digit())?;
    digits[..end].parse().ok()
}

/// The engine sometimes wraps an exception in itself: `Code: 73. DB::Exception: Code: 73. …
/// (UNKNOWN_FORMAT) (version V). (UNKNOWN_FORMAT)`. Returns the innermost, without its version.
fn unwrapped(report: &str) -> &str {
    let mut inner = report;
    while let Some(rest) = inner.split_once("DB::Exception: ").map(|(_, rest)| rest) {
        let Some(code) = leading_code(rest) else {
            break;
        };
        let Some(end) = rest.rfind(" (version ") else {
            break;
        };
        if leading_code(inner) != Some(code) {
            break;
        }
        inner = &rest[..end];
    }
    match inner.rfind(" (version ") {
        Some(at) if inner.ends_with(')') => &inner[..at],
        _ => inner,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(report: &str, code: u32, body: &str) {
        let exception = Exception::from_engine(report);
        assert_eq!(
            (exception.code, exception.body("V").as_str()),
            (code, format!("{body} (version V)\n").as_str())
        );
    }

    #[test]
    fn the_engines_text_is_kept() {
        let text = "Code: 60. DB::Exception: Table default.t does not exist. (UNKNOWN_TABLE)";
        check(text, 60, text);
    }

    #[test]
    fn a_version_is_not_written_twice() {
        check(
            "Code: 33. DB::Exception: short: While executing Native. (CANNOT_READ_ALL_DATA) (version 26.7.2.1)",
            33,
            "Code: 33. DB::Exception: short: While executing Native. (CANNOT_READ_ALL_DATA)",
        );
    }

    #[test]
    fn wrapping_in_itself_is_undone() {
        check(
            "Code: 73. DB::Exception: Code: 73. DB::Exception: Code: 73. DB::Exception: Unknown format Foo. \
             (UNKNOWN_FORMAT) (version 26.7.2.1). (UNKNOWN_FORMAT) (version 26.7.2.1). (UNKNOWN_FORMAT)",
            73,
            "Code: 73. DB::Exception: Unknown format Foo. (UNKNOWN_FORMAT)",
        );
    }

    #[test]
    fn text_without_a_code_gets_one() {
        check(
            "it broke.",
            49,
            "Code: 49. DB::Exception: it broke. (LOGICAL_ERROR)",
        );
    }
}
