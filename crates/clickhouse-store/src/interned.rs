//! `LowCardinality(String)` columns: every different value once per block, and an index per row.
//!
//! Invariant: the values are exactly those that some row has, in the order in which they first came,
//! however many there are. Format: ClickHouse's `SerializationLowCardinality`, dictionaries with
//! additional keys, which is what its own Native output has.

use primitives::varint;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// The layout: shared dictionaries with additional keys.
const VERSION: u64 = 1;
/// The keys follow, and they are all there are.
const OWN_KEYS: u64 = (1 << 9) | (1 << 10);

#[derive(Debug, Clone, Default)]
pub(crate) struct Interned {
    /// The different values, one behind the other; `ends` says where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
    found: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Per row, which of the values.
    rows: Vec<u32>,
}

fn value_at<'a>(text: &'a [u8], ends: &[usize], id: u32) -> &'a [u8] {
    let id = id as usize;
    let start = if id == 0 { 0 } else { ends[id - 1] };
    &text[start..ends[id]]
}

impl Interned {
    pub(crate) fn push(&mut self, value: &str) {
        self.push_bytes(value.as_bytes());
    }

    fn push_bytes(&mut self, value: &[u8]) {
        let id = self.intern(value);
        self.rows.push(id);
    }

    fn intern(&mut self, value: &[u8]) -> u32 {
        let Self {
            text,
            ends,
            found,
            hasher,
            ..
        } = self;
        let hash = hasher.hash_one(value);
        if let Some(id) = found.find(hash, |id| value_at(text, ends, *id) == value) {
            return *id;
        }
        // Rows of a block are counted in 32 bits long before this: they are held in memory.
        let id = ends.len() as u32;
        text.extend_from_slice(value);
        ends.push(text.len());
        found.insert_unique(hash, id, |id| hasher.hash_one(value_at(text, ends, *id)));
        id
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Bytes as they are held.
    pub(crate) fn size(&self) -> usize {
        self.text.len() + self.ends.len() * 16 + self.rows.len() * 4
    }

    /// Those rows, in that order, with the values that these have.
    pub(crate) fn pick(&self, rows: &[u32]) -> Self {
        let mut picked = Self::default();
        picked.rows.reserve(rows.len());
        let mut numbers = vec![None; self.ends.len()];
        for row in rows {
            let id = self.rows[*row as usize];
            let number = *numbers[id as usize]
                .get_or_insert_with(|| picked.intern(value_at(&self.text, &self.ends, id)));
            picked.rows.push(number);
        }
        picked
    }

    /// Per row, the place of its value among the different ones in the order of their bytes.
    pub(crate) fn ranks(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = (0..self.ends.len() as u32).collect();
        ids.sort_unstable_by_key(|id| value_at(&self.text, &self.ends, *id));
        let mut rank_of = vec![0; ids.len()];
        for (rank, id) in ids.iter().enumerate() {
            rank_of[*id as usize] = rank as u32;
        }
        self.rows.iter().map(|id| rank_of[*id as usize]).collect()
    }

    /// What a column begins with, once, before its first value or a length of its arrays.
    pub(crate) fn put_prefix(out: &mut Vec<u8>) {
        out.extend_from_slice(&VERSION.to_le_bytes());
    }

    /// The values and the indexes; nothing at all if there is no row.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        if self.rows.is_empty() {
            return;
        }
        let keys = self.ends.len();
        let width: u64 = match keys {
            0..=0x100 => 0,
            0x101..=0x1_0000 => 1,
            _ => 2,
        };
        out.extend_from_slice(&(OWN_KEYS | width).to_le_bytes());
        out.extend_from_slice(&(keys as u64).to_le_bytes());
        for id in 0..keys {
            let value = value_at(&self.text, &self.ends, id as u32);
            varint::put(out, value.len() as u64);
            out.extend_from_slice(value);
        }
        out.extend_from_slice(&(self.rows.len() as u64).to_le_bytes());
        match width {
            0 => out.extend(self.rows.iter().map(|id| *id as u8)),
            1 => out.extend(self.rows.iter().flat_map(|id| (*id as u16).to_le_bytes())),
            _ => out.extend(self.rows.iter().flat_map(|id| id.to_le_bytes())),
        }
    }

    /// A column of `rows` times one value.
    pub(crate) fn put_constant(out: &mut Vec<u8>, value: &str, rows: usize) {
        Self::put_prefix(out);
        if rows == 0 {
            return;
        }
        out.extend_from_slice(&OWN_KEYS.to_le_bytes());
        out.extend_from_slice(&1_u64.to_le_bytes());
        varint::put(out, value.len() as u64);
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(&(rows as u64).to_le_bytes());
        out.resize(out.len() + rows, 0);
    }
}

impl PartialEq for Interned {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, &self.ends, &self.rows) == (&other.text, &other.ends, &other.rows)
    }
}

impl Eq for Interned {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of<'a>(values: impl IntoIterator<Item = &'a str>) -> Interned {
        let mut column = Interned::default();
        for value in values {
            column.push(value);
        }
        column
    }

    fn written(column: &Interned) -> Vec<u8> {
        let mut out = Vec::new();
        column.put(&mut out);
        out
    }

    #[test]
    fn a_value_is_written_once_and_a_row_is_its_number() {
        let mut bytes = vec![0, 6, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend_from_slice(b"\x01a\x00");
        bytes.extend_from_slice(&[3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(written(&of(["a", "", "a"])), bytes);
        assert!(written(&of([])).is_empty());
    }

    #[test]
    fn the_width_of_the_numbers_grows_with_the_values() {
        for (values, width) in [(256_usize, 1), (257, 2), (65_536, 2), (65_537, 4)] {
            let names: Vec<String> = (0..values).map(|at| at.to_string()).collect();
            let column = of(names.iter().map(String::as_str));
            let text: usize = names.iter().map(|name| name.len() + 1).sum();
            assert_eq!(
                written(&column).len(),
                24 + text + values * width,
                "{values}"
            );
        }
    }

    proptest! {
        #[test]
        fn picking_is_the_same_as_pushing_those_in_that_order(rows in prop::collection::vec("[ab]{0,2}", 1..40), picks in prop::collection::vec(any::<prop::sample::Index>(), 0..40)) {
            let all = of(rows.iter().map(String::as_str));
            let picks: Vec<u32> = picks.iter().map(|pick| pick.index(rows.len()) as u32).collect();
            prop_assert_eq!(all.pick(&picks), of(picks.iter().map(|row| rows[*row as usize].as_str())));
            let ranks = all.ranks();
            for (a, b) in ranks.iter().zip(&rows).zip(ranks.iter().zip(&rows).skip(1)) {
                prop_assert_eq!(a.0.cmp(b.0), a.1.cmp(b.1));
            }
            for (id, row) in all.rows.iter().zip(&rows) {
                prop_assert_eq!(value_at(&all.text, &all.ends, *id), row.as_bytes());
            }
        }
    }
}
