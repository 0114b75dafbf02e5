//! Which letters are meant.

use std::time::SystemTime;

use contracts::{Timestamp, dead_letter::Reason};

use super::letter::Letter;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Pick {
    /// Only for this reason; can be given several times.
    #[arg(long, value_name = "REASON", value_parser = reasons())]
    pub(super) reason: Vec<String>,
    /// Only what was put aside since then: 30m, 1h, 2d, or an RFC 3339 moment.
    #[arg(long, value_name = "TIME", value_parser = since)]
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

pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::from_millis(since.map_or(0, |since| since.as_millis() as i64))
}

fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = Timestamp::parse(text) {
        return Ok(moment);
    }
    let millis = millis(text).ok_or(
        "neither a length of time such as 30m, 1h or 2d, nor a moment such as 2026-11-21T07:00:00Z",
    )?;
    Ok(Timestamp::from_millis(now().as_millis() - millis))
}

fn millis(text: &str) -> Option<i64> {
    let unit = match text.chars().last()? {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    let count: u32 = text.get(..text.len() - 1)?.parse().ok()?;
    i64::from(count).checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_and_moments_are_read() {
        assert_eq!(millis("30m"), Some(1_800_000));
        assert_eq!(millis("2d"), Some(172_800_000));
        for wrong in ["", "h", "1", "1w", "-1h", "1.5h", "ü", "99999999999d"] {
            assert!(millis(wrong).is_none(), "{wrong}");
        }
        let moment = since("1970-01-01T00:00:01Z").unwrap();
        assert_eq!(moment.as_millis(), 1000);
    }
}
