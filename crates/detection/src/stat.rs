//! Mathematics alone: how improbable counts and shares are, and what is usual of them.

mod count;
mod dispersion;
mod durations;
mod familiar;
mod handfuls;
mod ratio;
mod recurrence;
mod rhythm;
mod share;
mod tail;

pub(crate) use count::{CountBaseline, LONGER_SPANS, LONGEST_SPAN};
pub(crate) use durations::{Durations, UsualDurations};
pub(crate) use familiar::{Familiar, Seen};
pub(crate) use handfuls::Handfuls;
pub(crate) use ratio::RatioBaseline;
pub(crate) use recurrence::Recurrence;
pub(crate) use rhythm::Rhythm;
pub(crate) use share::ShareDispersion;
