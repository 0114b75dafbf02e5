//! Times and amounts in words.

use crate::record::time::EventTime;

/// How long something lasts: its two greatest units, such as `3 min 20 s` or `2 h 5 min`; at least a second.
pub(crate) fn lasting(millis: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut rest = (millis / 1000).max(1);
    let mut words = Vec::new();
    for (worth, unit) in UNITS {
        let count = rest / worth;
        rest %= worth;
        match (count, words.is_empty()) {
            (0, true) => {}
            (0, false) => break,
            _ => words.push(format!("{count} {unit}")),
        }
        if words.len() == 2 {
            break;
        }
    }
    words.join(" ")
}

/// The time of day, such as `03:12:07 UTC`.
pub(crate) fn time_of_day(at: EventTime) -> String {
    let second = at.0.div_euclid(1000).rem_euclid(86_400);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{hour:02}:{minute:02}:{second:02} UTC")
}

/// Up to 9.9 with one digit behind the point.
pub(crate) fn rounded(value: f64) -> String {
    if value >= 9.95 || value == value.trunc() {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

/// Of a share, 0 to 1.
pub(crate) fn percent(share: f64) -> String {
    format!("{}%", rounded(100.0 * share))
}

/// Bytes of a message in a title.
const SHOWN: usize = 80;

/// The beginning of a message's first line, in quotation marks.
pub(crate) fn quoted(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let shown = &first[..first.floor_char_boundary(SHOWN)];
    let rest = if shown.len() < message.len() {
        "…"
    } else {
        ""
    };
    format!("“{shown}{rest}”")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_units_say_how_long() {
        for (millis, words) in [
            (0, "1 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (200_000, "3 min 20 s"),
            (3_600_000, "1 h"),
            (3_620_000, "1 h"),
            (7_500_000, "2 h 5 min"),
            (98_000_000, "1 d 3 h"),
        ] {
            assert_eq!(lasting(millis), words);
        }
    }

    #[test]
    fn a_message_in_a_title_is_one_short_line() {
        assert_eq!(quoted("disk is full"), "“disk is full”");
        assert_eq!(quoted("panicked\nat main.rs"), "“panicked…”");
        assert_eq!(quoted(&"ü".repeat(41)), format!("“{}…”", "ü".repeat(40)));
    }

    #[test]
    fn the_time_of_day_is_that_of_utc() {
        assert_eq!(time_of_day(EventTime(1_795_244_400_123)), "07:00:00 UTC");
        assert_eq!(time_of_day(EventTime(-1)), "23:59:59 UTC");
    }
}
