//! Escape sequences of terminals: colours, titles, links. A coloured word is its word.
//!
//! Invariant: what is left are bytes of the line in their order, and every place in it leads back to its
//! place in the line.

use std::ops::Range;

use memchr::memchr;

const ESCAPE: u8 = 0x1b;
const BELL: u8 = 0x07;

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
            at += before + sequence(&line[at + before..]);
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

/// How long the sequence is that begins with an escape (ECMA-48).
fn sequence(text: &[u8]) -> usize {
    match text.get(1) {
        // A control sequence ends with its final byte; one that is broken off, where it breaks off.
        Some(b'[') => {
            let inside = text[2..].iter().take_while(|b| (0x20..0x40).contains(*b));
            let end = 2 + inside.count();
            end + usize::from(text.get(end).is_some_and(|b| (0x40..0x7f).contains(b)))
        }
        // A title or a link, up to a bell or a string terminator; no further than its line.
        Some(b']') => {
            let inside = text[2..].iter();
            let end = 2 + inside
                .take_while(|b| !matches!(**b, BELL | ESCAPE | b'\n'))
                .count();
            match text[end..] {
                [BELL, ..] => end + 1,
                [ESCAPE, b'\\', ..] => end + 2,
                _ => end,
            }
        }
        // The choice of a character set.
        Some(b'(' | b')') => text.len().min(3),
        Some(0x40..0x7f) => 2,
        _ => 1,
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
