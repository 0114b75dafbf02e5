//! The hash of words, and of what stands where in a line.
//!
//! Invariant: the same bytes give the same hash in every process and on every machine: template ids
//! are made of it. The mixing step is that of wyhash (Wang Yi, public domain): the two halves of a
//! 128-bit product, folded.

const A: u64 = 0xa076_1d64_78bd_642f;
const B: u64 = 0xe703_7ed1_a0b4_28db;
const C: u64 = 0x8ebc_6af0_9c88_c6e3;

pub(crate) const fn mix(a: u64, b: u64) -> u64 {
    let product = (a ^ A) as u128 * (b ^ B) as u128;
    (product >> 64) as u64 ^ product as u64
}

/// What a token with this hash adds to its line's key at this place. Sums of these can be taken
/// apart again: a word is replaced by taking its part off and adding another.
pub(crate) const fn at(place: usize, hash: u64) -> u64 {
    mix(hash, (place as u64 + 1).wrapping_mul(C))
}

#[inline]
pub(crate) fn of(bytes: &[u8]) -> u64 {
    let length = bytes.len();
    if length <= 8 {
        return of_word(padded(bytes), length);
    }
    let mut hash = length as u64;
    let (chunks, rest) = bytes.as_chunks::<16>();
    for chunk in chunks {
        let (a, b) = chunk.split_at(8);
        hash = mix(padded(a) ^ hash, padded(b));
    }
    let (a, b) = rest.split_at(rest.len().min(8));
    mix(padded(a) ^ hash, padded(b) ^ C)
}

/// [`of`] up to eight bytes, as they stand in a little-endian word.
pub(crate) const fn of_word(word: u64, length: usize) -> u64 {
    mix(word ^ C, length as u64)
}

/// [`of`] a single byte.
pub(crate) const fn of_one(byte: u8) -> u64 {
    of_word(byte as u64, 1)
}

/// Up to eight bytes as a little-endian word, zeros behind them.
#[inline]
fn padded(bytes: &[u8]) -> u64 {
    let shift = |from_end: usize| 8 * (bytes.len() - from_end);
    if let Some(word) = bytes.first_chunk() {
        u64::from_le_bytes(*word)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << shift(4)
    } else if let (Some(first), Some(last)) = (bytes.first(), bytes.last()) {
        let middle = bytes.len() / 2;
        u64::from(*first) | u64::from(bytes[middle]) << (8 * middle) | u64::from(*last) << shift(1)
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_are_their_bytes() {
        for length in 0..=8 {
            let mut word = [0; 8];
            for (n, byte) in word.iter_mut().enumerate().take(length) {
                *byte = 0x91 + 7 * n as u8;
            }
            assert_eq!(padded(&word[..length]), u64::from_le_bytes(word));
        }
    }

    #[test]
    fn every_byte_counts() {
        for length in 1..70 {
            let text: Vec<u8> = (0..length).collect();
            for place in 0..text.len() {
                let mut other = text.clone();
                other[place] ^= 0x40;
                assert_ne!(of(&text), of(&other), "{place} of {length}");
            }
            assert_ne!(of(&text), of(&text[1..]));
        }
    }
}
