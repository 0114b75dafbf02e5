//! `barograph eval`: how good it is, by labelled data, beside peers on the same data.
//!
//! Invariants: a figure is measured in the run that prints it, together with what it is held
//! against; sums that are not exact are an error, never a figure; one configuration for all sets.

mod templates;

use std::process::ExitCode;

/// Judge it by labelled data: how well templates are found, how fast, and whether order matters
///
/// Exit code 1: something broke, or a sum was not exact; 64: the data are not what they should be.
/// A target that was missed is printed, and is no failure.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  barograph eval templates --data ./loghub2k          accuracy, speed, growth and order, beside peers
  barograph eval templates --only accuracy --explain  what was grouped differently from the labels
  barograph eval templates --json | jq .accuracy.mean")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Templates(templates::Args),
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.what {
        What::Templates(args) => templates::run(args),
    }
}
