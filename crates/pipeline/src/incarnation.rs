//! Which incarnation of a topic rows belong to: what lived between two of its deletions, or two losses of its disk.

use std::fmt;

use uuid::Uuid;

/// Hash of the topic's id and the consumer group's name.
///
/// It stands in tokens, rows, anomaly ids and cursors: a topic that was deleted and made anew has a
/// new id, and so never collides with old rows; two stacks on one ClickHouse do not collide either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation {
    topic: u64,
    raw: u64,
}

const NAMESPACE: Uuid = Uuid::from_u128(0x8d3c_5a7e_93a1_5f0b_b5c4_1a6e_0c9d_7f21);

impl Incarnation {
    /// `topic_id`: the UUID that Kafka gave the topic when it was created.
    pub fn of(topic_id: Uuid, group: &str) -> Self {
        let mut name = topic_id.as_bytes().to_vec();
        name.extend_from_slice(group.as_bytes());
        let topic = Uuid::new_v5(&NAMESPACE, &name).as_u64_pair().0;
        Self { topic, raw: topic }
    }

    /// The same topic and group after a partition's log was lost `life` times while the topic kept its
    /// id: what was read of the log before has nothing to do with what stands in it now.
    pub fn in_life(self, life: u32) -> Self {
        if life == 0 {
            return self.of_topic();
        }
        let mut name = self.topic.to_be_bytes().to_vec();
        name.extend_from_slice(&life.to_be_bytes());
        Self {
            raw: Uuid::new_v5(&NAMESPACE, &name).as_u64_pair().0,
            ..self
        }
    }

    /// The first life of the topic's partitions, which nearly all of them stay in.
    pub const fn of_topic(self) -> Self {
        Self {
            topic: self.topic,
            raw: self.topic,
        }
    }

    pub const fn raw(self) -> u64 {
        self.raw
    }
}

/// Sixteen hexadecimal digits.
impl fmt::Display for Incarnation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.raw)
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
        let lives = [0, 1, 2].map(|life| Incarnation::of(one, "g").in_life(life));
        assert_eq!(lives[0], Incarnation::of(one, "g"));
        assert_ne!(lives[1].raw(), lives[2].raw());
        assert_eq!(lives[2].in_life(1), lives[1]);
        assert!(lives.iter().all(|life| life.of_topic() == lives[0]));
    }
}
