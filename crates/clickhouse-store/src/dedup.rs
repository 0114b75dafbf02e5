//! How long the `logs` table remembers the tokens of its inserts.
//!
//! Invariant: what is answered is what the server does, however the table came to be: a setting of
//! the table wins over the server's default.

use std::time::Duration;

use clickhouse::Row;
use serde::Deserialize;

use crate::{Client, Error};

/// What `logs` remembers of the blocks that went in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DedupWindow {
    /// The table's engine: `MergeTree`, `ReplicatedMergeTree` …
    pub engine: String,
    /// Tokens remembered, the newest ones; 0: nothing is deduplicated.
    pub tokens: u64,
    /// How long a token is remembered at most; `None`: for as long as it is among the newest.
    pub age: Option<Duration>,
}

#[derive(Row, Deserialize)]
struct Table {
    engine: String,
    tokens: String,
    replicated_tokens: String,
    seconds: String,
}

/// Reads the window of `logs` in the client's database.
pub async fn dedup_window(client: &Client) -> Result<DedupWindow, Error> {
    let set = |name: &str| format!("extract(engine_full, '[ ,]{name} = (\\\\d+)')");
    let query = format!(
        "SELECT engine, {} AS tokens, {} AS replicated_tokens, {} AS seconds FROM system.tables \
         WHERE database = ? AND name = 'logs'",
        set("non_replicated_deduplication_window"),
        set("replicated_deduplication_window"),
        set("replicated_deduplication_window_seconds"),
    );
    let tables = client.in_database("default");
    let table = tables
        .typed()
        .query(&query)
        .bind(client.database())
        .fetch_optional::<Table>()
        .await?
        .ok_or_else(|| {
            Error::Unexpected(format!(
                "there is no table {}.logs: run `barograph migrate`",
                client.database()
            ))
        })?;
    // `SharedMergeTree` of ClickHouse Cloud goes by the settings of the replicated engines.
    let replicated = table.engine.starts_with("Replicated") || table.engine.starts_with("Shared");
    if !replicated {
        return Ok(DedupWindow {
            tokens: number(
                client,
                "non_replicated_deduplication_window",
                &table.tokens,
                false,
            )
            .await?,
            engine: table.engine,
            age: None,
        });
    }
    let tokens = "replicated_deduplication_window";
    let seconds = "replicated_deduplication_window_seconds";
    let age = number(client, seconds, &table.seconds, true).await?;
    Ok(DedupWindow {
        tokens: number(client, tokens, &table.replicated_tokens, true).await?,
        engine: table.engine,
        age: Some(Duration::from_secs(age)),
    })
}

/// What the table sets, else the server's default.
async fn number(client: &Client, name: &str, set: &str, replicated: bool) -> Result<u64, Error> {
    let text = if set.is_empty() {
        let defaults = if replicated {
            "replicated_merge_tree_settings"
        } else {
            "merge_tree_settings"
        };
        let query = format!("SELECT value FROM system.{defaults} WHERE name = ?");
        let server = client.in_database("default");
        server
            .typed()
            .query(&query)
            .bind(name)
            .fetch_one::<String>()
            .await?
    } else {
        set.to_owned()
    };
    text.parse()
        .map_err(|_| Error::Unexpected(format!("{name} is {text:?}, which is not a number")))
}
