//! `barograph templates`: what the logs say, by the templates of their lines, and what has changed.
//!
//! Invariants: the database is only read; a merged id is followed to the id it has now before
//! anything is counted or shown; nothing of a line reaches the terminal with its control characters.

mod counts;
mod database;
mod diff;
mod id;
mod list;
mod mark;
mod screen;
mod show;
mod surprise;

use std::process::ExitCode;

use local_stack::Running;

use crate::place::DataDir;
use command_kit::stores::Stores;
use database::Database;

/// See what the logs say, by the templates of their lines, and what has changed
///
/// Works on the stack of the data directory, or on the database that CLICKHOUSE_URL,
/// CLICKHOUSE_USER, CLICKHOUSE_PASSWORD and CLICKHOUSE_DATABASE name.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  barograph templates list                        which lines there are, the most frequent first
  barograph templates list --errors --since 1h    what went wrong in the last hour
  barograph templates show 4be1                   everything about one, and its newest lines
  barograph templates diff --since 30m            what has changed since half an hour ago")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    List(list::Args),
    Show(show::Args),
    Diff(diff::Args),
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::List(args) => list::run(args).await,
        Action::Show(args) => show::run(args).await,
        Action::Diff(args) => diff::run(args).await,
    }
}

#[derive(Debug, Clone, clap::Args)]
struct Where {
    #[command(flatten)]
    data: DataDir,
}

impl Where {
    fn open(&self) -> anyhow::Result<Database> {
        let stores = Stores::find(Running::read(&self.data.data_dir).as_ref());
        Ok(Database::of(stores.clickhouse()?))
    }
}
