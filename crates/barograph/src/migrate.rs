//! `barograph migrate`: brings the database to the schema of this version.
//!
//! Invariant: a second call changes nothing.

use std::process::ExitCode;

use anyhow::Context as _;
use clickhouse_store::{Client, migrate};
use local_stack::Running;

use crate::place::DataDir;
use command_kit::{say, stores::Stores};

/// Bring the database to the schema of this version
///
/// Works on the stack of the data directory, or on the database that CLICKHOUSE_URL,
/// CLICKHOUSE_USER, CLICKHOUSE_PASSWORD and CLICKHOUSE_DATABASE name.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  barograph migrate
  barograph migrate --status
  CLICKHOUSE_URL=http://db:8123 CLICKHOUSE_PASSWORD=… barograph migrate")]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataDir,
    /// Only say which migrations have been applied; exit code 1 when some have not.
    #[arg(long)]
    status: bool,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let stores = Stores::find(Running::read(&args.data.data_dir).as_ref());
    let client = stores.clickhouse()?;
    if args.status {
        let status = migrate::status(&client, migrate::ALL).await?;
        for name in &status.applied {
            say::line(format_args!("applied  {name}"));
        }
        for name in &status.pending {
            say::line(format_args!("pending  {name}"));
        }
        return Ok(ExitCode::from(u8::from(!status.pending.is_empty())));
    }
    let applied = apply(&client).await?;
    for name in &applied {
        say::line(format_args!("applied  {name}"));
    }
    if applied.is_empty() {
        say::line("the schema is up to date");
    }
    Ok(ExitCode::SUCCESS)
}

/// Applies what is missing; answers with the names.
pub(crate) async fn apply(client: &Client) -> anyhow::Result<Vec<&'static str>> {
    migrate::apply(client, migrate::ALL)
        .await
        .with_context(|| format!("cannot migrate the database at {}", client.url()))
}
