//! Lines to measure speed with: one after the other in memory, as a log is.
//!
//! Invariant: the same seed, and the same lines to begin with, give the same bytes.

use std::{
    collections::HashSet,
    fmt::Write as _,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use rustix::time::{ClockId, clock_gettime};

/// Lines in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct Lines {
    text: String,
    ends: Vec<usize>,
}

impl Lines {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn mean_bytes(&self) -> f64 {
        self.text.len() as f64 / self.len().max(1) as f64
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        let begins = std::iter::once(&0).chain(&self.ends);
        begins.zip(&self.ends).map(|(a, b)| &self.text[*a..*b])
    }

    /// Ends the line that `write` writes.
    fn push(&mut self, write: impl FnOnce(&mut String)) {
        write(&mut self.text);
        self.ends.push(self.text.len());
    }
}

/// CPU time of this thread, in seconds: what others do on the machine is not in it.
pub(super) fn cpu_seconds() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// So many lines, no two of them the same: `from` in turn, each with other digits every time, shuffled.
/// Fewer, when there are no more.
pub(super) fn distinct(from: &[&str], count: usize, seed: u64) -> Lines {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut known = HashSet::new();
    let mut lines: Vec<String> = Vec::with_capacity(count);
    // A line goes when its digits have nothing new to give any more.
    let mut left: Vec<_> = from.iter().map(|line| (*line, 0)).collect();
    while lines.len() < count && !left.is_empty() {
        for (line, misses) in &mut left {
            let varied = vary(line, &mut rng);
            // Of two lines with one hash the second would be left out: distinct all the same.
            if !known.insert(hash(&varied)) {
                *misses += 1;
            } else if lines.len() < count {
                lines.push(varied);
            }
        }
        left.retain(|(_, misses)| *misses < MOST_MISSES);
    }
    lines.shuffle(&mut rng);
    let mut all = Lines::default();
    for line in lines {
        all.push(|text| text.push_str(&line));
    }
    all
}

const MOST_MISSES: u32 = 20;

/// Numbers keep their length.
fn vary(line: &str, rng: &mut StdRng) -> String {
    let mut before = ' ';
    let vary = |character: char| {
        let leading = !before.is_ascii_digit() && character != '0';
        before = character;
        if !character.is_ascii_digit() {
            return character;
        }
        let least = if leading { b'1' } else { b'0' };
        char::from(rng.random_range(least..=b'9'))
    };
    line.chars().map(vary).collect()
}

fn hash(line: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    hasher.finish()
}

/// So many templates that have no word in common: all of them once, and then `count` lines of templates
/// taken by chance.
pub(super) fn synthetic(templates: usize, count: usize, seed: u64) -> (Lines, Lines) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut known = HashSet::new();
    let templates: Vec<_> = (0..templates)
        .map(|_| Template::new(&mut known, &mut rng))
        .collect();
    let (mut each, mut all) = (Lines::default(), Lines::default());
    for template in &templates {
        each.push(|text| template.write(text, &mut rng));
    }
    for _ in 0..count {
        let template = &templates[rng.random_range(0..templates.len())];
        all.push(|text| template.write(text, &mut rng));
    }
    (each, all)
}

/// Words, and parameters among them.
struct Template(Vec<Place>);

enum Place {
    Word(String),
    Number,
    Hex,
    Address,
}

impl Template {
    fn new(known: &mut HashSet<String>, rng: &mut StdRng) -> Self {
        let mut places: Vec<_> = (0..rng.random_range(4..8))
            .map(|_| Place::Word(word(known, rng)))
            .collect();
        for _ in 0..rng.random_range(1..4) {
            let parameter = match rng.random_range(0..3) {
                0 => Place::Number,
                1 => Place::Hex,
                _ => Place::Address,
            };
            places.insert(rng.random_range(1..=places.len()), parameter);
        }
        Self(places)
    }

    fn write(&self, text: &mut String, rng: &mut StdRng) {
        for (at, place) in self.0.iter().enumerate() {
            if at > 0 {
                text.push(' ');
            }
            // Writing to a string does not fail.
            let _ = match place {
                Place::Word(word) => text.write_str(word),
                Place::Number => write!(text, "{}", rng.random_range(0..100_000_u32)),
                Place::Hex => write!(text, "0x{:08x}", rng.random::<u32>()),
                Place::Address => {
                    let [a, b, c, d] = rng.random::<u32>().to_be_bytes();
                    write!(text, "{a}.{b}.{c}.{d}:{}", rng.random_range(1..65_536_u32))
                }
            };
        }
    }
}

/// A word that is not known yet, and that nobody takes for a number.
fn word(known: &mut HashSet<String>, rng: &mut StdRng) -> String {
    loop {
        let mut word = String::new();
        for _ in 0..rng.random_range(3..6) {
            word.push(char::from(b"klmnprstvz"[rng.random_range(0..10)]));
            word.push(char::from(b"aeiou"[rng.random_range(0..5)]));
        }
        if known.insert(word.clone()) {
            return word;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_distinct_and_only_their_digits_are_others() {
        let from = ["up 10 of 7", "gone", "x=3"];
        let lines = distinct(&from, 100, 1);
        let set: HashSet<_> = lines.iter().collect();
        assert_eq!((lines.len(), set.len()), (100, 100));
        let blank = |line: &str| line.replace(|c: char| c.is_ascii_digit(), "0");
        let known: HashSet<_> = from.into_iter().map(blank).collect();
        assert!(lines.iter().all(|line| known.contains(&blank(line))));
        assert!(lines.iter().any(|line| line == "gone"));
        let again = distinct(&from, 100, 1);
        assert!(lines.iter().eq(again.iter()));
    }

    #[test]
    fn there_are_no_more_lines_than_the_digits_give() {
        assert_eq!(distinct(&["gone", "x=0"], 100, 1).len(), 11);
    }

    #[test]
    fn synthetic_templates_have_no_word_in_common() {
        let (each, all) = synthetic(500, 1_000, 1);
        assert_eq!((each.len(), all.len()), (500, 1_000));
        let mut known = HashSet::new();
        for line in each.iter() {
            let words = line
                .split(' ')
                .filter(|word| word.bytes().all(|b| b.is_ascii_lowercase()));
            assert!(
                words.into_iter().all(|word| known.insert(word.to_owned())),
                "{line}"
            );
        }
    }
}
