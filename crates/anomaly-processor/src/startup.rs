//! Finds out where a newly assigned partition begins and what was known of it. Everything here
//! asks Kafka or ClickHouse and may take its time: it runs beside the poll loop.
//!
//! Invariants: what stands committed is believed only as far as Barograph wrote it and the account does
//! not know better, so that rows are stored once whoever sets the group's offsets; detectors and miner
//! begin either with exactly the state that every earlier record gave them, or with one whose difference from that is counted and said.

use std::sync::Mutex;

use clickhouse_store::accounts::Life;
use detection::Config;
use pipeline::{
    Account, Assignment, Hole, HoleReason, Incarnation, Mark, NextOffset, Offset, Partition,
    Snapshot,
    batch::Last,
    intent::BadIntent,
    resume::{CommittedState, KafkaState, ResumePoint, Start, committed_state, decide},
};
use service_kit::metrics::Label as _;
use template_mining::Limits;

use crate::{
    metrics::{Memory, Metrics},
    options::{OnGap, OnLostState},
    partition_state::{MinerLost, PartitionState, Unusable},
};

mod lost_log;
mod sources;

pub use lost_log::LostLog;
use lost_log::Suspects;
pub use sources::{KafkaAndClickHouse, RecoverySources};

/// Snapshots looked at, newest first, until one can be used.
const MOST_TRIED: usize = 8;

/// What the start of a partition found.
pub struct Started {
    pub assignment: Assignment,
    pub incarnation: Incarnation,
    pub resume: ResumePoint,
    /// What stands committed, where it is ours and true.
    pub committed: Option<Mark>,
    /// What stood committed, or would say what was found.
    pub found: Mark,
    /// What became of the offsets before it that are in no line.
    pub account: Account,
    pub last: Option<Last>,
    /// An offset that somebody else had committed.
    pub foreign: Option<NextOffset>,
    pub lost_log: Option<LostLog>,
    /// Records before it are of the log whose last record was looked at.
    pub verified: NextOffset,
    /// The state before the record at `resume.replay_from`.
    pub state: PartitionState,
    /// Where the detectors' part of it comes from.
    pub memory: Memory,
    /// Snapshots that could not be used, or whose miner could not.
    pub unusable: Vec<Memory>,
    /// Records that were deleted before anybody read them.
    pub gap: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Kafka(#[from] kafka_io::Error),
    #[error("kafka: {0}")]
    Client(#[from] rdkafka::error::KafkaError),
    #[error(transparent)]
    Store(#[from] clickhouse_store::Error),
    #[error(transparent)]
    Intent(#[from] BadIntent),
    #[error("the topic was made anew in this moment")]
    MadeAnew,
    #[error(
        "the log ends at {end}, before {finished}, up to which everything is stored: looking again"
    )]
    TooShort { end: i64, finished: i64 },
    #[error("the partition's log is lost again and again while it is looked at")]
    LostAgain,
    #[error("{0} records were deleted before they were read, and PROCESSOR_ON_GAP is stop")]
    Gap(i64),
    #[error(
        "what the detectors knew cannot be restored ({0}), and PROCESSOR_ON_LOST_STATE is stop: \
         run the version that wrote it, or set it to rebuild to learn anew from the records that are kept"
    )]
    LostState(&'static str),
}

/// Where to begin, with what, and where that is from.
type Recalled = (ResumePoint, PartitionState, Memory);

/// What decides where to begin.
pub struct Starter<P> {
    pub sources: P,
    pub start: Start,
    pub on_gap: OnGap,
    pub on_lost_state: OnLostState,
    pub replay_records: i64,
    pub detection: Config,
    pub mining: Limits,
    pub watch: Watch,
}

/// What is remembered between tries.
#[derive(Debug, Default)]
pub struct Watch(Mutex<Suspects>);

/// Where the work of earlier owners stands.
struct Found {
    incarnation: Incarnation,
    known: KafkaState,
    committed_state: CommittedState,
    /// Where this life of the log begins, if it is not the first.
    begins: Option<NextOffset>,
    /// Something is kept of the partition's account.
    is_accounted: bool,
    lost_log: Option<LostLog>,
}

/// A log that is lost more often while one looks is left to the next try.
const MOST_LIVES: usize = 3;

impl<P: RecoverySources> Starter<P> {
    pub async fn start(&self, assignment: Assignment) -> Result<Started, StartError> {
        let partition = assignment.partition;
        let found = self.find(partition).await?;
        let Found {
            incarnation,
            known,
            committed_state,
            begins,
            is_accounted,
            lost_log,
        } = found;
        let at = |raw| NextOffset::resume_at(Offset::new(raw));
        // What is claimed is held against what is there: somebody may have set the offset back.
        let from = committed_state.next.unwrap_or(at(0));
        let low = at(known.low);
        let asked = self
            .sources
            .stored(incarnation, partition, from, low, committed_state.since);
        let (stored, rows_below_low) = asked.await?;
        let was_here = stored.is_some() || committed_state.next.is_some();
        let (resume, gap) = decide(&known, &committed_state, stored, begins, self.start);
        if gap > 0 && self.on_gap == OnGap::Stop {
            return Err(StartError::Gap(gap));
        }
        let recalled = self.recall(assignment, incarnation, resume, known.low);
        let (recalled, unusable) = recalled.await?;
        let (resume, state, memory) = recalled.unwrap_or_else(|| {
            let from = resume.take_from.raw().saturating_sub(self.replay_records);
            let resume = resume.replaying_from(from, known.low);
            let memory = if !was_here || resume.replay_from.raw() == 0 {
                Memory::Whole
            } else {
                Memory::Rebuilt
            };
            let state = PartitionState::none(self.detection.clone(), self.mining);
            (resume, state, memory)
        });
        if memory == Memory::Rebuilt && self.on_lost_state == OnLostState::Stop {
            let why = unusable.first().copied().unwrap_or(Memory::Missing);
            return Err(StartError::LostState(why.value()));
        }
        let mut account = Account::of(committed_state.account);
        if gap > 0 {
            let hole = Hole {
                first: Offset::new(known.low - gap),
                end: low,
                why: HoleReason::Deleted,
            };
            let rows = committed_state.next.map_or(0, |_| rows_below_low);
            account.pass_over(hole, rows);
        }
        if !is_accounted {
            let first = committed_state.account.map(|line| line.first.raw());
            account.begins_at(at(first.unwrap_or(resume.take_from.raw() - gap)));
        }
        Ok(Started {
            assignment,
            incarnation,
            resume,
            committed: committed_state.committed.filter(|_| gap == 0),
            found: committed_state.committed.unwrap_or(Mark {
                next: committed_state
                    .next
                    .unwrap_or(at(resume.take_from.raw() - gap)),
                incarnation,
                last: committed_state.last,
                account: committed_state.account,
                intent: None,
            }),
            account,
            last: committed_state.last,
            foreign: committed_state.foreign,
            lost_log,
            verified: at(known.high),
            state,
            memory,
            unusable,
            gap,
        })
    }

    /// Which life the partition's log lives, and where the work stands in it. A log that was lost begins
    /// a new one.
    async fn find(&self, partition: Partition) -> Result<Found, StartError> {
        let mut lost_log = None;
        for _ in 0..MOST_LIVES {
            let (topic, known) = self.sources.known(partition).await?;
            let life = self.sources.life(topic, partition).await?;
            let incarnation = topic.in_life(life.map_or(0, |life| life.life));
            let accounted = self.sources.accounted(incarnation, partition).await?;
            let committed_state = committed_state(&known, incarnation, accounted)?;
            let looked = lost_log::lost(
                &self.sources,
                &self.watch.0,
                partition,
                &known,
                &committed_state,
            );
            let Some(lost) = looked.await? else {
                let begins = life.map(|life| NextOffset::resume_at(Offset::new(life.begins_at)));
                return Ok(Found {
                    incarnation,
                    known,
                    committed_state,
                    begins,
                    is_accounted: accounted.is_some(),
                    lost_log,
                });
            };
            let next = Life {
                life: life.map_or(0, |life| life.life) + 1,
                begins_at: lost.from.raw(),
                stored_to: lost.to.raw(),
            };
            self.sources.begin_life(topic, partition, next).await?;
            lost_log = Some(lost);
        }
        Err(StartError::LostAgain)
    }

    /// The newest snapshot that can be used, restored; and why others could not.
    async fn recall(
        &self,
        assignment: Assignment,
        incarnation: Incarnation,
        resume: ResumePoint,
        low: i64,
    ) -> Result<(Option<Recalled>, Vec<Memory>), StartError> {
        let mut unusable = Vec::new();
        let mut at_most = resume.take_from;
        let partition = assignment.partition;
        for _ in 0..MOST_TRIED {
            let found = self
                .sources
                .snapshot(incarnation, partition, at_most)
                .await?;
            let Some((whole, changes)) = found else {
                break;
            };
            at_most = NextOffset::resume_at(Offset::new(whole.next.raw() - 1));
            match self.restore(partition, &whole, changes) {
                Ok((next, ..)) if next.raw() < low && next < resume.take_from => {
                    // Older ones are further away still.
                    tracing::warn!(%partition, %next, low, "records after the detectors' snapshot are deleted");
                    unusable.push(Memory::Overtaken);
                    break;
                }
                Ok((next, mut state, lost)) => {
                    // Who starts next finds the newer ones, which are of no use, before what leads on from here.
                    if !unusable.is_empty() {
                        state.forget_kept();
                    }
                    if let Some(lost) = lost {
                        tracing::warn!(%partition, %next, why = %lost, "templates are mined anew: the snapshot's miner cannot be used");
                        unusable.push(why_mined_anew(&lost));
                    }
                    let resume = resume.replaying_from(next.raw(), low);
                    return Ok((Some((resume, state, Memory::Restored)), unusable));
                }
                Err(error) => {
                    let next = whole.next;
                    tracing::warn!(%partition, %next, %error, "the detectors' snapshot cannot be used");
                    unusable.push(why(&error));
                }
            }
        }
        Ok((None, unusable))
    }

    /// Up to which record it goes, and why its miner is lost. Changes that cannot be used are left out, with
    /// all behind them: those before are good.
    fn restore(
        &self,
        partition: Partition,
        whole: &Snapshot,
        mut changes: Vec<Snapshot>,
    ) -> Result<(NextOffset, PartitionState, Option<MinerLost>), Unusable> {
        let found = changes.len();
        loop {
            let next = changes.last().unwrap_or(whole).next;
            match PartitionState::restore(whole, &changes, self.detection.clone(), self.mining) {
                Ok((mut state, lost)) => {
                    // What leads on from here is there already, and damaged.
                    if changes.len() < found {
                        state.forget_kept();
                    }
                    return Ok((next, state, lost));
                }
                Err(error) if changes.is_empty() => return Err(error),
                Err(error) => {
                    tracing::warn!(%partition, %next, %error, "what had changed cannot be used");
                    changes.pop();
                }
            }
        }
    }
}

const fn why(error: &Unusable) -> Memory {
    use detection::SnapshotError;
    match error {
        Unusable::Damaged
        | Unusable::Elsewhere
        | Unusable::Detectors(SnapshotError::Unreadable { .. }) => Memory::Unreadable,
        Unusable::Newer { .. } | Unusable::Detectors(SnapshotError::Newer { .. }) => Memory::Newer,
        Unusable::Detectors(
            SnapshotError::OtherBehaviour { .. } | SnapshotError::OtherConfig { .. },
        ) => Memory::Other,
    }
}

const fn why_mined_anew(lost: &MinerLost) -> Memory {
    use template_mining::SnapshotError;
    match lost {
        MinerLost::Absent => Memory::NoMiner,
        MinerLost::Unusable(SnapshotError::Unreadable { .. }) => Memory::MinerUnreadable,
        MinerLost::Unusable(SnapshotError::Newer { .. }) => Memory::MinerNewer,
        MinerLost::Unusable(SnapshotError::OtherBehaviour { .. }) => Memory::MinerOther,
    }
}

impl Started {
    /// Counts and says what was found.
    pub fn count(&self, metrics: &Metrics) {
        let partition = self.assignment.partition;
        if let Some(lost) = self.lost_log {
            tracing::error!(%partition, from = %lost.from, to = %lost.to, offsets = lost.offsets(), incarnation = %self.incarnation,
                "kafka lost the partition's log: these offsets are stored here and are not in the topic any more, and what was written \
                 behind them and not read is lost; the log that is there now is stored from its beginning, apart from the old one");
            metrics.lost_log.inc_by(lost.offsets());
        }
        if let Some(foreign) = self.foreign {
            tracing::error!(%partition, committed = %foreign, goes_on_at = %self.resume.take_from,
                "somebody else set the group's offset; what is stored here decides where work goes on (docs/delivery.md)");
            metrics.foreign.inc();
        }
        if self.gap > 0 {
            tracing::error!(%partition, records = self.gap, "records were deleted before they were read");
            metrics.gaps.inc_by(self.gap.cast_unsigned());
            metrics
                .skipped
                .at(HoleReason::Deleted.into())
                .inc_by(self.gap.cast_unsigned());
        }
        for memory in self.unusable.iter().chain([&self.memory]) {
            metrics.memory.at(*memory).inc();
        }
        let ResumePoint {
            replay_from,
            take_from,
            announced,
            unsettled,
        } = self.resume;
        if self.memory == Memory::Rebuilt {
            if self.unusable.is_empty() {
                metrics.memory.at(Memory::Missing).inc();
            }
            tracing::warn!(%partition, records = take_from.raw() - replay_from.raw(),
                "what the detectors knew is lost; they learn anew from the last records (see docs/delivery.md)");
        }
        if announced.is_some() {
            metrics.intents_found.inc();
        }
        let nobodys = unsettled
            .filter(|unsettled| announced.is_none_or(|announced| announced.end < unsettled.end));
        if let Some(unsettled) = nobodys {
            tracing::warn!(%partition, from = %take_from, to = %unsettled.end,
                "rows may stand here already: each batch is looked for before it is stored");
        }
        tracing::info!(
            %partition, incarnation = %self.incarnation, %replay_from, %take_from,
            announced = announced.is_some(), memory = self.memory.value(), "partition begins"
        );
    }
}
