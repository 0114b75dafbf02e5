//! One runner at a time, and none for ever.
//!
//! `CREATE TABLE` without `IF NOT EXISTS` succeeds for one runner only: the one lock that every
//! ClickHouse has. The table's comment names its holder, and its rows are signs of life. Who waits
//! and sees none for a while, by its own clock, takes the lock away by renaming the table, which
//! succeeds for one runner only, too.
//!
//! A holder that was only stopped, and goes on, finds out by [`Lock::is_held`] before and after each
//! statement.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use clickhouse::Row;
use serde::Deserialize;
use tokio::time::Instant;

use super::{MigrateError, Timing};
use crate::{Client, Error};

const TABLE: &str = "schema_migrations_lock";
const UNKNOWN_TABLE: u32 = 60;
const TABLE_ALREADY_EXISTS: u32 = 57;

pub(super) struct Lock<'a> {
    client: &'a Client,
    holder: String,
}

/// The lock as it stands: who holds it, and its signs of life.
#[derive(Debug, Clone, PartialEq, Eq, Row, Deserialize)]
struct Seen {
    /// Empty: a version of before there were holders.
    holder: String,
    /// The table's id: another one is another lock.
    life: String,
    beats: u64,
}

impl<'a> Lock<'a> {
    /// Waits for a holder that lives, and takes the lock from one that does not.
    pub(super) async fn take(client: &'a Client, timing: Timing) -> Result<Self, MigrateError> {
        let lock = Self {
            client,
            holder: nonce(),
        };
        let started = Instant::now();
        let mut seen = None;
        let mut since = started;
        loop {
            if lock.create().await? {
                return Ok(lock);
            }
            let now = lock.seen().await?;
            if now.is_none() || now != seen {
                (seen, since) = (now, Instant::now());
            } else if since.elapsed() >= timing.expiry {
                tracing::warn!(
                    "the holder of the migration lock gives no sign of life; taking it away"
                );
                lock.take_away(seen.take()).await?;
                continue;
            }
            if started.elapsed() >= timing.patience {
                return Err(MigrateError::Locked(timing.patience));
            }
            tokio::time::sleep((timing.expiry / 10).min(Duration::from_millis(500))).await;
        }
    }

    async fn create(&self) -> Result<bool, Error> {
        let create = format!(
            "CREATE TABLE {TABLE} (holder String, at DateTime64(3) DEFAULT now64(3)) ENGINE = Memory COMMENT '{}'",
            self.holder
        );
        self.unless(&create, TABLE_ALREADY_EXISTS).await
    }

    /// `None`: nobody holds it.
    async fn seen(&self) -> Result<Option<Seen>, Error> {
        let query = "SELECT comment AS holder, toString(uuid) AS life, ifNull(total_rows, 0) AS beats \
             FROM system.tables WHERE database = ? AND name = ?";
        let rows = self
            .client
            .typed()
            .query(query)
            .bind(self.client.database())
            .bind(TABLE)
            .fetch_optional::<Seen>()
            .await;
        Ok(rows?)
    }

    /// Takes it from whoever was seen to hold it, and from nobody else.
    async fn take_away(&self, from: Option<Seen>) -> Result<(), Error> {
        let aside = format!("{TABLE}_of_the_dead_{}", nonce());
        if !self
            .unless(&format!("RENAME TABLE {TABLE} TO {aside}"), UNKNOWN_TABLE)
            .await?
        {
            return Ok(());
        }
        let taken = self.comment_of(&aside).await?;
        if from.is_some_and(|from| taken.is_none_or(|taken| taken == from.holder)) {
            let drop = format!("DROP TABLE IF EXISTS {aside}");
            self.client.execute(&drop, &[]).await?;
        } else {
            // Another runner was faster, and this is its lock. If it cannot be given back, its holder
            // finds out before its next statement.
            let back = format!("RENAME TABLE {aside} TO {TABLE}");
            if !self.unless(&back, TABLE_ALREADY_EXISTS).await? {
                let drop = format!("DROP TABLE IF EXISTS {aside}");
                self.client.execute(&drop, &[]).await?;
            }
        }
        Ok(())
    }

    async fn comment_of(&self, table: &str) -> Result<Option<String>, Error> {
        let query = "SELECT comment FROM system.tables WHERE database = ? AND name = ?";
        let found = self
            .client
            .typed()
            .query(query)
            .bind(self.client.database())
            .bind(table)
            .fetch_optional::<String>()
            .await;
        Ok(found?)
    }

    /// Whether nobody has taken it away.
    pub(super) async fn is_held(&self) -> Result<bool, Error> {
        let holder = self.comment_of(TABLE).await?;
        Ok(holder.is_some_and(|holder| holder == self.holder))
    }

    /// A sign of life. One that is lost is missed by nobody if the next comes in time.
    pub(super) async fn beat(&self) {
        let beat = format!("INSERT INTO {TABLE} (holder) VALUES ('{}')", self.holder);
        if let Err(error) = self.client.execute(&beat, &[]).await {
            tracing::debug!(%error, "no sign of life of the migration lock's holder");
        }
    }

    pub(super) async fn release(self) -> Result<(), Error> {
        if self.is_held().await? {
            let drop = format!("DROP TABLE IF EXISTS {TABLE}");
            self.client.execute(&drop, &[]).await?;
        }
        Ok(())
    }

    /// Whether the statement took effect; `false`: it failed with this code.
    async fn unless(&self, statement: &str, expected: u32) -> Result<bool, Error> {
        match self.client.execute(statement, &[]).await {
            Ok(_) => Ok(true),
            Err(Error::Exception { code, .. }) if code == expected => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A word that nobody else has: each `RandomState` has keys of its own.
fn nonce() -> String {
    let random = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", random(), random())
}
