//! Commands on standard input while it runs: `inject kind[:service][@offset][+duration] [xMagnitude]`.
//! Invariant: a line that cannot be understood is answered on standard error and changes nothing.

use std::{
    io::BufRead,
    sync::mpsc::{Receiver, channel},
};

use crate::spec::{BadSpec, Spec};

/// A line that is no command.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadCommand {
    #[error("unknown command {0:?}, write: inject kind[:service][@offset][+duration] [xMagnitude]")]
    Unknown(String),
    #[error(transparent)]
    Spec(#[from] BadSpec),
}

/// Commands as they come in. Ends with the input.
pub(super) fn listen() -> std::io::Result<Receiver<Result<Spec, BadCommand>>> {
    let (sender, commands) = channel();
    std::thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || {
            for line in std::io::stdin().lock().lines() {
                let Ok(line) = line else { return };
                if line.trim().is_empty() {
                    continue;
                }
                if sender.send(parse(&line)).is_err() {
                    return;
                }
            }
        })?;
    Ok(commands)
}

fn parse(line: &str) -> Result<Spec, BadCommand> {
    let line = line.trim();
    match line.split_once(char::is_whitespace) {
        Some(("inject", spec)) => Ok(spec.parse()?),
        _ => Err(BadCommand::Unknown(line.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_command_or_says_what_one_looks_like() {
        let spec = parse("  inject rate_spike:search+20s x6 ").unwrap();
        assert_eq!(spec, "rate_spike:search+20s x6".parse().unwrap());
        let error = |line| parse(line).unwrap_err().to_string();
        assert!(error("stop").starts_with("unknown command \"stop\", write: inject kind"));
        assert!(error("inject").starts_with("unknown command"));
        assert!(error("inject boom").starts_with("unknown fault \"boom\""));
    }
}
