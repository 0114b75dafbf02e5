//! A template as it is known so far: what all its lines have in common.
//!
//! Invariant: taking in a line, and joining two templates, only ever open places; whatever the order,
//! the same lines end with the same text.

use crate::{
    hash,
    token::{Kind, PARAMETER, Token},
};

/// What every line of a template needs, apart from all else so that it stays in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) id: u64,
    pub(crate) count: u64,
    /// The number of the last line that was its.
    pub(crate) touched: u64,
    /// The sum over the values that were the same in all lines, as [`Scanner::shown`] reckons it.
    ///
    /// [`Scanner::shown`]: crate::scan::Scanner::shown
    pub(crate) shown: u64,
    /// The places that are open: bits.
    pub(crate) open: u64,
}

/// Places of a line that are followed one by one: a mask has so many bits.
pub(crate) const PLACES: usize = 64;
/// Patterns that a template tells it would join.
const JOINS: usize = 32;
/// What a template shows for a parameter.
pub(crate) const SHOWN: &str = "<*>";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) id: u64,
    pub(crate) shape: u64,
    /// The forms and patterns that lead here.
    pub(crate) keys: Vec<u64>,
    /// Ids it had, or that templates had that are part of it now.
    pub(crate) former: Vec<u64>,
    /// So many of these were told to be merged into the present id.
    pub(crate) told: usize,
    /// Patterns that would take it in if there were lines enough.
    pub(crate) joins: Vec<u64>,
    /// Its id is that of a pattern, not of a form.
    pub(crate) is_pattern: bool,
    pub(crate) pieces: Vec<Piece>,
    /// What is told of it is not what it is any more.
    pub(crate) is_news: bool,
}

/// One place of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// What all lines have here (masked); `None`: they differ.
    pub(crate) shown: Option<Shown>,
    pub(crate) spaced: bool,
    /// Bits by [`Kind`] of what was here; none: a word or a mark.
    pub(crate) kinds: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) masked: u64,
    pub(crate) text: Box<str>,
}

impl Template {
    pub(crate) fn new(id: u64, shape: u64, tokens: &[Token], texts: &[String]) -> Self {
        let pieces = tokens.iter().zip(texts).enumerate();
        let pieces = pieces.map(|(place, (token, text))| Piece {
            // Where differences are not looked for, parameters are not shown.
            shown: (place < PLACES || token.kind().is_none()).then(|| Shown {
                masked: token.masked,
                text: text.as_str().into(),
            }),
            spaced: token.spaced,
            kinds: token.kind().map_or(0, bit),
        });
        Self {
            id,
            shape,
            keys: vec![id],
            former: Vec::new(),
            told: 0,
            joins: Vec::new(),
            is_pattern: false,
            pieces: pieces.collect(),
            is_news: true,
        }
    }

    /// Takes in a line that has something else where all others had the same.
    pub(crate) fn take_in(&mut self, tokens: &[Token]) {
        // Taken apart in another way, and read alike.
        if tokens.len() != self.pieces.len() {
            return;
        }
        for (piece, token) in self.pieces.iter_mut().zip(tokens) {
            let differs = |shown: &Shown| shown.masked != token.masked;
            if piece.kinds != 0 && piece.shown.as_ref().is_some_and(differs) {
                piece.kinds |= token.kind().map_or(0, bit);
                self.is_news |= piece.open();
            }
        }
    }

    /// Makes one of two templates that have the same places, or read the same.
    pub(crate) fn join(&mut self, other: Self) {
        self.keys.extend(other.keys);
        self.former.extend(other.former);
        for pattern in other.joins {
            self.would_join(pattern);
        }
        self.is_news = true;
        if !self.is_taken_apart_like(&other.pieces) {
            if other.pieces.len() < self.pieces.len() {
                self.pieces = other.pieces;
            }
            return;
        }
        for (piece, other) in self.pieces.iter_mut().zip(&other.pieces) {
            let differs = match (&piece.shown, &other.shown) {
                (Some(a), Some(b)) => a.masked != b.masked,
                _ => true,
            };
            if differs {
                if piece.kinds == 0 || other.kinds == 0 {
                    piece.kinds |= bit(Kind::Word);
                }
                piece.open();
            }
            piece.kinds |= other.kinds;
        }
    }

    fn is_taken_apart_like(&self, others: &[Piece]) -> bool {
        self.pieces.len() == others.len()
            && self
                .pieces
                .iter()
                .zip(others)
                .all(|(a, b)| a.spaced == b.spaced)
    }

    pub(crate) fn would_join(&mut self, pattern: u64) {
        if self.joins.len() < JOINS && !self.joins.contains(&pattern) {
            self.joins.push(pattern);
        }
    }

    /// A pattern leads to it: of all that do, the least gives the id.
    pub(crate) fn follow(&mut self, pattern: u64) {
        let least = if self.is_pattern {
            self.id.min(pattern)
        } else {
            pattern
        };
        self.is_pattern = true;
        self.rename(least);
    }

    /// Goes by this id from now on.
    fn rename(&mut self, id: u64) {
        if self.id != id {
            self.former.push(self.id);
            self.id = id;
            self.told = 0;
        }
    }

    /// Former ids that were not told yet to be merged into the present one.
    pub(crate) fn untold(&mut self) -> &[u64] {
        let untold = &self.former[self.told..];
        self.told = self.former.len();
        untold
    }

    /// What a line is held against: see [`Tally`].
    pub(crate) fn tally(&self) -> (u64, u64) {
        let (mut shown, mut open) = (0_u64, 0);
        for (place, piece) in self.pieces.iter().enumerate().take(PLACES) {
            match &piece.shown {
                Some(same) if piece.kinds != 0 && same.masked != PARAMETER => {
                    shown = shown.wrapping_add(hash::at(place, same.masked));
                }
                Some(_) => {}
                None => open |= 1 << place,
            }
        }
        (shown, open)
    }

    /// How many places are open.
    pub(crate) fn open_places(&self) -> usize {
        self.pieces.iter().filter(|piece| piece.is_open()).count()
    }

    /// White space between pieces as one blank.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            if piece.spaced && !text.is_empty() {
                text.push(' ');
            }
            text.push_str(piece.shown.as_ref().map_or(SHOWN, |shown| &shown.text));
        }
        text
    }
}

impl Piece {
    /// Whether it was something else before.
    fn open(&mut self) -> bool {
        let was = self.shown.take();
        was.is_some_and(|shown| &*shown.text != SHOWN)
    }

    fn is_open(&self) -> bool {
        self.shown
            .as_ref()
            .is_none_or(|shown| shown.text.contains(SHOWN))
    }
}

pub(crate) fn bit(kind: Kind) -> u32 {
    1 << kind as u32
}
