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
    /// What became of a question of the `clickhouse` crate, which ClickHouse has not refused.
    #[error("clickhouse: {0}")]
    Query(clickhouse::error::Error),
}

impl From<clickhouse::error::Error> for Error {
    /// The crate passes an exception on as text; its number says what to do about it.
    fn from(error: clickhouse::error::Error) -> Self {
        match &error {
            clickhouse::error::Error::BadResponse(text) => match code_in(text) {
                Some(code) => Self::Exception {
                    code,
                    message: text.clone(),
                },
                None => Self::Query(error),
            },
            _ => Self::Query(error),
        }
    }
}

/// Of `Code: 60. DB::Exception: …`. What a proxy says begins in another way.
fn code_in(exception: &str) -> Option<u32> {
    let (code, _) = exception.strip_prefix("Code: ")?.split_once(". DB::")?;
    code.parse().ok()
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
            Self::Exception { code, .. } => {
                matches!(kind_of(*code), Kind::Transient | Kind::Unknown)
            }
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

/// Errors of ClickHouse, by their numbers and its names for them.
pub type Codes = [(u32, &'static str)];

/// Of the data. They end with rows in the dead letters, and so are named one by one.
pub const REJECTED: &Codes = &[
    (6, "CANNOT_PARSE_TEXT"),
    (27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED"),
    (38, "CANNOT_PARSE_DATE"),
    (41, "CANNOT_PARSE_DATETIME"),
    (69, "ARGUMENT_OUT_OF_BOUND"),
    (72, "CANNOT_PARSE_NUMBER"),
    (117, "INCORRECT_DATA"),
    (128, "TOO_LARGE_ARRAY_SIZE"),
    (131, "TOO_LARGE_STRING_SIZE"),
    (321, "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE"),
    (349, "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN"),
    (407, "DECIMAL_OVERFLOW"),
    (691, "UNKNOWN_ELEMENT_OF_ENUM"),
    (469, "VIOLATED_CONSTRAINT"),
    // In a view or an expression of somebody's own.
    (395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
];

/// Of the schema or the rights: waiting does not mend them.
pub const FATAL: &Codes = &[
    (8, "THERE_IS_NO_COLUMN"),
    (10, "NOT_FOUND_COLUMN_IN_BLOCK"),
    (16, "NO_SUCH_COLUMN_IN_TABLE"),
    (20, "NUMBER_OF_COLUMNS_DOESNT_MATCH"),
    (46, "UNKNOWN_FUNCTION"),
    (47, "UNKNOWN_IDENTIFIER"),
    (50, "UNKNOWN_TYPE"),
    (53, "TYPE_MISMATCH"),
    (60, "UNKNOWN_TABLE"),
    (62, "SYNTAX_ERROR"),
    (70, "CANNOT_CONVERT_TYPE"),
    (81, "UNKNOWN_DATABASE"),
    (115, "UNKNOWN_SETTING"),
    (164, "READONLY"),
    (192, "UNKNOWN_USER"),
    (194, "REQUIRED_PASSWORD"),
    (497, "ACCESS_DENIED"),
    (516, "AUTHENTICATION_FAILED"),
];

/// Of memory, time, room, disks, the network, other servers, or of a server that stops: they pass, or
/// somebody mends what they are about.
pub const TRANSIENT: &Codes = &[
    (3, "UNEXPECTED_END_OF_FILE"),
    (32, "ATTEMPT_TO_READ_AFTER_EOF"),
    (33, "CANNOT_READ_ALL_DATA"),
    (74, "CANNOT_READ_FROM_FILE_DESCRIPTOR"),
    (75, "CANNOT_WRITE_TO_FILE_DESCRIPTOR"),
    (76, "CANNOT_OPEN_FILE"),
    (77, "CANNOT_CLOSE_FILE"),
    (95, "CANNOT_READ_FROM_SOCKET"),
    (96, "CANNOT_WRITE_TO_SOCKET"),
    (159, "TIMEOUT_EXCEEDED"),
    (160, "TOO_SLOW"),
    (173, "CANNOT_ALLOCATE_MEMORY"),
    (198, "DNS_ERROR"),
    (201, "QUOTA_EXCEEDED"),
    (202, "TOO_MANY_SIMULTANEOUS_QUERIES"),
    (203, "NO_FREE_CONNECTION"),
    (204, "CANNOT_FSYNC"),
    (209, "SOCKET_TIMEOUT"),
    (210, "NETWORK_ERROR"),
    (216, "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING"),
    (225, "NO_ZOOKEEPER"),
    (236, "ABORTED"),
    (241, "MEMORY_LIMIT_EXCEEDED"),
    (242, "TABLE_IS_READ_ONLY"),
    (243, "NOT_ENOUGH_SPACE"),
    (252, "TOO_MANY_PARTS"),
    (279, "ALL_CONNECTION_TRIES_FAILED"),
    (285, "TOO_FEW_LIVE_REPLICAS"),
    (286, "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE"),
    (319, "UNKNOWN_STATUS_OF_INSERT"),
    (394, "QUERY_WAS_CANCELLED"),
    (396, "TOO_MANY_ROWS_OR_BYTES"),
    (425, "SYSTEM_ERROR"),
    (439, "CANNOT_SCHEDULE_TASK"),
    (473, "DEADLOCK_AVOIDED"),
    (499, "S3_ERROR"),
    (733, "TABLE_IS_BEING_RESTARTED"),
    (745, "SERVER_OVERLOADED"),
    (999, "KEEPER_EXCEPTION"),
    // What the system, or a library, threw: a disk that is full where a directory is made, no memory.
    (1000, "POCO_EXCEPTION"),
    (1001, "STD_EXCEPTION"),
];

/// By the number in `X-ClickHouse-Exception-Code`. What is in no list is tried for some minutes.
fn kind_of(code: u32) -> Kind {
    let kinds = [
        (REJECTED, Kind::Rejected),
        (FATAL, Kind::Fatal),
        (TRANSIENT, Kind::Transient),
    ];
    let is_in = |codes: &Codes| codes.iter().any(|(number, _)| *number == code);
    let found = kinds.into_iter().find(|(codes, _)| is_in(codes));
    found.map_or(Kind::Unknown, |(_, kind)| kind)
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
            (243, Kind::Transient), // NOT_ENOUGH_SPACE
            (49, Kind::Unknown),    // LOGICAL_ERROR
            (999_999, Kind::Unknown),
        ] {
            assert_eq!(kind_of(code), kind, "{code}");
        }
    }

    #[test]
    fn an_exception_that_comes_as_text_is_known_by_its_number() {
        let read =
            |text: &str| Error::from(clickhouse::error::Error::BadResponse(text.to_owned())).kind();
        let exception =
            "Code: 60. DB::Exception: Unknown table. (UNKNOWN_TABLE) (version 26.7.2.1)";
        assert_eq!(read(exception), Kind::Fatal);
        assert_eq!(read("Code: 202. DB::Exception: Too many"), Kind::Transient);
        assert_eq!(read("502 Bad Gateway"), Kind::Transient);
        assert_eq!(read("Code: everywhere"), Kind::Transient);
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
