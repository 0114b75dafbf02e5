//! Why a stack could not be started or kept.
//!
//! Invariant: a message says what a person can do about it, wherever something can be done.

use std::{io, path::PathBuf};

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
    #[error("{part} {ending} before it was ready; the end of {}:\n{}", log.display(), lines.join("\n"))]
    EndedEarly {
        part: String,
        ending: Ending,
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
    #[error("cannot {doing}: {source}")]
    Io { doing: String, source: io::Error },
}

impl StackError {
    pub(crate) fn io(doing: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            doing: doing.into(),
            source,
        }
    }
}
