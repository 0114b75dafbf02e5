//! Escape sequences of terminals (ECMA-48): colours, titles, links.

pub const ESCAPE: u8 = 0x1b;
const BELL: u8 = 0x07;

/// How many bytes the sequence has that `text` begins with. `text` begins with [`ESCAPE`]. What is left
/// out of a text by it leaves a text: no character is cut.
pub fn length(text: &[u8]) -> usize {
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
        Some(b'(' | b')') => match text.get(2) {
            Some(0x20..0x7f) => 3,
            _ => 2,
        },
        Some(0x40..0x7f) => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_sequence_ends_where_it_ends() {
        for (text, expected) in [
            ("\x1b[1;31mred", 7),
            ("\x1b[K", 3),
            ("\x1b[1;3", 5),
            ("\x1b[1\u{e4}", 3),
            ("\x1b]0;title\x07x", 10),
            ("\x1b]8;;http://x\x1b\\link", 15),
            ("\x1b]0;title\nnext", 9),
            ("\x1b(Bx", 3),
            ("\x1b(\u{e4}", 2),
            ("\x1bMx", 2),
            ("\x1b\u{e4}", 1),
            ("\x1b", 1),
        ] {
            assert_eq!(length(text.as_bytes()), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_character_is_cut(text in "\\x1b[\\[\\]()0-9;a-z\\x07\\x1b\\\\\u{e4}\u{1f600}]{0,12}") {
            prop_assert!(text.is_char_boundary(length(text.as_bytes())));
        }
    }
}
