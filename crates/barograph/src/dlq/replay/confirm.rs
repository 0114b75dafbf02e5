//! Asks before something is done.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal()
}

/// Anything but a yes is a no.
pub(super) async fn ask(question: &str) -> anyhow::Result<bool> {
    let question = format!("{question} [y/N] ");
    let answer = tokio::task::spawn_blocking(move || {
        let mut stderr = io::stderr();
        stderr.write_all(question.as_bytes())?;
        stderr.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        io::Result::Ok(answer)
    });
    let answer = answer.await??;
    Ok(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}
