//! Templates that read the same are the same.
//!
//! The form of a line mostly sees to it: what a template shows as `<*>` is a parameter to the form. What
//! is left are lines that are taken apart in different ways and read alike: a word that became a
//! parameter beside another parameter is two, and in a line with numbers there the two are a list.
//!
//! Invariant: after a line was observed, no two templates have one text.

use crate::{
    hash,
    miner::{ByKey, Miner},
    template::Template,
};

/// Sets the hash of a text apart from the keys of forms.
const READING: u64 = 0x27d4_eb2f_1656_67c5;
/// Texts of before are left standing until there are so many for each template allowed.
const TEXTS_PER_TEMPLATE: usize = 4;

/// Who has which text.
#[derive(Debug, Default)]
pub(crate) struct Readings {
    slots: ByKey<u32>,
    /// Slots whose text may have changed.
    changed: Vec<u32>,
}

impl Readings {
    pub(crate) fn changed(&mut self, slot: u32) {
        self.changed.push(slot);
    }
}

impl Miner {
    /// Joins templates that have come to read the same.
    pub(crate) fn join_alike(&mut self) {
        while let Some(slot) = self.readings.changed.pop() {
            let Some(reading) = self.reading(slot) else {
                continue;
            };
            let known = self.readings.slots.insert(reading, slot);
            if let Some(other) = known.filter(|other| *other != slot)
                && self.reading(other) == Some(reading)
                && let Some(key) = self.template(other).and_then(|t| t.keys.first()).copied()
            {
                let slot = self.unite(slot, key);
                self.lead_by(reading, slot);
            }
        }
        if self.readings.slots.len() > TEXTS_PER_TEMPLATE * self.limits.templates {
            let mut slots = std::mem::take(&mut self.readings.slots);
            slots.retain(|reading, slot| self.reading(*slot) == Some(*reading));
            self.readings.slots = slots;
        }
    }

    fn template(&self, slot: u32) -> Option<&Template> {
        self.slots.get(slot as usize)?.as_ref()
    }

    fn reading(&self, slot: u32) -> Option<u64> {
        let text = self.template(slot)?.text();
        Some(hash::mix(hash::of(text.as_bytes()), READING))
    }
}
