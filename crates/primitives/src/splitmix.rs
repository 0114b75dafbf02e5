//! SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
//!
//! The same numbers on every machine and in every release: what is derived from them is kept.

/// What the state grows by: 2^64 over the golden ratio, odd.
pub const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads nearby numbers over the whole range; 0 stays 0.
#[inline]
pub const fn finalise(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The number that follows `value`.
#[inline]
pub const fn mix(value: u64) -> u64 {
    finalise(value.wrapping_add(STEP))
}

/// Of bytes, eight at a time. Finds damage, not forgery.
pub fn hash(bytes: &[u8]) -> u64 {
    let mut sum = finalise(bytes.len() as u64 ^ STEP);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        for (into, byte) in word.iter_mut().zip(chunk) {
            *into = *byte;
        }
        sum = finalise(sum.wrapping_add(STEP) ^ u64::from_le_bytes(word));
    }
    sum
}

/// A stream of numbers. No secrets: whoever sees one knows all that follow.
#[derive(Debug, Clone)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    #[inline]
    pub const fn draw(&mut self) -> u64 {
        let drawn = mix(self.0);
        self.0 = self.0.wrapping_add(STEP);
        drawn
    }

    /// Less than `bound`, which is not 0, and far less than 2^64: the least numbers come a little more often.
    #[inline]
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_single_changed_byte_changes_the_hash(mut bytes in prop::collection::vec(any::<u8>(), 1..100), at in any::<prop::sample::Index>(), by in 1_u8..) {
            let before = hash(&bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= by;
            prop_assert_ne!(before, hash(&bytes));
        }
    }

    /// The first numbers of the reference implementation (Vigna, splitmix64.c) for the seed 1234567.
    #[test]
    fn the_stream_is_the_published_one() {
        let mut stream = SplitMix64::new(1_234_567);
        let drawn = [0; 3].map(|_: u8| stream.draw());
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }
}
