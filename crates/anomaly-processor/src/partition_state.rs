//! What a partition's task knows: its detectors and its miner, kept and restored as one.
//!
//! Invariant: both are a function of the partition's records in order, and a snapshot is both after
//! the same record.
//!
//! Layout: magic (8 bytes), format (u16), then each state behind its length (u64); all little-endian.
//! What stands in `detector_snapshots` without that magic is older and is the detectors' state alone.

use detection::{Config, PartitionDetectors};
use template_mining::{Limits, Miner};

const MAGIC: [u8; 8] = *b"BAROLANE";
/// Layout of the bytes around the states; each has a version of its own. 1: the detectors' alone.
pub const FORMAT: u16 = 2;

/// The state of one partition's task.
pub struct PartitionState {
    pub detectors: PartitionDetectors,
    pub miner: Miner,
}

/// Why the detectors of a snapshot cannot be used, and so nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("the snapshot is cut off or damaged")]
    Damaged,
    #[error("the snapshot has format {found}, newer than the newest known one, {FORMAT}")]
    Newer { found: u16 },
    #[error(transparent)]
    Detectors(#[from] detection::SnapshotError),
}

/// Why the miner of a snapshot cannot be used, though its detectors can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MinerLost {
    #[error("the snapshot is older than the mining of templates")]
    Absent,
    #[error(transparent)]
    Unusable(#[from] template_mining::SnapshotError),
}

impl PartitionState {
    /// Of a partition that nothing is known of.
    pub fn none(detection: Config, mining: Limits) -> Self {
        Self {
            detectors: PartitionDetectors::new(detection),
            miner: Miner::new(mining),
        }
    }

    pub fn snapshot(&self) -> Vec<u8> {
        let states = [self.detectors.snapshot(), self.miner.snapshot()];
        let length: usize = states.iter().map(|state| state.len() + 8).sum();
        let mut bytes = Vec::with_capacity(MAGIC.len() + 2 + length);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        for state in states {
            bytes.extend_from_slice(&(state.len() as u64).to_le_bytes());
            bytes.extend_from_slice(&state);
        }
        bytes
    }

    /// What was kept. A miner that cannot be used is a new one, and the reason is told: templates
    /// have the same ids whoever mines them, but words that were found to be parameters have to be
    /// found again.
    pub fn restore(
        bytes: &[u8],
        detection: Config,
        mining: Limits,
    ) -> Result<(Self, Option<MinerLost>), Unusable> {
        let (detectors, miner) = match bytes.strip_prefix(&MAGIC) {
            None => (bytes, Err(MinerLost::Absent)),
            Some(rest) => {
                let (detectors, miner) = states(rest)?;
                (detectors, Ok(miner))
            }
        };
        let detectors = PartitionDetectors::restore(detectors, detection)?;
        let restored = miner.and_then(|miner| Ok(Miner::restore(miner, mining)?));
        let (miner, lost) = match restored {
            Ok(miner) => (miner, None),
            Err(lost) => (Miner::new(mining), Some(lost)),
        };
        Ok((Self { detectors, miner }, lost))
    }
}

fn states(bytes: &[u8]) -> Result<(&[u8], &[u8]), Unusable> {
    let (format, rest) = bytes.split_first_chunk().ok_or(Unusable::Damaged)?;
    let found = u16::from_le_bytes(*format);
    if found > FORMAT {
        return Err(Unusable::Newer { found });
    }
    let (detectors, rest) = state(rest)?;
    let (miner, rest) = state(rest)?;
    if found < FORMAT || !rest.is_empty() {
        return Err(Unusable::Damaged);
    }
    Ok((detectors, miner))
}

/// The first state, and what is behind it.
fn state(bytes: &[u8]) -> Result<(&[u8], &[u8]), Unusable> {
    let (length, rest) = bytes.split_first_chunk().ok_or(Unusable::Damaged)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| Unusable::Damaged)?;
    rest.split_at_checked(length).ok_or(Unusable::Damaged)
}

#[cfg(test)]
mod tests {
    use detection::{Observation, time::EventTime};

    use super::*;

    fn state() -> PartitionState {
        let mut state = PartitionState::none(Config::default(), Limits::default());
        for n in 0..50 {
            let message = format!("user u{n} logged in from 10.0.0.{n}");
            let observation = Observation {
                service: "login",
                time: EventTime(n * 1000),
                kafka_time: n * 1000,
                offset: n,
                is_error: false,
                level: 3,
                message: &message,
                trace_id: "",
            };
            state.detectors.observe(&observation, &mut Vec::new());
            state.miner.observe(message.as_bytes());
        }
        state
    }

    fn restore(bytes: &[u8]) -> Result<(PartitionState, Option<MinerLost>), Unusable> {
        PartitionState::restore(bytes, Config::default(), Limits::default())
    }

    #[test]
    fn what_was_kept_is_what_is_known() {
        let kept = state().snapshot();
        let (restored, lost) = restore(&kept).unwrap();
        assert_eq!(lost, None);
        assert_eq!(restored.miner.lines(), 50);
        assert_eq!(restored.snapshot(), kept);
    }

    #[test]
    fn detectors_go_on_where_only_the_miner_is_missing_or_damaged() {
        let state = state();
        let detectors = state.detectors.snapshot();
        let (restored, lost) = restore(&detectors).unwrap();
        assert_eq!(lost, Some(MinerLost::Absent));
        assert_eq!(restored.detectors.snapshot(), detectors);
        assert_eq!(restored.miner.lines(), 0);

        let mut damaged = state.snapshot();
        *damaged.last_mut().unwrap() ^= 1;
        let (restored, lost) = restore(&damaged).unwrap();
        assert!(matches!(lost, Some(MinerLost::Unusable(_))), "{lost:?}");
        assert_eq!(restored.detectors.snapshot(), detectors);
    }

    #[test]
    fn any_other_bytes_are_refused() {
        let kept = state().snapshot();
        for length in 0..kept.len() {
            assert!(restore(&kept[..length]).is_err(), "{length}");
        }
        let longer = [&kept[..], b"x"].concat();
        assert_eq!(restore(&longer).err(), Some(Unusable::Damaged));
        let mut newer = kept;
        newer[8..10].copy_from_slice(&9_u16.to_le_bytes());
        assert_eq!(restore(&newer).err(), Some(Unusable::Newer { found: 9 }));
    }
}
