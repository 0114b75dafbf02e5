//! Brings the schema up to date.
//!
//! Invariants: migrations are applied in order, each once; a file that was applied never changes
//! (its checksum is kept); two runners at once do not collide.

use std::time::Duration;

use clickhouse::Row;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{Client, Error};

/// One file of `migrations/`: statements separated by a semicolon at the end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    pub version: u32,
    pub name: &'static str,
    pub sql: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal),* $(,)?) => {
        /// Every migration, in order.
        pub const ALL: &[Migration] = &[$(Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../../../migrations/", $name, ".sql")),
        }),*];
    };
}

migrations! {
    1 "0001_logs",
    2 "0002_log_windows",
    3 "0003_anomalies",
    4 "0004_anomalous_logs",
    5 "0005_windows_by_projection",
    6 "0006_detector_snapshots",
    7 "0007_fewer_writes",
    8 "0008_templates",
}

#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(transparent)]
    ClickHouse(#[from] Error),
    #[error(
        "migration {name} was applied with checksum {applied}, and the file now has {now}; \
         an applied migration must not change: restore the file, and put the change into a new one"
    )]
    Changed {
        name: String,
        applied: String,
        now: String,
    },
    #[error(
        "the database has migration {0}, which this version does not know: it was made by a newer one"
    )]
    Unknown(u32),
    #[error("migration {name} failed at statement {statement}: {source}")]
    Failed {
        name: &'static str,
        statement: usize,
        source: Error,
    },
    #[error(
        "another runner has held the migration lock for more than {0:?}; if none is running, \
         it died: DROP TABLE {1}.schema_migrations_lock and try again"
    )]
    Locked(Duration, String),
}

/// What stands applied, and what does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub applied: Vec<&'static str>,
    pub pending: Vec<&'static str>,
}

#[derive(Debug, Row, Deserialize)]
struct Applied {
    version: u32,
    checksum: String,
}

pub fn checksum(sql: &str) -> String {
    let digest = Sha256::digest(sql.as_bytes());
    let first: [u8; 8] = std::array::from_fn(|at| digest[at]);
    format!("{:016x}", u64::from_be_bytes(first))
}

/// Compares what was applied with what there is. Changes nothing.
pub async fn status(client: &Client, migrations: &[Migration]) -> Result<Status, MigrateError> {
    let all = || migrations.iter().map(|migration| migration.name).collect();
    let known = client
        .in_database("default")
        .typed()
        .query(
            "SELECT count() FROM system.tables WHERE database = ? AND name = 'schema_migrations'",
        )
        .bind(client.database())
        .fetch_one::<u64>()
        .await
        .map_err(Error::from)?;
    if known == 0 {
        return Ok(Status {
            applied: Vec::new(),
            pending: all(),
        });
    }
    let rows = client
        .typed()
        .query("SELECT version, argMax(checksum, applied_at) AS checksum FROM schema_migrations GROUP BY version ORDER BY version")
        .fetch_all::<Applied>()
        .await
        .map_err(Error::from)?;
    if let Some(unknown) = rows
        .iter()
        .find(|row| migrations.iter().all(|one| one.version != row.version))
    {
        return Err(MigrateError::Unknown(unknown.version));
    }
    let mut status = Status {
        applied: Vec::new(),
        pending: Vec::new(),
    };
    for migration in migrations {
        let now = checksum(migration.sql);
        match rows.iter().find(|row| row.version == migration.version) {
            None => status.pending.push(migration.name),
            Some(row) if row.checksum == now => status.applied.push(migration.name),
            Some(row) => {
                return Err(MigrateError::Changed {
                    name: migration.name.to_owned(),
                    applied: row.checksum.clone(),
                    now,
                });
            }
        }
    }
    Ok(status)
}

/// Applies what is pending, creating the database first if need be. Returns the names.
pub async fn apply(
    client: &Client,
    migrations: &[Migration],
) -> Result<Vec<&'static str>, MigrateError> {
    let server = client.in_database("default");
    server
        .execute(
            &format!("CREATE DATABASE IF NOT EXISTS `{}`", client.database()),
            &[],
        )
        .await?;
    if status(client, migrations).await?.pending.is_empty() {
        return Ok(Vec::new());
    }
    lock(client).await?;
    let outcome = apply_locked(client, migrations).await;
    // The lock goes whatever the outcome; an outcome that failed is the one to tell.
    let unlocked = client
        .execute("DROP TABLE IF EXISTS schema_migrations_lock", &[])
        .await;
    let applied = outcome?;
    unlocked?;
    Ok(applied)
}

/// `CREATE TABLE` without `IF NOT EXISTS` succeeds for one runner only: the one lock that every
/// ClickHouse has.
async fn lock(client: &Client) -> Result<(), MigrateError> {
    const PATIENCE: Duration = Duration::from_secs(60);
    const TABLE_ALREADY_EXISTS: u32 = 57;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match client
            .execute(
                "CREATE TABLE schema_migrations_lock (held UInt8) ENGINE = Memory",
                &[],
            )
            .await
        {
            Ok(_) => return Ok(()),
            Err(Error::Exception {
                code: TABLE_ALREADY_EXISTS,
                ..
            }) => {}
            Err(error) => return Err(error.into()),
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(MigrateError::Locked(PATIENCE, client.database().to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn apply_locked(
    client: &Client,
    migrations: &[Migration],
) -> Result<Vec<&'static str>, MigrateError> {
    client
        .execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations (version UInt32, name String, checksum String, \
             applied_at DateTime64(3, 'UTC') DEFAULT now64(3)) ENGINE = MergeTree ORDER BY version",
            &[],
        )
        .await?;
    let status = status(client, migrations).await?;
    for migration in migrations
        .iter()
        .filter(|migration| status.pending.contains(&migration.name))
    {
        for (at, statement) in statements(migration.sql).into_iter().enumerate() {
            client
                .execute(&statement, &[])
                .await
                .map_err(|source| MigrateError::Failed {
                    name: migration.name,
                    statement: at + 1,
                    source,
                })?;
        }
        let record = format!(
            "INSERT INTO schema_migrations (version, name, checksum) VALUES ({}, '{}', '{}')",
            migration.version,
            migration.name,
            checksum(migration.sql)
        );
        client.execute(&record, &[]).await?;
        tracing::info!(name = migration.name, "migration applied");
    }
    Ok(status.pending)
}

/// Statements of a file: ClickHouse takes one at a time. A semicolon ends one at the end of a line.
fn statements(sql: &str) -> Vec<String> {
    let without_comments: String = sql
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"))
        .fold(String::new(), |text, line| text + line + "\n");
    without_comments
        .split(";\n")
        .map(str::trim)
        .filter(|statement| !statement.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_listed_in_order_and_has_statements() {
        for (at, migration) in ALL.iter().enumerate() {
            assert_eq!(migration.version as usize, at + 1);
            assert!(
                migration
                    .name
                    .starts_with(&format!("{:04}_", migration.version))
            );
            assert!(!statements(migration.sql).is_empty());
        }
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
        let files = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(
            files,
            ALL.len(),
            "a file in migrations/ is not listed in ALL"
        );
    }

    #[test]
    fn a_semicolon_inside_a_line_does_not_end_a_statement() {
        assert_eq!(
            statements("-- a; b\nSELECT ';' AS x,\n 2;\nSELECT 3;\n"),
            ["SELECT ';' AS x,\n 2", "SELECT 3"]
        );
    }
}
