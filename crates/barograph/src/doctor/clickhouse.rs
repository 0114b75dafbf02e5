//! Checks ClickHouse: does it answer, is the schema the one of this version.

use clickhouse_store::{
    Client,
    accounts::{self, Lost},
    migrate::{self, MigrateError},
};

use super::finding::Finding;
use command_kit::stores::Stores;

const AREA: &str = "clickhouse";

pub(crate) async fn check(stores: &Stores) -> Vec<Finding> {
    let url = &stores.clickhouse_url;
    let client = match stores.clickhouse() {
        Ok(client) => client,
        Err(error) => return vec![unreachable(url, &error.to_string())],
    };
    let server = client.in_database("default");
    let version = match server.execute("SELECT version()", &[]).await {
        Ok(answer) => String::from_utf8_lossy(&answer).trim().to_owned(),
        Err(error) => return vec![unreachable(url, &error.to_string())],
    };
    let mut findings = vec![Finding::fine(
        AREA,
        format!("version {version} answers at {url}"),
    )];
    let status = migrate::status(&client, migrate::ALL).await;
    let is_up_to_date = status
        .as_ref()
        .is_ok_and(|status| status.pending.is_empty());
    findings.push(schema(status));
    if is_up_to_date {
        findings.extend(lost_logs(&client).await);
    }
    findings
}

/// For how long a log that was lost is worth a line.
const DAYS: u32 = 7;

async fn lost_logs(client: &Client) -> Vec<Finding> {
    match accounts::lost(client, DAYS).await {
        Ok(lost) => lost.iter().map(lost_log).collect(),
        Err(error) => vec![Finding::wrong(
            AREA,
            format!("cannot tell whether Kafka lost logs: {error}"),
            "check the rights of CLICKHOUSE_USER: it reads partition_lives",
        )],
    }
}

fn lost_log(lost: &Lost) -> Finding {
    let Lost {
        incarnation,
        partition,
        begins_at,
        stored_to,
        found_at,
    } = lost;
    Finding::warning(
        AREA,
        format!(
            "{found_at}: Kafka had lost the log of partition {partition}: offsets {begins_at} to {} are stored here and \
             not in the topic any more; what was behind them and not read is lost",
            stored_to - 1
        ),
        format!(
            "look at that broker's disks; the new log's rows are apart from the old one's, whose topic is {incarnation}"
        ),
    )
}

fn unreachable(url: &str, reason: &str) -> Finding {
    Finding::wrong(
        AREA,
        format!("{url} cannot be used: {reason}"),
        "check that it runs, and CLICKHOUSE_URL, CLICKHOUSE_USER and CLICKHOUSE_PASSWORD",
    )
}

fn schema(status: Result<migrate::Status, MigrateError>) -> Finding {
    match status {
        Ok(status) if status.pending.is_empty() => Finding::fine(
            AREA,
            format!("schema is up to date ({} migrations)", status.applied.len()),
        ),
        Ok(status) => Finding::wrong(
            AREA,
            format!("migrations are pending: {}", status.pending.join(", ")),
            "apply them with `barograph migrate`",
        ),
        Err(error) => Finding::wrong(
            AREA,
            error.to_string(),
            "run the version of Barograph that this database belongs to",
        ),
    }
}
