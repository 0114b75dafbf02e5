//! Planted bugs: each is a shorter version of the protocol, and each must be found.

/// Planted where the pipeline meets the outside, so that the code under test is the shipped one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Batches are inserted without a deduplication token.
    NoToken,
    /// The end of a batch is committed before it is inserted.
    CommitBeforeInsert,
    /// The epoch of the assignment is checked, but the lock is given back before the commit.
    EpochOutsideLock,
    /// The next owner makes an announced batch longer than it was announced.
    EndGrownOnRetry,
    /// A batch that an earlier owner announced gets a new day.
    DayTakenAnew,
    /// An offset that somebody else has committed is believed.
    ForeignTrusted,
    /// Nobody looks whether a partition's log is still the one that was read.
    LostLogUnseen,
    /// Lines of the account are not kept.
    AccountNotKept,
    /// The token alone decides where the outcome of an insert is unknown.
    CountSkipped,
    /// Tokens don't say which life of the topic they belong to.
    TokenWithoutIncarnation,
    /// A batch is complete before its anomalies are acknowledged.
    AcknowledgementNotAwaited,
    /// The id of an anomaly depends on when it was told.
    WallClockInId,
    /// Restored detectors are not fed the records between their snapshot and the new beginning.
    ReplaySkipped,
    /// What has changed is applied to whatever is kept, also where changes between are lost.
    ChangesOfOtherStates,
    /// What rows refer to is stored after them.
    TemplatesAfterRows,
    /// An insert whose deadline passed is taken for one that was never sent.
    TimedOutTakenForNotSent,
}

impl Mutant {
    pub(crate) const ALL: [Self; 16] = [
        Self::NoToken,
        Self::CommitBeforeInsert,
        Self::EpochOutsideLock,
        Self::EndGrownOnRetry,
        Self::DayTakenAnew,
        Self::ForeignTrusted,
        Self::LostLogUnseen,
        Self::AccountNotKept,
        Self::CountSkipped,
        Self::TokenWithoutIncarnation,
        Self::AcknowledgementNotAwaited,
        Self::WallClockInId,
        Self::ReplaySkipped,
        Self::ChangesOfOtherStates,
        Self::TemplatesAfterRows,
        Self::TimedOutTakenForNotSent,
    ];
}
