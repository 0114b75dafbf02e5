//! Questions to ClickHouse, and what to do when it does not answer.
//!
//! Invariant: what a person types reaches ClickHouse as a parameter, never as a part of the statement.

use anyhow::Context as _;
use clickhouse_store::{Client, Error};
use serde::de::DeserializeOwned;

use crate::text::printable;

/// UNKNOWN_DATABASE, UNKNOWN_TABLE, UNKNOWN_IDENTIFIER and NO_SUCH_COLUMN_IN_TABLE, as in
/// ClickHouse's `ErrorCodes.cpp`.
const NOT_MIGRATED: [u32; 4] = [81, 60, 47, 16];
/// AUTHENTICATION_FAILED, REQUIRED_PASSWORD, UNKNOWN_USER.
const NOT_LET_IN: [u32; 3] = [516, 194, 192];

pub(super) struct Database {
    client: Client,
}

impl Database {
    pub(super) fn of(client: Client) -> Self {
        Self { client }
    }

    /// Every row of an answer. `parameters` stand in the statement as `{name:Type}`.
    pub(super) async fn rows<T: DeserializeOwned>(
        &self,
        statement: &str,
        parameters: &[(&str, &str)],
    ) -> anyhow::Result<Vec<T>> {
        let names: Vec<_> = parameters
            .iter()
            .map(|(name, _)| format!("param_{name}"))
            .collect();
        let mut settings = vec![
            ("default_format", "JSONEachRow"),
            ("output_format_json_quote_64bit_integers", "0"),
            // An exception is an exception, not the end of an answer.
            ("wait_end_of_query", "1"),
        ];
        let escaped: Vec<_> = parameters.iter().map(|(_, value)| escaped(value)).collect();
        settings.extend(
            names
                .iter()
                .map(String::as_str)
                .zip(escaped.iter().map(String::as_str)),
        );
        let answer = self
            .client
            .execute(statement, &settings)
            .await
            .map_err(|error| {
                let advice = advice(&error);
                anyhow::Error::new(error).context(format!("the templates cannot be read; {advice}"))
            })?;
        answer
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| {
                serde_json::from_slice(line).with_context(|| {
                    format!(
                        "clickhouse answers what was not asked for: {}",
                        printable(line, 200)
                    )
                })
            })
            .collect()
    }
}

/// Parameters are read as TSV is.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('\t', "\\t")
        .replace('\n', "\\n")
}

fn advice(error: &Error) -> &'static str {
    match error {
        Error::Unreachable { .. } => {
            "start the stack with `barograph up`, or name a database that runs with CLICKHOUSE_URL"
        }
        Error::Exception { code, .. } if NOT_MIGRATED.contains(code) => {
            "the database does not have the schema of this version: `barograph migrate` brings it there"
        }
        Error::Exception { code, .. } if NOT_LET_IN.contains(code) => {
            "CLICKHOUSE_USER and CLICKHOUSE_PASSWORD say who asks"
        }
        Error::Exception { .. }
        | Error::NoAnswer { .. }
        | Error::Unexpected(_)
        | Error::Query(_) => "`barograph doctor` says what is wrong with the database",
    }
}
