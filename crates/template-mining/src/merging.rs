//! How it is found out that a word is a parameter.
//!
//! Two forms are *neighbours* if they differ in one word only; the key with that word opened is what
//! all of them share. When enough different words have been seen there, or when lines have a
//! parameter there, the opened key becomes a *pattern*, and the templates of the neighbours one.
//!
//! Invariants: evidence only grows, and what follows from it is a union, so that the order of the
//! lines does not matter; a pattern is known to `shapes` before a line is looked up by it; the id of
//! joined templates is the least of their patterns' keys.

use hashbrown::{HashSet, hash_map::Entry};

use crate::{
    atom::is_symbol,
    hash,
    miner::{ByKey, Merge, Miner, TemplateId},
    template::PLACES,
    token::{PARAMETER, Token, What},
    vocabulary::{announces_name, is_grammar, is_preposition},
};

/// So many different words where a name is announced are names.
const ANNOUNCED: usize = 3;
/// Where it can be nothing else: `for user alice`.
const NAMED: usize = 2;
/// Behind `for`, `from`, `by` and `on`, where there may be a state or a reason as well.
const BEHIND_PREPOSITION: usize = 4;
const ANYWHERE: usize = 8;
/// The first word of a line tells what it is about more often than not.
const LEADING: usize = 32;
/// Patterns of one shape that are tried for a line.
const MASKS: usize = 16;
/// Forms of a template that are told apart: beyond them, a pattern takes lines in without a trace.
const FORMS: usize = 64;
/// Bounds of what is kept, per template allowed.
const KEYS_PER_TEMPLATE: usize = 4;
const EVIDENCE_PER_TEMPLATE: usize = 16;

/// Which places patterns have open, by the shape of lines.
#[derive(Debug, Default)]
pub(crate) struct Shapes(pub(crate) ByKey<Vec<u64>>);

impl Shapes {
    fn add(&mut self, shape: u64, mask: u64) {
        let masks = self.0.entry(shape).or_default();
        if masks.len() < MASKS && !masks.contains(&mask) {
            masks.push(mask);
            masks.sort_unstable();
        }
    }

    pub(crate) fn keep(&mut self, shapes: impl Iterator<Item = u64>) {
        let live: HashSet<u64> = shapes.collect();
        self.0.retain(|shape, _| live.contains(shape));
    }
}

/// What was seen in the place of a word, by the key that has the place open.
#[derive(Debug, Default)]
pub(crate) struct Evidence(pub(crate) ByKey<Words>);

impl Evidence {
    pub(crate) fn forget(&mut self, is_known: impl Fn(u64) -> bool) {
        self.0.retain(|_, words| {
            words.seen.retain(|(_, form)| is_known(*form));
            !words.seen.is_empty()
        });
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    /// The hash of each word, and the key of a form that has it.
    pub(crate) seen: Vec<(u64, u64)>,
    /// How many make a parameter of the place.
    pub(crate) enough: usize,
    /// The places that are open.
    pub(crate) mask: u64,
    /// A parameter in this place is evidence enough.
    pub(crate) yields: bool,
}

/// What a line goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) key: u64,
    /// The key as if every word were a parameter: the same for the forms that may be one some day.
    pub(crate) shape: u64,
}

/// A form, or a pattern: a form with places open.
#[derive(Clone, Copy)]
struct Opened {
    key: u64,
    shape: u64,
    mask: u64,
}

impl Miner {
    /// The template of a pattern that a line of an unknown form matches.
    pub(crate) fn by_pattern(&self, form: Form) -> Option<u32> {
        let tokens = &self.scanner.tokens;
        self.shapes.0.get(&form.shape)?.iter().find_map(|mask| {
            let mut key = form.key;
            let mut rest = *mask;
            while rest != 0 {
                let place = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                if let Some(token) = tokens.get(place).filter(|t| t.is_word()) {
                    key = opened(key, place, token);
                }
            }
            self.index.get(&key).copied()
        })
    }

    /// A new form of a known template: evidence too, as long as there is room for it.
    pub(crate) fn learn_form(&mut self, line: &[u8], form: Form, slot: u32) -> u32 {
        let room = self.index.len() < KEYS_PER_TEMPLATE * self.limits.templates;
        if let Some(Some(template)) = self.slots.get_mut(slot as usize)
            && room
            && template.keys.len() < FORMS
        {
            template.keys.push(form.key);
            self.index.insert(form.key, slot);
            self.changed.template(slot);
            self.gather_evidence(line, form);
        }
        self.index.get(&form.key).copied().unwrap_or(slot)
    }

    /// Of the form of the line that was scanned last, which `index` knows already.
    pub(crate) fn gather_evidence(&mut self, line: &[u8], form: Form) {
        let Form { key, shape } = form;
        // Lines that have a word where this one has a parameter.
        if let Some(words) = self.evidence.0.get(&key)
            && words.yields
        {
            self.become_pattern(
                Opened {
                    key,
                    shape,
                    mask: words.mask,
                },
                key,
            );
        }
        let tokens = std::mem::take(&mut self.scanner.tokens);
        self.look_for_neighbours(
            line,
            &tokens,
            Opened {
                key,
                shape,
                mask: 0,
            },
        );
        self.scanner.tokens = tokens;
    }

    fn look_for_neighbours(&mut self, line: &[u8], tokens: &[Token], form: Opened) {
        let places = || tokens.iter().enumerate().take(PLACES);
        let is_fixed = |place: usize, token: &Token| token.is_word() && form.mask >> place & 1 == 0;
        let words = places()
            .filter(|(place, token)| is_fixed(*place, token))
            .count();
        if words < 2 {
            return;
        }
        for (place, token) in places() {
            if !is_fixed(place, token) || is_grammar(token.text(line)) {
                continue;
            }
            let announced = announced(line, &tokens[..place], token);
            let leading = !tokens[..place].iter().any(Token::is_word);
            let yields = announced.is_some() || !leading && words > 2;
            let pattern = Opened {
                key: opened(form.key, place, token),
                shape: form.shape,
                mask: form.mask | 1 << place,
            };
            if yields {
                if self.index.contains_key(&pattern.key) {
                    self.become_pattern(pattern, form.key);
                    continue;
                }
                if let Some(slot) = self.index.get(&form.key)
                    && let Some(Some(template)) = self.slots.get_mut(*slot as usize)
                {
                    template.would_join(pattern.key);
                    self.changed.template(*slot);
                }
            }
            let room = EVIDENCE_PER_TEMPLATE * self.limits.templates;
            let room = self.evidence.0.len() < room;
            let words = match self.evidence.0.entry(pattern.key) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) if room => new.insert(Words {
                    seen: Vec::new(),
                    enough: match announced {
                        Some(enough) => enough,
                        None if leading => LEADING,
                        None => ANYWHERE,
                    },
                    mask: pattern.mask,
                    yields,
                }),
                Entry::Vacant(_) => continue,
            };
            if !words.seen.iter().any(|(word, _)| *word == token.hash) {
                words.seen.push((token.hash, form.key));
                self.changed.evidence(pattern.key);
            }
            if words.seen.len() >= words.enough {
                self.become_pattern(pattern, form.key);
                self.look_for_neighbours(line, tokens, pattern);
            }
        }
    }

    /// Joins the templates that have something in the opened place. `form`: the key of one of them.
    fn become_pattern(&mut self, pattern: Opened, form: u64) {
        self.shapes.add(pattern.shape, pattern.mask);
        self.changed.shape(pattern.shape);
        let Some(mut slot) = self.index.get(&form).copied() else {
            return;
        };
        if let Some(words) = self.evidence.0.remove(&pattern.key) {
            self.changed.evidence(pattern.key);
            for (_, other) in words.seen {
                slot = self.unite(slot, other);
            }
        }
        slot = self.unite(slot, pattern.key);
        self.lead_by(pattern.key, slot);
    }

    /// The pattern leads to this template from now on.
    pub(crate) fn lead_by(&mut self, pattern: u64, slot: u32) {
        let known = self.index.insert(pattern, slot).is_some();
        if let Some(Some(template)) = self.slots.get_mut(slot as usize) {
            if !known {
                template.keys.push(pattern);
            }
            template.follow(pattern);
            if !std::mem::replace(&mut template.is_news, true) {
                self.news.push(slot);
            }
            let id = template.id;
            let into = TemplateId(id);
            let untold = template.untold().iter().filter(|former| **former != id);
            self.merges.extend(untold.map(|id| Merge {
                from: TemplateId(*id),
                into,
            }));
        }
        self.settle(slot);
    }

    /// Makes one template of that in `slot` and that which `key` leads to.
    pub(crate) fn unite(&mut self, slot: u32, key: u64) -> u32 {
        let Some(other) = self.index.get(&key).copied().filter(|other| *other != slot) else {
            return slot;
        };
        let keys = |slot: u32| match self.slots.get(slot as usize) {
            Some(Some(template)) => template.keys.len(),
            _ => 0,
        };
        let (stays, goes) = if keys(slot) >= keys(other) {
            (slot, other)
        } else {
            (other, slot)
        };
        let Some(gone) = self.slots.get_mut(goes as usize).and_then(Option::take) else {
            return stays;
        };
        self.free.push(goes);
        for key in &gone.keys {
            self.index.insert(*key, stays);
        }
        if let Some(Some(template)) = self.slots.get_mut(stays as usize) {
            let was_news = template.is_news;
            template.former.push(gone.id);
            if gone.is_pattern {
                template.follow(gone.id);
            }
            template.join(gone);
            if !was_news {
                self.news.push(stays);
            }
            let gone = self.tallies[goes as usize];
            let tally = &mut self.tallies[stays as usize];
            tally.count += gone.count;
            tally.touched = tally.touched.max(gone.touched);
        }
        self.settle(stays);
        stays
    }
}

/// If a name may come after these tokens, how many different words there are names.
fn announced(line: &[u8], before: &[Token], word: &Token) -> Option<usize> {
    // Constants are states more often than names.
    if is_symbol(word.text(line)) {
        return None;
    }
    let is_word =
        |token: &Token, is: fn(&[u8]) -> bool| token.what == What::Word && is(token.text(line));
    let (before, glued) = match before {
        [.., mark] if mark.hash == hash::of_one(b'=') => return Some(ANNOUNCED),
        [rest @ .., mark] if mark.hash == hash::of_one(b':') => (rest, !word.spaced),
        _ => (before, false),
    };
    match before {
        [.., preposition, noun]
            if is_word(noun, announces_name) && is_word(preposition, is_preposition) =>
        {
            Some(NAMED)
        }
        [.., noun] if is_word(noun, announces_name) => Some(ANNOUNCED),
        [.., preposition] if is_word(preposition, is_preposition) => Some(BEHIND_PREPOSITION),
        // key:value
        [.., key] if glued && key.what == What::Word => Some(BEHIND_PREPOSITION),
        _ => None,
    }
}

/// The key with a parameter in the place of this word.
fn opened(key: u64, place: usize, word: &Token) -> u64 {
    let spaced = u64::from(word.spaced);
    key.wrapping_sub(hash::at(place, word.hash ^ spaced))
        .wrapping_add(hash::at(place, PARAMETER ^ spaced))
}
