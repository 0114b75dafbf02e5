//! Answers of some windows, by class, and the codes among them.

use crate::codec::{Loaded, Reader, Writer};

/// Of answers that are counted apart: 3xx and 4xx.
pub(super) const CLASSES: usize = 2;
/// Codes that are told apart; of further ones only the class is counted.
const MOST_CODES: usize = 16;

#[derive(Debug, Clone, Default)]
pub(super) struct Counted {
    total: u64,
    of: [u64; CLASSES],
    codes: Vec<(u16, u64)>,
}

/// How a class is called.
pub(super) fn class_words(class: usize) -> &'static str {
    ["3xx", "4xx"][class]
}

fn class_of(status: u16) -> Option<usize> {
    match status {
        300..400 => Some(0),
        400..500 => Some(1),
        _ => None,
    }
}

impl Counted {
    /// The answer is the class, where it is one of those that are counted apart.
    #[inline]
    pub(super) fn count(&mut self, status: u16) -> Option<usize> {
        self.total += 1;
        let class = class_of(status)?;
        self.of[class] += 1;
        self.count_code(status, 1);
        Some(class)
    }

    fn count_code(&mut self, status: u16, more: u64) {
        if let Some((_, count)) = self.codes.iter_mut().find(|(code, _)| *code == status) {
            *count += more;
        } else if self.codes.len() < MOST_CODES {
            self.codes.push((status, more));
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.total += other.total;
        for (of, more) in self.of.iter_mut().zip(other.of) {
            *of += more;
        }
        for (status, count) in &other.codes {
            self.count_code(*status, *count);
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn of(&self, class: usize) -> u64 {
        self.of[class]
    }

    /// Codes of a class, the most frequent first.
    pub(super) fn codes(&self, class: usize) -> Vec<(u16, u64)> {
        let codes = self.codes.iter().copied();
        let mut codes: Vec<_> = codes
            .filter(|(code, _)| class_of(*code) == Some(class))
            .collect();
        codes.sort_unstable_by_key(|(code, count)| (std::cmp::Reverse(*count), *code));
        codes
    }

    pub(super) fn save(&self, to: &mut Writer) {
        to.u64(self.total);
        self.of.iter().for_each(|of| to.u64(*of));
        to.u64(self.codes.len() as u64);
        for (code, count) in &self.codes {
            to.u16(*code);
            to.u64(*count);
        }
    }

    pub(super) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let counted = Self {
            total: from.count()?,
            of: [from.count()?, from.count()?],
            codes: (0..from.length(MOST_CODES, 2)?)
                .map(|_| Ok((from.u16()?, from.count()?)))
                .collect::<Loaded<_>>()?,
        };
        if counted.of.iter().any(|of| *of > counted.total) {
            return Err("more answers of a class than there are");
        }
        Ok(counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_bounded_and_classes_are_not() {
        let mut counted = Counted::default();
        for status in 200..500 {
            counted.count(status);
        }
        assert_eq!(
            (counted.total(), counted.of(0), counted.of(1)),
            (300, 100, 100)
        );
        assert_eq!(counted.codes.len(), MOST_CODES);
        let mut more = Counted::default();
        for status in [404, 429, 404, 304] {
            more.count(status);
        }
        assert_eq!(more.codes(1), [(404, 2), (429, 1)]);
    }
}
