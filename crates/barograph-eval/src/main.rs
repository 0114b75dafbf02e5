//! `barograph-eval`: how good it is, by labelled data, beside peers on the same data.
//!
//! Invariants: a figure is measured in the run that prints it, together with what it is held
//! against; sums that are not exact are an error, never a figure; one configuration for all sets.

mod scenarios;
mod templates;

use std::process::ExitCode;

/// Judge it by labelled data: how well storms are found among harmless events, and templates among lines
///
/// Exit code 1: something broke, or a sum was not exact; 64: the data are not what they should be.
/// A target that was missed is printed, and is no failure.
#[derive(Debug, clap::Parser)]
#[command(
    name = "barograph-eval",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  barograph-eval scenarios --seeds 1,2,3            days of a simulated fleet, beside their labels
  barograph-eval templates --data ./loghub2k          accuracy, speed, growth and order, beside peers
  barograph-eval templates --only accuracy --explain  what was grouped differently from the labels
  barograph-eval templates --json | jq .accuracy.mean"
)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Scenarios(scenarios::Args),
    Templates(templates::Args),
}

fn main() -> ExitCode {
    match command_kit::asked::<Cli>() {
        Ok(cli) => command_kit::ended(match &cli.what {
            What::Scenarios(args) => scenarios::run(args),
            What::Templates(args) => templates::run(args),
        }),
        Err(code) => code,
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
