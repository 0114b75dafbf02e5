//! The operator's command.
//!
//! Invariant: a subcommand is one module with its `Args` and a `run` that answers with the exit
//! code, which [`command_kit`] explains.

mod audit;
mod demo;
mod dlq;
mod doctor;
mod migrate;
mod moment;
mod place;
mod records;
mod supervise;
mod tail;
mod templates;
mod text;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(
    name = "barograph",
    version,
    about = "Sees the storm in your logs before your users do",
    max_term_width = 100,
    after_help = "\
Examples:
  barograph up                    Kafka, ClickHouse and the services, on this machine, until Ctrl-C
  barograph up --generate 500     the same, with 500 simulated log lines a second
  barograph demo                  see it work: a minute, with injected anomalies and an account
  barograph tail                  anomalies in the terminal, as they come
  barograph doctor                what is missing or wrong, and what to do about it
  barograph audit                 whether ClickHouse has what was stored, row for row
  barograph dlq list              what could not be read, and why
  barograph records explain < line.json  how one record is read, field by field, and why
  barograph templates diff --since 30m   which log lines are new, gone, more or fewer
  barograph migrate --status      which database migrations have been applied

`barograph COMMAND --help` says more, with examples."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Args),
    Demo(demo::Args),
    Tail(tail::Args),
    Doctor(doctor::Args),
    Audit(audit::Args),
    Dlq(dlq::Args),
    Records(records::Args),
    Templates(templates::Args),
    Migrate(migrate::Args),
    #[command(hide = true)]
    Supervise(supervise::Args),
}

fn main() -> ExitCode {
    let command = match command_kit::asked::<Cli>() {
        Ok(cli) => cli.command,
        Err(code) => return code,
    };
    // A supervisor has to stay on one thread; everything else shares a runtime.
    command_kit::ended(match command {
        Command::Supervise(args) => supervise::run(&args),
        command => run(command),
    })
}

#[tokio::main]
async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(args) => up::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Tail(args) => tail::run(args).await,
        Command::Doctor(args) => doctor::run(args).await,
        Command::Audit(args) => audit::run(args).await,
        Command::Dlq(args) => dlq::run(args).await,
        Command::Records(args) => records::run(&args),
        Command::Templates(args) => templates::run(args).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::Supervise(args) => supervise::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_visible_command_shows_examples() {
        for command in Cli::command()
            .get_subcommands()
            .filter(|it| !it.is_hide_set())
        {
            let examples = command.get_after_help().map(ToString::to_string);
            assert!(
                examples.is_some_and(|text| text.starts_with("Examples:")),
                "{} has none",
                command.get_name()
            );
        }
    }
}
