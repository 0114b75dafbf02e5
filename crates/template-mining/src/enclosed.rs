//! Delimiters, and what they enclose: quoted values, placeholders, empty brackets.
//!
//! Invariant: how far ahead a closing mark is looked for is bounded.

use memchr::{memchr, memchr2};

use crate::{
    address,
    bytes::{DIGIT, DOT, PLAIN, SLASH, SPACE, class, classes_of, is_alphanumeric, is_letter},
    hash,
    scan::{Scanner, Span},
    template::SHOWN,
    token::{Kind, What},
    vocabulary::is_text_key,
};

const QUOTED_BYTES: usize = 512;
const PLACEHOLDER_BYTES: usize = 32;

impl Scanner {
    /// A delimiter and, where it opens one, the value inside; where reading goes on.
    pub(crate) fn delimiter(&mut self, line: &[u8], at: usize, spaced: bool) -> usize {
        let next = line.get(at + 1).copied().unwrap_or(b' ');
        let whole = |end| Span {
            start: at,
            end,
            spaced,
        };
        match line[at] {
            b'"' | b'\'' | b'`' => {
                if let Some(end) = self.quoted(line, at, spaced) {
                    return end;
                }
            }
            b'<' if next.is_ascii_digit() => {
                if let Some(end) = less_than(line, at) {
                    self.parameter(line, whole(end), Kind::Number, true);
                    return end;
                }
            }
            b'[' if next == b':' || next.is_ascii_hexdigit() => {
                if let Some(end) = address::bracketed(line, at) {
                    self.parameter(line, whole(end), Kind::Address, true);
                    return end;
                }
            }
            // As templates are written.
            b'<' if line[at..].starts_with(SHOWN.as_bytes()) => {
                let end = at + SHOWN.len();
                self.parameter(line, whole(end), Kind::Literal, true);
                return end;
            }
            b'<' if is_letter(next) => {
                if let Some(end) = placeholder(line, at) {
                    self.parameter(line, whole(end), Kind::Literal, false);
                    return end;
                }
            }
            _ => {}
        }
        let glued = !spaced && !self.tokens.last().is_none_or(|t| t.what == What::Mark);
        self.mark(line, whole(at + 1));
        match line[at] {
            open @ (b'(' | b'[' | b'{') if next == shut(open) && !glued => {
                let nothing = Span {
                    start: at + 1,
                    end: at + 1,
                    spaced: false,
                };
                self.parameter(line, nothing, Kind::Literal, false);
            }
            b')' => {
                self.fold_repeated_quantity();
                self.fold_enclosed(line, at);
            }
            b']' => self.fold_enclosed(line, at),
            // Right behind its key.
            b'=' if glued && is_empty_value(line, at + 1) => {
                let nothing = Span {
                    start: at + 1,
                    end: at + 1,
                    spaced: false,
                };
                self.parameter(line, nothing, Kind::Literal, false);
            }
            b'}' => self.fold_structure(),
            _ => {}
        }
        at + 1
    }

    /// A quoted key or value, if it is one; where reading goes on.
    fn quoted(&mut self, line: &[u8], open: usize, spaced: bool) -> Option<usize> {
        let close = closing(line, open)?;
        let content = Span {
            start: open + 1,
            end: close,
            spaced: false,
        };
        let text = &line[content.start..content.end];
        let role = self.role(line, text, line.get(close + 1) == Some(&b':'))?;
        let opening = Span {
            start: open,
            end: open + 1,
            spaced,
        };
        self.mark(line, opening);
        match role {
            Role::Key => self.push(line, content, hash::of(text), What::Word),
            Role::Value => {
                let varies = classes_of(text) & (DIGIT | SLASH) != 0;
                self.parameter(line, content, Kind::Quoted, varies);
            }
        }
        let closing = Span {
            start: close,
            end: close + 1,
            spaced: false,
        };
        self.mark(line, closing);
        Some(close + 1)
    }

    /// What a quoted text is here; `None`: a text to be read like any other.
    fn role(&self, line: &[u8], text: &[u8], colon_follows: bool) -> Option<Role> {
        let is_name = classes_of(text) & !(PLAIN | DOT | DIGIT) == 0;
        if colon_follows && is_name && text.first().is_some_and(|b| is_letter(*b)) {
            return Some(Role::Key);
        }
        let quotes = [hash::of_one(b'"'), hash::of_one(b'\'')];
        let key = match &self.tokens[..] {
            [.., key, equals] if equals.hash == hash::of_one(b'=') => Some(key),
            [.., key, quote, colon]
                if colon.hash == hash::of_one(b':') && quotes.contains(&quote.hash) =>
            {
                Some(key)
            }
            _ => None,
        };
        let is_value = match key {
            Some(key) => !is_text_key(key.text(line)) || is_product(text),
            None => memchr(b' ', text).is_none() || is_product(text),
        };
        is_value.then_some(Role::Value)
    }
}

enum Role {
    Key,
    Value,
}

/// The place of the quote that closes the one at `open`, if that one opens anything.
fn closing(line: &[u8], open: usize) -> Option<usize> {
    let quote = line[open];
    if quote == b'\'' && open > 0 && is_alphanumeric(line[open - 1]) {
        return None;
    }
    let content = &line[open + 1..line.len().min(open + 1 + QUOTED_BYTES)];
    let close = open + 1 + memchr2(quote, b'\n', content)?;
    let glued = line.get(close + 1).is_some_and(|b| is_alphanumeric(*b));
    (line[close] == quote && !glued).then_some(close)
}

/// `Mozilla/5.0 (X11; Linux x86_64)`: a product and its version (RFC 9110), as agents name themselves.
fn is_product(text: &[u8]) -> bool {
    let name = text.iter().take_while(|b| is_letter(**b)).count();
    name > 0 && matches!(text.get(name..name + 2), Some([b'/', b'0'..=b'9']))
}

/// `<1` in `lifetime <1 sec`: where it ends.
fn less_than(line: &[u8], at: usize) -> Option<usize> {
    let number = line[at + 1..]
        .iter()
        .take_while(|b| b.is_ascii_digit() || **b == b'.')
        .count();
    let end = at + 1 + number;
    line.get(end)
        .is_none_or(|b| class(*b) & SPACE != 0)
        .then_some(end)
}

/// `<unknown>`: where it ends.
fn placeholder(line: &[u8], open: usize) -> Option<usize> {
    let content = &line[open + 1..line.len().min(open + 1 + PLACEHOLDER_BYTES)];
    let length = content
        .iter()
        .take_while(|b| is_letter(**b) || **b == b' ')
        .count();
    (content.get(length) == Some(&b'>')).then_some(open + 2 + length)
}

/// Whether the value is left out: `user= uid=0`.
fn is_empty_value(line: &[u8], behind: usize) -> bool {
    let Some(next) = line.get(behind) else {
        return true;
    };
    if matches!(next, b',' | b';' | b')' | b']' | b'}' | b'|') {
        return true;
    }
    if class(*next) & SPACE == 0 {
        return false;
    }
    let rest = line[behind..].trim_ascii_start();
    let key = rest.iter().take(PLACEHOLDER_BYTES);
    let key = key
        .take_while(|b| class(**b) & (PLAIN | DOT | DIGIT) != 0)
        .count();
    rest.is_empty() || key > 0 && rest.get(key) == Some(&b'=') && rest.get(key + 1) != Some(&b'=')
}

fn shut(open: u8) -> u8 {
    match open {
        b'(' => b')',
        b'[' => b']',
        _ => b'}',
    }
}
