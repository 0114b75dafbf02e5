//! When a record happened, from whatever its sender wrote.

/// Milliseconds since the epoch that fit the store's types: 1970 to 2106.
const RANGE: std::ops::Range<i64> = 0..4_294_967_295_000;

/// RFC 3339 and its cousins (a blank for the T, a comma for the point, no zone: UTC), or epoch
/// seconds, milli-, micro- or nanoseconds as text. `None` if it is none of these, or out of range.
pub fn from_text(text: &str) -> Option<i64> {
    let text = text.trim();
    let Some((moment, rest)) = text
        .as_bytes()
        .split_first_chunk::<19>()
        .filter(|(moment, _)| moment[4] == b'-')
    else {
        return from_number(text.parse().ok()?);
    };
    let two = |at: usize| two_digits(moment[at], moment[at + 1]);
    let separated = moment[7] == b'-'
        && matches!(moment[10], b'T' | b't' | b' ')
        && moment[13] == b':'
        && moment[16] == b':';
    let (year, month, day) = (two(0)? * 100 + two(2)?, two(5)?, two(8)?);
    let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
    let valid = separated
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        // A leap second counts as the last one of its minute.
        && second <= 60;
    if !valid {
        return None;
    }
    let mut millis = ((days_from_civil(year, month, day) * 24 + hour) * 60 + minute) * 60_000
        + second.min(59) * 1000;
    let mut rest = rest;
    if let [b'.' | b',', fraction @ ..] = rest {
        let length = fraction
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if length == 0 {
            return None;
        }
        millis += std::iter::zip([100, 10, 1], &fraction[..length])
            .map(|(worth, digit)| worth * i64::from(digit - b'0'))
            .sum::<i64>();
        rest = &fraction[length..];
    }
    millis -= zone(rest)?;
    RANGE.contains(&millis).then_some(millis)
}

/// Offset from UTC in milliseconds. None given: UTC.
fn zone(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii();
    let (sign, hours, minutes) = match *text {
        [] | [b'Z' | b'z'] | [b'U', b'T', b'C'] => return Some(0),
        [sign, a, b, b':', c, d] | [sign, a, b, c, d] => {
            (sign, two_digits(a, b)?, two_digits(c, d)?)
        }
        [sign, a, b] => (sign, two_digits(a, b)?, 0),
        _ => return None,
    };
    let offset = (hours * 60 + minutes) * 60_000;
    match sign {
        b'+' if hours < 24 && minutes < 60 => Some(offset),
        b'-' if hours < 24 && minutes < 60 => Some(-offset),
        _ => None,
    }
}

/// Epoch seconds, milli-, micro- or nanoseconds: told apart by size, for moments from 1973 to 2106.
pub fn from_number(number: f64) -> Option<i64> {
    if !number.is_finite() || number < 0.0 {
        return None;
    }
    let millis = if number < 1e11 {
        number * 1e3
    } else if number < 1e14 {
        number
    } else if number < 1e17 {
        number / 1e3
    } else {
        number / 1e6
    };
    let millis = millis as i64;
    RANGE.contains(&millis).then_some(millis)
}

fn two_digits(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01. Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_senders_write() {
        let seven = Some(1_795_244_400_123);
        for (text, millis) in [
            ("2026-11-21T07:00:00.123Z", seven),
            ("2026-11-21T07:00:00.123456789Z", seven),
            ("2026-11-21 07:00:00,123", seven),
            ("2026-11-21T09:00:00.123+02:00", seven),
            ("2026-11-21T09:00:00.123+0200", seven),
            ("2026-11-21T04:00:00.123-03", seven),
            (" 2026-11-21t07:00:00.123z ", seven),
            ("2026-11-21T07:00:00", Some(1_795_244_400_000)),
            ("2026-11-21T07:00:00.1Z", Some(1_795_244_400_100)),
            ("1795244400.123", seven),
            ("1795244400123", seven),
            ("1795244400123456", seven),
            ("1795244400123456789", seven),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000)),
            ("2026-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-11-21T24:00:00Z", None),
            ("2026-11-21T07:00:00.Z", None),
            ("2026-11-21T07:00:00 Mars", None),
            ("1815-12-10T00:00:00Z", None),
            ("yesterday", None),
            ("", None),
            ("-5", None),
            ("NaN", None),
        ] {
            assert_eq!(from_text(text), millis, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_calendar_library(millis in 0_i64..4_000_000_000_000) {
            let text = jiff::Timestamp::from_millisecond(millis).unwrap().to_string();
            prop_assert_eq!(from_text(&text), Some(millis));
        }

        #[test]
        fn never_panics(text in ".{0,40}") {
            from_text(&text);
        }
    }
}
