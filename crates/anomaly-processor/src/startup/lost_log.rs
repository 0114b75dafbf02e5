//! Whether a partition's log is still the one that was read, and where a new one begins.
//!
//! A broker that lost a partition's disk gives offsets again from the beginning, under the same topic
//! id. Two things tell: the log ends before what was finished, or the last record that was taken is
//! not there any more as the leader of that time wrote it (in one log, no two records share offset
//! and leader epoch, and epochs only grow).

use std::collections::HashMap;

use pipeline::{
    LeaderEpoch, NextOffset, Offset, Partition,
    resume::{CommittedState, KafkaState},
};

use super::{RecoverySources, StartError};

/// How often the end is looked at before it is believed that a log ends before what was finished: a
/// leader that has just been elected may not know its end yet.
const LOOKS: u32 = 3;

/// What was found of a log that is not the one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostLog {
    /// Where the log that is there now parts from the one that was read.
    pub from: NextOffset,
    /// Up to where records had been finished.
    pub to: NextOffset,
}

impl LostLog {
    /// Finished offsets that Kafka does not have any more.
    pub fn offsets(&self) -> u64 {
        (self.to.raw() - self.from.raw()).max(0).cast_unsigned()
    }
}

/// Partitions whose log seemed too short, and how often.
#[derive(Debug, Default)]
pub(super) struct Suspects(HashMap<Partition, u32>);

impl Suspects {
    /// Whether it has been seen often enough.
    fn again(&mut self, partition: Partition) -> bool {
        let seen = self.0.entry(partition).or_default();
        *seen += 1;
        *seen >= LOOKS
    }

    fn clear(&mut self, partition: Partition) {
        self.0.remove(&partition);
    }
}

/// `Some`: the log was lost. An error: look again, it may have been.
pub(super) async fn lost<P: RecoverySources>(
    sources: &P,
    suspects: &std::sync::Mutex<Suspects>,
    partition: Partition,
    known: &KafkaState,
    committed_state: &CommittedState,
) -> Result<Option<LostLog>, StartError> {
    let Some(next) = committed_state.next else {
        return Ok(None);
    };
    // What was announced had been read.
    let to = committed_state.intent.map_or(next, |batch| batch.end);
    let suspects = || {
        suspects
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    };
    let is_short = known.high < to.raw();
    let is_other = match committed_state.last {
        Some(last) if last.epoch != LeaderEpoch::UNKNOWN && last.offset.raw() >= known.low => {
            let there = sources.record_at(partition, last.offset).await?;
            // Of a record that is not there (compacted, or before the log's end) nothing can be told.
            there.is_some_and(|(offset, epoch)| offset == last.offset && epoch != last.epoch)
        }
        _ => false,
    };
    if !is_short && !is_other {
        suspects().clear(partition);
        return Ok(None);
    }
    if !is_other && !suspects().again(partition) {
        return Err(StartError::TooShort {
            end: known.high,
            finished: to.raw(),
        });
    }
    let epoch = committed_state
        .last
        .map_or(LeaderEpoch::UNKNOWN, |last| last.epoch);
    let from = parts_at(sources, partition, known, to, epoch).await?;
    suspects().clear(partition);
    Ok(Some(LostLog { from, to }))
}

/// The first offset whose record a later leader wrote than that of the last one that was taken. Where
/// nobody says who wrote what, everything that is there is taken for new: twice is better than never.
async fn parts_at<P: RecoverySources>(
    sources: &P,
    partition: Partition,
    known: &KafkaState,
    to: NextOffset,
    last: LeaderEpoch,
) -> Result<NextOffset, StartError> {
    let (mut low, mut high) = (known.low, known.high.min(to.raw()).max(known.low));
    while low < high {
        let middle = low + (high - low) / 2;
        let there = sources.record_at(partition, Offset::new(middle)).await?;
        match there {
            Some((offset, epoch))
                if offset.raw() < high && epoch <= last && last != LeaderEpoch::UNKNOWN =>
            {
                low = offset.raw() + 1;
            }
            _ => high = middle,
        }
    }
    Ok(NextOffset::resume_at(Offset::new(low)))
}
