//! Writes for people: results to standard output, everything else to standard error.
//!
//! Invariant: nothing that goes out steers the terminal but this program's own colours. A reader that
//! went away (`| head`) ends the command quietly; a result that cannot be written is a failure with a
//! code of its own.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write as _},
};

use owo_colors::{AnsiColors, OwoColorize as _};
use strangers::{json as shown_json, printable, screened};
use tokio::io::{Interest, unix::AsyncFd};

/// The result could not be written, to a full disk, say.
pub const NOT_WRITTEN: u8 = 74;

/// A line of the result.
pub fn line(text: impl Display) {
    write(&screened(&text.to_string()));
}

/// A line of the result that is JSON.
pub fn json(text: &str) {
    write(&shown_json(text));
}

fn write(text: &str) {
    let mut out = io::stdout();
    settle(writeln!(out, "{text}").and_then(|()| out.flush()));
}

/// Bytes as they are, for a program behind the pipe.
pub fn raw(bytes: &[u8]) {
    let mut out = io::stdout();
    settle(out.write_all(bytes).and_then(|()| out.flush()));
}

/// Ends the command where its result goes nowhere. What it has started ends with it.
fn settle(written: io::Result<()>) {
    let Err(error) = written else { return };
    if error.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    note(format_args!(
        "error: cannot write to standard output: {error}"
    ));
    std::process::exit(NOT_WRITTEN.into());
}

/// Returns when nobody can read standard output any more. Never where that cannot be known.
pub async fn unheard() {
    let gone = async {
        #[expect(
            deprecated,
            reason = "the other one is unsafe; the descriptor of standard output is never closed"
        )]
        let out = AsyncFd::with_interest(io::stdout(), Interest::ERROR)?;
        let _ready = out.ready(Interest::ERROR).await?;
        io::Result::Ok(())
    };
    if gone.await.is_err() {
        std::future::pending::<()>().await;
    }
}

pub fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{}", screened(&text.to_string()));
}

/// An error with its causes; one line each where it has several.
pub fn problem(error: &anyhow::Error) {
    let text = format!("{error:#}");
    let mut stderr = io::stderr();
    for line in text.lines() {
        let mark = painted("error:", AnsiColors::Red, &stderr);
        let _ = writeln!(stderr, "{mark} {}", printable(line, LONGEST_PROBLEM));
    }
}

/// Characters of a line of an error: other programs' errors may quote what they were sent.
const LONGEST_PROBLEM: usize = 2000;

/// Coloured on a terminal, unless `NO_COLOR` is set.
pub fn painted(text: &str, color: AnsiColors, stream: &impl IsTerminal) -> String {
    let plain =
        !stream.is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
    if plain {
        return text.to_owned();
    }
    text.color(color).to_string()
}
