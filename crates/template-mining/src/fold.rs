//! Tokens that are one parameter together: lists, quantities, structures.
//!
//! Invariant: a fold looks at the last five tokens only, and replaces them by one.

use crate::{
    hash,
    scan::Scanner,
    token::{Kind, Token, What},
};

const COMMA: u64 = hash::of_one(b',');
const SEMICOLON: u64 = hash::of_one(b';');
const EQUALS: u64 = hash::of_one(b'=');
const PARENTHESIS: u64 = hash::of_one(b'(');
const BRACE: u64 = hash::of_one(b'{');
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
            self.texts.push(text);
        }
        self.tokens.truncate(first + 1);
        let token = &mut self.tokens[first];
        (token.what, token.masked, token.end) = (what, masked, end);
    }
}

/// Whether this mark stands between the parts of one parameter: `1, 2`; without blanks, `rack1:slot-2`.
fn is_between(mark: &Token, behind: &Token) -> bool {
    let glues = [b':', b'/', b'@', b'#', b'.'].map(hash::of_one);
    matches!(mark.hash, COMMA | SEMICOLON)
        || !mark.spaced && !behind.spaced && mark.what == What::Mark && glues.contains(&mark.hash)
}

fn alike(a: &Token, b: &Token) -> bool {
    match (a.what, b.what) {
        (What::Parameter(a), What::Parameter(b)) => can_be_listed(a) && can_be_listed(b),
        _ => false,
    }
}

fn can_be_listed(kind: Kind) -> bool {
    !matches!(kind, Kind::Quoted | Kind::Frames | Kind::Rest)
}
