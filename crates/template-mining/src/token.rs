//! A token of a line: a mark, a word or a parameter.

use std::ops::Range;

/// What a parameter's text looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    Number,
    /// A number with its unit.
    Quantity,
    Hex,
    Uuid,
    Time,
    /// Of a machine: IP, host name, with or without port, MAC.
    Address,
    Path,
    Url,
    Email,
    /// A boolean, or the absence of a value.
    Literal,
    /// A dotted name: a class, a package.
    Name,
    /// Letters and digits.
    Identifier,
    Quoted,
    /// A word in the place of a value.
    Word,
    /// Several parameters in a row.
    List,
    /// The frames of a stack trace.
    Frames,
    /// What lies beyond the bytes or the tokens that are looked at.
    Rest,
}

/// A parameter of a line: its bytes in the line, and what they look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    pub bytes: Range<usize>,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Mark,
    Word,
    Parameter(Kind),
}

/// Hash of what a parameter is to a form, and of the text `<*>`.
pub(crate) const PARAMETER: u64 = 0x5bd1_e995_9d2c_f6f1;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// What it is to the line's form.
    pub(crate) hash: u64,
    /// Of a parameter: the hash of what a template shows for it, as long as all its lines have the same
    /// here.
    pub(crate) masked: u64,
    pub(crate) what: What,
    /// White space stands before it.
    pub(crate) spaced: bool,
}

impl Token {
    pub(crate) fn kind(&self) -> Option<Kind> {
        match self.what {
            What::Parameter(kind) => Some(kind),
            What::Mark | What::Word => None,
        }
    }

    pub(crate) fn is_word(&self) -> bool {
        self.what == What::Word
    }

    pub(crate) fn text<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        line.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }
}
