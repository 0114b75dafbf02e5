//! Writes for people: results to standard output, everything else to standard error.
//!
//! Invariant: a closed pipe (`| head`) is no failure.

use std::io::{self, IsTerminal, Write as _};

use owo_colors::{AnsiColors, OwoColorize as _};

pub(crate) fn line(text: impl std::fmt::Display) {
    let _ = writeln!(io::stdout(), "{text}");
}

pub(crate) fn note(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// An error with its causes; one line each where it has several.
pub(crate) fn problem(error: &anyhow::Error) {
    let text = format!("{error:#}");
    let mut stderr = io::stderr();
    for line in text.lines() {
        let mark = painted("error:", AnsiColors::Red, &stderr);
        let _ = writeln!(stderr, "{mark} {line}");
    }
}

/// Coloured on a terminal, unless `NO_COLOR` is set.
pub(crate) fn painted(text: &str, color: AnsiColors, stream: &impl IsTerminal) -> String {
    let plain =
        !stream.is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
    if plain {
        return text.to_owned();
    }
    text.color(color).to_string()
}
