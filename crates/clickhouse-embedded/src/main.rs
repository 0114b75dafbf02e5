//! Starts the server; exit codes are in `exit`.

use std::{io::IsTerminal, process::ExitCode, time::Duration};

use clap::Parser;
use clickhouse_embedded::{
    confine::confine,
    options::RawOptions,
    serve::{Ending, serve},
};
use strangers::logs::{Sampled, fields};
use tracing_subscriber::EnvFilter;

/// Exit codes, as everywhere in Barograph.
mod exit {
    pub(super) const OPTIONS: u8 = 64;
    pub(super) const UNAVAILABLE: u8 = 69;
    pub(super) const STUCK: u8 = 75;
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_ansi(std::io::stderr().is_terminal())
        .fmt_fields(fields())
        .event_format(Sampled::text(tracing_subscriber::fmt::format()))
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let raw = match RawOptions::try_parse() {
        Ok(raw) => raw,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(exit::OPTIONS)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let mut options = match raw.check() {
        Ok(options) => options,
        Err(problems) => {
            problems.0.iter().for_each(|problem| eprintln!("{problem}"));
            return ExitCode::from(exit::OPTIONS);
        }
    };
    // Before there is another thread: what a thread may do is what the one that started it may.
    let confinement = match confine(&mut options) {
        Ok(confinement) => confinement,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return ExitCode::from(exit::UNAVAILABLE);
        }
    };
    // Each place needs a thread, and so does each query that is being cancelled.
    let threads = options.connections * 3 + 16;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(threads)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start the runtime");
            return ExitCode::from(exit::UNAVAILABLE);
        }
    };
    let outcome = runtime.block_on(serve(options, confinement));
    runtime.shutdown_timeout(Duration::from_secs(1));
    match outcome {
        Ok(Ending::Clean) => ExitCode::SUCCESS,
        Ok(Ending::Stuck) => ExitCode::from(exit::STUCK),
        Err(error) => {
            tracing::error!(%error, "cannot serve");
            ExitCode::from(exit::UNAVAILABLE)
        }
    }
}
