//! What went wrong with ClickHouse, and what to do about it.

use pipeline::ports::{Kind, StoreError};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// ClickHouse answered with an exception.
    #[error("clickhouse: {message}")]
    Exception { code: u32, message: String },
    /// No answer, or half of one: the request may have taken effect.
    #[error("clickhouse at {url}: {reason}")]
    NoAnswer { url: String, reason: String },
    /// No connection came about: nothing was sent.
    #[error("clickhouse at {url} cannot be reached: {reason}")]
    Unreachable { url: String, reason: String },
    /// An answer that is not what was asked for.
    #[error("clickhouse: unexpected answer: {0}")]
    Unexpected(String),
    #[error("clickhouse: {0}")]
    Query(#[from] clickhouse::error::Error),
}

impl Error {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Exception { code, .. } => kind_of(*code),
            Self::NoAnswer { .. } | Self::Unreachable { .. } | Self::Query(_) => Kind::Transient,
            Self::Unexpected(_) => Kind::Fatal,
        }
    }

    /// Whether an insert that failed so may have landed.
    pub fn is_uncertain(&self) -> bool {
        match self {
            Self::Exception { code, .. } => kind_of(*code) == Kind::Transient,
            Self::NoAnswer { .. } | Self::Unexpected(_) | Self::Query(_) => true,
            Self::Unreachable { .. } => false,
        }
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        Self {
            kind: error.kind(),
            uncertain: error.is_uncertain(),
            message: error.to_string(),
        }
    }
}

/// By the number in `X-ClickHouse-Exception-Code`; names as in ClickHouse's `ErrorCodes.cpp`.
///
/// Data errors are named one by one, because they end with rows in the dead letters; what concerns
/// the schema or the rights is fatal, because waiting does not mend it. Everything else is waited out.
fn kind_of(code: u32) -> Kind {
    match code {
        // CANNOT_PARSE_TEXT, CANNOT_PARSE_INPUT_ASSERTION_FAILED, CANNOT_PARSE_NUMBER,
        // INCORRECT_DATA, TOO_LARGE_STRING_SIZE, VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE,
        // DECIMAL_OVERFLOW, TOO_LARGE_ARRAY_SIZE
        6 | 27 | 72 | 117 | 131 | 321 | 407 | 128
        // CANNOT_PARSE_DATE, CANNOT_PARSE_DATETIME, ARGUMENT_OUT_OF_BOUND,
        // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN, UNKNOWN_ELEMENT_OF_ENUM
        | 38 | 41 | 69 | 349 | 691
        // VIOLATED_CONSTRAINT, and throwIf() in a view or an expression of somebody's own:
        // FUNCTION_THROW_IF_VALUE_IS_NON_ZERO
        | 469 | 395 => Kind::Rejected,
        // NO_SUCH_COLUMN_IN_TABLE, UNKNOWN_IDENTIFIER, TYPE_MISMATCH, UNKNOWN_TYPE, UNKNOWN_TABLE,
        // SYNTAX_ERROR, UNKNOWN_DATABASE, UNKNOWN_SETTING, UNKNOWN_FUNCTION, THERE_IS_NO_COLUMN
        16 | 47 | 53 | 50 | 60 | 62 | 81 | 115 | 46 | 8
        // CANNOT_CONVERT_TYPE, NUMBER_OF_COLUMNS_DOESNT_MATCH, NOT_FOUND_COLUMN_IN_BLOCK
        | 70 | 20 | 10
        // READONLY, ACCESS_DENIED, AUTHENTICATION_FAILED, REQUIRED_PASSWORD, UNKNOWN_USER
        | 164 | 497 | 516 | 194 | 192 => Kind::Fatal,
        _ => Kind::Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_decides() {
        for (code, kind) in [
            (27, Kind::Rejected),
            (117, Kind::Rejected),
            (469, Kind::Rejected),
            (349, Kind::Rejected),
            (691, Kind::Rejected),
            (395, Kind::Rejected),
            (70, Kind::Fatal),
            (60, Kind::Fatal),
            (516, Kind::Fatal),
            (241, Kind::Transient), // MEMORY_LIMIT_EXCEEDED
            (252, Kind::Transient), // TOO_MANY_PARTS
            (202, Kind::Transient), // TOO_MANY_SIMULTANEOUS_QUERIES
            (159, Kind::Transient), // TIMEOUT_EXCEEDED
            (999_999, Kind::Transient),
        ] {
            assert_eq!(kind_of(code), kind, "{code}");
        }
    }

    #[test]
    fn an_insert_that_was_refused_has_not_landed_and_one_without_an_answer_may_have() {
        let exception = |code| Error::Exception {
            code,
            message: String::new(),
        };
        assert!(!exception(27).is_uncertain());
        assert!(exception(159).is_uncertain());
        assert!(
            !Error::Unreachable {
                url: String::new(),
                reason: String::new()
            }
            .is_uncertain()
        );
        assert!(
            Error::NoAnswer {
                url: String::new(),
                reason: String::new()
            }
            .is_uncertain()
        );
    }
}
