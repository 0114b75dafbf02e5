//! Columns in ClickHouse's Native format, filled value by value without an allocation per row.
//!
//! Invariant: a column is held as it is sent, except for what is interned ([`crate::interned`]).
//! Format: ClickHouse documentation, "Native"; a block is the number of columns and rows, then per
//! column its name, its type and its values in a row.

use primitives::varint;

use crate::interned::Interned;

/// A column that is held as it is sent.
pub(crate) trait Column {
    /// Appends those rows, in that order.
    fn put(&self, rows: &[u32], out: &mut Vec<u8>);
}

/// Values of one width, little-endian.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fixed<const WIDTH: usize>(Vec<u8>);

impl<const WIDTH: usize> Fixed<WIDTH> {
    pub(crate) fn push(&mut self, value: [u8; WIDTH]) {
        self.0.extend_from_slice(&value);
    }

    pub(crate) fn values(&self) -> &[[u8; WIDTH]] {
        self.0.as_chunks().0
    }

    /// Those rows, in that order.
    pub(crate) fn pick(&self, rows: &[u32]) -> Self {
        let mut picked = Vec::new();
        self.put(rows, &mut picked);
        Self(picked)
    }
}

impl<const WIDTH: usize> Column for Fixed<WIDTH> {
    fn put(&self, rows: &[u32], out: &mut Vec<u8>) {
        let values = self.values();
        out.reserve(rows.len() * WIDTH);
        for row in rows {
            out.extend_from_slice(&values[*row as usize]);
        }
    }
}

/// Strings, each behind its length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Strings(Vec<u8>);

impl Strings {
    pub(crate) fn push(&mut self, value: &str) {
        varint::put(&mut self.0, value.len() as u64);
        self.0.extend_from_slice(value.as_bytes());
    }

    /// Those rows, in that order.
    pub(crate) fn pick(&self, rows: &[u32]) -> Self {
        let mut picked = Vec::with_capacity(self.0.len());
        self.put(rows, &mut picked);
        Self(picked)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Column for Strings {
    fn put(&self, rows: &[u32], out: &mut Vec<u8>) {
        // As a rule they are all of them.
        let mut starts = Vec::with_capacity(rows.len() + 1);
        starts.push(0);
        let mut at = 0;
        while let Some(length) = varint::take_at(&self.0, &mut at) {
            at += length as usize;
            starts.push(at);
        }
        for row in rows {
            let row = *row as usize;
            out.extend_from_slice(&self.0[starts[row]..starts[row + 1]]);
        }
    }
}

/// `Map(LowCardinality(String), String)`: running ends, then all keys, then all values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Maps {
    ends: Vec<u32>,
    keys: Interned,
    values: Strings,
}

impl Maps {
    pub(crate) fn push<'a>(&mut self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) {
        for (key, value) in pairs {
            self.keys.push(key);
            self.values.push(value);
        }
        self.ends.push(self.keys.len() as u32);
    }

    /// Those rows, in that order.
    pub(crate) fn pick(&self, rows: &[u32]) -> Self {
        let mut ends = Vec::with_capacity(rows.len());
        let mut pairs = Vec::with_capacity(self.keys.len());
        for row in rows {
            let row = *row as usize;
            let start = if row == 0 { 0 } else { self.ends[row - 1] };
            pairs.extend(start..self.ends[row]);
            ends.push(pairs.len() as u32);
        }
        Self {
            ends,
            keys: self.keys.pick(&pairs),
            values: self.values.pick(&pairs),
        }
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        Interned::put_prefix(out);
        out.extend(
            self.ends
                .iter()
                .flat_map(|end| u64::from(*end).to_le_bytes()),
        );
        self.keys.put(out);
        out.extend_from_slice(self.values.bytes());
    }

    pub(crate) fn size(&self) -> usize {
        self.ends.len() * 8 + self.keys.size() + self.values.bytes().len()
    }
}

/// Begins a column: its name and its type.
pub(crate) fn put_column(out: &mut Vec<u8>, name: &str, kind: &str) {
    for text in [name, kind] {
        varint::put(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Row = (u32, String, Vec<(String, String)>);

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let pairs = prop::collection::vec(("[ab]{0,2}", ".{0,4}"), 0..4);
        prop::collection::vec((any::<u32>(), ".{0,200}", pairs), 1..30)
    }

    proptest! {
        #[test]
        fn picking_is_the_same_as_pushing_those_in_that_order(rows in rows(), picks in prop::collection::vec(any::<prop::sample::Index>(), 0..40)) {
            let of = |rows: &mut dyn Iterator<Item = &Row>| {
                let (mut numbers, mut texts, mut maps) = (Fixed::<4>::default(), Strings::default(), Maps::default());
                for (number, text, pairs) in rows {
                    numbers.push(number.to_le_bytes());
                    texts.push(text);
                    maps.push(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())));
                }
                (numbers, texts, maps)
            };
            let all = of(&mut rows.iter());
            let picks: Vec<u32> = picks.iter().map(|pick| pick.index(rows.len()) as u32).collect();
            let picked = (all.0.pick(&picks), all.1.pick(&picks), all.2.pick(&picks));
            prop_assert_eq!(picked, of(&mut picks.iter().map(|row| &rows[*row as usize])));
        }
    }
}
