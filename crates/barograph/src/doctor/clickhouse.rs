//! Checks ClickHouse: does it answer, is the schema the one of this version.

use clickhouse_store::migrate::{self, MigrateError};

use super::finding::Finding;
use crate::place::Stores;

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
    vec![
        Finding::fine(AREA, format!("version {version} answers at {url}")),
        schema(migrate::status(&client, migrate::ALL).await),
    ]
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
