//! What a partition's task knows: its detectors and its miner, kept and restored as one.
//!
//! Invariants: both are a function of the partition's records in order, and a snapshot is both after
//! the same record; changes are applied to just the state that they were noted on.
//!
//! Layout, of a whole as of changes: magic (8 bytes), format (u16), then each state behind its length
//! (u64); all little-endian. What stands in `detector_snapshots` without that magic is older and is the
//! detectors' state alone.

use cityhash_rs::cityhash_102_128;
use detection::{Config, PartitionDetectors};
use pipeline::{NextOffset, Snapshot, StateId};
use primitives::splitmix;
use template_mining::{Limits, Miner};

const MAGIC: [u8; 8] = *b"BAROLANE";
/// Layout of the bytes around the states; each has a version of its own. 1: the detectors' alone.
pub const FORMAT: u16 = 2;

/// The state of one partition's task.
pub struct PartitionState {
    pub detectors: PartitionDetectors,
    pub miner: Miner,
    /// Which state was last kept or restored, if it was all of it: there are changes since.
    kept: Option<StateId>,
    /// Changes that were kept or restored since the last whole.
    links: u32,
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
    #[error("what is kept does not lead to the state that is asked for")]
    Elsewhere,
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
            kept: None,
            links: 0,
        }
    }

    /// The bytes of all of it.
    pub fn whole(&self) -> Vec<u8> {
        together(&[self.detectors.snapshot(), self.miner.snapshot()])
    }

    /// What has changed since this was last asked or restored, or all of it where nothing was kept. It
    /// is the state after all records below `next`.
    pub fn snapshot(&mut self, next: NextOffset) -> Snapshot {
        let since = self.kept;
        let bytes = if since.is_some() {
            together(&[self.detectors.changes(), self.miner.changes()])
        } else {
            self.detectors.forget_changes();
            self.miner.forget_changes();
            self.whole()
        };
        let id = id_of(since, &bytes);
        self.links = if since.is_some() { self.links + 1 } else { 0 };
        self.kept = Some(id);
        Snapshot {
            next,
            id,
            since,
            bytes,
        }
    }

    /// The next snapshot is a whole.
    pub fn forget_kept(&mut self) {
        self.kept = None;
    }

    /// How many snapshots since the last whole are changes.
    pub const fn links(&self) -> u32 {
        self.links
    }

    /// Somebody makes a whole of them.
    pub fn are_folded(&mut self) {
        self.links = 0;
    }

    /// What was kept: a whole, and the changes that lead on from it. A miner that cannot be used is a new
    /// one, and the reason is told: templates have the same ids whoever mines them, but words that were
    /// found to be parameters have to be found again.
    pub fn restore(
        whole: &Snapshot,
        changes: &[Snapshot],
        detection: Config,
        mining: Limits,
    ) -> Result<(Self, Option<MinerLost>), Unusable> {
        let (detectors, miner) = match whole.bytes.strip_prefix(&MAGIC) {
            None => (&whole.bytes[..], Err(MinerLost::Absent)),
            Some(rest) => {
                let (detectors, miner) = states(rest)?;
                (detectors, Ok(miner))
            }
        };
        let mut detectors = PartitionDetectors::restore(detectors, detection)?;
        let mut miner = miner.and_then(|miner| Ok(Miner::restore(miner, mining)?));
        for change in changes {
            let rest = change.bytes.strip_prefix(&MAGIC);
            let (of_detectors, of_miner) = states(rest.ok_or(Unusable::Damaged)?)?;
            detectors = detectors.with_changes(of_detectors)?;
            miner = miner.and_then(|miner| Ok(miner.with_changes(of_miner)?));
        }
        let (miner, lost) = match miner {
            Ok(miner) => (miner, None),
            Err(lost) => (Miner::new(mining), Some(lost)),
        };
        let last = changes.last().unwrap_or(whole).id;
        // Of before states had names: nothing could lead on from it.
        let has_a_name = last != StateId(0);
        let is_all = lost.is_none() && !detectors.forgot_a_family() && has_a_name;
        let state = Self {
            detectors,
            miner,
            kept: is_all.then_some(last),
            links: u32::try_from(changes.len()).unwrap_or(u32::MAX),
        };
        Ok((state, lost))
    }
}

/// One whole of what was kept, up to the state `last`. Errors: it cannot be used, or does not lead there.
pub fn fold(
    whole: &Snapshot,
    changes: &[Snapshot],
    last: StateId,
    detection: Config,
    mining: Limits,
) -> Result<Snapshot, Unusable> {
    let (state, _lost) = PartitionState::restore(whole, changes, detection, mining)?;
    if state.kept != Some(last) {
        return Err(Unusable::Elsewhere);
    }
    Ok(Snapshot {
        next: changes.last().unwrap_or(whole).next,
        id: last,
        since: None,
        bytes: state.whole(),
    })
}

fn together(states: &[Vec<u8>]) -> Vec<u8> {
    let length: usize = states.iter().map(|state| state.len() + 8).sum();
    let mut bytes = Vec::with_capacity(MAGIC.len() + 2 + length);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    for state in states {
        bytes.extend_from_slice(&(state.len() as u64).to_le_bytes());
        bytes.extend_from_slice(state);
    }
    bytes
}

fn id_of(since: Option<StateId>, bytes: &[u8]) -> StateId {
    let hash = cityhash_102_128(bytes);
    let own = (hash as u64) ^ (hash >> 64) as u64;
    let before = since.map_or(0, |since| since.0);
    StateId(splitmix::mix(before) ^ own)
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
    use pipeline::Offset;

    use super::*;

    fn next(offset: i64) -> NextOffset {
        NextOffset::resume_at(Offset::new(offset))
    }

    fn feed(state: &mut PartitionState, offsets: std::ops::Range<i64>) {
        for n in offsets {
            let message = format!("user u{n} logged in from 10.0.0.{n}");
            let service = format!("login-{}", n % 7);
            let observation = Observation {
                service: &service,
                time: EventTime(n * 1000),
                kafka_time: n * 1000,
                offset: n,
                is_error: false,
                level: 3,
                message: &message,
                trace_id: "",
                ..Observation::default()
            };
            state.detectors.observe(&observation, &mut Vec::new());
            state.miner.observe(message.as_bytes());
        }
    }

    fn state() -> PartitionState {
        let mut state = PartitionState::none(Config::default(), Limits::default());
        feed(&mut state, 0..50);
        state
    }

    type Restored = Result<(PartitionState, Option<MinerLost>), Unusable>;

    fn restore(bytes: &[u8]) -> Restored {
        let whole = Snapshot {
            next: next(50),
            id: StateId(1),
            since: None,
            bytes: bytes.to_vec(),
        };
        all_of(&whole, &[])
    }

    fn all_of(whole: &Snapshot, changes: &[Snapshot]) -> Restored {
        PartitionState::restore(whole, changes, Config::default(), Limits::default())
    }

    fn folded(whole: &Snapshot, changes: &[Snapshot], last: StateId) -> Result<Snapshot, Unusable> {
        fold(whole, changes, last, Config::default(), Limits::default())
    }

    #[test]
    fn what_was_kept_is_what_is_known() {
        let kept = state().whole();
        let (restored, lost) = restore(&kept).unwrap();
        assert_eq!(lost, None);
        assert_eq!(restored.miner.lines(), 50);
        assert_eq!(restored.whole(), kept);
    }

    #[test]
    fn a_whole_and_what_has_changed_since_are_what_is_known() {
        let mut state = state();
        let whole = state.snapshot(next(50));
        assert_eq!(whole.since, None);
        let mut changes: Vec<Snapshot> = Vec::new();
        for end in [51, 60, 200] {
            let from = changes.last().unwrap_or(&whole).next.raw();
            feed(&mut state, from..end);
            changes.push(state.snapshot(next(end)));
        }
        let sinces: Vec<_> = changes.iter().map(|change| change.since).collect();
        let ids = [whole.id, changes[0].id, changes[1].id];
        assert_eq!(sinces, ids.map(Some));

        let (mut restored, lost) = all_of(&whole, &changes).unwrap();
        assert_eq!(lost, None);
        assert_eq!(restored.whole(), state.whole());
        // Whoever goes on from there says the same as who never stopped.
        feed(&mut restored, 200..210);
        feed(&mut state, 200..210);
        assert_eq!(restored.snapshot(next(210)), state.snapshot(next(210)));

        let last = changes[2].id;
        let one = folded(&whole, &changes, last).unwrap();
        assert_eq!((one.id, one.since, one.next), (last, None, next(200)));
        assert_eq!(
            all_of(&one, &[]).unwrap().0.whole(),
            all_of(&whole, &changes).unwrap().0.whole()
        );
        let short = folded(&whole, &changes[..2], last);
        assert_eq!(short.err(), Some(Unusable::Elsewhere));
    }

    #[test]
    fn after_a_loss_all_of_it_is_kept_again() {
        let mut state = state();
        let _lost = state.snapshot(next(50));
        feed(&mut state, 50..60);
        state.forget_kept();
        let whole = state.snapshot(next(60));
        assert_eq!(whole.since, None);
        assert_eq!(whole.bytes, state.whole());

        // Without its miner it is not what the changes to come would be applied to.
        let mut damaged = whole;
        *damaged.bytes.last_mut().unwrap() ^= 1;
        let (mut mined_anew, lost) = all_of(&damaged, &[]).unwrap();
        assert!(lost.is_some());
        assert_eq!(mined_anew.snapshot(next(60)).since, None);
    }

    #[test]
    fn detectors_go_on_where_only_the_miner_is_missing_or_damaged() {
        let state = state();
        let detectors = state.detectors.snapshot();
        let (restored, lost) = restore(&detectors).unwrap();
        assert_eq!(lost, Some(MinerLost::Absent));
        assert_eq!(restored.detectors.snapshot(), detectors);
        assert_eq!(restored.miner.lines(), 0);

        let mut damaged = state.whole();
        *damaged.last_mut().unwrap() ^= 1;
        let (restored, lost) = restore(&damaged).unwrap();
        assert!(matches!(lost, Some(MinerLost::Unusable(_))), "{lost:?}");
        assert_eq!(restored.detectors.snapshot(), detectors);
    }

    #[test]
    fn any_other_bytes_are_refused() {
        let kept = state().whole();
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
