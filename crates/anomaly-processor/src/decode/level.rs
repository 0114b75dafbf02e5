//! A line's level: from a field's value, or from the words of a plain line.

use contracts::Level;

/// The level that a `level` field names, by name or number. `None`: nobody knows it.
pub(super) fn named(text: &str) -> Option<Level> {
    // What most senders write, before everything that some do.
    match text {
        "INFO" | "info" => return Some(Level::Info),
        "WARN" | "warn" => return Some(Level::Warn),
        "ERROR" | "error" => return Some(Level::Error),
        "DEBUG" | "debug" => return Some(Level::Debug),
        _ => {}
    }
    match text.trim().parse() {
        Ok(number) => Level::from_number(number, false),
        Err(_) => Level::from_name(text),
    }
}

/// The level of an OTLP severity number.
pub(super) fn numbered(text: &str) -> Option<Level> {
    Level::from_number(text.parse().ok()?, true)
}

/// Bytes of a plain line in which a level is looked for.
const HEAD: usize = 256;

/// The level of a plain line, from its words: one in capitals (`ERROR`), in brackets (`[error]`),
/// named (`level=error`), or leading with a colon (`error: …`). A word in running text is no level.
pub(super) fn among_words(text: &str) -> Level {
    let head = &text[..text.floor_char_boundary(HEAD)];
    let mut start = 0;
    for (at, next) in head.char_indices().chain([(head.len(), ' ')]) {
        if next.is_ascii_alphabetic() {
            continue;
        }
        let word = &head[start..at];
        let before = &head[..start];
        start = at + next.len_utf8();
        if !(3..=8).contains(&word.len()) {
            continue;
        }
        let marked = word.bytes().all(|byte| byte.is_ascii_uppercase())
            || (before.ends_with('[') && next == ']')
            || (before.ends_with('<') && next == '>')
            || ["level=", "lvl=", "severity=", "level=\""]
                .iter()
                .any(|name| before.ends_with(name))
            || (before.trim().is_empty() && next == ':');
        if marked
            && let Some(level) = Level::from_name(word)
                .filter(|_| !matches!(word, "LOG" | "CONFIG" | "FAIL" | "FINE" | "ALERT"))
        {
            return level;
        }
    }
    Level::Unknown
}
