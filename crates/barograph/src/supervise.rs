//! `barograph supervise`: the process between a stack and each of its parts. Not for use by hand.

use std::{ffi::OsString, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use local_stack::supervisor::{self, Job};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File that takes the command's output.
    #[arg(long, required_unless_present = "become_part_of")]
    log: Option<PathBuf>,
    /// Milliseconds between SIGTERM and SIGKILL.
    #[arg(long, default_value_t = 8000)]
    grace_ms: u64,
    /// File to lock as long as the command runs.
    #[arg(long)]
    alive: Option<PathBuf>,
    /// Becomes the command, to be killed when that process, its supervisor, ends.
    #[arg(long, value_name = "PID", conflicts_with_all = ["log", "alive"])]
    become_part_of: Option<u32>,
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(supervisor) = args.become_part_of {
        return Err(supervisor::become_part(supervisor, &args.command).into());
    }
    let job = Job {
        log: args.log.clone().context("--log is missing")?,
        alive: args.alive.clone(),
        grace: Duration::from_millis(args.grace_ms),
        command: args.command.clone(),
    };
    Ok(ExitCode::from(supervisor::supervise(&job)?))
}
