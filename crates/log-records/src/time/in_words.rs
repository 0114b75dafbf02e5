//! Moments in the forms that logs have for people, read with `jiff`'s formats.
//!
//! Zones have no names but those that mean one offset wherever they are written; a moment without a zone is
//! UTC's.

use jiff::fmt::strtime;

/// To the fraction of a second, with a date that says its year.
const EXACT: [&str; 1] = ["%Y%m%dT%H%M%S%.f"];

/// `%.f` is a fraction or nothing.
const FORMS: [&str; 14] = [
    "%Y/%m/%d %H:%M:%S%.f",
    "%Y.%m.%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%d/%b/%Y:%H:%M:%S%.f",
    "%d/%b/%Y %H:%M:%S%.f",
    "%d %b %Y %H:%M:%S%.f",
    "%d-%b-%Y %H:%M:%S%.f",
    "%d.%m.%Y %H:%M:%S%.f",
    "%m/%d/%Y %I:%M:%S %p",
    "%b %d %H:%M:%S%.f %Y",
    "%b %d, %Y %I:%M:%S %p",
    "%b %d, %Y, %I:%M:%S %p",
    "%b %d %Y %H:%M:%S%.f",
];
const WITHOUT_YEAR: &str = "%b %d %H:%M:%S%.f %Y";

/// Names of zones and their minutes east of Greenwich: RFC 2822's, and Europe's and Japan's. Others mean
/// several (IST, BST, CST of China).
const ZONES: [(&str, i64); 20] = [
    ("UTC", 0),
    ("GMT", 0),
    ("Z", 0),
    ("UT", 0),
    ("WET", 0),
    ("WEST", 60),
    ("CET", 60),
    ("CEST", 120),
    ("EET", 120),
    ("EEST", 180),
    ("MSK", 180),
    ("JST", 540),
    ("EST", -300),
    ("EDT", -240),
    ("CST", -360),
    ("CDT", -300),
    ("MST", -420),
    ("MDT", -360),
    ("PST", -480),
    ("PDT", -420),
];

/// A moment in any form, ms since the epoch. `kafka_time` gives the year where there is none.
pub(super) fn read(text: &str, kafka_time: i64) -> Option<i64> {
    let moment = Written::of(text)?;
    moment
        .exact()
        .or_else(|| {
            FORMS
                .iter()
                .find_map(|form| moment.in_form(form, &moment.text))
        })
        .or_else(|| moment.without_year(kafka_time))
}

/// A moment with year and zone, or one that could be.
pub(super) fn exact(text: &str) -> Option<i64> {
    Written::of(text)?.exact()
}

/// `20261126170000`.
pub(super) fn digits(number: f64) -> Option<i64> {
    let text = format!("{number:.0}");
    if text.len() != 14 {
        return None;
    }
    let written = Written {
        text,
        minutes_east: 0,
    };
    written.in_form("%Y%m%d%H%M%S", &written.text)
}

/// A moment's date and time, without its weekday and its zone.
struct Written {
    text: String,
    minutes_east: i64,
}

impl Written {
    fn of(text: &str) -> Option<Self> {
        let text = text.trim_matches(['[', ']', ' ']);
        // Java's zones stand behind their offset, Go's clock behind all.
        let text = text.split(['[']).next()?;
        let text = text.split(" m=").next()?;
        let mut kept: Vec<String> = Vec::new();
        let mut minutes_east = None;
        for (place, word) in text.split_whitespace().enumerate() {
            let weekday = word.trim_end_matches(',');
            if place == 0 && is_weekday(weekday) {
                continue;
            }
            let offset = zone_of(word).or_else(|| (place > 0).then(|| offset_of(word))?);
            match offset {
                Some(minutes) => minutes_east = minutes_east.or(Some(minutes)),
                None => kept.push(word.replace(',', if word.contains(':') { "." } else { "," })),
            }
        }
        // A comma behind a time is no fraction.
        let mut text = kept.join(" ").replace(". ", " ");
        if minutes_east.is_none()
            && let Some((date, zone)) = split_zone(&text)
        {
            (text, minutes_east) = (date.to_owned(), Some(zone));
        }
        Some(Self {
            text,
            minutes_east: minutes_east.unwrap_or(0),
        })
    }

    fn exact(&self) -> Option<i64> {
        // `super::from_text` knows these but for their zones.
        let known = super::from_text(&self.text).map(|millis| self.in_utc(millis));
        known.or_else(|| EXACT.iter().find_map(|form| self.in_form(form, &self.text)))
    }

    fn in_form(&self, form: &str, text: &str) -> Option<i64> {
        let moment = strtime::parse(form, text).ok()?.to_datetime().ok()?;
        let utc = moment.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(self.in_utc(utc.timestamp().as_millisecond()))
    }

    fn in_utc(&self, millis: i64) -> i64 {
        millis - self.minutes_east * 60_000
    }

    fn without_year(&self, kafka_time: i64) -> Option<i64> {
        let now = jiff::Timestamp::from_millisecond(kafka_time.max(0)).ok()?;
        let year = now.to_zoned(jiff::tz::TimeZone::UTC).year();
        let of_year = |year: i16| self.in_form(WITHOUT_YEAR, &format!("{} {year}", self.text));
        [year - 1, year, year + 1]
            .into_iter()
            .filter_map(of_year)
            .min_by_key(|millis| millis.abs_diff(kafka_time))
    }
}

fn is_weekday(word: &str) -> bool {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let begins = |day: &&str| {
        word.get(..3)
            .is_some_and(|three| three.eq_ignore_ascii_case(day))
    };
    word.bytes().all(|byte| byte.is_ascii_alphabetic()) && DAYS.iter().any(begins)
}

fn zone_of(word: &str) -> Option<i64> {
    let word = word.trim_matches(['(', ')']);
    let zone = ZONES.iter().find(|(name, _)| *name == word);
    zone.map(|(_, minutes)| *minutes)
}

/// `+0100`, `+01:00`.
fn offset_of(word: &str) -> Option<i64> {
    if !word.starts_with(['+', '-']) {
        return None;
    }
    super::zone(word.as_bytes()).map(|millis| millis / 60_000)
}

/// A zone that stands at the end of a time without a blank.
fn split_zone(text: &str) -> Option<(&str, i64)> {
    if let Some(date) = text.strip_suffix(['Z', 'z']) {
        return Some((date, 0));
    }
    let at = text.rfind(['+', '-']).filter(|at| *at > 10)?;
    let (date, zone) = text.split_at_checked(at)?;
    Some((date, offset_of(zone)?))
}
