//! A template as it is known so far: what all its lines have in common.
//!
//! Invariant: taking in a line, and joining two templates, only ever open places; whatever the order,
//! the same lines end with the same text.

use crate::token::{Kind, Token};

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
    /// Where the lines had always the same parameter: the place, and the hash of what is shown.
    pub(crate) same: Vec<(u32, u64)>,
    pub(crate) count: u64,
    /// The number of the last line that was its.
    pub(crate) touched: u64,
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
        let pieces = tokens.iter().zip(texts).map(|(token, text)| Piece {
            shown: Some(Shown {
                masked: token.masked,
                text: text.as_str().into(),
            }),
            spaced: token.spaced,
            kinds: token.kind().map_or(0, bit),
        });
        let mut template = Self {
            id,
            shape,
            keys: vec![id],
            former: Vec::new(),
            told: 0,
            joins: Vec::new(),
            is_pattern: false,
            pieces: pieces.collect(),
            same: Vec::new(),
            count: 0,
            touched: 0,
            is_news: true,
        };
        template.note_same();
        template
    }

    /// Whether a line of this template has something else where all others had the same.
    pub(crate) fn is_changed_by(&self, tokens: &[Token]) -> bool {
        self.same.iter().any(|(place, masked)| {
            tokens
                .get(*place as usize)
                .is_some_and(|t| t.masked != *masked)
        })
    }

    pub(crate) fn take_in(&mut self, tokens: &[Token]) {
        for (place, masked) in std::mem::take(&mut self.same) {
            let place = place as usize;
            let token = tokens.get(place);
            if let (Some(piece), Some(token)) = (self.pieces.get_mut(place), token)
                && token.masked != masked
            {
                piece.kinds |= token.kind().map_or(0, bit);
                self.is_news |= piece.open();
            }
        }
        self.note_same();
    }

    /// Makes one of two templates with the same places.
    pub(crate) fn join(&mut self, other: Self) {
        self.count += other.count;
        self.touched = self.touched.max(other.touched);
        self.keys.extend(other.keys);
        self.former.extend(other.former);
        for pattern in other.joins {
            self.would_join(pattern);
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
        self.is_news = true;
        self.note_same();
    }

    pub(crate) fn would_join(&mut self, pattern: u64) {
        if self.joins.len() < JOINS && !self.joins.contains(&pattern) {
            self.joins.push(pattern);
        }
    }

    /// Goes by this id from now on.
    pub(crate) fn rename(&mut self, id: u64) {
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

    pub(crate) fn note_same(&mut self) {
        let places = self.pieces.iter().enumerate();
        self.same = places
            .filter(|(_, piece)| piece.kinds != 0)
            .filter_map(|(place, piece)| Some((place as u32, piece.shown.as_ref()?.masked)))
            .collect();
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
