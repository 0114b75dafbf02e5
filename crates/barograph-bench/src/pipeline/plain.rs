//! The plain pipe: `kcat | curl` into `INSERT … FORMAT JSONEachRow`, as a user would write it.
//!
//! Invariant: its table has the record's own columns with the types, codecs, indices, order and
//! partitions that `logs` has for them, read from `logs` itself. What serves delivery (offsets,
//! deduplication) it does not have, and does not pay for.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clickhouse_store::Client;

use crate::{bed::Bed, process};
use command_kit::stores::Stores;

/// Fields of a record that are columns of `logs` too.
const COLUMNS: [&str; 12] = [
    "timestamp",
    "service",
    "level",
    "message",
    "host",
    "trace_id",
    "span_id",
    "latency_ms",
    "status",
    "client_ip",
    "user",
    "attributes",
];

pub(super) const TABLE: &str = "plain_logs";

/// The statement that makes the table, from the `logs` that `client` sees.
pub(super) async fn create_statement(client: &Client) -> anyhow::Result<String> {
    let database = client.database().to_owned();
    let columns = client
        .typed()
        .query("SELECT name, type, compression_codec FROM system.columns WHERE database = ? AND table = 'logs' ORDER BY position")
        .bind(&database)
        .fetch_all::<(String, String, String)>()
        .await?;
    let mut parts: Vec<String> = columns
        .iter()
        .filter(|(name, ..)| COLUMNS.contains(&name.as_str()))
        .map(|(name, kind, codec)| format!("`{name}` {kind} {codec}"))
        .collect();
    if parts.len() != COLUMNS.len() {
        bail!(
            "table logs has {} of the record's {} columns: the list in the bench is out of date",
            parts.len(),
            COLUMNS.len()
        );
    }
    let others: Vec<&str> = columns
        .iter()
        .map(|(name, ..)| name.as_str())
        .filter(|name| !COLUMNS.contains(name))
        .collect();
    for (name, expression, kind, granularity) in indices(client).await? {
        let mut words = expression.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        if !words.any(|word| others.contains(&word)) {
            parts.push(format!(
                "INDEX `{name}` {expression} TYPE {kind} GRANULARITY {granularity}"
            ));
        }
    }
    let engine = client
        .typed()
        .query("SELECT engine_full FROM system.tables WHERE database = ? AND name = 'logs'")
        .bind(&database)
        .fetch_one::<String>()
        .await?;
    Ok(format!(
        "CREATE TABLE {TABLE} ({}) ENGINE = {}",
        parts.join(", "),
        without_delivery(&engine)
    ))
}

/// Name, expression, type and granularity of the skip indices of `logs`.
async fn indices(client: &Client) -> anyhow::Result<Vec<(String, String, String, u64)>> {
    Ok(client
        .typed()
        .query("SELECT name, expr, type_full, granularity FROM system.data_skipping_indices WHERE database = ? AND table = 'logs'")
        .bind(client.database())
        .fetch_all()
        .await?)
}

/// Drops every skip index on `message` from a table, of which there has to be one.
pub(super) async fn drop_text_index(client: &Client, table: &str) -> anyhow::Result<()> {
    let names = client
        .typed()
        .query("SELECT name FROM system.data_skipping_indices WHERE database = ? AND table = ? AND position(expr, 'message') > 0")
        .bind(client.database())
        .bind(table)
        .fetch_all::<String>()
        .await?;
    if names.is_empty() {
        bail!("table {table} has no index on message: there is nothing to leave out");
    }
    for name in names {
        let statement = format!("ALTER TABLE {table} DROP INDEX `{name}`");
        client.execute(&statement, &[]).await?;
    }
    Ok(())
}

/// The day of the block is the day of the line, and no window of tokens is kept.
fn without_delivery(engine: &str) -> String {
    // Days, and how long rows live: a plain table has nothing but the record's own time for them.
    let engine = engine
        .replace("block_day", "toDate(timestamp)")
        .replace("stored_at", "toDateTime(timestamp)");
    let Some((head, settings)) = engine.split_once(" SETTINGS ") else {
        return engine;
    };
    let kept: Vec<_> = settings
        .split(", ")
        .filter(|setting| !setting.starts_with("non_replicated_deduplication_window"))
        .collect();
    if kept.is_empty() {
        return head.to_owned();
    }
    format!("{head} SETTINGS {}", kept.join(", "))
}

/// CPU time of both programs, µs.
pub(super) struct Pumped {
    pub(super) kcat: u64,
    pub(super) curl: u64,
}

/// Pumps the whole topic into the table; an error if that takes longer than `within`.
pub(super) async fn pump(
    bed: &Bed,
    database: &str,
    topic: &str,
    within: Duration,
) -> anyhow::Result<Pumped> {
    let stores = bed.stores();
    let dir = bed.dir.path();
    let mut kcat = Command::new("kcat");
    kcat.args(["-C", "-e", "-q", "-b", &stores.brokers, "-t", topic]);
    let mut kcat = Part::spawn(
        kcat.stdin(Stdio::null()).stdout(Stdio::piped()),
        "kcat",
        dir,
    )?;
    let lines = kcat.child.stdout.take().context("kcat has no output")?;
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--fail-with-body", "-H"])
        .arg(format!("@{}", credentials(&stores, dir)?))
        .args(["-X", "POST", "-T", "-"])
        .arg(url(&stores, database)?)
        .stdin(lines)
        .stdout(Stdio::null());
    let mut curl = Part::spawn(&mut curl, "curl", dir)?;
    let both = async {
        let curl = curl.wait().await?;
        let kcat = kcat.wait().await?;
        Ok(Pumped { kcat, curl })
    };
    let ended = tokio::time::timeout(within, both).await;
    ended.with_context(|| format!("kcat | curl has not ended within {within:?}"))?
}

fn url(stores: &Stores, database: &str) -> anyhow::Result<String> {
    let query = format!("INSERT INTO {TABLE} FORMAT JSONEachRow");
    let parameters = [
        ("query", query.as_str()),
        ("database", database),
        // A time with `T` and `Z` is not read otherwise.
        ("date_time_input_format", "best_effort"),
    ];
    let url = reqwest::Url::parse_with_params(&stores.clickhouse_url, parameters)?;
    Ok(url.into())
}

/// A file of headers: arguments can be read by everybody on the machine.
fn credentials(stores: &Stores, dir: &Path) -> anyhow::Result<String> {
    let path = dir.join("curl-headers");
    let (user, password) = (&stores.clickhouse_user, &stores.clickhouse_password);
    fs::write(
        &path,
        format!("X-ClickHouse-User: {user}\nX-ClickHouse-Key: {password}\n"),
    )?;
    Ok(path.display().to_string())
}

/// A program of the pipe; it ends with this handle.
struct Part {
    child: Child,
    name: &'static str,
    errors: std::path::PathBuf,
}

const LOOK_AGAIN: Duration = Duration::from_millis(10);

impl Part {
    fn spawn(command: &mut Command, name: &'static str, dir: &Path) -> anyhow::Result<Self> {
        let errors = dir.join(format!("{name}.err"));
        let child = command
            .stderr(fs::File::create(&errors)?)
            .spawn()
            .with_context(|| format!("cannot run {name}: install it, it is the peer here"))?;
        Ok(Self {
            child,
            name,
            errors,
        })
    }

    /// CPU time of the whole run: read after the end, before the kernel forgets the process.
    async fn wait(&mut self) -> anyhow::Result<u64> {
        let cpu = loop {
            let stat = process::stat(self.child.id())?;
            if stat.has_ended {
                break stat.cpu_us;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        };
        let status = self.child.wait()?;
        if !status.success() {
            let said = fs::read_to_string(&self.errors).unwrap_or_default();
            bail!("{} ended with {status}: {}", self.name, said.trim());
        }
        Ok(cpu)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Ended already, as a rule.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use clickhouse_store::{Client, Target, migrate};
    use local_stack::{LocalClickHouse, StackConfig, progress};

    use super::{TABLE, create_statement, without_delivery};

    #[test]
    fn what_serves_delivery_is_left_out_of_the_engine() {
        let logs = "MergeTree PARTITION BY block_day ORDER BY (service, timestamp) \
             TTL stored_at + toIntervalDay(30) SETTINGS non_replicated_deduplication_window = 10000, \
             ttl_only_drop_parts = 1";
        assert_eq!(
            without_delivery(logs),
            "MergeTree PARTITION BY toDate(timestamp) ORDER BY (service, timestamp) \
             TTL toDateTime(timestamp) + toIntervalDay(30) SETTINGS ttl_only_drop_parts = 1"
        );
    }

    /// The schema grows, and the peer's table with it: a column that only `logs` has fails here.
    #[tokio::test]
    async fn the_plain_table_is_made_from_the_schema_of_today() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let config = StackConfig::on_free_ports(dir.path())?;
        let server = LocalClickHouse::start(config, progress::silent()).await?;
        let client = Client::new(Target {
            url: server.clickhouse.url(),
            database: "bench".to_owned(),
            user: server.user().to_owned(),
            password: server.password().to_owned(),
        })?;
        migrate::apply(&client, migrate::ALL).await?;
        let statement = create_statement(&client).await?;
        client.typed().query(&statement).execute().await?;
        let found: u64 = client
            .typed()
            .query("SELECT count() FROM system.tables WHERE database = ? AND name = ?")
            .bind("bench")
            .bind(TABLE)
            .fetch_one()
            .await?;
        assert_eq!(found, 1);
        Ok(())
    }
}
