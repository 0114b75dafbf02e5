//! Moments and lengths of time, as people type and read them.

use std::time::SystemTime;

use contracts::Timestamp;

const SECOND: i64 = 1_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::from_millis(since.map_or(0, |since| since.as_millis() as i64))
}

/// `30m` ago, or an RFC 3339 moment.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = Timestamp::parse(text) {
        return Ok(moment);
    }
    let ago = millis(text).ok_or(
        "neither a length of time such as 30m, 1h or 2d, nor a moment such as 2026-11-21T07:00:00Z",
    )?;
    Ok(Timestamp::from_millis(now().as_millis() - ago))
}

/// A length of time in milliseconds, above zero.
pub(crate) fn length(text: &str) -> Result<i64, String> {
    let length = millis(text).filter(|length| *length > 0);
    length.ok_or_else(|| "not a length of time such as 30m, 1h or 2d".to_owned())
}

fn millis(text: &str) -> Option<i64> {
    let unit = match text.chars().last()? {
        's' => SECOND,
        'm' => MINUTE,
        'h' => HOUR,
        'd' => DAY,
        _ => return None,
    };
    let count: u32 = text.get(..text.len() - 1)?.parse().ok()?;
    i64::from(count).checked_mul(unit)
}

/// `90 s`, `5 min`, `3.5 h`, `2 d`: the largest unit of which there are two.
pub(crate) fn length_text(millis: i64) -> String {
    let (unit, name) = if millis < 2 * MINUTE {
        (SECOND, "s")
    } else if millis < 2 * HOUR {
        (MINUTE, "min")
    } else if millis < 2 * DAY {
        (HOUR, "h")
    } else {
        (DAY, "d")
    };
    let tenths = millis * 10 / unit;
    if tenths % 10 == 0 || tenths >= 100 {
        format!("{} {name}", tenths / 10)
    } else {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    }
}

/// How long ago a moment was: `now`, `12s ago`, `5m ago`, `25h ago`, `2d ago`.
pub(crate) fn age(moment: Timestamp, now: Timestamp) -> String {
    let age = now.as_millis() - moment.as_millis();
    if age < SECOND {
        return "now".to_owned();
    }
    let (unit, name) = if age < MINUTE {
        (SECOND, 's')
    } else if age < HOUR {
        (MINUTE, 'm')
    } else if age < 2 * DAY {
        (HOUR, 'h')
    } else {
        (DAY, 'd')
    };
    format!("{}{name} ago", age / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_and_moments_are_read() {
        assert_eq!(length("30m"), Ok(1_800_000));
        assert_eq!(length("2d"), Ok(172_800_000));
        for wrong in ["", "h", "1", "1w", "-1h", "1.5h", "ü", "0m", "99999999999d"] {
            assert!(length(wrong).is_err(), "{wrong}");
        }
        assert_eq!(moment("1970-01-01T00:00:01Z").unwrap().as_millis(), 1000);
        assert!(moment("yesterday").is_err());
    }

    #[test]
    fn lengths_and_ages_are_short() {
        for (millis, text) in [
            (0, "0 s"),
            (1_500, "1.5 s"),
            (90_000, "90 s"),
            (300_000, "5 min"),
            (5_400_000, "90 min"),
            (12_600_000, "3.5 h"),
            (259_200_000, "3 d"),
        ] {
            assert_eq!(length_text(millis), text);
        }
        let age_of = |ago: i64| {
            age(
                Timestamp::from_millis(1_000_000_000 - ago),
                Timestamp::from_millis(1_000_000_000),
            )
        };
        for (ago, text) in [
            (-5, "now"),
            (999, "now"),
            (12_000, "12s ago"),
            (3_599_999, "59m ago"),
            (90_000_000, "25h ago"),
            (200_000_000, "2d ago"),
        ] {
            assert_eq!(age_of(ago), text);
        }
    }
}
