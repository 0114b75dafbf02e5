//! Which letters are meant.

use contracts::{Timestamp, dead_letter::Reason};

use super::letter::Letter;
use crate::moment::moment;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Pick {
    /// Only for this reason; can be given several times.
    #[arg(long, value_name = "REASON", value_parser = reasons())]
    pub(super) reason: Vec<String>,
    /// Only what was put aside since then: 30m, 1h, 2d, or an RFC 3339 moment.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) since: Option<Timestamp>,
}

impl Pick {
    pub(super) fn takes(&self, letter: &Letter) -> bool {
        let reason = self.reason.is_empty() || self.reason.contains(&letter.reason);
        reason && self.since.is_none_or(|since| letter.at >= since)
    }
}

fn reasons() -> clap::builder::PossibleValuesParser {
    Reason::ALL.map(Reason::as_str).into()
}
