//! Escape sequences of terminals: colours, titles, links. A coloured word is its word.
//!
//! Invariant: what is left are bytes of the line in their order, and every place in it leads back to its
//! place in the line.

use std::ops::Range;

use memchr::memchr;
use primitives::escapes::{self, ESCAPE};

/// A line without its escape sequences.
#[derive(Debug, Default)]
pub(crate) struct Uncoloured {
    pub(crate) text: Vec<u8>,
    /// Where in `text` something was left out, and how much up to there.
    gaps: Vec<(usize, usize)>,
}

impl Uncoloured {
    /// Whether the line has escape sequences in it; `text` is the line without them then. `within`: the
    /// bytes that are looked at.
    pub(crate) fn read(&mut self, line: &[u8], within: usize) -> bool {
        self.gaps.clear();
        if memchr(ESCAPE, &line[..line.len().min(within)]).is_none() {
            return false;
        }
        self.text.clear();
        let mut at = 0;
        while let Some(before) = memchr(ESCAPE, &line[at..]) {
            self.text.extend_from_slice(&line[at..at + before]);
            at += before + escapes::length(&line[at + before..]);
            self.gaps.push((self.text.len(), at - self.text.len()));
        }
        self.text.extend_from_slice(&line[at..]);
        true
    }

    /// Where in the line these bytes of `text` are: a sequence right behind them is none of them.
    pub(crate) fn range(&self, bytes: Range<usize>) -> Range<usize> {
        let start = self.place(bytes.start);
        let last = bytes.end.checked_sub(1).filter(|last| *last >= bytes.start);
        start..last.map_or(start, |last| self.place(last) + 1)
    }

    /// The place in the line of the byte that is here in `text`.
    fn place(&self, here: usize) -> usize {
        let before = self.gaps.partition_point(|(gap, _)| *gap <= here);
        here + before.checked_sub(1).map_or(0, |last| self.gaps[last].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_leads_back() {
        let line = b"a \x1b[1;31mred\x1b[0m\x1b[K b \x1b]8;;http://x\x1b\\link\x1b]8;;\x07 c\x1b";
        let mut read = Uncoloured::default();
        assert!(read.read(line, 100));
        assert_eq!(read.text, b"a red b link c");
        for (here, byte) in read.text.iter().enumerate() {
            assert_eq!(line[read.place(here)], *byte);
        }
        assert_eq!(&line[read.range(2..5)], b"red");
        assert_eq!(read.range(2..2).len(), 0);
        assert!(!read.read(b"plain", 100));
        assert_eq!(read.place(3), 3);
    }
}
