//! An ongoing anomaly is one episode with updates, not a thousand alerts.

mod engine;
mod judged;
mod telling;

pub(crate) use engine::{Anomalous, Asked, Ended, Episode, Episodes, Manner};
pub(crate) use judged::Judged;
pub(crate) use telling::{Account, Telling};
