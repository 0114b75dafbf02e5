//! Which life of a topic rows belong to.

use std::fmt;

use uuid::Uuid;

/// Hash of the topic's id and the consumer group's name.
///
/// It stands in tokens, rows, anomaly ids and cursors: a topic that was deleted and made anew has a
/// new id, and so never collides with old rows; two stacks on one ClickHouse do not collide either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(u64);

const NAMESPACE: Uuid = Uuid::from_u128(0x8d3c_5a7e_93a1_5f0b_b5c4_1a6e_0c9d_7f21);

impl Incarnation {
    /// `topic_id`: the UUID that Kafka gave the topic when it was created.
    pub fn of(topic_id: Uuid, group: &str) -> Self {
        let mut name = topic_id.as_bytes().to_vec();
        name.extend_from_slice(group.as_bytes());
        Self(Uuid::new_v5(&NAMESPACE, &name).as_u64_pair().0)
    }

    pub const fn raw(self) -> u64 {
        self.0
    }
}

/// Sixteen hexadecimal digits.
impl fmt::Display for Incarnation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differs_by_topic_and_by_group_and_is_the_same_every_time() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(Incarnation::of(one, "g"), Incarnation::of(one, "g"));
        assert_ne!(Incarnation::of(one, "g"), Incarnation::of(other, "g"));
        assert_ne!(Incarnation::of(one, "g"), Incarnation::of(one, "h"));
        assert_eq!(Incarnation::of(one, "g").to_string().len(), 16);
    }
}
