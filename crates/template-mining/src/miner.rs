//! The miner: which template a line is of.
//!
//! Invariants: a line is counted once, for the template that it is given; `index` leads every key of
//! every template to its slot and nowhere else; past the limits the least recently used go, and are
//! counted.

use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::{HashMap, HashSet};

use crate::{
    colour::Uncoloured,
    merging::{Evidence, Form, Shapes},
    reading::Readings,
    scan::Scanner,
    state::Changed,
    template::{Tally, Template},
    token::Parameter,
};

/// What a miner keeps and looks at, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Templates, at least 16. When there are more, the least recently used eighth is forgotten.
    pub templates: usize,
    /// Tokens of a line; the rest of a longer line is one parameter.
    pub tokens: usize,
    /// Bytes of a line; the rest of a longer line is one parameter.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            templates: 20_000,
            tokens: 192,
            bytes: 4096,
        }
    }
}

/// Names a template: the hash of the form of its lines, or of the pattern that joins their forms. The
/// same in every process for the same lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemplateId(pub u64);

/// Lines that were given the first id belong to the second one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Merge {
    pub from: TemplateId,
    pub into: TemplateId,
}

/// A template's text, `<*>` for each parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    pub id: TemplateId,
    pub text: String,
    /// Patterns that lines of this template belong to, should another miner have found one of them:
    /// see [`Ids`](crate::Ids).
    pub joins: Vec<TemplateId>,
    /// How many places of it are parameters. It only grows: of two texts for one id, that with more
    /// is of more lines.
    pub open_places: usize,
}

/// What is known now that was not when it was last asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    pub templates: Vec<Described>,
    pub merges: Vec<Merge>,
}

/// A template among the others.
#[derive(Debug, Clone, Copy)]
pub struct View<'a>(&'a Template, &'a Tally);

impl View<'_> {
    pub fn id(&self) -> TemplateId {
        TemplateId(self.0.id)
    }

    /// Lines, since the template was first seen or last forgotten.
    pub fn count(&self) -> u64 {
        self.1.count
    }

    pub fn describe(&self) -> Described {
        describe(self.0)
    }
}

fn describe(template: &Template) -> Described {
    let joins = template.joins.iter();
    let others = joins.filter(|pattern| !template.keys.contains(pattern));
    Described {
        id: TemplateId(template.id),
        text: template.text(),
        joins: others.copied().map(TemplateId).collect(),
        open_places: template.open_places(),
    }
}

/// Keys are hashes already.
#[derive(Default)]
pub(crate) struct Keyed(u64);

impl Hasher for Keyed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = crate::hash::of(bytes);
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

pub(crate) type ByKey<V> = HashMap<u64, V, BuildHasherDefault<Keyed>>;

/// Finds the templates of lines, one line after the other.
pub struct Miner {
    pub(crate) limits: Limits,
    pub(crate) scanner: Scanner,
    uncoloured: Uncoloured,
    pub(crate) index: ByKey<u32>,
    pub(crate) slots: Vec<Option<Template>>,
    /// Of the template in the same slot.
    pub(crate) tallies: Vec<Tally>,
    pub(crate) free: Vec<u32>,
    pub(crate) shapes: Shapes,
    pub(crate) evidence: Evidence,
    pub(crate) readings: Readings,
    /// Slots of templates that are news.
    pub(crate) news: Vec<u32>,
    pub(crate) merges: Vec<Merge>,
    /// Slots of templates that are told again with their next line: see [`Self::tell_again`].
    untold: HashSet<u32>,
    pub(crate) lines: u64,
    pub(crate) evicted: u64,
    pub(crate) evicted_lines: u64,
    pub(crate) changed: Changed,
}

impl Miner {
    pub fn new(limits: Limits) -> Self {
        let limits = Limits {
            templates: limits.templates.max(16),
            ..limits
        };
        Self {
            limits,
            scanner: Scanner::new(limits.bytes, limits.tokens),
            uncoloured: Uncoloured::default(),
            index: ByKey::default(),
            slots: Vec::new(),
            tallies: Vec::new(),
            free: Vec::new(),
            shapes: Shapes::default(),
            evidence: Evidence::default(),
            readings: Readings::default(),
            news: Vec::new(),
            merges: Vec::new(),
            untold: HashSet::new(),
            lines: 0,
            evicted: 0,
            evicted_lines: 0,
            changed: Changed::default(),
        }
    }

    /// The template of a line, as far as is known now: a later [`Merge`] may give it another id.
    /// Any bytes are a line; it may have line breaks in it.
    pub fn observe(&mut self, line: &[u8]) -> TemplateId {
        if !self.uncoloured.read(line, self.limits.bytes) {
            return self.observe_plain(line);
        }
        let text = std::mem::take(&mut self.uncoloured.text);
        let id = self.observe_plain(&text);
        self.uncoloured.text = text;
        id
    }

    fn observe_plain(&mut self, line: &[u8]) -> TemplateId {
        self.lines += 1;
        let key = self.scanner.scan(line);
        let slot = if let Some(slot) = self.index.get(&key) {
            *slot
        } else {
            let slot = self.place(line, key);
            self.join_alike();
            self.index.get(&key).copied().unwrap_or(slot)
        };
        let Some(tally) = self.tallies.get_mut(slot as usize) else {
            // `index` leads to templates only.
            return TemplateId(key);
        };
        tally.count += 1;
        tally.touched = self.lines;
        let (id, shown, open) = (tally.id, tally.shown, tally.open);
        if self.scanner.shown(open) != shown {
            self.take_in(slot);
        }
        TemplateId(id)
    }

    /// The line that was scanned last has other values than its template, or the template is to be told
    /// again.
    #[cold]
    fn take_in(&mut self, slot: u32) {
        let again = self.untold.remove(&slot);
        if let Some(Some(template)) = self.slots.get_mut(slot as usize) {
            let told = template.is_news;
            template.take_in(&self.scanner.tokens);
            template.is_news |= again;
            if template.is_news && !told {
                self.news.push(slot);
            }
        }
        self.settle(slot);
        self.join_alike();
    }

    /// Brings the tally up to what its template has become.
    pub(crate) fn settle(&mut self, slot: u32) {
        if let Some(Some(template)) = self.slots.get(slot as usize)
            && let Some(tally) = self.tallies.get_mut(slot as usize)
        {
            tally.id = template.id;
            (tally.shown, tally.open) = template.tally();
            if self.untold.contains(&slot) {
                tally.shown = !tally.shown;
            }
            self.readings.changed(slot);
            self.changed.template(slot);
        }
    }

    /// The parameters of the line that was last observed, in their order.
    pub fn parameters(&self) -> impl Iterator<Item = Parameter> {
        self.scanner.tokens.iter().filter_map(|token| {
            Some(Parameter {
                bytes: self
                    .uncoloured
                    .range(token.start as usize..token.end as usize),
                kind: token.kind()?,
            })
        })
    }

    /// What is new since this was last called: texts in the order in which they became news, merges
    /// in the order in which they were found.
    pub fn take_changes(&mut self) -> Changes {
        let mut templates = Vec::new();
        for slot in std::mem::take(&mut self.news) {
            if let Some(Some(template)) = self.slots.get_mut(slot as usize)
                && std::mem::take(&mut template.is_news)
            {
                templates.push(describe(template));
                self.changed.template(slot);
            }
        }
        Changes {
            templates,
            merges: std::mem::take(&mut self.merges),
        }
    }

    /// Every template that is known now is news once more, when its next line comes. For who keeps texts
    /// for a while only, or has lost them.
    pub fn tell_again(&mut self) {
        for (slot, template) in self.slots.iter().enumerate() {
            let Some(template) = template else { continue };
            let slot = slot as u32;
            if self.untold.insert(slot)
                && let Some(tally) = self.tallies.get_mut(slot as usize)
            {
                // No line adds up to that, so that the next one is looked at more closely.
                tally.shown = !template.tally().0;
            }
        }
    }

    /// Ids that the template of this id had before, and those of templates that are part of it now; none
    /// where it is not kept.
    pub fn former(&self, id: TemplateId) -> &[u64] {
        let slot = self.index.get(&id.0);
        let template = slot.and_then(|slot| self.slots.get(*slot as usize)?.as_ref());
        template.map_or(&[], |template| &template.former)
    }

    /// The template that has this id or had it before a merge; `None`: it is not kept.
    pub fn describe(&self, id: TemplateId) -> Option<Described> {
        let slot = *self.index.get(&id.0)?;
        self.slots.get(slot as usize)?.as_ref().map(describe)
    }

    /// The templates that are kept, in no order.
    pub fn templates(&self) -> impl Iterator<Item = View<'_>> {
        let slots = self.slots.iter().zip(&self.tallies);
        slots.filter_map(|(template, tally)| Some(View(template.as_ref()?, tally)))
    }

    /// How many templates are kept.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lines observed: the sum of the counts of [`templates`](Self::templates) and
    /// [`evicted_lines`](Self::evicted_lines).
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Templates forgotten because there were too many.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Lines of templates that were forgotten.
    pub fn evicted_lines(&self) -> u64 {
        self.evicted_lines
    }

    /// A slot for a line of an unknown form.
    fn place(&mut self, line: &[u8], key: u64) -> u32 {
        let form = Form {
            key,
            shape: self.scanner.shape(),
        };
        if let Some(slot) = self.by_pattern(form) {
            return self.learn_form(line, form, slot);
        }
        self.scanner.with_texts = true;
        self.scanner.scan(line);
        self.scanner.with_texts = false;
        if self.len() >= self.limits.templates {
            self.evict();
        }
        let template = Template::new(
            form.key,
            form.shape,
            &self.scanner.tokens,
            &self.scanner.texts,
        );
        let slot = self.add(template);
        self.news.push(slot);
        self.index.insert(form.key, slot);
        self.gather_evidence(line, form);
        self.index.get(&form.key).copied().unwrap_or(slot)
    }

    /// Puts a template into a slot, with a count of none.
    pub(crate) fn add(&mut self, template: Template) -> u32 {
        let (shown, open) = template.tally();
        let tally = Tally {
            id: template.id,
            count: 0,
            touched: self.lines,
            shown,
            open,
        };
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(template);
            self.tallies[slot as usize] = tally;
            self.untold.remove(&slot);
            slot
        } else {
            self.slots.push(Some(template));
            self.tallies.push(tally);
            (self.slots.len() - 1) as u32
        };
        self.readings.changed(slot);
        self.changed.template(slot);
        slot
    }

    /// Forgets the eighth of the templates that was not used for longest.
    fn evict(&mut self) {
        let mut touched: Vec<_> = self.templates().map(|view| view.1.touched).collect();
        let goes = touched.len() / 8;
        let (_, last, _) = touched.select_nth_unstable(goes);
        let last = *last;
        for (slot, (kept, tally)) in self.slots.iter_mut().zip(&self.tallies).enumerate() {
            if let Some(template) = kept.take_if(|_| tally.touched < last) {
                self.evicted += 1;
                self.evicted_lines += tally.count;
                for key in &template.keys {
                    self.index.remove(key);
                }
                self.free.push(slot as u32);
            }
        }
        self.news
            .retain(|slot| self.slots.get(*slot as usize).is_some_and(Option::is_some));
        self.evidence.forget(|key| self.index.contains_key(&key));
        let patterns = self.slots.iter().flatten().filter(|t| t.is_pattern);
        self.shapes.keep(patterns.map(|t| t.shape));
        self.changed.all();
    }
}
