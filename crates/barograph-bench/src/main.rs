//! `barograph-bench`: how fast it is and what it costs, each figure beside its peer or its limit.
//!
//! Invariants: a figure is measured in the run that prints it, together with what it is held
//! against; sums that are not exact are an error, never a figure; nothing is left behind.

mod all;
mod bed;
mod count;
mod fanout;
mod fill;
mod generator;
mod growth;
mod latency;
mod lines;
mod output;
mod pipeline;
mod process;
mod stages;
mod threads;

use std::process::ExitCode;

/// Measure it: records per second, cost per record, latency, clients, beside a peer or the limit
///
/// Each measurement starts Kafka, ClickHouse and the services on free ports in a temporary
/// directory and ends them again. Exit code 1: something broke, or a sum was not exact. A target
/// that was missed is printed, and is no failure.
#[derive(Debug, clap::Parser)]
#[command(
    name = "barograph-bench",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  barograph-bench all                                 everything in a small size, one table
  barograph-bench pipeline                            beside kcat | curl on the same topic
  barograph-bench pipeline --records 10M --runs 1
  barograph-bench pipeline --json - | jq .cpu_ratio_vs_plain_pipe
  barograph-bench latency --rates 10000 --frames 2000
  barograph-bench fanout --connections 18k"
)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    All(all::Args),
    Pipeline(pipeline::Args),
    Generator(generator::Args),
    Latency(latency::Args),
    Fanout(fanout::Args),
    Growth(growth::Args),
    Stages(stages::Args),
    Threads(threads::Args),
    #[command(hide = true)]
    Clients(fanout::clients::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    match command_kit::asked::<Cli>() {
        Ok(cli) => command_kit::ended(run(cli.what).await.map(|()| ExitCode::SUCCESS)),
        Err(code) => code,
    }
}

async fn run(what: What) -> anyhow::Result<()> {
    match what {
        What::All(args) => all::run(args).await,
        What::Pipeline(args) => pipeline::run(args).await,
        What::Generator(args) => generator::run(args).await,
        What::Latency(args) => latency::run(args).await,
        What::Fanout(args) => fanout::run(args).await,
        What::Growth(args) => growth::run(args).await,
        What::Stages(args) => stages::run(args).await,
        What::Threads(args) => threads::run(args).await,
        What::Clients(args) => fanout::clients::run(args).await,
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
}
