//! Finds the next byte of a JSON string that is not plain text, eight bytes at a time.
//!
//! Source: Mycroft's test for a zero byte in a word, and its kin, in "Bit Twiddling Hacks" (Sean Eron
//! Anderson). A mark may be wrong above the lowest one, never below it, and only the lowest counts.

const ONES: u64 = u64::from_le_bytes([0x01; 8]);
const HIGHS: u64 = ONES << 7;

/// How many bytes stand before the first `"`, `\` or control character; all of them if there is none.
#[inline]
pub(super) fn plain_prefix(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return bytes.len() - rest.len() + marks.trailing_zeros() as usize / 8;
        }
        rest = after;
    }
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    bytes.len() - rest.len() + rest.iter().position(ends).unwrap_or(rest.len())
}

/// The highest bit of the lowest byte that ends plain text.
#[inline]
fn marks(word: u64) -> u64 {
    // Below 0x20 and `"` alike: with this bit turned over, they are below 0x21, and nothing else is.
    let quotes_and_controls = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let backslashes = (word ^ (ONES * 0x5c)).wrapping_sub(ONES);
    (quotes_and_controls | backslashes) & !word & HIGHS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_at_each_place_is_plain_or_ends_it() {
        for byte in 0..=u8::MAX {
            for place in 0..20 {
                for filler in [b'a', b' ', b'!', b'#', 0x7f, 0xff] {
                    let mut text = [filler; 20];
                    text[place] = byte;
                    let ends = matches!(byte, b'"' | b'\\' | 0..0x20);
                    let expected = if ends { place } else { text.len() };
                    assert_eq!(plain_prefix(&text), expected, "{byte:#x} at {place}");
                }
            }
        }
    }
}
