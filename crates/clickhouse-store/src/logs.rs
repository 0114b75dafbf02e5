//! Stores batches of log lines.
//!
//! Invariant: a batch is one request, one server block and one token; how large the server's blocks
//! are is sent along, not assumed.

use std::collections::HashSet;

use pipeline::{
    Batch, Days,
    ports::{RowStore, StoreError},
};
use sha2::{Digest, Sha256};

use crate::{Client, Error, LogRows, templates};

/// The `logs` table, and what its rows refer to.
#[derive(Clone)]
pub struct LogStore {
    client: Client,
}

/// Settings of every insert whose rows are counted on: `rows` in one server block, known by `token`.
pub fn insert_settings<'a>(rows: &'a str, token: &'a str) -> [(&'a str, &'a str); 10] {
    [
        ("insert_deduplication_token", token),
        ("insert_deduplicate", "1"),
        ("deduplicate_blocks_in_dependent_materialized_views", "1"),
        ("async_insert", "0"),
        ("wait_end_of_query", "1"),
        ("max_insert_threads", "1"),
        ("max_insert_block_size", rows),
        ("min_insert_block_size_rows", rows),
        // No limit by bytes: the batch is already bounded, and must not be cut in two.
        ("min_insert_block_size_bytes", "0"),
        // The batch itself lies in one partition by its `block_day`.
        ("max_partitions_per_insert_block", "0"),
    ]
}

impl LogStore {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    async fn send(
        &self,
        batch: &Batch<LogRows>,
        days: Days,
        rows: &LogRows,
        token: &str,
    ) -> Result<(), Error> {
        let count = rows.len().to_string();
        let body = rows.encode(
            &batch.id.incarnation.to_string(),
            batch.id.assignment.partition.0,
            days.own,
        );
        self.client
            .insert(
                "INSERT INTO logs FORMAT Native",
                &insert_settings(&count, token),
                body.into(),
            )
            .await
    }

    fn range(what: &str, batch: &Batch<LogRows>, days: Days) -> String {
        format!(
            "SELECT {what} FROM logs WHERE incarnation = '{}' AND kafka_partition = {} \
             AND kafka_offset >= {} AND kafka_offset < {} AND block_day >= toDate({}) FORMAT TabSeparated",
            batch.id.incarnation,
            batch.id.assignment.partition,
            batch.first,
            batch.end,
            days.since.min(days.own)
        )
    }

    async fn numbers(&self, query: &str) -> Result<Vec<i64>, Error> {
        let answer = self.client.execute(query, &[]).await?;
        String::from_utf8_lossy(&answer)
            .split_ascii_whitespace()
            .map(|number| {
                number
                    .parse()
                    .map_err(|_| Error::Unexpected(format!("{number:?} is not a number")))
            })
            .collect()
    }
}

impl RowStore<LogRows> for LogStore {
    async fn prepare(&self, batch: &Batch<LogRows>) -> Result<(), StoreError> {
        Ok(templates::store(&self.client, &batch.rows.templates).await?)
    }

    async fn insert(&self, batch: &Batch<LogRows>, days: Days) -> Result<(), StoreError> {
        Ok(self.send(batch, days, &batch.rows, &batch.token()).await?)
    }

    async fn count(&self, batch: &Batch<LogRows>, days: Days) -> Result<u64, StoreError> {
        let query = Self::range("uniqExact(kafka_offset)", batch, days);
        let numbers = self.numbers(&query).await?;
        Ok(numbers.first().copied().unwrap_or_default().cast_unsigned())
    }

    async fn repair(
        &self,
        batch: &Batch<LogRows>,
        days: Days,
        round: u32,
    ) -> Result<u64, StoreError> {
        let there: HashSet<i64> = self
            .numbers(&Self::range("kafka_offset", batch, days))
            .await?
            .into_iter()
            .collect();
        let keep: Vec<bool> = batch
            .rows
            .offsets()
            .map(|offset| !there.contains(&offset))
            .collect();
        let missing = batch.rows.select(&keep);
        if missing.is_empty() {
            return Ok(0);
        }
        // The missing rows and the round name the token: the same repair twice is one, another repair
        // is another.
        let mut hash = Sha256::new();
        for offset in missing.offsets() {
            hash.update(offset.to_le_bytes());
        }
        let digest = hash.finalize();
        let token = format!("{}-repair-{round}-{:02x?}", batch.token(), &digest[..8]);
        self.send(batch, days, &missing, &token).await?;
        Ok(missing.len() as u64)
    }
}
