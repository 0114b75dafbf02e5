//! Chance, and the numbers derived from it.
//! Invariant: a stream is named by the seed and by what it is for (service, tick), never by what
//! was drawn before. So a fault changes nothing outside its own service and span, and neither the
//! machine's speed nor the number of threads changes a byte.

use primitives::splitmix::mix;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

/// The generator of chance used everywhere here; its output is fixed across platforms.
pub(crate) type Rng = Xoshiro256PlusPlus;

/// What a stream is for. Each purpose has its own numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    People,
    Service,
    Traffic,
    Records,
    Traces,
    Injections,
}

/// A number for `purpose`, and for two coordinates within it (a service and a tick, say).
pub(crate) fn derive(seed: u64, purpose: Purpose, first: u64, second: u64) -> u64 {
    let named = mix(seed ^ mix(purpose as u64 + 1));
    mix(mix(named ^ first) ^ second)
}

/// The stream that `derive` names.
pub(crate) fn stream(seed: u64, purpose: Purpose, first: u64, second: u64) -> Rng {
    Rng::seed_from_u64(derive(seed, purpose, first, second))
}

/// Below `limit`, evenly enough for text (the bias is under 2⁻³² times the limit).
pub(crate) fn below(rng: &mut Rng, limit: u32) -> u32 {
    ((u64::from(rng.random::<u32>()) * u64::from(limit)) >> 32) as u32
}

/// In [0, 1).
pub(crate) fn unit(rng: &mut Rng) -> f64 {
    rng.random::<f64>()
}

/// Below `limit` by a hash instead of a stream.
pub(crate) fn scaled(hash: u64, limit: usize) -> usize {
    ((u128::from(hash) * limit as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_every_coordinate_and_repeat_exactly() {
        let first = |seed, purpose, a, b| stream(seed, purpose, a, b).random::<u64>();
        let base = first(1, Purpose::Records, 2, 3);
        assert_eq!(base, first(1, Purpose::Records, 2, 3));
        for other in [
            first(2, Purpose::Records, 2, 3),
            first(1, Purpose::Traffic, 2, 3),
            first(1, Purpose::Records, 3, 2),
            first(1, Purpose::Records, 2, 4),
        ] {
            assert_ne!(base, other);
        }
    }
}
