//! A template's id, for people: sixteen hexadecimal digits, or as many of the first as tell it apart.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use serde::{Deserialize, Serialize, Serializer};

const DIGITS: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub(super) struct Id(pub(super) u64);

/// What lines have that were stored before templates were mined.
pub(super) const NOT_MINED: Id = Id(0);

impl fmt::Display for Id {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

/// As text: not every reader of JSON keeps 64 bits of a number.
impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The first digits of an id, or all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prefix(String);

#[derive(Debug, Clone, Copy)]
pub(super) struct NoId;

impl fmt::Display for NoId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(
            "not the id of a template: 1 to 16 hexadecimal digits, as `barograph templates list` shows them",
        )
    }
}

impl std::error::Error for NoId {}

impl FromStr for Prefix {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        let digits = text.strip_prefix("0x").unwrap_or(text).to_ascii_lowercase();
        let right = (1..=DIGITS).contains(&digits.len())
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if right { Ok(Self(digits)) } else { Err(NoId) }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Prefix {
    /// The ids that begin with it.
    pub(super) fn range(&self) -> RangeInclusive<u64> {
        let ends = ['0', 'f'].map(|digit| {
            let whole = self.0.chars().chain(std::iter::repeat(digit)).take(DIGITS);
            whole.fold(0_u64, |id, digit| {
                id << 4 | u64::from(digit.to_digit(16).unwrap_or_default())
            })
        });
        ends[0]..=ends[1]
    }

    /// The id that it names, when it has all digits.
    pub(super) fn whole(&self) -> Option<Id> {
        (self.0.len() == DIGITS).then(|| Id(*self.range().start()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_digits_are_a_range() {
        let range = |text: &str| text.parse::<Prefix>().unwrap().range();
        assert_eq!(range("4bE"), 0x4be0_0000_0000_0000..=0x4bef_ffff_ffff_ffff);
        assert_eq!(range("0x00000000000000ff"), 0xff..=0xff);
        assert_eq!(range("f"), 0xf000_0000_0000_0000..=u64::MAX);
        for wrong in ["", "0x", "g", "12 ", "00000000000000000"] {
            assert!(wrong.parse::<Prefix>().is_err(), "{wrong}");
        }
        let prefix = |text: &str| text.parse::<Prefix>().unwrap();
        assert_eq!(prefix("00000000000000ff").whole(), Some(Id(0xff)));
        assert_eq!(prefix("ff").whole(), None);
        assert_eq!(Id(0xff).to_string(), "00000000000000ff");
    }
}
