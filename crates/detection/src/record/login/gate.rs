//! Whether a message may speak of logins: asked of every line, so that it has to cost next to nothing.
//!
//! Every word that is looked for has three letters that few other words have. They are compared with sixteen
//! places at once (the loops have the shape that compilers make vector instructions of), whatever the case.
//! Invariant: no message with one of the words is kept out; some that have none are let through.

/// One of these is in every word of [`super::SPEAKS_OF_IT`] (test).
const MARKS: [[u8; 3]; 8] = [
    *b"ogi", *b"ogo", *b"ogg", *b"ign", *b"ssw", *b"nti", *b"ubl", *b"n o",
];
/// Places that are looked at together.
const BLOCK: usize = 16;
/// Turns capital letters into small ones, and what is no letter into something that is no mark either, or
/// that is let through.
const SMALL: u8 = 0x20;

#[inline]
pub(super) fn is_open(message: &[u8]) -> bool {
    let mut rest = message;
    while let Some(block) = rest.first_chunk() {
        if has_mark(block) {
            return true;
        }
        rest = &rest[BLOCK..];
    }
    let mut block = [0; BLOCK + 2];
    block[..rest.len()].copy_from_slice(rest);
    has_mark(&block)
}

/// Whether one of the marks begins at one of the first [`BLOCK`] places.
#[inline]
fn has_mark(block: &[u8; BLOCK + 2]) -> bool {
    let mut has = [0_u8; BLOCK];
    for mark in MARKS {
        for (at, has) in has.iter_mut().enumerate() {
            let fits = |place: usize| u8::from(block[at + place] | SMALL == mark[place]);
            *has |= fits(0) & fits(1) & fits(2);
        }
    }
    has != [0; BLOCK]
}

#[cfg(test)]
mod tests {
    use super::{super::SPEAKS_OF_IT, *};

    #[test]
    fn every_word_gets_through_wherever_it_stands_and_however_it_is_written() {
        for word in SPEAKS_OF_IT {
            for before in 0..40 {
                let message = format!("{}{word}", "x".repeat(before));
                assert!(is_open(message.as_bytes()), "{message}");
                assert!(is_open(message.to_uppercase().as_bytes()), "{message}");
                assert!(is_open(format!("{message} x").as_bytes()), "{message}");
            }
        }
    }

    #[test]
    fn ordinary_lines_stay_outside() {
        for message in [
            "",
            "x",
            "order 4711 shipped in 12 ms, 562 cents",
            "GET /catalog/items/17 200 12ms",
            "größe über 16 Zeichen, Umlaute ÄÖÜ",
        ] {
            assert!(!is_open(message.as_bytes()), "{message}");
        }
    }
}
