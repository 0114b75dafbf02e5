//! Reads JSON (RFC 8259) once, from front to back, and hands out slices of it.
//!
//! Invariants: what is passed over is checked as strictly as what is read, so a text that a scanner
//! came to the end of is valid; a byte is looked at a bounded number of times; nothing recurses, so
//! no nesting is too deep; nothing is copied but strings with escapes.

use std::borrow::Cow;

use crate::plain_text;

/// Where a text stops being JSON, and what would have been right there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken {
    /// Bytes from the beginning of the scanned text.
    pub(super) at: usize,
    pub(super) expected: &'static str,
}

/// What a value was written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    Number,
    /// `true` or `false`.
    Literal,
    Array,
    Object,
}

/// A string's text (its JSON text, if half a surrogate pair keeps it from having one), anything else's
/// JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) shape: Shape,
}

impl Value<'_> {
    pub(super) const EMPTY: Self = Self {
        text: Cow::Borrowed(""),
        shape: Shape::Text,
    };
}

pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Where the scanner stands; for `back_to`.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    /// Scans again from a place it has been at.
    pub(super) fn back_to(&mut self, place: usize) {
        self.at = place;
    }

    /// Past an object's `{`: whether a member follows.
    #[inline]
    pub(super) fn enter(&mut self) -> Result<bool, Broken> {
        self.pass(b'{', "a JSON object")?;
        let empty = self.token() == b'}';
        self.at += usize::from(empty);
        Ok(!empty)
    }

    /// Past a member's value: whether another member follows.
    #[inline]
    pub(super) fn another(&mut self) -> Result<bool, Broken> {
        let another = match self.token() {
            b',' => true,
            b'}' => false,
            _ => return Err(self.broken("`,` or `}`")),
        };
        self.at += 1;
        Ok(another)
    }

    /// Nothing but white space is left.
    pub(super) fn end(&mut self) -> Result<(), Broken> {
        self.token();
        if self.at == self.text.len() {
            return Ok(());
        }
        Err(self.broken("nothing more after the object"))
    }

    /// A member's name and its colon.
    #[expect(
        clippy::inline_always,
        reason = "once per member: handing over the answer costs as much as the scan"
    )]
    #[inline(always)]
    pub(super) fn name(&mut self) -> Result<Cow<'a, str>, Broken> {
        self.token();
        let name = match self.simple_string() {
            Some(name) => Cow::Borrowed(name),
            None => self.odd_name()?,
        };
        self.pass(b':', "`:`")?;
        Ok(name)
    }

    #[cold]
    fn odd_name(&mut self) -> Result<Cow<'a, str>, Broken> {
        let from = self.at;
        let string = self.string("a name in double quotes")?;
        string.plain().ok_or(Broken {
            at: from,
            expected: "a name without half a surrogate pair",
        })
    }

    /// The next value; `None` for `null`.
    #[expect(
        clippy::inline_always,
        reason = "once per member: handing over the answer costs as much as the scan"
    )]
    #[inline(always)]
    pub(super) fn value(&mut self) -> Result<Option<Value<'a>>, Broken> {
        let first = self.token();
        let from = self.at;
        let shape = match first {
            b'"' => {
                let text = match self.simple_string() {
                    Some(text) => Cow::Borrowed(text),
                    None => self.odd_string()?,
                };
                let shape = Shape::Text;
                return Ok(Some(Value { text, shape }));
            }
            b'-' | b'0'..=b'9' => {
                self.number()?;
                Shape::Number
            }
            b'n' => return self.literal("null").map(|()| None),
            other => {
                self.skip()?;
                match other {
                    b'{' => Shape::Object,
                    b'[' => Shape::Array,
                    _ => Shape::Literal,
                }
            }
        };
        let text = Cow::Borrowed(&self.text[from..self.at]);
        Ok(Some(Value { text, shape }))
    }

    /// [`Self::value`], where it is not worth its place in the caller.
    pub(super) fn any_value(&mut self) -> Result<Option<Value<'a>>, Broken> {
        self.value()
    }

    #[cold]
    fn odd_string(&mut self) -> Result<Cow<'a, str>, Broken> {
        let from = self.at;
        let string = self.string("a string")?;
        let json = &self.text[from..self.at];
        Ok(string.plain().unwrap_or(Cow::Borrowed(json)))
    }

    /// Past a string without escapes; `None`, and nowhere, if there is none.
    #[expect(
        clippy::inline_always,
        reason = "twice per member: a call costs as much as the scan"
    )]
    #[inline(always)]
    fn simple_string(&mut self) -> Option<&'a str> {
        let inner = self.text.as_bytes()[self.at..].strip_prefix(b"\"")?;
        let length = plain_text::plain_prefix(inner);
        if inner.get(length) != Some(&b'"') {
            return None;
        }
        let from = self.at + 1;
        self.at = from + length + 1;
        Some(&self.text[from..from + length])
    }

    /// Past one value of any kind.
    fn skip(&mut self) -> Result<(), Broken> {
        // Closing brackets that are still to come. Allocates for containers in containers only.
        let mut open = Vec::new();
        let mut closing = 0;
        loop {
            match self.token() {
                b'"' => {
                    self.string("a string")?;
                }
                b'-' | b'0'..=b'9' => self.number()?,
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                bracket @ (b'{' | b'[') => {
                    self.at += 1;
                    if closing != 0 {
                        open.push(closing);
                    }
                    // `]` and `}` lie two past their opening brackets.
                    closing = bracket + 2;
                    if self.token() != closing {
                        if bracket == b'{' {
                            self.skip_name()?;
                        }
                        continue;
                    }
                    self.at += 1;
                    closing = open.pop().unwrap_or(0);
                }
                _ => return Err(self.broken("a JSON value")),
            }
            loop {
                if closing == 0 {
                    return Ok(());
                }
                match self.token() {
                    b',' => break,
                    byte if byte == closing => closing = open.pop().unwrap_or(0),
                    _ if closing == b'}' => return Err(self.broken("`,` or `}`")),
                    _ => return Err(self.broken("`,` or `]`")),
                }
                self.at += 1;
            }
            self.at += 1;
            if closing == b'}' {
                self.skip_name()?;
            }
        }
    }

    fn skip_name(&mut self) -> Result<(), Broken> {
        self.token();
        self.string("a name in double quotes")?;
        self.pass(b':', "`:`")
    }

    /// Past a string; the scanner stands at its opening quote, if `expected` is there at all.
    fn string(&mut self, expected: &'static str) -> Result<Quoted<'a>, Broken> {
        if self.byte() != b'"' {
            return Err(self.broken(expected));
        }
        let from = self.at + 1;
        let mut escaped = false;
        self.at = from;
        loop {
            self.at += plain_text::plain_prefix(&self.text.as_bytes()[self.at..]);
            match self.byte() {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                _ if self.at == self.text.len() => return Err(self.broken("the string's end")),
                _ => return Err(self.broken("an escape for the control character")),
            }
        }
        let inner = &self.text[from..self.at];
        self.at += 1;
        Ok(Quoted { inner, escaped })
    }

    /// Past a backslash and what it stands for.
    fn escape(&mut self) -> Result<(), Broken> {
        let length = match self.text.as_bytes()[self.at + 1..] {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(u8::is_ascii_hexdigit) => 6,
            [b'u', ..] => return Err(self.broken("four hexadecimal digits after `\\u`")),
            _ => return Err(self.broken("an escape that JSON knows")),
        };
        self.at += length;
        Ok(())
    }

    #[inline]
    fn number(&mut self) -> Result<(), Broken> {
        self.at += usize::from(self.byte() == b'-');
        if self.byte() == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if let b'e' | b'E' = self.byte() {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), b'+' | b'-'));
            self.digits()?;
        }
        Ok(())
    }

    #[inline]
    fn digits(&mut self) -> Result<(), Broken> {
        if !self.byte().is_ascii_digit() {
            return Err(self.broken("a digit"));
        }
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
        Ok(())
    }

    fn literal(&mut self, literal: &'static str) -> Result<(), Broken> {
        if !self.text.as_bytes()[self.at..].starts_with(literal.as_bytes()) {
            return Err(self.broken("true, false, null, or another JSON value"));
        }
        self.at += literal.len();
        Ok(())
    }

    #[inline]
    fn pass(&mut self, byte: u8, expected: &'static str) -> Result<(), Broken> {
        if self.token() != byte {
            return Err(self.broken(expected));
        }
        self.at += 1;
        Ok(())
    }

    /// The next byte that is not white space; the scanner stands before it.
    #[inline]
    fn token(&mut self) -> u8 {
        loop {
            match self.byte() {
                b' ' | b'\n' | b'\t' | b'\r' => self.at += 1,
                byte => return byte,
            }
        }
    }

    /// The next byte; 0, which stands nowhere in JSON, at the end.
    #[inline]
    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    #[cold]
    fn broken(&self, expected: &'static str) -> Broken {
        Broken {
            at: self.at,
            expected,
        }
    }
}

/// What stands between a string's quotes: checked, but for its surrogates.
struct Quoted<'a> {
    inner: &'a str,
    escaped: bool,
}

impl<'a> Quoted<'a> {
    /// `None`: it holds half a surrogate pair, and so is no text.
    #[inline]
    fn plain(&self) -> Option<Cow<'a, str>> {
        if self.escaped {
            return unescaped(self.inner).map(Cow::Owned);
        }
        Some(Cow::Borrowed(self.inner))
    }
}

fn unescaped(inner: &str) -> Option<String> {
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    loop {
        // The first byte that is not plain is a backslash, since all others ended the string.
        let (plain, escape) = rest.split_at_checked(plain_text::plain_prefix(rest.as_bytes()))?;
        text.push_str(plain);
        let Some((kind, after)) = escape.split_at_checked(2) else {
            return Some(text);
        };
        rest = after;
        text.push(match kind {
            "\\b" => '\u{8}',
            "\\f" => '\u{c}',
            "\\n" => '\n',
            "\\r" => '\r',
            "\\t" => '\t',
            "\\u" => {
                let (read, after) = code_point(rest)?;
                rest = after;
                read
            }
            // `"`, `\` and `/` stand for themselves.
            itself => itself.chars().next_back()?,
        });
    }
}

/// The character after `\u`, which takes a second escape if it is beyond the first 65,536, and what
/// follows it.
fn code_point(text: &str) -> Option<(char, &str)> {
    let (first, rest) = code_unit(text)?;
    if let Some(read) = char::from_u32(u32::from(first)) {
        return Some((read, rest));
    }
    let (second, rest) = code_unit(rest.strip_prefix("\\u")?)?;
    let read = char::decode_utf16([first, second]).next()?.ok()?;
    Some((read, rest))
}

/// Four hexadecimal digits, and what follows them.
fn code_unit(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    Some((u16::from_str_radix(digits, 16).ok()?, rest))
}
