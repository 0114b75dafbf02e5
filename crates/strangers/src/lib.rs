//! Text that strangers wrote (log lines, names of services, titles, errors of other programs), made fit
//! for people's screens and for logs.
//!
//! Invariant: one predicate, [`steers`], says what must not reach a terminal, and everything that is
//! shown or logged goes through it: [`printable`] for what is put into a line, [`screened`] for whole
//! lines on their way out, [`json`] for JSON, [`logs`] for what services log.

pub mod logs;

use std::{borrow::Cow, fmt::Write as _};

/// Whether a character moves the cursor, changes colours or titles, changes the direction of writing,
/// or is not to be seen at all.
pub fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character,
            // Marks, overrides and isolates of direction.
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Of no width, or joining others.
            | '\u{00ad}' | '\u{034f}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}'
            | '\u{206a}'..='\u{206f}' | '\u{feff}'
            // Separators of lines and paragraphs.
            | '\u{2028}' | '\u{2029}'
            // Fillers without ink.
            | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}'
            // Annotations, musical controls, tags.
            | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}')
}

/// One line with at most `limit` characters of the text; what is not UTF-8 as `\xNN`. A `…` says that
/// there is more.
pub fn printable(text: impl AsRef<[u8]>, limit: usize) -> String {
    let mut out = String::new();
    let mut left = limit;
    for chunk in text.as_ref().utf8_chunks() {
        for character in chunk.valid().chars() {
            if left == 0 {
                out.push('…');
                return out;
            }
            left -= 1;
            if steers(character) {
                out.extend(character.escape_default());
            } else {
                out.push(character);
            }
        }
        for byte in chunk.invalid() {
            if left == 0 {
                out.push('…');
                return out;
            }
            left -= 1;
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Whole output of this program: its own line breaks, tabs and colours stay, and nothing else that
/// steers. What strangers wrote in it has been through [`printable`]; this is for what has not.
pub fn screened(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| steers(c) && c != '\n') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let length = colour(rest).unwrap_or(character.len_utf8());
        if steers(character) && !matches!(character, '\n' | '\t') && colour(rest).is_none() {
            out.extend(character.escape_default());
        } else {
            out.push_str(&rest[..length]);
        }
        rest = &rest[length..];
    }
    Cow::Owned(out)
}

/// How long the colour is that `text` begins with: `ESC [ 1 ; 31 m`.
fn colour(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|c: char| !(c.is_ascii_digit() || c == ';'))?;
    parameters[end..].starts_with('m').then_some(end + 3)
}

/// A JSON text with what steers written as `\uNNNN`: the same document, and fit for a terminal. Line
/// breaks, which in JSON stand only between its parts, stay.
pub fn json(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| steers(c) && !matches!(c, '\n' | '\t' | '\r');
    if !text.chars().any(harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if harmful(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What has been used against people's terminals, and what it must look like.
    const ATTACKS: &[(&str, &str)] = &[
        ("\x1b]0;owned\x07", r"\u{1b}]0;owned\u{7}"),
        ("\x1b[2J\x1b[1;1H", r"\u{1b}[2J\u{1b}[1;1H"),
        ("\u{9b}31mred", r"\u{9b}31mred"),
        ("\u{202e}abc", r"\u{202e}abc"),
        ("\u{2066}a\u{2069}", r"\u{2066}a\u{2069}"),
        (
            "a\u{200b}b\u{200d}c\u{feff}d",
            r"a\u{200b}b\u{200d}c\u{feff}d",
        ),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("a\x7f\x08b\0", r"a\u{7f}\u{8}b\u{0}"),
        ("a\u{2028}b\u{2029}c\u{85}d", r"a\u{2028}b\u{2029}c\u{85}d"),
        ("\u{e0041}\u{e007f}", r"\u{e0041}\u{e007f}"),
        (
            "\u{90}q\u{9c}\u{9d}0;x\u{9c}",
            r"\u{90}q\u{9c}\u{9d}0;x\u{9c}",
        ),
        ("\x1bPq\x1b\\", "\\u{1b}Pq\\u{1b}\\"),
        ("caf\u{e9} \u{4e2d}\u{6587} \u{1f600}", "café 中文 😀"),
    ];

    /// Would catch a log line that clears the operator's screen, or reads backwards.
    #[test]
    fn nothing_steers_the_terminal() {
        for (text, expected) in ATTACKS {
            assert_eq!(printable(text, 1000), *expected);
        }
        assert_eq!(printable(b"a\xff\xfeb\xc2", 100), r"a\xff\xfeb\xc2");
    }

    #[test]
    fn what_is_left_out_is_said() {
        assert_eq!(printable(b"abc", 3), "abc");
        assert_eq!(printable(b"abcd", 3), "abc…");
        assert_eq!(printable(b"ab\xff", 2), "ab…");
    }

    #[test]
    fn own_lines_and_colours_pass_and_nothing_else() {
        let own = "\x1b[1;31merror:\x1b[0m a\n\tb";
        assert_eq!(screened(own), own);
        for (text, expected) in ATTACKS {
            let kept = expected.replace("\\n", "\n").replace("\\t", "\t");
            assert_eq!(screened(text), kept);
        }
        assert_eq!(screened("\x1b[31"), r"\u{1b}[31");
        assert_eq!(screened("\x1b[3Km"), r"\u{1b}[3Km");
        assert_eq!(screened("\x1b[?25l"), r"\u{1b}[?25l");
    }

    #[test]
    fn a_json_document_stays_the_same_one() {
        for (text, _) in ATTACKS {
            let document = serde_json::json!({ *text: [text] });
            for written in [document.to_string(), format!("{document:#}")] {
                let shown = json(&written);
                assert!(!shown.chars().any(|c| steers(c) && c != '\n'), "{shown:?}");
                let read: serde_json::Value = serde_json::from_str(&shown).expect("is JSON");
                assert_eq!(read, document);
            }
        }
    }
}
