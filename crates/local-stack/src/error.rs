//! Why a stack could not be started or kept.
//!
//! Invariant: a message says what a person can do about it, wherever something can be done.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::child::Ending;

#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// Everything that is missing on this machine, found before anything was started.
    #[error("{}", .0.join("\n"))]
    NotPossibleHere(Vec<String>),
    #[error(
        "data directory {} is in use by another stack: stop that one, or choose another directory \
         with --data-dir or BAROGRAPH_STACK_DIR", .0.display()
    )]
    DataDirInUse(PathBuf),
    #[error(
        "processes of an earlier stack still use {}: they have been told to end and did not",
        .0.display()
    )]
    Leftovers(PathBuf),
    #[error(
        "program {name} is not in {}: build all of them with `cargo build --release --workspace`, \
         or set BAROGRAPH_BIN to the path of barograph", dir.display()
    )]
    NoBinary { name: String, dir: PathBuf },
    #[error("no free ports between 15000 and 31000")]
    NoFreePorts,
    #[error("cannot start {part}: {source}")]
    NotStarted { part: String, source: io::Error },
    #[error("{part} {ending} before it was ready{}", why(*reason, log, lines))]
    EndedEarly {
        part: String,
        ending: Ending,
        /// What its log means, where that is known.
        reason: Option<&'static str>,
        log: PathBuf,
        lines: Vec<String>,
    },
    #[error("{part} was not ready after {seconds} s ({last}); see {}", log.display())]
    NotReady {
        part: String,
        seconds: u64,
        last: String,
        log: PathBuf,
    },
    #[error("cannot fetch {what}: {} {ending}\n{}", program.display(), lines.join("\n"))]
    Fetch {
        what: &'static str,
        program: PathBuf,
        ending: Ending,
        lines: Vec<String>,
    },
    #[error(
        "what was fetched as {what} is not what Barograph was tested with (its digest is {found}): \
         check the mirror or proxy it came from"
    )]
    WrongBits { what: &'static str, found: String },
    #[error("kafka: {0}")]
    Kafka(#[from] rdkafka::error::KafkaError),
    #[error("cannot {doing}: {source}{}", way_out(source))]
    Io { doing: String, source: io::Error },
}

fn why(reason: Option<&'static str>, log: &Path, lines: &[String]) -> String {
    match reason {
        Some(reason) => format!(": {reason}; its whole log is {}", log.display()),
        None => format!("; the end of {}:\n{}", log.display(), lines.join("\n")),
    }
}

/// What a person can do about it.
fn way_out(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ": choose a directory that you may write to with --data-dir, or with --cache-dir for what is \
             fetched"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ": the disk is full; make room, or choose another directory with --data-dir"
        }
        _ => "",
    }
}

impl StackError {
    pub(crate) fn io(doing: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            doing: doing.into(),
            source,
        }
    }
}
