//! Eight bytes at a time, in one word: most words of a log are shorter than that, and a loop that ends
//! anywhere costs more than all the rest that is done for them.
//!
//! Invariant: what is found is what a look at each byte would find. Ranges of bytes by carries, as in
//! Warren, Hacker's Delight, 6-1; bytes outside ASCII are none of them.

const HIGH: u64 = each(0x80);

/// The letters, or digits, that eight bytes begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// They, and zeros behind them; little-endian.
    pub(crate) word: u64,
    /// How many they are: 0 to 8.
    pub(crate) length: usize,
}

pub(crate) fn letters(bytes: [u8; 8]) -> Beginning {
    let word = u64::from_le_bytes(bytes);
    beginning(word, between(word | each(0x20), b'a', b'z') & !word)
}

pub(crate) fn digits(bytes: [u8; 8]) -> Beginning {
    let word = u64::from_le_bytes(bytes);
    beginning(word, between(word, b'0', b'9') & !word)
}

impl Beginning {
    /// Of letters: whether one is a capital.
    pub(crate) fn has_upper(self) -> bool {
        !self.word & each(0x20) & mask(self.length) != 0
    }
}

/// `found`: the high bit of each byte that is one of them.
fn beginning(word: u64, found: u64) -> Beginning {
    let length = (!found & HIGH).trailing_zeros() as usize / 8;
    Beginning {
        word: word & mask(length),
        length,
    }
}

/// The high bit of each byte whose lower seven bits are in the range; other bits are undefined.
fn between(word: u64, first: u8, last: u8) -> u64 {
    let low = word & !HIGH;
    (low + each(0x80 - first)) & !(low + each(0x7f - last))
}

fn mask(length: usize) -> u64 {
    u64::MAX.checked_shr(64 - 8 * length as u32).unwrap_or(0)
}

const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_in_every_place() {
        for byte in 0..=u8::MAX {
            for place in 0..8 {
                let mut bytes = *b"gHijKlMn";
                bytes[place] = byte;
                let expected = if byte.is_ascii_alphabetic() { 8 } else { place };
                let found = letters(bytes);
                assert_eq!(found.length, expected, "{byte} at {place}");
                assert_eq!(found.word.to_le_bytes()[..expected], bytes[..expected]);
                assert_eq!(found.word.to_le_bytes()[expected..], [0; 8][expected..]);
                let capitals = bytes[..expected].iter().any(u8::is_ascii_uppercase);
                assert_eq!(found.has_upper(), capitals, "{byte} at {place}");

                let mut bytes = *b"09876543";
                bytes[place] = byte;
                let expected = if byte.is_ascii_digit() { 8 } else { place };
                assert_eq!(digits(bytes).length, expected, "{byte} at {place}");
            }
        }
    }
}
