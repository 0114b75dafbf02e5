//! Which partition a key goes to, by the ways in which clients reckon it.

use pipeline::Partition;

/// How a producer spreads keys over partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partitioner {
    /// The Java client's, and librdkafka's `murmur2` and `murmur2_random`.
    Murmur2,
    /// librdkafka's default, `consistent_random`.
    Crc32,
    /// Sarama's, and librdkafka's `fnv1a`.
    Fnv1a,
}

/// Of so many keys in ten the partition must be right for a partitioner to be taken for the one in use.
const RIGHT_IN_TEN: usize = 9;
/// So few keys may be right for some partitioner and some number of partitions by chance.
const ENOUGH_KEYS: usize = 8;

impl Partitioner {
    const ALL: [Self; 3] = [Self::Murmur2, Self::Crc32, Self::Fnv1a];

    /// The one by which these keys are on `own` of `before` partitions, or, since there are more, of `now`;
    /// `None` if there is none, or no key.
    pub fn of<'a>(
        keys: &(impl Iterator<Item = &'a str> + Clone),
        own: Partition,
        before: u32,
        now: u32,
    ) -> Option<Self> {
        if before < 2 {
            // Everything is where it must be, whatever the keys are.
            return None;
        }
        let all = keys.clone().count();
        let right = |partitioner: Self| {
            let own = |key: &&str| {
                [before, now]
                    .iter()
                    .any(|partitions| partitioner.partition_of(key, *partitions) == own)
            };
            keys.clone().filter(own).count()
        };
        let best = Self::ALL.into_iter().max_by_key(|one| right(*one))?;
        (all > 0 && right(best) * 10 >= all * RIGHT_IN_TEN).then_some(best)
    }

    /// How many partitions there were before there were `now`, if these keys tell: not all of them are here
    /// by `now`, and nearly all are by a smaller number. 0: they don't.
    pub fn partitions_before<'a>(
        keys: &(impl Iterator<Item = &'a str> + Clone),
        own: Partition,
        now: u32,
    ) -> u32 {
        let is_enough = keys.clone().nth(ENOUGH_KEYS - 1).is_some();
        if !is_enough || Self::of(keys, own, now, now).is_some() {
            return 0;
        }
        let mut fewer = (own.0.cast_unsigned() + 1..now).rev();
        let fits = |before: &u32| Self::of(keys, own, *before, now).is_some();
        fewer.find(fits).unwrap_or(0)
    }

    /// Where a key goes. `partitions` above 0.
    pub fn partition_of(self, key: &str, partitions: u32) -> Partition {
        let bytes = key.as_bytes();
        let hash = match self {
            Self::Murmur2 => murmur2(bytes) & 0x7fff_ffff,
            Self::Crc32 => crc32fast::hash(bytes),
            // Sarama takes the remainder of the signed hash, and its absolute value.
            Self::Fnv1a => {
                let signed = fnv1a(bytes).cast_signed() % partitions.max(1).cast_signed();
                return Partition(signed.abs());
            }
        };
        Partition((hash % partitions.max(1)).cast_signed())
    }
}

/// Source: MurmurHash2 by Austin Appleby, with the seed of Kafka's
/// `org.apache.kafka.common.utils.Utils.murmur2`.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ bytes.len() as u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    for (at, byte) in rest.iter().enumerate() {
        hash ^= u32::from(*byte) << (8 * at);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// Source: Fowler, Noll and Vo, FNV-1a with 32 bits.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of Kafka's `UtilsTest.testMurmur2`, and of the other functions' authors.
    #[test]
    fn hashes_as_the_clients_do() {
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
        assert_eq!(fnv1a(b"a"), 0xe40c_292c);
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn finds_the_partitioner_in_use_from_where_keys_are() {
        let names: Vec<_> = (0..40).map(|at| format!("service-{at}")).collect();
        for partitioner in Partitioner::ALL {
            let own = Partition(1);
            let here: Vec<_> = names
                .iter()
                .map(String::as_str)
                .filter(|name| partitioner.partition_of(name, 4) == own)
                .collect();
            let found = Partitioner::of(&here.iter().copied(), own, 4, 4);
            assert_eq!(found, Some(partitioner));
        }
        let keyless = Partitioner::of(&names.iter().map(String::as_str), Partition(1), 4, 4);
        assert_eq!(keyless, None);
    }

    #[test]
    fn tells_from_the_keys_that_there_were_fewer_partitions() {
        let names: Vec<_> = (0..80).map(|at| format!("service-{at}")).collect();
        let own = Partition(1);
        for partitioner in Partitioner::ALL {
            let on = |partitions: &[u32]| {
                let here = names.iter().map(String::as_str).filter(|name| {
                    let is_own = |of: &u32| partitioner.partition_of(name, *of) == own;
                    partitions.iter().any(is_own)
                });
                here.collect::<Vec<_>>()
            };
            let before =
                |keys: &[&str]| Partitioner::partitions_before(&keys.iter().copied(), own, 10);
            // Some moved here, and some of those that moved away are known still.
            assert_eq!(before(&on(&[4, 10])), 4);
            assert_eq!(before(&on(&[10])), 0);
        }
        let all: Vec<_> = names.iter().map(String::as_str).collect();
        assert_eq!(
            Partitioner::partitions_before(&all.iter().copied(), own, 10),
            0
        );
    }
}
