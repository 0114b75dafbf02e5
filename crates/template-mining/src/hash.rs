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

pub(crate) fn of(bytes: &[u8]) -> u64 {
    let length = bytes.len();
    if length <= 16 {
        let (a, b) = short(bytes);
        return mix(a ^ C, b ^ length as u64);
    }
    let mut hash = length as u64;
    let (chunks, rest) = bytes.as_chunks::<16>();
    for chunk in chunks {
        let (a, b) = short(chunk);
        hash = mix(a ^ hash, b);
    }
    let (a, b) = short(rest);
    mix(a ^ hash, b ^ C)
}

/// [`of`] a single byte.
pub(crate) const fn of_one(byte: u8) -> u64 {
    let word = byte as u64 | (byte as u64) << 8 | (byte as u64) << 16;
    mix(word ^ C, 1)
}

/// Two words that hold every byte of up to sixteen.
fn short(bytes: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (
            u64::from(u32::from_le_bytes(*first)),
            u64::from(u32::from_le_bytes(*last)),
        )
    } else if let (Some(first), Some(last)) = (bytes.first(), bytes.last()) {
        let middle = bytes[bytes.len() / 2];
        (
            u64::from(*first) | u64::from(middle) << 8 | u64::from(*last) << 16,
            0,
        )
    } else {
        (0, 0)
    }
}
