//! Bytes written as letters and digits (base64, base62), and where a word with digits in it is more than
//! its digits.
//!
//! Invariant: the answer depends on the token's bytes alone.

use crate::bytes::{
    AT, COLON, DASH, DIGIT, DOT, LETTER, LOWER, NOT_HEX, SLASH, UNDERSCORE, UPPER, WIDE, class,
    classes_of,
};
use crate::vocabulary::is_domain;

/// Shorter ones are too like names.
const ENCODED_BYTES: usize = 16;
/// Letters behind digits that are a word, and no part of an id.
const WORD_LETTERS: usize = 3;

/// By the classes of a token's bytes, without a look at each.
pub(crate) fn may_be_encoded(classes: u16) -> bool {
    let letters = UPPER | LOWER;
    classes & letters == letters && classes & (DOT | COLON | AT | WIDE) == 0
}

/// Base64 or base62: capitals, small letters and digits change places too often for words.
pub(crate) fn is_encoded(token: &[u8]) -> bool {
    if token.len() < ENCODED_BYTES {
        return false;
    }
    let (mut all, mut changes, mut before) = (0, 0, 0);
    for byte in token {
        let kind = match byte {
            b'+' => SLASH,
            _ => class(*byte) & !NOT_HEX,
        };
        changes += usize::from(kind != before);
        all |= kind;
        before = kind;
    }
    let letters = UPPER | LOWER;
    all & !(letters | DIGIT | SLASH | DASH | UNDERSCORE) == 0
        && all & letters == letters
        && all & (DIGIT | SLASH) != 0
        && 5 * changes >= 2 * token.len()
}

/// Where the word begins that stands behind the digits: `task_1000_failed`, `task1000Failed`,
/// `task.1000.failed`.
pub(crate) fn word_behind_digits(token: &[u8]) -> Option<usize> {
    let begin = token.iter().rposition(u8::is_ascii_digit)? + 1;
    let (mark, word) = token[begin..].split_first()?;
    let is_word = match mark {
        b'_' | b'-' => classes_of(word) & !(LETTER | NOT_HEX | UNDERSCORE | DASH) == 0,
        b'.' => {
            is_numbered(&token[..begin])
                && !is_domain(word)
                && classes_of(word) & !(LOWER | NOT_HEX) == 0
        }
        b'A'..=b'Z' => classes_of(word) & !(LOWER | NOT_HEX) == 0,
        _ => false,
    };
    let letters = word.iter().filter(|b| class(**b) & LETTER != 0).count();
    (is_word && letters >= WORD_LETTERS).then_some(begin)
}

/// `task.1000`: what is behind the last dot are digits, and before it letters.
fn is_numbered(token: &[u8]) -> bool {
    let mut labels = token.split(|b| *b == b'.');
    let name = labels.next().unwrap_or_default();
    classes_of(name) & !(LETTER | NOT_HEX | UNDERSCORE) == 0
        && labels.all(|label| classes_of(label) == DIGIT)
}

/// Where letters of a language without blanks between words end, or begin, beside others or digits:
/// there, a sentence is one token.
pub(crate) fn change_of_script(token: &[u8]) -> Option<usize> {
    (1..token.len()).find(|at| {
        let (before, behind) = (token[at - 1], token[*at]);
        before.is_ascii_alphanumeric() && is_unspaced(behind)
            || behind.is_ascii_alphanumeric()
                && class(before) & WIDE != 0
                && token[..*at]
                    .iter()
                    .rfind(|b| **b >= 0xc0)
                    .is_some_and(|lead| is_unspaced(*lead))
    })
}

/// Whether a character that begins with this byte is of a script beyond those of Europe: of three bytes
/// or more in UTF-8, but no punctuation (U+2000 to U+2FFF).
fn is_unspaced(lead: u8) -> bool {
    lead >= 0xe0 && lead != 0xe2
}
