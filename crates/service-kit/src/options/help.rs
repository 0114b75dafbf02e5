//! `--help` of a service that is configured by its environment alone.

use std::{fmt::Write as _, io::Write as _, process::ExitCode};

use super::Variable;
use crate::lifecycle::exit_codes;

/// Answers `--help` and `--version`, and refuses any other argument (exit code 64). `None`: there
/// is none, go on.
pub fn answer_help(service: &str, about: &str, variables: &[Variable]) -> Option<ExitCode> {
    // Of the system's kind: one that is not UTF-8 is refused like any other.
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next()?.to_string_lossy().into_owned();
    let unexpected = arguments
        .next()
        .map(|more| more.to_string_lossy().into_owned());
    let text = match (first.as_str(), &unexpected) {
        ("-h" | "--help", None) => help(service, about, variables),
        ("-V" | "--version", None) => format!("{service} {}\n", env!("CARGO_PKG_VERSION")),
        (first, more) => {
            let known = ["-h", "--help", "-V", "--version"].contains(&first);
            let other = more.as_deref().filter(|_| known).unwrap_or(first);
            // Nobody is left to tell when the terminal is gone.
            let _untold = writeln!(
                std::io::stderr(),
                "{service}: unexpected argument {other:?}: it is configured by environment variables, see {service} --help"
            );
            return Some(ExitCode::from(exit_codes::OPTIONS));
        }
    };
    Some(print(&text))
}

/// Whoever reads no more has read enough; a full disk is a failure.
fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            let _untold = writeln!(
                std::io::stderr(),
                "cannot write to standard output: {error}"
            );
            ExitCode::from(exit_codes::NOT_WRITTEN)
        }
        _ => ExitCode::SUCCESS,
    }
}

fn help(service: &str, about: &str, variables: &[Variable]) -> String {
    let mut text = format!(
        "{about}\n\nUsage: {service} [--help | --version]\n\nEnvironment (a .env file in the current directory is read too):\n"
    );
    for variable in variables {
        let default = match (&variable.default, variable.required) {
            (_, true) => " (required)".to_owned(),
            (Some(default), false) if default.is_empty() => " [default: empty]".to_owned(),
            (Some(default), false) => format!(" [default: {default}]"),
            (None, false) => String::new(),
        };
        let also = if variable.aliases.is_empty() {
            String::new()
        } else {
            format!(", also {}", variable.aliases.join(", "))
        };
        // Writing to a String cannot fail.
        let _written = writeln!(
            text,
            "\n  {}{also}{default}\n      {} Expects {}.",
            variable.name, variable.about, variable.expected
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_stands_there_with_its_default() {
        let variables = crate::options::KafkaOptions::variables();
        let text = help("a-service", "Does a thing.", &variables);
        for variable in &variables {
            assert!(text.contains(&variable.name), "{}", variable.name);
        }
        assert!(text.contains("KAFKA_TOPIC [default: app-logs]"));
    }
}
