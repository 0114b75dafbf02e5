//! `barograph dlq`: what could not be read, why, and sending it again.
//!
//! Invariants: the dead-letter topic is only read; what `replay` remembers stands in a topic of its
//! own ([`memory`]); nothing of a letter reaches the terminal with its control characters.

mod letter;
mod list;
mod memory;
mod pick;
mod replay;
mod scan;
mod send;
mod show;

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use kafka_io::{Connection, topics};
use local_stack::Running;

use crate::{
    place::{DataDir, topic_of_dead_letters},
    text::printable,
};
use command_kit::stores::Stores;

/// For each question to the brokers.
const LIMIT: Duration = Duration::from_secs(10);

/// See what could not be read, and why, and send it again
///
/// Works on the stack of the data directory, or on the Kafka that KAFKA_BROKERS names.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  barograph dlq list                              how many, why, and the newest
  barograph dlq show 0:17                         everything about one
  barograph dlq replay --reason rejected_row --dry-run
  barograph dlq replay --reason rejected_row      once what refused it has been changed")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    List(list::Args),
    Show(show::Args),
    Replay(replay::Args),
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::List(args) => list::run(args).await,
        Action::Show(args) => show::run(args).await,
        Action::Replay(args) => replay::run(args).await,
    }
}

#[derive(Debug, Clone, clap::Args)]
struct Where {
    #[command(flatten)]
    data: DataDir,
    /// Kafka [default: KAFKA_BROKERS, else the running stack's, else 127.0.0.1:9092].
    #[arg(long, value_name = "HOST:PORT,…")]
    brokers: Option<String>,
    /// The dead-letter topic [default: KAFKA_TOPIC, else app-logs, with .dlq behind it].
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
}

/// A dead-letter topic as it is now.
struct Queue {
    connection: Connection,
    topic: String,
    /// First and next offset of each partition.
    ranges: Vec<(i64, i64)>,
}

impl Where {
    async fn open(&self) -> anyhow::Result<Queue> {
        let brokers = self
            .brokers
            .clone()
            .unwrap_or_else(|| Stores::find(Running::read(&self.data.data_dir).as_ref()).brokers);
        let connection = Connection::plain(brokers);
        let topic = match &self.topic {
            Some(topic) => topic.clone(),
            None => topic_of_dead_letters(),
        };
        let ranges = offsets(&connection, &topic).await.context(
            "the dead letters cannot be read; --topic or KAFKA_TOPIC say where they are, --brokers \
             or KAFKA_BROKERS where Kafka is",
        )?;
        Ok(Queue {
            connection,
            topic,
            ranges,
        })
    }
}

/// First and next offset of each partition; a topic that does not exist is an error.
async fn offsets(connection: &Connection, topic: &str) -> Result<Vec<(i64, i64)>, anyhow::Error> {
    let (connection, topic) = (connection.clone(), topic.to_owned());
    let asked = tokio::task::spawn_blocking(move || topics::offsets(&connection, &topic, LIMIT));
    Ok(asked.await??)
}

/// A letter's reason, for people.
fn reason_text(reason: &str) -> String {
    match reason {
        "" => "(no reason)".to_owned(),
        reason => printable(reason, 40),
    }
}
