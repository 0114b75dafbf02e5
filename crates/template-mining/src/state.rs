//! The bytes of a snapshot.
//!
//! Invariants: a miner that is restored answers every line as the one that was kept; the same state
//! gives the same bytes; reading answers with an error or a miner, whatever the bytes, and takes no
//! more steps and memory than the bytes account for.
//!
//! Layout: magic (8 bytes), format (u16), behaviour (u32), checksum of the body (u64), body; all
//! little-endian. In the body integers are LEB128, hashes eight bytes.

use std::{error::Error, fmt};

use primitives::varint;

use crate::{
    hash,
    merging::{Evidence, Shapes, Words},
    miner::{ByKey, Limits, Merge, Miner, TemplateId},
    template::{Piece, Shown, Template},
};

const MAGIC: [u8; 8] = *b"BAROTMPL";
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
            out.template(template);
            out.number(tally.count);
            out.number(tally.touched);
        });
        let mut shapes: Vec<_> = self.shapes.0.iter().collect();
        shapes.sort_unstable();
        out.list(&shapes, |out, (shape, masks)| {
            out.hash(**shape);
            out.list(masks, |out, mask| out.hash(*mask));
        });
        let mut evidence: Vec<_> = self.evidence.0.iter().collect();
        evidence.sort_unstable_by_key(|(key, _)| **key);
        out.list(&evidence, |out, (key, words)| {
            out.hash(**key);
            out.number(words.enough as u64);
            out.hash(words.mask);
            out.number(u64::from(words.yields));
            out.list(&words.seen, |out, (word, form)| {
                out.hash(*word);
                out.hash(*form);
            });
        });
        out.list(&self.merges, |out, merge| {
            out.hash(merge.from.0);
            out.hash(merge.into.0);
        });
        let body = out.0;
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&BEHAVIOUR.to_le_bytes());
        bytes.extend_from_slice(&hash::of(&body).to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    /// The miner that was kept, under these limits: they may be others than those of before.
    pub fn restore(bytes: &[u8], limits: Limits) -> Result<Self, SnapshotError> {
        let body = checked(bytes)?;
        let mut from = Reader(body);
        let mut miner = Self::new(limits);
        miner.lines = from.number()?;
        miner.evicted = from.number()?;
        miner.evicted_lines = from.number()?;
        for _ in 0..from.count(TEMPLATE_BYTES)? {
            let template = from.template()?;
            let (keys, is_news) = (template.keys.clone(), template.is_news);
            let slot = miner.add(template);
            for key in keys {
                if miner.index.insert(key, slot).is_some() {
                    return Err("one key of two templates".into());
                }
            }
            if is_news {
                miner.news.push(slot);
            }
            let tally = &mut miner.tallies[slot as usize];
            (tally.count, tally.touched) = (from.number()?, from.number()?);
        }
        // Of what was kept, no two read the same: this notes who has which text.
        miner.join_alike();
        miner.shapes = from.shapes()?;
        miner.evidence = from.evidence()?;
        for _ in 0..from.count(16)? {
            let (old, new) = (from.hash()?, from.hash()?);
            miner.merges.push(Merge {
                from: TemplateId(old),
                into: TemplateId(new),
            });
        }
        if !from.0.is_empty() {
            return Err("bytes left over".into());
        }
        Ok(miner)
    }
}

/// The least that a template takes.
const TEMPLATE_BYTES: usize = 24;
const PIECE_BYTES: usize = 3;

fn checked(bytes: &[u8]) -> Result<&[u8], SnapshotError> {
    let mut header = Reader(bytes);
    if header.bytes(8)? != MAGIC {
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
