//! Splits SQL text into tokens as ClickHouse's lexer does, as far as the front has to look.
//! Invariant: no byte inside a string, quoted name, heredoc or comment is ever taken for a token.

/// What a token is. Numbers and names are both `Word`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Word,
    /// A string literal or heredoc.
    Text,
    /// A name in backticks or double quotes.
    QuotedName,
    /// Any other single byte.
    Sign(u8),
}

/// A token and where it lies in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
    /// How many brackets are open around it; an opening bracket counts from inside, a closing one too.
    pub depth: u32,
}

impl Token {
    /// Whether this is the keyword, in any case.
    pub(crate) fn is(&self, text: &[u8], keyword: &str) -> bool {
        self.kind == Kind::Word
            && text[self.start..self.end].eq_ignore_ascii_case(keyword.as_bytes())
    }
}

/// Iterates over the tokens of a statement, leaving out space and comments.
#[derive(Debug, Clone)]
pub(crate) struct Lexer<'t> {
    text: &'t [u8],
    at: usize,
    depth: u32,
}

impl<'t> Lexer<'t> {
    pub(crate) fn new(text: &'t [u8]) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
        }
    }

    fn rest(&self) -> &'t [u8] {
        &self.text[self.at.min(self.text.len())..]
    }

    fn skip_to(&mut self, needle: &[u8], from: usize) {
        let rest = &self.rest()[from.min(self.rest().len())..];
        let found = rest
            .windows(needle.len())
            .position(|window| window == needle);
        self.at = found.map_or(self.text.len(), |index| {
            self.at + from + index + needle.len()
        });
    }

    fn skip_blank(&mut self) {
        loop {
            match self.rest() {
                [b, ..] if b.is_ascii_whitespace() || *b == 0x0b => self.at += 1,
                [b'-', b'-', ..] | [b'#', b' ' | b'!', ..] => self.skip_to(b"\n", 1),
                [b'/', b'*', ..] => self.skip_to(b"*/", 2),
                rest => match foreign_blank(rest) {
                    0 => return,
                    length => self.at += length,
                },
            }
        }
    }

    /// A word ends before a sign, a space of any alphabet and a typographic quote.
    fn skip_word(&mut self) {
        self.at += 1;
        while let Some(byte) = self.text.get(self.at).filter(|byte| in_word(**byte)) {
            if *byte >= 0x80
                && (foreign_blank(self.rest()) > 0 || curly_quote(self.rest()).is_some())
            {
                break;
            }
            self.at += 1;
        }
    }

    /// Passes a quoted run, where the quote is escaped by a backslash or by doubling.
    fn skip_quoted(&mut self, quote: u8) {
        self.at += 1;
        while let Some(byte) = self.text.get(self.at) {
            let doubled = *byte == quote && self.text.get(self.at + 1) == Some(&quote);
            self.at += if *byte == b'\\' || doubled { 2 } else { 1 };
            if *byte == quote && !doubled {
                break;
            }
        }
        self.at = self.at.min(self.text.len());
    }

    /// `$tag$ … $tag$`; `None` when the text does not begin one.
    fn skip_heredoc(&mut self) -> Option<()> {
        let rest = self.rest();
        let tag = 2 + rest[1..]
            .iter()
            .position(|b| !(b.is_ascii_alphanumeric() || *b == b'_'))?;
        let mark = rest.get(..tag).filter(|mark| mark.ends_with(b"$"))?;
        rest[tag..]
            .windows(tag)
            .any(|window| window == mark)
            .then(|| self.skip_to(mark, tag))
    }
}

/// How many bytes of a space beyond ASCII `text` begins with: what editors and word processors leave
/// behind, and a byte order mark.
fn foreign_blank(text: &[u8]) -> usize {
    match text {
        [0xc2, 0x85 | 0xa0, ..] => 2,
        [0xe1, 0x9a, 0x80, ..]
        | [0xe1, 0xa0, 0x8e, ..]
        | [0xe2, 0x80, 0x80..=0x8d | 0xa8 | 0xa9 | 0xaf, ..]
        | [0xe2, 0x81, 0x9f | 0xa0, ..]
        | [0xe3, 0x80, 0x80, ..]
        | [0xef, 0xbb, 0xbf, ..] => 3,
        _ => 0,
    }
}

/// Whether `text` begins with a typographic quote, how such a run ends, and what it is.
fn curly_quote(text: &[u8]) -> Option<(&'static [u8], Kind)> {
    match text {
        [0xe2, 0x80, 0x98, ..] => Some((b"\xe2\x80\x99", Kind::Text)),
        [0xe2, 0x80, 0x9c, ..] => Some((b"\xe2\x80\x9d", Kind::QuotedName)),
        _ => None,
    }
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip_blank();
        let start = self.at;
        let first = *self.text.get(start)?;
        let mut depth = self.depth;
        let kind = match first {
            _ if let Some((end, kind)) = curly_quote(self.rest()) => {
                self.skip_to(end, 3);
                kind
            }
            b'\'' => {
                self.skip_quoted(first);
                Kind::Text
            }
            b'`' | b'"' => {
                self.skip_quoted(first);
                Kind::QuotedName
            }
            b'$' if self.skip_heredoc().is_some() => Kind::Text,
            _ if in_word(first) => {
                self.skip_word();
                Kind::Word
            }
            _ => {
                self.at += 1;
                match first {
                    b'(' | b'[' | b'{' => {
                        self.depth += 1;
                        depth = self.depth;
                    }
                    b')' | b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                Kind::Sign(first)
            }
        };
        Some(Token {
            kind,
            start,
            end: self.at,
            depth,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, tokens: &[&str]) {
        let found: Vec<_> = Lexer::new(text.as_bytes())
            .map(|token| &text[token.start..token.end])
            .collect();
        assert_eq!(found, tokens);
    }

    #[test]
    fn words_signs_and_literals() {
        check("SELECT a.b+1", &["SELECT", "a", ".", "b", "+", "1"]);
        check(
            "'it''s; \\' x' `a;b` \"c\\\"d\"",
            &["'it''s; \\' x'", "`a;b`", "\"c\\\"d\""],
        );
    }

    #[test]
    fn comments_are_left_out() {
        check("a -- b ; c\n/* d; */ e # f\n#!g\nh", &["a", "e", "h"]);
    }

    #[test]
    fn typographic_quotes_and_spaces_are_what_the_engine_takes_them_for() {
        check("\u{2018}'\u{2019} a", &["\u{2018}'\u{2019}", "a"]);
        check("b\u{201c}`\u{201d}c", &["b", "\u{201c}`\u{201d}", "c"]);
        check("a\u{2003}b\u{a0}c\u{3000}d\u{feff}", &["a", "b", "c", "d"]);
        check("\u{e9}t\u{e9}", &["\u{e9}t\u{e9}"]);
    }

    #[test]
    fn heredocs_are_one_token() {
        check(
            "$$ a;b $$ $x$ c $y$ d $x$ e",
            &["$$ a;b $$", "$x$ c $y$ d $x$", "e"],
        );
    }

    #[test]
    fn what_never_ends_ends_with_the_text() {
        check("a 'b", &["a", "'b"]);
        check("a /* b", &["a"]);
        check("'\\", &["'\\"]);
        check("$a", &["$a"]);
        check("", &[]);
    }

    #[test]
    fn depth_counts_brackets() {
        let depths: Vec<_> = Lexer::new(b"a (b [c]) d")
            .map(|token| token.depth)
            .collect();
        assert_eq!(depths, [0, 1, 1, 2, 2, 2, 1, 0]);
    }
}
