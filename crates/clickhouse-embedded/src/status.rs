//! Which HTTP status an exception gets.
//! Invariant: the table is ClickHouse's own (`exceptionCodeToHTTPStatus`), except where noted.

use hyper::StatusCode;

/// Codes that ClickHouse does not answer with 500, grouped by status.
const TABLE: &[(StatusCode, &[u32])] = &[
    // ClickHouse answers 403 to a failed login (192, 193, 516); here it is 401, with the same code
    // and text, so that a browser or proxy asks for credentials.
    (StatusCode::UNAUTHORIZED, &[192, 193, 194, 516]),
    (StatusCode::FORBIDDEN, &[497, 512]),
    (
        StatusCode::BAD_REQUEST,
        &[
            6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321,
            376, 427, 441, 675, 676,
        ],
    ),
    (
        StatusCode::NOT_FOUND,
        &[46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511],
    ),
    (StatusCode::PAYLOAD_TOO_LARGE, &[229]),
    (StatusCode::NOT_IMPLEMENTED, &[48]),
    // 202 is 500 in ClickHouse; here it means that the queue is full, which a client may retry.
    (StatusCode::SERVICE_UNAVAILABLE, &[76, 202, 209, 439]),
    (StatusCode::LENGTH_REQUIRED, &[381]),
    (StatusCode::REQUEST_TIMEOUT, &[159]),
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, &[779]),
];

/// The status for an exception code; 500 for every code without a row.
pub(crate) fn status_of(code: u32) -> StatusCode {
    TABLE
        .iter()
        .find(|(_, codes)| codes.contains(&code))
        .map_or(StatusCode::INTERNAL_SERVER_ERROR, |(status, _)| *status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, codes: &[u32]) {
        for code in codes {
            assert_eq!(status_of(*code).as_u16(), status, "code {code}");
        }
    }

    #[test]
    fn failed_logins_are_401() {
        check(401, &[192, 193, 194, 516]);
    }

    #[test]
    fn refused_access_is_403() {
        check(403, &[497, 512]);
    }

    #[test]
    fn what_the_sender_got_wrong_is_400() {
        check(
            400,
            &[
                6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321,
            ],
        );
        check(400, &[376, 427, 441, 675, 676]);
    }

    #[test]
    fn what_does_not_exist_is_404() {
        check(
            404,
            &[46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511],
        );
    }

    #[test]
    fn single_rows() {
        check(413, &[229]);
        check(501, &[48]);
        check(503, &[76, 202, 209, 439]);
        check(411, &[381]);
        check(408, &[159]);
        check(415, &[779]);
    }

    #[test]
    fn everything_else_is_500() {
        check(500, &[0, 1, 33, 164, 241, 252, 394, 395, 999_999]);
    }

    #[test]
    fn no_code_has_two_rows() {
        let mut codes: Vec<u32> = TABLE
            .iter()
            .flat_map(|(_, codes)| codes.iter().copied())
            .collect();
        codes.sort_unstable();
        let all = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), all);
    }
}
