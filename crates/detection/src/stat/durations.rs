//! How durations are spread: counts in buckets, four to an octave.
//!
//! Invariant: a bucket is a function of the duration alone, so that spreads of different windows can be
//! added up and held against each other.

use crate::codec::{Loaded, Reader, Writer};

/// From 1/16 ms to 262 s; what is shorter or longer is in the first and the last.
const BUCKETS: usize = 88;
/// Exponent and two bits of the mantissa of 1/16 as a 32-bit float.
const FIRST: i32 = (127 - 4) << 2;
const MANTISSA_LEFT: u32 = 21;

/// Counts of one window.
#[derive(Debug, Clone)]
pub(crate) struct Durations {
    counts: [u32; BUCKETS],
    total: u64,
}

/// What is usual: counts that are forgotten with time.
#[derive(Debug, Clone)]
pub(crate) struct UsualDurations {
    weights: [f32; BUCKETS],
    total: f64,
}

/// Half-life 69 windows, as of shares of errors.
const FORGET: f64 = 0.99;

/// Bucket of a duration, ms; `None` of what is none.
fn bucket_of(millis: f64) -> Option<usize> {
    if !(0.0..=1e12).contains(&millis) {
        return None;
    }
    let bits = (millis as f32).to_bits() >> MANTISSA_LEFT;
    let at = bits.cast_signed() - FIRST;
    Some(at.clamp(0, BUCKETS as i32 - 1) as usize)
}

/// Where a bucket begins, ms.
fn begin_of(bucket: usize) -> f64 {
    let bits = (bucket as i32 + FIRST).cast_unsigned() << MANTISSA_LEFT;
    f64::from(f32::from_bits(bits))
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            counts: [0; BUCKETS],
            total: 0,
        }
    }
}

impl Default for UsualDurations {
    fn default() -> Self {
        Self {
            weights: [0.0; BUCKETS],
            total: 0.0,
        }
    }
}

impl Durations {
    /// Counts one, ms. What is negative or no number is left out.
    pub(crate) fn count(&mut self, millis: f64) {
        if let Some(bucket) = bucket_of(millis) {
            self.counts[bucket] = self.counts[bucket].saturating_add(1);
            self.total += 1;
        }
    }

    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    /// How many are in `bucket` or slower.
    pub(crate) fn from(&self, bucket: usize) -> u64 {
        self.counts[bucket..].iter().copied().map(u64::from).sum()
    }

    /// The duration, ms, that a share `q` is faster than; 0 of none.
    pub(crate) fn quantile(&self, q: f64) -> f64 {
        quantile(
            self.counts.iter().copied().map(f64::from),
            self.total as f64,
            q,
        )
    }

    /// Buckets that hold something, and how much.
    pub(crate) fn save(&self, to: &mut Writer) {
        let filled = || {
            self.counts
                .iter()
                .enumerate()
                .filter(|(_, count)| **count > 0)
        };
        to.u64(filled().count() as u64);
        for (bucket, count) in filled() {
            to.byte(bucket as u8);
            to.u32(*count);
        }
    }

    pub(crate) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let mut durations = Self::default();
        for _ in 0..from.length(BUCKETS, 2)? {
            let bucket = usize::from(from.byte()?);
            let count = from.u32()?;
            *durations
                .counts
                .get_mut(bucket)
                .ok_or("a bucket that there is not")? = count;
        }
        durations.total = durations.counts.iter().copied().map(u64::from).sum();
        Ok(durations)
    }
}

impl UsualDurations {
    pub(crate) fn learn(&mut self, window: &Durations) {
        for (weight, count) in self.weights.iter_mut().zip(window.counts) {
            *weight = *weight * FORGET as f32 + count as f32;
        }
        self.total = self.weights.iter().copied().map(f64::from).sum();
    }

    /// Lines that it rests on, by weight.
    pub(crate) const fn weight(&self) -> f64 {
        self.total
    }

    /// The first bucket of which, with those that are slower, no more than `share` is usual, and how
    /// much is.
    pub(crate) fn slowest(&self, share: f64) -> (usize, f64) {
        let mut above = 0.0;
        for bucket in (0..BUCKETS).rev() {
            let with = above + f64::from(self.weights[bucket]);
            if with > share * self.total {
                return ((bucket + 1).min(BUCKETS - 1), above / self.total.max(1.0));
            }
            above = with;
        }
        (0, 1.0)
    }

    pub(crate) fn quantile(&self, q: f64) -> f64 {
        quantile(self.weights.iter().copied().map(f64::from), self.total, q)
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        for weight in self.weights {
            to.f32(weight);
        }
    }

    pub(crate) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let mut usual = Self::default();
        for weight in &mut usual.weights {
            *weight = from.f32()?;
            if *weight < 0.0 {
                return Err("fewer durations than none");
            }
        }
        usual.total = usual.weights.iter().copied().map(f64::from).sum();
        Ok(usual)
    }
}

/// Taken to be spread evenly within a bucket.
fn quantile(counts: impl Iterator<Item = f64>, total: f64, q: f64) -> f64 {
    let mut left = total * q;
    for (bucket, count) in counts.enumerate() {
        if count > 0.0 && count >= left {
            let begin = begin_of(bucket);
            return begin + (begin_of(bucket + 1) - begin) * (left / count).max(0.0);
        }
        left -= count;
    }
    0.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bucket_begins_where_the_one_before_ends() {
        assert_eq!(bucket_of(0.0), Some(0));
        assert_eq!(bucket_of(f64::NAN), None);
        assert_eq!(bucket_of(-1.0), None);
        assert_eq!(bucket_of(1e12), Some(BUCKETS - 1));
        for bucket in 0..BUCKETS {
            assert_eq!(bucket_of(begin_of(bucket)), Some(bucket));
        }
        assert_eq!(begin_of(16), 1.0);
        assert_eq!(begin_of(17), 1.25);
    }

    proptest! {
        #[test]
        fn quantiles_are_within_a_bucket_of_the_truth(mut millis in prop::collection::vec(0.1_f64..100_000.0, 1..300)) {
            let mut durations = Durations::default();
            for one in &millis {
                durations.count(*one);
            }
            millis.sort_unstable_by(f64::total_cmp);
            for q in [0.1_f64, 0.5, 0.9] {
                let rank = ((millis.len() as f64 * q).ceil() as usize).clamp(1, millis.len());
                let (truth, found) = (millis[rank - 1], durations.quantile(q));
                prop_assert!((truth / 1.26..=truth * 1.26).contains(&found), "{q}: {truth} {found}");
            }
            let mut usual = UsualDurations::default();
            usual.learn(&durations);
            let (bucket, share) = usual.slowest(0.5);
            prop_assert!(share <= 0.5);
            let counted = durations.from(bucket) as f64 / durations.total() as f64;
            prop_assert!((share - counted).abs() < 1e-3 || bucket == BUCKETS - 1, "{share} {counted}");
        }
    }
}
