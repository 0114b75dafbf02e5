//! Exit codes.
//! Invariant: a code means the same in every binary; the table is the documentation.

use std::process::ExitCode;

/// Why a process ended, as numbers for scripts and supervisors.
pub mod exit_codes {
    pub const CLEAN: u8 = 0;
    pub const OPTIONS: u8 = 64;
    pub const UNAVAILABLE: u8 = 69;
    pub const FATAL: u8 = 70;
    pub const NOT_WRITTEN: u8 = 74;
    pub const DRAIN_BUDGET: u8 = 75;

    /// Code and meaning, for documentation.
    pub const TABLE: [(u8, &str); 6] = [
        (CLEAN, "done, or stopped as asked"),
        (
            OPTIONS,
            "an option is missing or wrong; every problem is on standard error",
        ),
        (
            UNAVAILABLE,
            "something it needs stayed away past its budget, or its admin port is taken",
        ),
        (
            FATAL,
            "a broken invariant, a schema that does not fit, or a crashed task",
        ),
        (
            NOT_WRITTEN,
            "what was asked for could not be written to standard output, to a full disk, say",
        ),
        (
            DRAIN_BUDGET,
            "work was left when SHUTDOWN_BUDGET ended, or a second signal came",
        ),
    ];
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Clean,
    Options,
    Unavailable,
    Fatal,
    DrainBudget,
}

impl Exit {
    pub const fn code(self) -> u8 {
        match self {
            Self::Clean => exit_codes::CLEAN,
            Self::Options => exit_codes::OPTIONS,
            Self::Unavailable => exit_codes::UNAVAILABLE,
            Self::Fatal => exit_codes::FATAL,
            Self::DrainBudget => exit_codes::DRAIN_BUDGET,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// An error that knows how the process should end. Fatal unless it says otherwise.
pub trait HasExit {
    fn exit(&self) -> Exit {
        Exit::Fatal
    }
}

impl HasExit for std::convert::Infallible {}

impl HasExit for std::io::Error {}

impl HasExit for crate::options::Problems {
    fn exit(&self) -> Exit {
        Exit::Options
    }
}
