//! What the commands share: how they are asked, how they speak, and how they end.
//!
//! Exit codes: 0 done, 1 not done or something is wrong, 64 the command line is not right, 74 the
//! result could not be written.

pub mod display;
pub mod figures;
pub mod http;
pub mod interrupt;
pub mod say;
pub mod stores;
pub mod stream;

use std::{io::IsTerminal as _, process::ExitCode};

use clap::Parser;

pub const WRONG_COMMAND_LINE: u8 = 64;

/// What the command line asks for; where it asks for nothing that can be done (help, the version, a
/// mistake), that has been said, and the command ends with this code.
pub fn asked<Cli: Parser>() -> Result<Cli, ExitCode> {
    let error = match Cli::try_parse() {
        Ok(cli) => return Ok(cli),
        Err(error) => error,
    };
    if error.use_stderr() {
        let _ = error.print();
        return Err(ExitCode::from(WRONG_COMMAND_LINE));
    }
    // Asked for, so it is a result.
    let text = error.render();
    say::raw(
        if std::io::stdout().is_terminal() {
            text.ansi().to_string()
        } else {
            text.to_string()
        }
        .as_bytes(),
    );
    Err(ExitCode::SUCCESS)
}

/// The code a command ends with; an error has been said.
pub fn ended(done: anyhow::Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        say::problem(&error);
        ExitCode::FAILURE
    })
}
