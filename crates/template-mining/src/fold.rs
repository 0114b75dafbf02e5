//! Tokens that are one parameter together: lists, quantities, structures.
//!
//! Invariant: a fold looks at the last five tokens only, and replaces them by one.

use crate::{
    hash,
    scan::Scanner,
    template::SHOWN,
    token::{Kind, PARAMETER, Token, What},
};

const COMMA: u64 = hash::of_one(b',');
const SEMICOLON: u64 = hash::of_one(b';');
const EQUALS: u64 = hash::of_one(b'=');
const PARENTHESIS: u64 = hash::of_one(b'(');
const BRACE: u64 = hash::of_one(b'{');
const GLUES: [u64; 5] = [
    hash::of_one(b':'),
    hash::of_one(b'/'),
    hash::of_one(b'@'),
    hash::of_one(b'#'),
    hash::of_one(b'.'),
];
const OPENING: [u64; 2] = [hash::of_one(b'['), PARENTHESIS];
const QUANTITY: What = What::Parameter(Kind::Quantity);

impl Scanner {
    pub(crate) fn follows_number(&self) -> bool {
        self.tokens
            .last()
            .is_some_and(|t| t.what == What::Parameter(Kind::Number))
    }

    /// `4096` and the unit that ends at `end`.
    pub(crate) fn make_quantity(&mut self, line: &[u8], end: usize) {
        let Some(number) = self.tokens.last_mut() else {
            return;
        };
        let unit = &line[number.end as usize..end];
        number.masked = hash::mix(number.masked, hash::of(unit));
        number.end = end as u32;
        number.what = QUANTITY;
        if let Some(text) = self.texts.last_mut() {
            text.push_str(&String::from_utf8_lossy(unit));
        }
        self.fold_list();
    }

    /// `1 2 3` and `1, 2, 3`: however many, they are one.
    pub(crate) fn fold_list(&mut self) {
        let (first, between) = match &self.tokens[..] {
            [.., a, b] if alike(a, b) => (self.tokens.len() - 2, 0),
            [.., a, mark, b] if is_between(mark, b) && alike(a, b) => {
                (self.tokens.len() - 3, mark.hash)
            }
            _ => return,
        };
        self.fold(first, |tokens| {
            let [list, .., last] = tokens else {
                return None;
            };
            let gap = hash::mix(between, u64::from(last.spaced));
            let masked = hash::mix(hash::mix(list.masked, last.masked), gap);
            Some((What::Parameter(Kind::List), masked))
        });
    }

    /// `13862 bytes (13.5 KB)` is one quantity, said twice.
    pub(crate) fn fold_repeated_quantity(&mut self) {
        if let [.., a, open, b, _] = &self.tokens[..]
            && (a.what, b.what, open.hash) == (QUANTITY, QUANTITY, PARENTHESIS)
        {
            self.fold(self.tokens.len() - 4, |tokens| match tokens {
                [a, _, b, _] => Some((QUANTITY, hash::mix(a.masked, b.masked))),
                _ => None,
            });
        }
    }

    /// `WorkSource{10113}` in the place of a value is one value.
    pub(crate) fn fold_structure(&mut self) {
        if let [.., equals, name, open, value, _] = &self.tokens[..]
            && equals.hash == EQUALS
            && name.what == What::Parameter(Kind::Word)
            && open.hash == BRACE
            && matches!(value.what, What::Parameter(_))
        {
            self.fold(self.tokens.len() - 4, |tokens| match tokens {
                [name, _, value, _] => Some((name.what, hash::mix(name.masked, value.masked))),
                _ => None,
            });
        }
    }

    /// `[alice, bob]`, `Set(yarn, hdfs)`: names with commas between, however many, are one; so is
    /// `node-[1-3,7]`, a range of them.
    pub(crate) fn fold_enclosed(&mut self, line: &[u8], close: usize) {
        let Some((_, inside)) = self.tokens.split_last() else {
            return;
        };
        let items = inside.iter().rev().enumerate();
        let is_item = |(n, token): (usize, &Token)| match n % 2 {
            0 => token.what != What::Mark,
            _ => token.hash == COMMA,
        };
        let length = items.take_while(|(n, token)| is_item((*n, token))).count();
        let Some(open) = inside.len().checked_sub(length + 1) else {
            return;
        };
        let is_opened = OPENING.contains(&inside[open].hash);
        if is_opened && length >= 3 && length % 2 == 1 {
            let close = self.tokens.pop();
            let text = self.texts.pop_if(|_| self.with_texts);
            self.fold(open + 1, |tokens| {
                let masked = tokens
                    .iter()
                    .fold(0, |all, token| hash::mix(all, token.masked));
                Some((What::Parameter(Kind::List), masked))
            });
            self.tokens.extend(close);
            self.texts.extend(text);
        } else if is_opened && length == 1 && open > 0 {
            self.fold_range(line, open, close);
        }
    }

    fn fold_range(&mut self, line: &[u8], open: usize, close: usize) {
        let (name, bracket) = (&self.tokens[open - 1], &self.tokens[open]);
        let content = &line[bracket.end as usize..close];
        let is_range = content
            .iter()
            .all(|b| b.is_ascii_digit() || matches!(b, b'-' | b','))
            && content.iter().any(|b| matches!(b, b'-' | b','))
            && content.first().is_some_and(u8::is_ascii_digit);
        if is_range && !bracket.spaced && name.what != What::Mark {
            self.fold(open - 1, |_| Some((What::Parameter(Kind::List), PARAMETER)));
        }
    }

    /// Makes one token of those from `first` on.
    fn fold(&mut self, first: usize, joined: impl Fn(&[Token]) -> Option<(What, u64)>) {
        let tokens = &self.tokens[first..];
        let (Some((what, masked)), Some(end)) = (joined(tokens), tokens.last().map(|t| t.end))
        else {
            return;
        };
        if self.with_texts {
            let mut text = String::new();
            for (n, (token, part)) in tokens.iter().zip(&self.texts[first..]).enumerate() {
                if n > 0 && token.spaced {
                    text.push(' ');
                }
                text.push_str(part);
            }
            self.texts.truncate(first);
            self.texts.push(if masked == PARAMETER {
                SHOWN.to_owned()
            } else {
                text
            });
        }
        self.tokens.truncate(first + 1);
        let token = &mut self.tokens[first];
        (token.what, token.hash) = (what, PARAMETER);
        (token.masked, token.end) = (masked, end);
    }
}

/// Whether this mark stands between the parts of one parameter: `1, 2`; without blanks, `rack1:slot-2`.
fn is_between(mark: &Token, behind: &Token) -> bool {
    mark.what == What::Mark
        && (matches!(mark.hash, COMMA | SEMICOLON)
            || !mark.spaced && !behind.spaced && GLUES.contains(&mark.hash))
}

fn alike(a: &Token, b: &Token) -> bool {
    match (a.what, b.what) {
        (What::Parameter(a), What::Parameter(b)) => can_be_listed(a) && can_be_listed(b),
        _ => false,
    }
}

fn can_be_listed(kind: Kind) -> bool {
    // Frames and rests are, since two parameters would read like a list of them.
    kind != Kind::Quoted
}
