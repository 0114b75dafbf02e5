//! Columns in ClickHouse's Native format, filled value by value without an allocation per row.
//!
//! Format: ClickHouse documentation, "Native"; a block is the number of columns and rows, then per
//! column its name, its type and its values in a row.

/// Appends an unsigned LEB128 number.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_varint(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let mut value = 0_usize;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Values of one width, little-endian.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fixed<const WIDTH: usize>(Vec<u8>);

impl<const WIDTH: usize> Fixed<WIDTH> {
    pub fn push(&mut self, value: [u8; WIDTH]) {
        self.0.extend_from_slice(&value);
    }

    pub fn select(&self, keep: &[bool]) -> Self {
        let chosen = self
            .0
            .chunks_exact(WIDTH)
            .zip(keep)
            .filter(|(_, keep)| **keep);
        Self(
            chosen
                .flat_map(|(value, _)| value.iter().copied())
                .collect(),
        )
    }

    pub fn values(&self) -> impl Iterator<Item = [u8; WIDTH]> {
        self.0.as_chunks().0.iter().copied()
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Strings, each behind its length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Strings(Vec<u8>);

impl Strings {
    pub fn push(&mut self, value: &str) {
        put_varint(&mut self.0, value.len() as u64);
        self.0.extend_from_slice(value.as_bytes());
    }

    pub fn select(&self, keep: &[bool]) -> Self {
        let mut chosen = Vec::new();
        let mut at = 0;
        for keep in keep {
            let start = at;
            let Some(length) = take_varint(&self.0, &mut at) else {
                break;
            };
            at += length;
            if *keep {
                chosen.extend_from_slice(&self.0[start..at]);
            }
        }
        Self(chosen)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// `Map(String, String)`: running ends, then all keys, then all values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maps {
    ends: Fixed<8>,
    total: u64,
    keys: Strings,
    values: Strings,
}

impl Maps {
    pub fn push<'a>(&mut self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) {
        for (key, value) in pairs {
            self.keys.push(key);
            self.values.push(value);
            self.total += 1;
        }
        self.ends.push(self.total.to_le_bytes());
    }

    pub fn select(&self, keep: &[bool]) -> Self {
        let mut ends = Fixed::default();
        let mut total = 0;
        let mut keep_pairs = Vec::with_capacity(self.total as usize);
        let mut before = 0;
        for (end, keep) in self.ends.values().map(u64::from_le_bytes).zip(keep) {
            let length = end - before;
            before = end;
            keep_pairs.extend(std::iter::repeat_n(*keep, length as usize));
            if *keep {
                total += length;
                ends.push(total.to_le_bytes());
            }
        }
        Self {
            ends,
            total,
            keys: self.keys.select(&keep_pairs),
            values: self.values.select(&keep_pairs),
        }
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.ends.bytes());
        out.extend_from_slice(self.keys.bytes());
        out.extend_from_slice(self.values.bytes());
    }

    pub fn size(&self) -> usize {
        self.ends.bytes().len() + self.keys.bytes().len() + self.values.bytes().len()
    }
}

/// Begins a column: its name and its type.
pub fn put_column(out: &mut Vec<u8>, name: &str, kind: &str) {
    for text in [name, kind] {
        put_varint(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn selecting_is_the_same_as_pushing_only_those(rows in prop::collection::vec((any::<bool>(), ".{0,300}", prop::collection::vec((".{0,4}", ".{0,4}"), 0..4)), 0..30)) {
            let keep: Vec<bool> = rows.iter().map(|row| row.0).collect();
            let (mut all, mut some) = ((Strings::default(), Maps::default()), (Strings::default(), Maps::default()));
            for (keep, text, pairs) in &rows {
                let pairs = || pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
                all.0.push(text);
                all.1.push(pairs());
                if *keep {
                    some.0.push(text);
                    some.1.push(pairs());
                }
            }
            prop_assert_eq!(all.0.select(&keep), some.0);
            prop_assert_eq!(all.1.select(&keep), some.1);
        }
    }
}
