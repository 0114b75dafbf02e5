//! The bytes of a snapshot.
//!
//! Invariants: a miner that is restored answers every line as the one that was kept; the same state
//! gives the same bytes; reading answers with an error or a miner, whatever the bytes, and takes no
//! more steps and memory than the bytes account for.
//!
//! Layout: magic (8 bytes), format (u16), behaviour (u32), checksum of the body (u64), body; all
//! little-endian. In the body integers are LEB128, hashes eight bytes. Changes have a magic of their own.

use std::{error::Error, fmt};

use primitives::varint;

use crate::{
    hash,
    merging::{Evidence, Shapes, Words},
    miner::{ByKey, Limits, Merge, Miner, TemplateId},
    template::{Piece, Shown, Tally, Template},
};

const MAGIC: [u8; 8] = *b"BAROTMPL";
const MAGIC_OF_CHANGES: [u8; 8] = *b"BAROTMPC";
/// Layout of the bytes.
const FORMAT: u16 = 1;
/// Raised when the same line is given another form: ids of before mean nothing then.
pub(crate) const BEHAVIOUR: u32 = 2;
const HEADER_BYTES: usize = 22;

/// Why bytes are no snapshot that this miner can go on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotError {
    /// Not a snapshot, or a damaged one.
    Unreadable { why: &'static str },
    /// Written by a later program in a format that this one doesn't know.
    Newer { found: u16, known: u16 },
    /// Written by a miner that takes lines apart in another way.
    OtherBehaviour { found: u32, own: u32 },
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { why } => write!(f, "not a readable snapshot of templates: {why}"),
            Self::Newer { found, known } => write!(
                f,
                "snapshot of templates in format {found}, newer than the newest known one, {known}"
            ),
            Self::OtherBehaviour { found, own } => write!(
                f,
                "snapshot of a miner with behaviour {found}, this one has {own}"
            ),
        }
    }
}

impl Error for SnapshotError {}

impl From<&'static str> for SnapshotError {
    fn from(why: &'static str) -> Self {
        Self::Unreadable { why }
    }
}

type Read<T> = Result<T, &'static str>;

/// What is not as it was when it was last asked what has changed. Lines that were only counted are not
/// noted: their templates say when they came.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    /// Line by which everything is known that is not noted here.
    since: u64,
    all: bool,
    /// Each once or more often.
    templates: Vec<u32>,
    evidence: Vec<u64>,
    shapes: Vec<u64>,
}

impl Changed {
    /// More notes than that cost as much as all there is.
    const MOST: usize = 1 << 16;

    pub(crate) fn all(&mut self) {
        *self = Self {
            since: self.since,
            all: true,
            ..Self::default()
        };
    }

    pub(crate) fn template(&mut self, slot: u32) {
        if !self.all && self.templates.last() != Some(&slot) {
            self.templates.push(slot);
            self.bound();
        }
    }

    pub(crate) fn evidence(&mut self, key: u64) {
        if !self.all {
            self.evidence.push(key);
            self.bound();
        }
    }

    pub(crate) fn shape(&mut self, shape: u64) {
        if !self.all {
            self.shapes.push(shape);
        }
    }

    fn bound(&mut self) {
        if self.templates.len() + self.evidence.len() > Self::MOST {
            self.all();
        }
    }
}

fn each_once<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items.dedup();
    items
}

impl Miner {
    /// All that the miner knows, as bytes. News that was not taken yet is part of it.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(256 * self.len()));
        for number in [self.lines, self.evicted, self.evicted_lines] {
            out.number(number);
        }
        let slots = self.slots.iter().zip(&self.tallies);
        let templates = slots.filter_map(|(template, tally)| Some((template.as_ref()?, tally)));
        let mut templates: Vec<_> = templates.collect();
        templates.sort_unstable_by_key(|(template, tally)| (tally.touched, template.id));
        out.list(&templates, |out, (template, tally)| {
            out.counted(template, tally);
        });
        let mut shapes: Vec<_> = self.shapes.0.iter().collect();
        shapes.sort_unstable();
        out.list(&shapes, |out, (shape, masks)| out.shape(**shape, masks));
        let mut evidence: Vec<_> = self.evidence.0.iter().collect();
        evidence.sort_unstable_by_key(|(key, _)| **key);
        out.list(&evidence, |out, (key, words)| out.evidence(**key, words));
        out.merges(&self.merges);
        out.sealed(MAGIC)
    }

    /// What is known now and was not when this was last asked, or since the miner was made, restored or
    /// changed: the bytes that [`Self::with_changes`] reads. Their size goes by the templates that have
    /// changed or had lines. Where templates were forgotten it is all that the miner knows.
    pub fn changes(&mut self) -> Vec<u8> {
        let changed = std::mem::take(&mut self.changed);
        self.changed.since = self.lines;
        if changed.all {
            return self.snapshot();
        }
        let mut out = Writer(Vec::new());
        for number in [self.lines, self.evicted, self.evicted_lines] {
            out.number(number);
        }
        let slots = each_once(changed.templates);
        let at = |slot: u32| {
            let template = self.slots.get(slot as usize)?.as_ref()?;
            Some((template, self.tallies.get(slot as usize)?))
        };
        let mut templates: Vec<_> = slots.iter().filter_map(|slot| at(*slot)).collect();
        templates.sort_unstable_by_key(|(template, tally)| (tally.touched, template.id));
        out.list(&templates, |out, (template, tally)| {
            out.counted(template, tally);
        });
        let is_whole = |slot: &usize| slots.binary_search(&(*slot as u32)).is_ok();
        let tallies = self.tallies.iter().enumerate();
        let counted = tallies.filter(|(slot, tally)| {
            tally.touched > changed.since && !is_whole(slot) && self.slots[*slot].is_some()
        });
        let mut counted: Vec<_> = counted.map(|(_, tally)| tally).collect();
        counted.sort_unstable_by_key(|tally| tally.touched);
        out.list(&counted, |out, tally| {
            out.hash(tally.id);
            out.number(tally.count);
            out.number(tally.touched);
        });
        let shapes = each_once(changed.shapes);
        let shapes = shapes
            .iter()
            .filter_map(|shape| self.shapes.0.get_key_value(shape));
        let shapes: Vec<_> = shapes.collect();
        out.list(&shapes, |out, (shape, masks)| out.shape(**shape, masks));
        let (there, gone): (Vec<_>, Vec<_>) = each_once(changed.evidence)
            .into_iter()
            .partition(|key| self.evidence.0.contains_key(key));
        let there: Vec<_> = there
            .iter()
            .filter_map(|key| self.evidence.0.get_key_value(key))
            .collect();
        out.list(&there, |out, (key, words)| out.evidence(**key, words));
        out.list(&gone, |out, key| out.hash(*key));
        out.merges(&self.merges);
        out.sealed(MAGIC_OF_CHANGES)
    }

    /// This, and what [`Self::changes`] said next. Errors as for [`Self::restore`]. Whether they are the
    /// changes of just this state, who kept both has to know.
    pub fn with_changes(mut self, bytes: &[u8]) -> Result<Self, SnapshotError> {
        if bytes.starts_with(&MAGIC) {
            return Self::restore(bytes, self.limits);
        }
        let mut from = Reader(checked(bytes, MAGIC_OF_CHANGES)?);
        self.lines = from.number()?;
        self.evicted = from.number()?;
        self.evicted_lines = from.number()?;
        let mut templates = Vec::new();
        for _ in 0..from.count(TEMPLATE_BYTES)? {
            templates.push((from.template()?, from.number()?, from.number()?));
        }
        // Whatever leads to one of them now is what it was, or part of it.
        for (template, ..) in &templates {
            for key in &template.keys {
                self.take_out(*key);
            }
        }
        for (template, count, touched) in templates {
            self.put(template, count, touched)?;
        }
        let slots = self.slots.iter().enumerate();
        let by_id: ByKey<usize> = slots
            .filter_map(|(slot, template)| Some((template.as_ref()?.id, slot)))
            .collect();
        for _ in 0..from.count(10)? {
            let id = from.hash()?;
            let slot = *by_id
                .get(&id)
                .ok_or("lines of a template that there is not")?;
            let tally = &mut self.tallies[slot];
            (tally.count, tally.touched) = (from.number()?, from.number()?);
        }
        self.join_alike();
        self.shapes.0.extend(from.shapes()?.0);
        self.evidence.0.extend(from.evidence()?.0);
        for key in from.hashes()? {
            self.evidence.0.remove(&key);
        }
        self.merges = from.merges()?;
        if !from.0.is_empty() {
            return Err("bytes left over".into());
        }
        self.forget_changes();
        Ok(self)
    }

    /// All that is known now is kept: the next changes are those from here on.
    pub fn forget_changes(&mut self) {
        self.changed = Changed {
            since: self.lines,
            ..Changed::default()
        };
    }

    /// The template that this key leads to, if any, with all its keys.
    fn take_out(&mut self, key: u64) {
        let Some(slot) = self.index.get(&key).copied() else {
            return;
        };
        if let Some(gone) = self.slots.get_mut(slot as usize).and_then(Option::take) {
            for key in &gone.keys {
                self.index.remove(key);
            }
            self.news.retain(|other| *other != slot);
            self.free.push(slot);
        }
    }

    fn put(&mut self, template: Template, count: u64, touched: u64) -> Read<()> {
        let (keys, is_news) = (template.keys.clone(), template.is_news);
        let slot = self.add(template);
        for key in keys {
            if self.index.insert(key, slot).is_some() {
                return Err("one key of two templates");
            }
        }
        if is_news {
            self.news.push(slot);
        }
        let tally = &mut self.tallies[slot as usize];
        (tally.count, tally.touched) = (count, touched);
        Ok(())
    }

    /// The miner that was kept, under these limits: they may be others than those of before.
    pub fn restore(bytes: &[u8], limits: Limits) -> Result<Self, SnapshotError> {
        let mut from = Reader(checked(bytes, MAGIC)?);
        let mut miner = Self::new(limits);
        miner.lines = from.number()?;
        miner.evicted = from.number()?;
        miner.evicted_lines = from.number()?;
        for _ in 0..from.count(TEMPLATE_BYTES)? {
            let template = from.template()?;
            miner.put(template, from.number()?, from.number()?)?;
        }
        // Of what was kept, no two read the same: this notes who has which text.
        miner.join_alike();
        miner.shapes = from.shapes()?;
        miner.evidence = from.evidence()?;
        miner.merges = from.merges()?;
        if !from.0.is_empty() {
            return Err("bytes left over".into());
        }
        miner.forget_changes();
        Ok(miner)
    }
}

/// The least that a template takes.
const TEMPLATE_BYTES: usize = 24;
const PIECE_BYTES: usize = 3;

fn checked(bytes: &[u8], magic: [u8; 8]) -> Result<&[u8], SnapshotError> {
    let mut header = Reader(bytes);
    if header.bytes(8)? != magic {
        return Err("not one at all".into());
    }
    let found = u16::from_le_bytes(header.array()?);
    if found > FORMAT {
        return Err(SnapshotError::Newer {
            found,
            known: FORMAT,
        });
    }
    let behaviour = u32::from_le_bytes(header.array()?);
    let checksum = header.hash()?;
    if hash::of(header.0) != checksum {
        return Err("the checksum is another one".into());
    }
    if behaviour != BEHAVIOUR {
        return Err(SnapshotError::OtherBehaviour {
            found: behaviour,
            own: BEHAVIOUR,
        });
    }
    Ok(header.0)
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, number: u64) {
        varint::put(&mut self.0, number);
    }

    fn hash(&mut self, hash: u64) {
        self.0.extend_from_slice(&hash.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.number(items.len() as u64);
        for item in items {
            write(self, item);
        }
    }

    fn counted(&mut self, template: &Template, tally: &Tally) {
        self.template(template);
        self.number(tally.count);
        self.number(tally.touched);
    }

    fn shape(&mut self, shape: u64, masks: &[u64]) {
        self.hash(shape);
        self.list(masks, |out, mask| out.hash(*mask));
    }

    fn evidence(&mut self, key: u64, words: &Words) {
        self.hash(key);
        self.number(words.enough as u64);
        self.hash(words.mask);
        self.number(u64::from(words.yields));
        self.list(&words.seen, |out, (word, form)| {
            out.hash(*word);
            out.hash(*form);
        });
    }

    fn merges(&mut self, merges: &[Merge]) {
        self.list(merges, |out, merge| {
            out.hash(merge.from.0);
            out.hash(merge.into.0);
        });
    }

    /// Behind its header.
    fn sealed(self, magic: [u8; 8]) -> Vec<u8> {
        let body = self.0;
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
        bytes.extend_from_slice(&magic);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&BEHAVIOUR.to_le_bytes());
        bytes.extend_from_slice(&hash::of(&body).to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    fn template(&mut self, template: &Template) {
        self.hash(template.id);
        self.hash(template.shape);
        self.list(&template.keys, |out, key| out.hash(*key));
        self.list(&template.former, |out, id| out.hash(*id));
        self.number(template.told as u64);
        self.list(&template.joins, |out, id| out.hash(*id));
        self.number(u64::from(template.is_pattern) | u64::from(template.is_news) << 1);
        self.list(&template.pieces, |out, piece| {
            out.number(u64::from(piece.kinds) << 1 | u64::from(piece.spaced));
            match &piece.shown {
                None => out.number(0),
                Some(shown) => {
                    out.number(1);
                    out.hash(shown.masked);
                    out.text(&shown.text);
                }
            }
        });
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Read<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or("it is cut off")?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or("it is cut off")?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn hash(&mut self) -> Read<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn number(&mut self) -> Read<u64> {
        varint::take(&mut self.0).ok_or("a number is cut off, or too long")
    }

    /// Of items that take at least so many bytes each.
    fn count(&mut self, least: usize) -> Read<usize> {
        let count = usize::try_from(self.number()?).map_err(|_| "a count is too large")?;
        if count > self.0.len() / least {
            return Err("a count is too large");
        }
        Ok(count)
    }

    fn hashes(&mut self) -> Read<Vec<u64>> {
        (0..self.count(8)?).map(|_| self.hash()).collect()
    }

    fn text(&mut self) -> Read<Box<str>> {
        let length = self.count(1)?;
        let text = std::str::from_utf8(self.bytes(length)?).map_err(|_| "a text is no UTF-8")?;
        Ok(text.into())
    }

    fn template(&mut self) -> Read<Template> {
        let (id, shape) = (self.hash()?, self.hash()?);
        let (keys, former) = (self.hashes()?, self.hashes()?);
        let told = usize::try_from(self.number()?).map_err(|_| "a count is too large")?;
        let joins = self.hashes()?;
        let flags = self.number()?;
        if told > former.len() {
            return Err("more merges were told than are known");
        }
        let pieces = (0..self.count(PIECE_BYTES - 1)?).map(|_| self.piece());
        Ok(Template {
            id,
            shape,
            keys,
            former,
            told,
            joins,
            is_pattern: flags & 1 != 0,
            pieces: pieces.collect::<Read<_>>()?,
            is_news: flags & 2 != 0,
        })
    }

    fn piece(&mut self) -> Read<Piece> {
        let flags = self.number()?;
        let shown = match self.number()? {
            0 => None,
            _ => Some(Shown {
                masked: self.hash()?,
                text: self.text()?,
            }),
        };
        Ok(Piece {
            shown,
            spaced: flags & 1 != 0,
            kinds: u32::try_from(flags >> 1).map_err(|_| "a kind is none")?,
        })
    }

    fn merges(&mut self) -> Read<Vec<Merge>> {
        let merges = (0..self.count(16)?).map(|_| {
            Ok(Merge {
                from: TemplateId(self.hash()?),
                into: TemplateId(self.hash()?),
            })
        });
        merges.collect()
    }

    fn shapes(&mut self) -> Read<Shapes> {
        let mut shapes = ByKey::default();
        for _ in 0..self.count(9)? {
            shapes.insert(self.hash()?, self.hashes()?);
        }
        Ok(Shapes(shapes))
    }

    fn evidence(&mut self) -> Read<Evidence> {
        let mut evidence = ByKey::default();
        for _ in 0..self.count(19)? {
            let key = self.hash()?;
            let enough = usize::try_from(self.number()?).map_err(|_| "a count is too large")?;
            let (mask, yields) = (self.hash()?, self.number()? != 0);
            let seen = (0..self.count(16)?).map(|_| Ok((self.hash()?, self.hash()?)));
            let seen = seen.collect::<Read<_>>()?;
            evidence.insert(
                key,
                Words {
                    seen,
                    enough,
                    mask,
                    yields,
                },
            );
        }
        Ok(Evidence(evidence))
    }
}
