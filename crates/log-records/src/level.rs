//! A line's level: from a field's value, or from the words of a plain line.

use std::borrow::Cow;

use contracts::Level;

use primitives::escapes::{self, ESCAPE};

use crate::{json::Value, names::How};

/// The level that a field names, by name or number. `None`: nobody knows it.
#[inline]
pub(super) fn of_value(value: &Value<'_>, how: How) -> Option<Level> {
    // What most senders write, before everything that some do.
    match &*value.text {
        "INFO" | "info" => Some(Level::Info),
        "WARN" | "warn" => Some(Level::Warn),
        "ERROR" | "error" => Some(Level::Error),
        "DEBUG" | "debug" => Some(Level::Debug),
        other => odd(other, how),
    }
}

#[cold]
fn odd(text: &str, how: How) -> Option<Level> {
    let text = without_colours(text);
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        let whole = number as i64;
        return (whole as f64 == number).then(|| of_number(whole, how))?;
    }
    let text = text.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
    // Go's slog: so many steps from the next level that has a name.
    let name = match text.split_once(['+', '-']) {
        Some((name, steps)) if steps.parse::<u8>().is_ok() => name,
        _ => text,
    };
    Level::from_name(name)
}

fn of_number(number: i64, how: How) -> Option<Level> {
    match how {
        How::Otlp => Level::from_number(number, true),
        How::Python => match number {
            10 => Some(Level::Debug),
            20 => Some(Level::Info),
            30 => Some(Level::Warn),
            40 => Some(Level::Error),
            50 => Some(Level::Fatal),
            _ => None,
        },
        How::Insights => match number {
            0 => Some(Level::Debug),
            1 => Some(Level::Info),
            2 => Some(Level::Warn),
            3 => Some(Level::Error),
            4 => Some(Level::Fatal),
            _ => None,
        },
        _ => Level::from_number(number, false).or(match (number, how) {
            // From five thousand on Logback's; below, Google Cloud's where it is named so, and Monolog's.
            (5_000, _) => Some(Level::Trace),
            (100 | 10_000, _) => Some(Level::Debug),
            (200 | 250 | 20_000, _) | (300, How::GoogleCloud) => Some(Level::Info),
            (300 | 30_000, _) | (400, How::GoogleCloud) => Some(Level::Warn),
            (400 | 40_000, _) | (500, How::GoogleCloud) => Some(Level::Error),
            (500 | 550 | 600 | 700 | 800, _) => Some(Level::Fatal),
            _ => None,
        }),
    }
}

/// Bytes of a plain line in which a level is looked for.
const HEAD: usize = 256;

/// The level of a plain line, from its words: one in capitals (`ERROR`), in brackets (`[error]`), named
/// (`level=error`), leading with a colon (`error: …`), or a letter where klog and Android have it; else
/// syslog's priority. A word in running text, in quotes, in a path or within another word is no level.
pub(super) fn among_words(text: &str) -> Level {
    let head = &text[..text.floor_char_boundary(HEAD)];
    let head = without_colours(head);
    let (priority, rest) = match priority(&head) {
        Some((level, rest)) => (Some(level), rest),
        None => (None, &*head),
    };
    word(rest).or(priority).unwrap_or_default()
}

fn word(head: &str) -> Option<Level> {
    // A word that was no time, number or bracket has come.
    let mut is_running_text = false;
    let mut is_quoted = false;
    for (place, token) in head.split_ascii_whitespace().enumerate() {
        let quotes = token.bytes().filter(|byte| *byte == b'"').count();
        let was_quoted = is_quoted;
        is_quoted ^= quotes % 2 == 1;
        if was_quoted {
            continue;
        }
        let found = named(token)
            .or_else(|| bracketed(token))
            .or_else(|| in_capitals(token))
            .or_else(|| (!is_running_text).then(|| leading(token, place))?);
        if found.is_some() {
            return found;
        }
        let is_number_or_bracket = token.bytes().any(|byte| byte.is_ascii_digit())
            || token.starts_with(['[', '<', '(', '{', '|', '-']);
        is_running_text |= !is_number_or_bracket;
    }
    None
}

/// `level=error`, `"level":"error"`.
fn named(token: &str) -> Option<Level> {
    const NAMES: [&str; 7] = [
        "level",
        "lvl",
        "severity",
        "loglevel",
        "log_level",
        "log.level",
        "levelname",
    ];
    let (name, value) = token.split_once('=').or_else(|| token.split_once("\":"))?;
    let is_mark = |letter: char| !letter.is_ascii_alphanumeric();
    let name = name.trim_start_matches(is_mark);
    let is_name = NAMES.iter().any(|one| one.eq_ignore_ascii_case(name));
    let value = value.trim_start_matches(is_mark);
    let value = value.split(is_mark).next()?;
    is_name.then(|| Level::from_name(value))?
}

/// `[error]`, `<Error>`, `[proxy:error]`, also between other brackets of the token.
fn bracketed(token: &str) -> Option<Level> {
    let mut rest = token;
    loop {
        let (before, after) = rest.split_once(['[', '<', '('])?;
        if before.contains(['/', '?', '=', '"']) {
            return None;
        }
        let (inside, after) = after.split_once([']', '>', ')'])?;
        let word = inside.rsplit(':').next().unwrap_or(inside);
        // These are names of modules too.
        if word.len() > 2 && !matches!(word, "log" | "config" | "fine" | "failure") {
            let level = Level::from_name(word);
            if level.is_some() {
                return level;
            }
        }
        rest = after;
    }
}

/// `ERROR`, `ERROR:`, `ERROR/MainProcess]`, `app.EMERGENCY:`, `ERR!`.
fn in_capitals(token: &str) -> Option<Level> {
    let word = token.trim_start_matches(['[', '(', '<', '{', '|', '*', '-', '#']);
    let word = match word
        .strip_suffix(':')
        .and_then(|name| name.rsplit_once('.'))
    {
        // A channel, and its level.
        Some((channel, level)) if !channel.contains(['/', ':']) => level,
        _ => word,
    };
    let length = word.bytes().take_while(u8::is_ascii_uppercase).count();
    let (capitals, after) = word.split_at_checked(length)?;
    let is_whole = after.is_empty()
        || after.starts_with([':', ',', ']', ')', '>', '|', '/', '!', '*', ';', '-']);
    let is_word_of_its_own =
        !matches!(capitals, "LOG" | "CONFIG" | "FAIL" | "FINE" | "ALERT") || after.starts_with(':');
    (length > 2 && is_whole && is_word_of_its_own).then(|| Level::from_name(capitals))?
}

/// Before all running text: `error: …`, `E1126 …`, `E/Tag: …`, or a letter behind a time and numbers.
fn leading(token: &str, place: usize) -> Option<Level> {
    if let Some(word) = token.strip_suffix(':')
        && word.len() > 2
    {
        return Level::from_name(word);
    }
    let letter = token.get(..1)?;
    let is_letter = matches!(letter, "V" | "D" | "I" | "W" | "E" | "F");
    let after = token.get(1..)?;
    let is_klog = place == 0 && after.len() == 4 && after.bytes().all(|byte| byte.is_ascii_digit());
    let is_android = (place == 0 && after.starts_with('/')) || (place > 1 && after.is_empty());
    (is_letter && (is_klog || is_android)).then(|| Level::from_name(letter))?
}

/// Syslog's `<11>` at the beginning, RFC 5424: a level, and what follows.
fn priority(head: &str) -> Option<(Level, &str)> {
    let (digits, rest) = head.strip_prefix('<')?.split_once('>')?;
    let is_short = (1..=3).contains(&digits.len());
    let value: i64 = is_short.then(|| digits.parse().ok())??;
    let level = Level::from_number(value % 8, false)?;
    (0..=191).contains(&value).then_some((level, rest))
}

/// A text without the codes that colour it on a terminal.
fn without_colours(text: &str) -> Cow<'_, str> {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(char::from(ESCAPE)) {
        let (before, code) = rest.split_at(at);
        plain.push_str(before);
        rest = &code[escapes::length(code.as_bytes())..];
    }
    if rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}
