//! Numbers with a range, durations, sizes.
//! Invariant: the range lives in the type, so that a value which exists is a right one.

use std::time::Duration;

use super::FromText;

/// A whole number from `MIN` to `MAX`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bounded<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> Bounded<MIN, MAX> {
    pub fn new(value: i64) -> Option<Self> {
        (MIN..=MAX).contains(&value).then_some(Self(value))
    }

    pub fn get(self) -> i64 {
        self.0
    }

    /// Zero for a negative number, which a range from 0 or 1 rules out.
    pub fn as_u64(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0)
    }

    /// Zero for a negative number, which a range from 0 or 1 rules out.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }
}

impl<const MIN: i64, const MAX: i64> FromText for Bounded<MIN, MAX> {
    fn expected() -> String {
        format!("a whole number from {MIN} to {MAX}")
    }

    fn from_text(text: &str) -> Option<Self> {
        text.trim().parse().ok().and_then(Self::new)
    }
}

/// A duration from `MIN` to `MAX` milliseconds, both included; written `500ms`, `10s`, `5m`, `2h`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period<const MIN: u64, const MAX: u64>(Duration);

const DURATION_UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

impl<const MIN: u64, const MAX: u64> Period<MIN, MAX> {
    pub fn from_millis(millis: u64) -> Option<Self> {
        (MIN..=MAX)
            .contains(&millis)
            .then(|| Self(Duration::from_millis(millis)))
    }

    pub fn get(self) -> Duration {
        self.0
    }
}

impl<const MIN: u64, const MAX: u64> FromText for Period<MIN, MAX> {
    fn expected() -> String {
        let (least, most) = (
            in_largest_unit(MIN, &DURATION_UNITS),
            in_largest_unit(MAX, &DURATION_UNITS),
        );
        format!("a duration from {least} to {most} with its unit (500ms, 10s, 5m, 2h, 7d)")
    }

    fn from_text(text: &str) -> Option<Self> {
        with_unit(text, &DURATION_UNITS).and_then(Self::from_millis)
    }
}

/// A size from `MIN` to `MAX` bytes, both included; written `64KiB`, `16MiB`, `1GiB`, or in plain bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize<const MIN: u64, const MAX: u64>(u64);

const SIZE_UNITS: [(&str, u64); 5] = [
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

impl<const MIN: u64, const MAX: u64> ByteSize<MIN, MAX> {
    pub fn new(bytes: u64) -> Option<Self> {
        (MIN..=MAX).contains(&bytes).then_some(Self(bytes))
    }

    pub fn get(self) -> u64 {
        self.0
    }

    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<const MIN: u64, const MAX: u64> FromText for ByteSize<MIN, MAX> {
    fn expected() -> String {
        let (least, most) = (
            in_largest_unit(MIN, &SIZE_UNITS),
            in_largest_unit(MAX, &SIZE_UNITS),
        );
        format!("a size from {least} to {most} (4096, 64KiB, 16MiB, 1GiB)")
    }

    fn from_text(text: &str) -> Option<Self> {
        with_unit(text, &SIZE_UNITS).and_then(Self::new)
    }
}

/// A number from 0 to 1, both included.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Ratio(f64);

impl Ratio {
    pub fn get(self) -> f64 {
        self.0
    }
}

impl FromText for Ratio {
    fn expected() -> String {
        "a number from 0 to 1".to_owned()
    }

    fn from_text(text: &str) -> Option<Self> {
        let value: f64 = text.trim().parse().ok()?;
        (0.0..=1.0).contains(&value).then_some(Self(value))
    }
}

/// Digits and then a unit of the table; `None` also on overflow.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits_end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

fn in_largest_unit(value: u64, units: &[(&str, u64)]) -> String {
    let fitting = units
        .iter()
        .rev()
        .find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor));
    let (name, factor) = fitting.copied().unwrap_or(units[0]);
    format!("{}{name}", value / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_whole_and_in_its_range() {
        type Rows = Bounded<1, 100>;
        for (text, value) in [
            ("1", Some(1)),
            (" 100 ", Some(100)),
            ("0", None),
            ("101", None),
        ] {
            assert_eq!(Rows::from_text(text).map(Rows::get), value, "{text:?}");
        }
        for text in ["", "1.5", "1e3", "ten", "99999999999999999999"] {
            assert_eq!(Rows::from_text(text), None, "{text:?}");
        }
        assert_eq!(Rows::expected(), "a whole number from 1 to 100");
        assert_eq!(
            Bounded::<-5, 5>::from_text("-5").map(Bounded::get),
            Some(-5)
        );
    }

    #[test]
    fn a_duration_has_a_unit_and_a_range() {
        type Budget = Period<100, 86_400_000>;
        let cases = [
            ("100ms", 100),
            ("10s", 10_000),
            ("5 m", 300_000),
            ("24h", 86_400_000),
            ("1d", 86_400_000),
        ];
        for (text, millis) in cases {
            assert_eq!(
                Budget::from_text(text),
                Budget::from_millis(millis),
                "{text:?}"
            );
        }
        for text in [
            "",
            "10",
            "s",
            "99ms",
            "2d",
            "-1s",
            "1.5s",
            "1S",
            "213503982335d",
        ] {
            assert_eq!(Budget::from_text(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_size_has_a_range_and_binary_units() {
        type Buffer = ByteSize<1, 2_147_483_648>;
        for (text, bytes) in [
            ("1", 1),
            ("64KiB", 65_536),
            ("16 MiB", 16 << 20),
            ("2GiB", 2 << 30),
        ] {
            assert_eq!(
                Buffer::from_text(text).map(Buffer::get),
                Some(bytes),
                "{text:?}"
            );
        }
        for text in ["", "0", "64kb", "3GiB", "18446744073709551615GiB"] {
            assert_eq!(Buffer::from_text(text), None, "{text:?}");
        }
        assert!(Buffer::expected().starts_with("a size from 1B to 2GiB "));
    }

    #[test]
    fn a_ratio_is_a_number_from_zero_to_one() {
        for (text, right) in [
            ("0", true),
            ("0.5", true),
            ("1", true),
            ("1.1", false),
            ("NaN", false),
            ("-0.1", false),
        ] {
            assert_eq!(Ratio::from_text(text).is_some(), right, "{text:?}");
        }
    }
}
