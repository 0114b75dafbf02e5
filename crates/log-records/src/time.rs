//! When a record happened, from whatever its sender wrote.

mod in_words;

use crate::{json::Shape, names::How};

/// Milliseconds since the epoch that fit the store's types: 1970 to 2106.
const RANGE: std::ops::Range<i64> = 0..4_294_967_295_000;

/// A number of an ambiguous name is a time only this close to Kafka's, ms before and after.
const NEAR: (i64, i64) = (400 * DAY, DAY);
/// Any other number.
const FAR: (i64, i64) = (3_660 * DAY, 3_660 * DAY);
const DAY: i64 = 86_400_000;
/// Where Kafka has no time either, a number before this year 2000 is none.
const EARLIEST: i64 = 946_684_800_000;

/// Why a record has no time of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NoTime {
    /// It names none.
    #[default]
    Absent,
    /// It is in no form that is known, or no moment that there is.
    Unreadable,
    /// A number that is no moment anywhere near: a duration, an uptime, a day without an hour.
    Implausible,
}

/// Milliseconds since the epoch. `kafka_time`: of the record; not above 0: it has none. `in_words`: forms
/// to the second, or without a year or a zone, count too.
pub(super) fn read(
    text: &str,
    shape: Shape,
    how: How,
    kafka_time: i64,
    in_words: bool,
) -> Result<i64, NoTime> {
    if let Some(millis) = own_form(text).or_else(|| from_text(text)) {
        return Ok(millis);
    }
    odd(text, shape, how, kafka_time, in_words)
}

#[inline(never)]
fn odd(text: &str, shape: Shape, how: How, kafka_time: i64, in_words: bool) -> Result<i64, NoTime> {
    if shape == Shape::Object {
        return instant(text).ok_or(NoTime::Unreadable);
    }
    let text = text.trim();
    // How .NET once wrote JSON.
    let number = text
        .strip_prefix("/Date(")
        .and_then(|text| text.strip_suffix(")/"))
        .unwrap_or(text);
    if let Ok(number) = number.parse::<f64>() {
        return from_number(number, how, kafka_time).ok_or(NoTime::Implausible);
    }
    let read = if in_words {
        in_words::read(text, kafka_time)
    } else {
        in_words::exact(text)
    };
    read.filter(|millis| RANGE.contains(millis))
        .ok_or(NoTime::Unreadable)
}

/// Log4j 2's `{"epochSecond":…,"nanoOfSecond":…}`.
fn instant(json: &str) -> Option<i64> {
    let object: serde_json::Value = serde_json::from_str(json).ok()?;
    let seconds = object.get("epochSecond")?.as_i64()?;
    let nanos = object
        .get("nanoOfSecond")
        .map_or(Some(0), serde_json::Value::as_i64)?;
    let millis = seconds.checked_mul(1000)?.checked_add(nanos / 1_000_000)?;
    RANGE.contains(&millis).then_some(millis)
}

/// The form that the contract writes, `2026-11-21T07:00:00.123Z`; anything else is for [`from_text`] to say.
#[inline]
fn own_form(text: &str) -> Option<i64> {
    let ([date, hour, second], []) = text.as_bytes().as_chunks::<8>() else {
        return None;
    };
    let date = digits(*date, *b"0000-00-")?;
    let hour = digits(*hour, *b"00T00:00")?;
    let second = digits(*second, *b":00.000Z")?;
    let two = |of: &[u8; 8], at: usize| i64::from(of[at]) * 10 + i64::from(of[at + 1]);
    let moment = Moment {
        year: two(&date, 0) * 100 + two(&date, 2),
        month: two(&date, 5),
        day: two(&hour, 0),
        hour: two(&hour, 3),
        minute: two(&hour, 6),
        second: two(&second, 1),
    };
    let millis = moment.millis()? + two(&second, 4) * 10 + i64::from(second[6]);
    RANGE.contains(&millis).then_some(millis)
}

/// The values of the digits that stand where the form has `0`; all else stands as it does there.
#[inline]
fn digits(text: [u8; 8], form: [u8; 8]) -> Option<[u8; 8]> {
    const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
    let off = u64::from_le_bytes(text) ^ u64::from_le_bytes(form);
    // Raises a byte's highest bit where it is more than nine, or not what the form has.
    let raise = form.map(|byte| if byte == b'0' { 0x76 } else { 0x7f });
    let raised = off.wrapping_add(u64::from_le_bytes(raise)) | off;
    (raised & HIGHS == 0).then(|| off.to_le_bytes())
}

/// To the second, in UTC.
struct Moment {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Moment {
    /// Since the epoch; `None`: there is no such moment.
    #[inline]
    fn millis(&self) -> Option<i64> {
        let Self {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = *self;
        let valid = (1..=12).contains(&month)
            && (1..=days_in(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            // A leap second counts as the last one of its minute.
            && second <= 60;
        valid.then(|| {
            ((days_from_civil(year, month, day) * 24 + hour) * 60 + minute) * 60_000
                + second.min(59) * 1000
        })
    }
}

/// RFC 3339 and its cousins: a blank for the T, a comma for the point, no zone: UTC. `None` if it is none of
/// these, or out of range.
fn from_text(text: &str) -> Option<i64> {
    let text = text.trim();
    let (moment, rest) = text
        .as_bytes()
        .split_first_chunk::<19>()
        .filter(|(moment, _)| moment[4] == b'-')?;
    let two = |at: usize| two_digits(moment[at], moment[at + 1]);
    let separated = moment[7] == b'-'
        && matches!(moment[10], b'T' | b't' | b' ')
        && moment[13] == b':'
        && moment[16] == b':';
    if !separated {
        return None;
    }
    let moment = Moment {
        year: two(0)? * 100 + two(2)?,
        month: two(5)?,
        day: two(8)?,
        hour: two(11)?,
        minute: two(14)?,
        second: two(17)?,
    };
    let mut millis = moment.millis()?;
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

/// Epoch seconds, milli-, micro- or nanoseconds, told apart by size; Windows' FILETIME and .NET's ticks;
/// `20261126170000`. Only what is a moment near Kafka's time.
fn from_number(number: f64, how: How, kafka_time: i64) -> Option<i64> {
    /// From 1601 and from the year 1 to 1970, in ms.
    const FILETIME: f64 = 11_644_473_600_000.0;
    const TICKS: f64 = 62_135_596_800_000.0;
    if !number.is_finite() || number < 0.0 {
        return None;
    }
    let since_epoch = if number < 1e11 {
        number * 1e3
    } else if number < 1e14 {
        number
    } else if number < 1e17 {
        number / 1e3
    } else {
        number / 1e6
    };
    let (before, after) = if how == How::MayBeADuration {
        NEAR
    } else {
        FAR
    };
    let plausible = |millis: &i64| {
        if kafka_time > 0 {
            let distance = millis.saturating_sub(kafka_time);
            (-before..=after).contains(&distance) && RANGE.contains(millis)
        } else {
            (EARLIEST..RANGE.end).contains(millis)
        }
    };
    // A tick is less than what such a number can tell apart.
    let others = [number / 1e4 - FILETIME, number / 1e4 - TICKS].map(f64::round);
    std::iter::once(since_epoch)
        .chain(others)
        .map(|millis| millis as i64)
        .chain(in_words::digits(number))
        .find(plausible)
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

    /// 2026-11-21T07:00:00.123Z.
    const SEVEN: i64 = 1_795_244_400_123;

    fn read(text: &str) -> Result<i64, NoTime> {
        super::read(text, Shape::Text, How::Plain, SEVEN, true)
    }

    #[test]
    fn reads_what_senders_write() {
        for text in [
            "2026-11-21T07:00:00.123Z",
            "2026-11-21T07:00:00.123456789Z",
            "2026-11-21 07:00:00,123",
            "2026-11-21T09:00:00.123+02:00",
            "2026-11-21T09:00:00.123+0200",
            "2026-11-21 09:00:00.123 +02:00",
            "2026-11-21T04:00:00.123-03",
            " 2026-11-21t07:00:00.123z ",
            "2026-11-21T08:00:00.123+01:00[Europe/Berlin]",
            "2026-11-21 08:00:00.123 CET",
            "2026-11-21 07:00:00.123456 +0000 UTC m=+0.000012",
            "2026-11-21 07:00:00.123 GMT",
            "1795244400.123",
            "1.795244400123E9",
            "1795244400123",
            "1795244400123456",
            "1795244400123456789",
            // FILETIME, ticks.
            "134397180001230000",
            "639308412001230000",
            "/Date(1795244400123)/",
            "20261121T070000.123Z",
        ] {
            assert_eq!(read(text), Ok(SEVEN), "{text:?}");
        }
        for text in [
            "21/Nov/2026:08:00:00 +0100",
            "Nov 21 07:00:00",
            "Sat Nov 21 07:00:00 2026",
            "Sat Nov 21 07:00:00 UTC 2026",
            "Sat, 21 Nov 2026 07:00:00 +0000",
            "Sat, 21 Nov 2026 07:00:00 GMT",
            "21 Nov 2026 07:00:00",
            "21-Nov-2026 07:00:00",
            "2026/11/21 07:00:00",
            "2026.11.21 07:00:00",
            "21.11.2026 07:00:00",
            "Nov 21, 2026 7:00:00 AM",
            "Nov 21, 2026, 7:00:00 AM",
            "11/21/2026 07:00:00 AM",
            "2026-11-21T07:00Z",
            "2026-11-21 07:00",
            "20261121070000",
            "2026-11-21T07:00:00",
        ] {
            assert_eq!(read(text), Ok(SEVEN - 123), "{text:?}");
        }
        assert_eq!(read("2024-02-29T00:00:00Z"), Ok(1_709_164_800_000));
    }

    #[test]
    fn what_is_no_moment_is_told_from_what_is_no_time() {
        for text in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T07:00:00.Z",
            "2026-11-21T07:00:00 Mars",
            "1815-12-10T00:00:00Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "2026-11-21",
            "Nov 31 07:00:00",
            "yesterday",
            "",
        ] {
            assert_eq!(read(text), Err(NoTime::Unreadable), "{text:?}");
        }
        for text in [
            "0",
            "-5",
            "0.034",
            "34",
            "20261121",
            "86400000",
            "1234567890123456",
            "NaN",
        ] {
            assert_eq!(read(text), Err(NoTime::Implausible), "{text:?}");
        }
        // Twenty-one months in seconds, or 1.7 s in nanoseconds.
        let duration = |how| super::read("1740000000", Shape::Number, how, SEVEN, true);
        assert_eq!(duration(How::MayBeADuration), Err(NoTime::Implausible));
        assert_eq!(duration(How::Plain), Ok(1_740_000_000_000));
    }

    #[test]
    fn a_line_without_a_year_is_of_the_one_nearest_to_kafkas_time() {
        let new_year = 1_798_761_600_000;
        let read = |text, kafka_time| super::read(text, Shape::Text, How::Plain, kafka_time, true);
        assert_eq!(
            read("Dec 31 23:59:59", new_year + 1000),
            Ok(new_year - 1000)
        );
        assert_eq!(
            read("Jan  1 00:00:01.5", new_year - 1000),
            Ok(new_year + 1500)
        );
    }

    proptest! {
        #[test]
        fn agrees_with_a_calendar_library(millis in 0_i64..4_000_000_000_000) {
            let text = jiff::Timestamp::from_millisecond(millis).unwrap().to_string();
            prop_assert_eq!(from_text(&text), Some(millis));
        }

        #[test]
        fn the_short_way_says_the_same(millis in 0_i64..4_000_000_000_000, at in 0_usize..24, byte in 0x20_u8..0x7f) {
            let text = format!("{:.3}", jiff::Timestamp::from_millisecond(millis).unwrap());
            prop_assert_eq!(own_form(&text), Some(millis));
            let mut odd = text.into_bytes();
            odd[at] = byte;
            let odd = String::from_utf8(odd).unwrap();
            let short = own_form(&odd);
            prop_assert!(short.is_none() || short == from_text(&odd), "{odd}");
        }

        #[test]
        fn never_panics(text in ".{0,40}", more in "[0-9A-Za-z:/,+. -]{0,40}") {
            let _ = read(&text);
            let _ = read(&more);
        }
    }
}
