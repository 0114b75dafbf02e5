//! One pass over a line: its tokens, and the keys that its form goes by.
//!
//! Invariants: the answer is a function of the line and the limits alone; time is linear in the bytes
//! looked at; once the vectors have grown, nothing is allocated unless texts are asked for.

use crate::{
    atom::{self, is_symbol},
    bytes::{
        DASH, DELIMITER, DIGIT, END, LOWER, NOT_HEX, PLAIN, SPACE, UNDERSCORE, UPPER, WIDE, class,
        is_letter,
    },
    clock,
    encoded::{is_encoded, may_be_encoded},
    hash, swar,
    template::{PLACES, SHOWN},
    token::{Kind, PARAMETER, Token, What},
    trace,
    vocabulary::{is_literal, is_unit},
};

/// The key of a line without tokens. Not 0, which is no template's id.
const EMPTY: u64 = 0x9e37_79b9_7f4a_7c15;
/// How far back a line that is cut is cut to the end of a word.
const CUT_BYTES: usize = 256;

pub(crate) struct Scanner {
    pub(crate) tokens: Vec<Token>,
    /// Only when asked for: what a template shows for the token of the same number.
    pub(crate) texts: Vec<String>,
    pub(crate) with_texts: bool,
    /// The places of values that may be shown: bits.
    values: u64,
    max_bytes: usize,
    max_tokens: usize,
}

/// A run of bytes, and whether white space stands before it.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) spaced: bool,
}

impl Scanner {
    pub(crate) fn new(max_bytes: usize, max_tokens: usize) -> Self {
        Self {
            tokens: Vec::new(),
            texts: Vec::new(),
            with_texts: false,
            values: 0,
            max_bytes,
            max_tokens,
        }
    }

    /// The key of the line's form: a sum over its tokens, so that a word can be exchanged for a
    /// parameter.
    pub(crate) fn scan(&mut self, line: &[u8]) -> u64 {
        self.tokens.clear();
        self.texts.clear();
        let whole = line;
        let mut most = self.max_bytes;
        let (mut line, mut cut) = head(whole, most);
        let mut at = 0;
        let mut spaced = false;
        loop {
            let byte = match line.get(at) {
                Some(byte) => *byte,
                // Frames may begin just where the line is cut.
                None if cut && whole.get(at) == Some(&b'\n') => b'\n',
                None => break,
            };
            let first = class(byte);
            if first & SPACE != 0 {
                spaced = true;
                if byte == b'\n'
                    && let Some(end) = trace::frames(whole, at)
                {
                    // However deep, they are not counted as bytes that are looked at.
                    most += end - at;
                    (line, cut) = head(whole, most);
                    let start = at + 1;
                    self.parameter(whole, Span { start, end, spaced }, Kind::Frames, true);
                    at = end;
                } else if at == line.len() {
                    break;
                } else {
                    at += 1;
                }
                continue;
            }
            if self.tokens.len() >= self.max_tokens {
                cut = true;
                break;
            }
            if first & DELIMITER != 0 {
                at = self.delimiter(line, at, spaced);
            } else {
                at = self.run(line, at, first, spaced);
            }
            spaced = false;
        }
        if cut {
            let rest = Span {
                start: at,
                end: line.len(),
                spaced,
            };
            self.parameter(line, rest, Kind::Rest, true);
        }
        // What stands before a line is none of it.
        if let Some(first) = self.tokens.first_mut() {
            first.spaced = false;
        }
        let mut key = EMPTY;
        self.values = 0;
        for (place, token) in self.tokens.iter().enumerate() {
            let is_value = token.masked != token.hash;
            self.values |= u64::from(is_value && place < PLACES) << (place % PLACES);
            key = key.wrapping_add(part(place, token, token.hash));
        }
        key
    }

    /// Bytes up to the next white space or delimiter; where reading goes on.
    #[inline]
    fn run(&mut self, line: &[u8], start: usize, first: u16, spaced: bool) -> usize {
        if let Some(bytes) = line[start..].first_chunk()
            && let Some(end) = self.short_run(line, start, *bytes, spaced)
        {
            return end;
        }
        let (mut before, mut last) = (0, first);
        let mut end = start + 1;
        loop {
            for byte in &line[end..] {
                let next = class(*byte);
                if next & END != 0 {
                    break;
                }
                before |= last;
                last = next;
                end += 1;
            }
            // An apostrophe inside a word belongs to it.
            let inside = line.get(end) == Some(&b'\'')
                && is_letter(line[end - 1])
                && line.get(end + 1).is_some_and(|b| is_letter(*b));
            if !inside {
                break;
            }
            end += 1;
        }
        // An arrow between two values is none of theirs.
        if last & DASH != 0 && end - start > 1 && line.get(end) == Some(&b'>') {
            end -= 1;
            last = 0;
        }
        let span = Span { start, end, spaced };
        let classes = before | last;
        if classes & !PLAIN == 0 && !mixes_scripts(classes) {
            return self.word(line, span, classes, hash::of(&line[start..end]));
        }
        if classes == DIGIT {
            return self.number(line, span);
        }
        let end = if line.get(end) == Some(&b'=') {
            behind_equals(line, start, end, classes)
        } else {
            end
        };
        let known = (end == span.end).then_some(classes);
        let span = Span { end, ..span };
        self.mixed(line, span, known);
        span.end
    }

    /// The usual: a few letters or digits and the end of the token, or of a phrase. `None`: what
    /// begins here is another thing.
    #[inline]
    fn short_run(
        &mut self,
        line: &[u8],
        start: usize,
        bytes: [u8; 8],
        spaced: bool,
    ) -> Option<usize> {
        let letters = swar::letters(bytes);
        let number = letters.length == 0;
        let run = if number { swar::digits(bytes) } else { letters };
        // Behind eight of them there may be more.
        let end = start + run.length;
        let behind = *bytes.get(run.length)?;
        let is_mark = !number && matches!(behind, b':' | b'.');
        let ends = class(behind) & END != 0 && behind != b'\''
            || is_mark
                && line
                    .get(end + 1)
                    .is_none_or(|next| class(*next) & SPACE != 0);
        if run.length == 0 || !ends {
            return None;
        }
        let span = Span { start, end, spaced };
        if number {
            return Some(self.number(line, span));
        }
        let upper = if run.has_upper() { UPPER } else { LOWER };
        let stop = self.word(line, span, upper, hash::of_word(run.word, run.length));
        if !is_mark || stop > end {
            return Some(stop);
        }
        let mark = Span {
            start: end,
            end: end + 1,
            spaced: false,
        };
        self.mark(line, mark);
        Some(mark.end)
    }

    /// A word, unless it stands for a value; where reading goes on. `classes`: exact only for words of
    /// eight bytes and more; of shorter ones, whether there is a capital.
    pub(crate) fn word(&mut self, line: &[u8], span: Span, classes: u16, hash: u64) -> usize {
        let word = &line[span.start..span.end];
        if word.len() <= 9 {
            if is_literal(word) {
                self.parameter(line, span, Kind::Literal, true);
                return span.end;
            }
            if classes & UPPER != 0
                && word.len() >= 3
                && let Some(end) = clock::date(line, span.start, span.end, self.follows_number())
            {
                self.parameter(line, Span { end, ..span }, Kind::Time, true);
                return end;
            }
        }
        if word.len() <= 12 && self.follows_number() && is_unit(word) {
            self.make_quantity(line, span.end);
        } else if classes & (NOT_HEX | UNDERSCORE | DASH) == 0 && word.len() >= 8 {
            self.parameter(line, span, Kind::Hex, true);
        } else {
            let symbol = classes & (LOWER | UNDERSCORE) == UNDERSCORE && is_symbol(word);
            self.word_or_value(line, span, symbol, hash);
        }
        span.end
    }

    #[inline]
    pub(crate) fn word_or_value(&mut self, line: &[u8], span: Span, symbol: bool, hash: u64) {
        if !symbol && self.in_place_of_value(line, span) {
            self.parameter(line, span, Kind::Word, false);
        } else {
            self.push(line, span, hash, What::Word);
        }
    }

    #[inline]
    pub(crate) fn mark(&mut self, line: &[u8], span: Span) {
        let mark = &line[span.start..span.end];
        let hash = match mark {
            [byte] => hash::of_one(*byte),
            _ => hash::of(mark),
        };
        self.push(line, span, hash, What::Mark);
    }

    /// `varies`: shown as a parameter even if it is always the same.
    pub(crate) fn parameter(&mut self, line: &[u8], span: Span, kind: Kind, varies: bool) {
        let masked = if varies {
            PARAMETER
        } else {
            hash::of(&line[span.start..span.end])
        };
        self.add(line, span, PARAMETER, masked, What::Parameter(kind));
        self.fold_list();
    }

    #[inline]
    pub(crate) fn push(&mut self, line: &[u8], span: Span, hash: u64, what: What) {
        self.add(line, span, hash, hash, what);
    }

    #[inline]
    fn add(&mut self, line: &[u8], span: Span, hash: u64, masked: u64, what: What) {
        self.tokens.push(Token {
            start: span.start as u32,
            end: span.end as u32,
            hash,
            masked,
            what,
            spaced: span.spaced,
        });
        if self.with_texts {
            self.texts.push(if masked == PARAMETER {
                SHOWN.to_owned()
            } else {
                String::from_utf8_lossy(&line[span.start..span.end]).into_owned()
            });
        }
    }

    /// Right behind `=`; or behind `= `, if it is no key itself. What stands behind `==` is compared.
    #[inline]
    pub(crate) fn in_place_of_value(&self, line: &[u8], span: Span) -> bool {
        let equals = |token: &Token| token.hash == hash::of_one(b'=');
        match &self.tokens[..] {
            [.., first, second] if equals(first) && equals(second) => false,
            [.., last] => equals(last) && (!span.spaced || line.get(span.end) != Some(&b'=')),
            [] => false,
        }
    }

    /// The key as if every word were a parameter.
    pub(crate) fn shape(&self) -> u64 {
        let parts = self.tokens.iter().enumerate().map(|(place, token)| {
            let hash = if token.is_word() {
                PARAMETER
            } else {
                token.hash
            };
            part(place, token, hash)
        });
        parts.fold(EMPTY, u64::wrapping_add)
    }

    /// The sum over the values that are not always a parameter, but for the places that are open.
    pub(crate) fn shown(&self, open: u64) -> u64 {
        let mut rest = self.values & !open;
        let mut shown = 0_u64;
        while rest != 0 {
            let place = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            if let Some(token) = self.tokens.get(place)
                && token.masked != PARAMETER
            {
                shown = shown.wrapping_add(hash::at(place, token.masked));
            }
        }
        shown
    }
}

/// What a token adds to a key, by this hash of it.
fn part(place: usize, token: &Token, hash: u64) -> u64 {
    hash::at(place, hash ^ u64::from(token.spaced))
}

/// A word that may have letters of several scripts in it.
pub(crate) fn mixes_scripts(classes: u16) -> bool {
    classes & WIDE != 0 && classes & (LOWER | UPPER) != 0
}

/// `/search?q` up to `=`: where the rest of the query ends, if it is one. Of base64: where its padding
/// ends.
fn behind_equals(line: &[u8], start: usize, end: usize, classes: u16) -> usize {
    let run = &line[start..end];
    if may_be_encoded(classes) && is_encoded(run) {
        let padding = line[end..].iter().take_while(|b| **b == b'=').count();
        let ends = line.get(end + padding).is_none_or(|b| class(*b) & END != 0);
        return if padding <= 2 && ends {
            end + padding
        } else {
            end
        };
    }
    let place = atom::begins_path(run) || run.windows(3).any(|w| w == b"://");
    if !place || !run.contains(&b'?') {
        return end;
    }
    let is_part =
        |byte: &u8| class(*byte) & END == 0 || matches!(byte, b'=' | b',' | b';' | b'[' | b']');
    end + line[end..].iter().take_while(|byte| is_part(byte)).count()
}

/// As much of a line as is looked at, to the end of a word, and whether that is less than all.
fn head(line: &[u8], max_bytes: usize) -> (&[u8], bool) {
    if line.len() <= max_bytes {
        return (line, false);
    }
    let head = &line[..max_bytes];
    let back = head
        .iter()
        .rev()
        .take(CUT_BYTES)
        .position(u8::is_ascii_whitespace);
    (&head[..max_bytes - back.unwrap_or(0)], true)
}
