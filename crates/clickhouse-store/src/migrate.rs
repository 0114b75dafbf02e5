//! Brings the schema up to date.
//!
//! Invariants: migrations are applied in order, each once; a file that was applied never changes
//! (its checksum is kept); two runners at once do not collide ([`lock`]); a runner may be killed, or
//! stopped for however long, between any two statements, and who comes next ends with the same schema
//! ([`statement`]).

mod lock;
mod statement;

use std::{future::Future, time::Duration};

use clickhouse::Row;
use lock::Lock;
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
    9 "0009_rows_live_by_our_clock",
    10 "0010_accounts",
    11 "0011_detector_changes",
    12 "0012_anomalies_speak_of_more",
    13 "0013_texts_of_templates_end",
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
        "another runner is at work: it has held the migration lock for {0:?} and gives signs of life; \
         try again when it has ended"
    )]
    Locked(Duration),
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

/// How long the runners wait for each other.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Between two signs of life.
    pub beat: Duration,
    /// Without a sign of life for so long, a runner counts as dead.
    pub expiry: Duration,
    /// How long a runner waits for another that lives.
    pub patience: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            beat: Duration::from_secs(2),
            expiry: Duration::from_secs(15),
            patience: Duration::from_secs(120),
        }
    }
}

/// Applies what is pending, creating the database first if need be. Returns the names.
pub async fn apply(
    client: &Client,
    migrations: &[Migration],
) -> Result<Vec<&'static str>, MigrateError> {
    apply_with(client, migrations, Timing::default(), async |_| {}).await
}

/// The same, for tests that disturb it: `before` is called before each statement, with how many came
/// before, at the last moment before it is sent.
pub async fn apply_with(
    client: &Client,
    migrations: &[Migration],
    timing: Timing,
    before: impl AsyncFn(usize),
) -> Result<Vec<&'static str>, MigrateError> {
    let client = &client.patient();
    client
        .in_database("default")
        .execute(
            &format!("CREATE DATABASE IF NOT EXISTS `{}`", client.database()),
            &[],
        )
        .await?;
    let mut runner = Runner {
        client,
        timing,
        before,
        sent: 0,
        applied: Vec::new(),
    };
    // What is to be done again although it stands applied.
    let mut again: Option<Place> = None;
    while again.is_some() || !status(client, migrations).await?.pending.is_empty() {
        let lock = Lock::take(client, timing).await?;
        let outcome = runner.run(&lock, migrations, again).await;
        // The lock goes whatever the outcome; an outcome that failed is the one to tell.
        let released = lock.release().await;
        again = outcome?;
        released?;
    }
    Ok(runner.applied)
}

/// A statement: of which migration, and which of its.
type Place = (u32, usize);

struct Runner<'a, B> {
    client: &'a Client,
    timing: Timing,
    before: B,
    /// Statements.
    sent: usize,
    applied: Vec<&'static str>,
}

impl<B: AsyncFn(usize)> Runner<'_, B> {
    /// `after`: this statement was sent without the lock, and what follows it is done again.
    /// `Ok(Some)`: the lock was lost, and so it was with this statement.
    async fn run(
        &mut self,
        lock: &Lock<'_>,
        migrations: &[Migration],
        after: Option<Place>,
    ) -> Result<Option<Place>, MigrateError> {
        const RECORDS: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (version UInt32, name String, checksum String, \
             applied_at DateTime64(3, 'UTC') DEFAULT now64(3)) ENGINE = MergeTree ORDER BY version";
        self.client.execute(RECORDS, &[]).await?;
        let pending = status(self.client, migrations).await?.pending;
        for migration in migrations {
            let is_pending = pending.contains(&migration.name);
            let first = match after {
                Some((version, at)) if version == migration.version => at + 1,
                Some((version, _)) if version < migration.version => 0,
                _ if is_pending => 0,
                _ => continue,
            };
            let statements = statement::all_of(migration.sql);
            for (at, statement) in statements.iter().enumerate().skip(first) {
                if !lock.is_held().await? {
                    // Nothing was sent without it: what came before stands, and is nobody's fault.
                    tracing::warn!(
                        name = migration.name,
                        "another runner took the migration lock; waiting for it"
                    );
                    return Ok(after);
                }
                (self.before)(self.sent).await;
                self.sent += 1;
                let sending = self.client.execute(statement, &[]);
                let sent = self.beating(lock, sending).await;
                if !lock.is_held().await? {
                    tracing::warn!(
                        name = migration.name,
                        statement = at + 1,
                        "the migration lock expired during a statement; doing again what follows it"
                    );
                    return Ok(Some((migration.version, at)));
                }
                match sent {
                    Ok(_) => {}
                    // An old statement done again where everything is applied may not fit what has come
                    // since. It changed nothing, and what follows it stands.
                    Err(Error::Exception { message, .. }) if !is_pending => {
                        tracing::info!(
                            name = migration.name,
                            statement = at + 1,
                            message,
                            "a statement of before does not apply any more"
                        );
                    }
                    Err(source) => {
                        return Err(MigrateError::Failed {
                            name: migration.name,
                            statement: at + 1,
                            source,
                        });
                    }
                }
            }
            if is_pending {
                let record = format!(
                    "INSERT INTO schema_migrations (version, name, checksum) VALUES ({}, '{}', '{}')",
                    migration.version,
                    migration.name,
                    checksum(migration.sql)
                );
                self.client.execute(&record, &[]).await?;
                self.applied.push(migration.name);
                tracing::info!(name = migration.name, "migration applied");
            }
        }
        Ok(None)
    }

    /// Gives signs of life for as long as the answer takes.
    async fn beating<T>(&self, lock: &Lock<'_>, answer: impl Future<Output = T>) -> T {
        let mut answer = std::pin::pin!(answer);
        let mut beat = tokio::time::interval(self.timing.beat);
        loop {
            tokio::select! {
                answer = &mut answer => return answer,
                _ = beat.tick() => lock.beat().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_listed_in_order_and_has_statements() {
        assert!(ALL.is_sorted_by(|one, next| one.version < next.version));
        for migration in ALL {
            assert!(
                migration
                    .name
                    .starts_with(&format!("{:04}_", migration.version))
            );
            assert!(!statement::all_of(migration.sql).is_empty());
        }
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
        let files = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(
            files,
            ALL.len(),
            "a file in migrations/ is not listed in ALL"
        );
    }
}
