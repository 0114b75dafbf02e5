//! The bytes of a snapshot: a small writer, and a reader that trusts nothing.
//!
//! Invariant: reading answers with an error or a value within the ranges that the detectors reckon
//! with, whatever the bytes; it takes no more steps and no more memory than the bytes account for.
//!
//! Integers are LEB128, signed ones zigzag. A body is sections: id (byte), version, length, bytes.

use primitives::varint;

use crate::record::time::{EventTime, MOST_MS};

/// Counts beyond this are no counts, and sums of them stay far from overflow.
const MOST_COUNT: u64 = 1 << 48;
/// Squares of counts fit, and quotients of them stay finite.
const MOST_AMOUNT: f64 = 1e33;

/// What a piece of state is read as; the error says what is impossible about it.
pub(crate) type Loaded<T> = Result<T, &'static str>;

/// A part of the body that can be understood, or left alone, by itself.
pub(crate) struct Section<'a> {
    pub(crate) id: u8,
    pub(crate) version: u32,
    pub(crate) body: &'a [u8],
}

/// The sections of a body.
pub(crate) fn sections(body: &[u8]) -> Loaded<Vec<Section<'_>>> {
    let mut from = Reader::new(body);
    let mut sections: Vec<Section<'_>> = Vec::new();
    while !from.rest.is_empty() {
        let (id, version) = (from.byte()?, from.u32()?);
        let length = usize::try_from(from.u64()?).map_err(|_| "it ends too early")?;
        let body = from.take(length)?;
        if sections.iter().any(|section| section.id == id) {
            return Err("a section that is there twice");
        }
        sections.push(Section { id, version, body });
    }
    Ok(sections)
}

#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn byte(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(crate) fn section(&mut self, id: u8, version: u32, save: impl FnOnce(&mut Self)) {
        let mut body = Self::default();
        save(&mut body);
        self.byte(id);
        self.u32(version);
        self.u64(body.bytes.len() as u64);
        self.bytes.extend_from_slice(&body.bytes);
    }

    pub(crate) fn flag(&mut self, value: bool) {
        self.byte(u8::from(value));
    }

    pub(crate) fn u64(&mut self, value: u64) {
        varint::put(&mut self.bytes, value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.u64(u64::from(value));
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.u64(u64::from(value));
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.u64(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    pub(crate) fn moment(&mut self, value: EventTime) {
        self.i64(value.0);
    }

    pub(crate) fn f64(&mut self, value: f64) {
        self.bytes.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    pub(crate) fn f32(&mut self, value: f32) {
        self.bytes.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    pub(crate) fn text(&mut self, value: &str) {
        self.u64(value.len() as u64);
        self.bytes.extend_from_slice(value.as_bytes());
    }

    /// A value that may be missing.
    pub(crate) fn maybe<T>(&mut self, value: Option<T>, save: impl FnOnce(T, &mut Self)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            save(value, self);
        }
    }
}

#[derive(Debug)]
pub(crate) struct Reader<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// All was read.
    pub(crate) fn end(&self) -> Loaded<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err("bytes are left over")
        }
    }

    fn take(&mut self, count: usize) -> Loaded<&'a [u8]> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or("it ends too early")?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn fixed<const N: usize>(&mut self) -> Loaded<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| "it ends too early")
    }

    pub(crate) fn byte(&mut self) -> Loaded<u8> {
        Ok(self.fixed::<1>()?[0])
    }

    pub(crate) fn flag(&mut self) -> Loaded<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err("a yes or no that is neither"),
        }
    }

    pub(crate) fn u64(&mut self) -> Loaded<u64> {
        varint::take(&mut self.rest).ok_or("a number that is cut off, or too long")
    }

    /// A number of lines, windows, services.
    pub(crate) fn count(&mut self) -> Loaded<u64> {
        let value = self.u64()?;
        if value <= MOST_COUNT {
            Ok(value)
        } else {
            Err("a count that is too high")
        }
    }

    pub(crate) fn u16(&mut self) -> Loaded<u16> {
        u16::try_from(self.u64()?).map_err(|_| "a count that is too high")
    }

    /// Half the range is left to count on.
    pub(crate) fn u32(&mut self) -> Loaded<u32> {
        match u32::try_from(self.u64()?) {
            Ok(value) if value <= u32::MAX / 2 => Ok(value),
            _ => Err("a count that is too high"),
        }
    }

    pub(crate) fn i64(&mut self) -> Loaded<i64> {
        let value = self.u64()?;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    /// A moment, ms.
    pub(crate) fn millis(&mut self) -> Loaded<i64> {
        let value = self.i64()?;
        // Ends of windows and closing moments lie a little beyond what records may say.
        if (-2 * MOST_MS..=2 * MOST_MS).contains(&value) {
            Ok(value)
        } else {
            Err("a moment out of range")
        }
    }

    pub(crate) fn moment(&mut self) -> Loaded<EventTime> {
        self.millis().map(EventTime)
    }

    /// Finite, zero or more.
    pub(crate) fn amount(&mut self) -> Loaded<f64> {
        let value = f64::from_bits(u64::from_le_bytes(self.fixed()?));
        if (0.0..=MOST_AMOUNT).contains(&value) {
            Ok(value)
        } else {
            Err("an amount out of range")
        }
    }

    /// Finite: a difference of counts.
    pub(crate) fn f32(&mut self) -> Loaded<f32> {
        let value = f32::from_bits(u32::from_le_bytes(self.fixed()?));
        if value.abs() <= MOST_COUNT as f32 {
            Ok(value)
        } else {
            Err("a difference out of range")
        }
    }

    /// A text of at most `most` bytes.
    pub(crate) fn text(&mut self, most: usize) -> Loaded<&'a str> {
        let length = self.count()? as usize;
        if length > most {
            return Err("a text that is too long");
        }
        std::str::from_utf8(self.take(length)?).map_err(|_| "a text that is no text")
    }

    /// How many items follow: `most` at the most, each at least `least_bytes` long.
    pub(crate) fn length(&mut self, most: usize, least_bytes: usize) -> Loaded<usize> {
        let length = self.count()? as usize;
        if length <= most && length <= self.rest.len() / least_bytes.max(1) {
            Ok(length)
        } else {
            Err("a list that is too long")
        }
    }

    pub(crate) fn maybe<T>(
        &mut self,
        load: impl FnOnce(&mut Self) -> Loaded<T>,
    ) -> Loaded<Option<T>> {
        if self.flag()? {
            load(self).map(Some)
        } else {
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(number in any::<u64>(), signed in any::<i64>(), text in ".{0,40}") {
            let mut writer = Writer::default();
            writer.u64(number);
            writer.i64(signed);
            writer.text(&text);
            let mut reader = Reader::new(writer.bytes());
            prop_assert_eq!(reader.u64(), Ok(number));
            prop_assert_eq!(reader.i64(), Ok(signed));
            prop_assert_eq!(reader.text(200), Ok(text.as_str()));
            prop_assert_eq!(reader.end(), Ok(()));
        }
    }
}
