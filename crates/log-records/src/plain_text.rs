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
    let below = |limit: u8, word: u64| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let equals = |byte: u8| below(1, word ^ (ONES * u64::from(byte)));
    (equals(b'"') | equals(b'\\') | below(0x20, word)) & HIGHS
}
