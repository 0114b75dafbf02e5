//! What a service says anyway: one of its templates comes far more often, or no more.
//!
//! A template is held against the service's other lines and against itself: where there is more to do, there
//! is more of everything, and where another one stops, its share grows without a line more.
//!
//! Invariants: errors and lines of level DEBUG are not counted: those have families of their own, and these
//! are for who looks closely; nothing is learned while anything is told; a template needs an hour of its own
//! before anything is said of it.

mod surging;
mod table;
mod vanishing;
mod words;

use table::{Counts, Row, SPANS, Table};

use super::{
    closing::Closing,
    on_heap::{Kept, OnHeap},
};
use crate::{
    codec::{Loaded, Reader, Writer},
    config::Config,
    episode::{Asked, Episodes, Manner, Telling},
    finding::{Kind, SampleLine, Subject, Template},
    record::{Observation, time::EventTime},
    window::Window,
};

/// Windows of its own before a template is judged, times those that the rate needs: an hour.
const LEAST_LEARNED: u32 = 20;
const SURGES: Manner = Manner {
    asked: Asked::OfWindows,
    calm_windows: 3,
    empty_windows_count: false,
    calm_comes_first: true,
    adopts: true,
};
const VANISHES: Manner = Manner {
    calm_windows: 1,
    ..SURGES
};

/// Of what is nearly all the other lines say little.
const MOST_SHARE: f64 = 0.99;

#[derive(Debug, Clone)]
pub(crate) struct Known {
    table: Table,
    /// Lines of an ordinary window, whatever their template: as of a row.
    all: Row,
    /// Lines, and windows, of the spans.
    spans: [(u64, u32); SPANS.len()],
    /// The window that closes, and its counts.
    closing: Option<(EventTime, Counts)>,
    surge: Episodes,
    vanishing: Episodes,
    /// The template of which something is told, and where its row is.
    subject: Subject,
    place: usize,
    /// Lines that were expected where it was worst.
    expected: f64,
    samples: Vec<SampleLine>,
}

pub(crate) type Templates = OnHeap<Known>;

impl Templates {
    /// See [`super::Family::version`].
    pub(super) const VERSION: u32 = 2;

    /// A line came, whatever its time.
    #[inline]
    pub(crate) fn observe(&mut self, seen: &Observation<'_>, config: &Config) {
        if seen.template == 0 || seen.is_error || seen.is_quiet {
            return;
        }
        let known = self.begun(config);
        let former = || seen.lineage.map_or(&[][..], |it| it.former(seen.template));
        let start = seen.time.start_of_window(config.window_ms);
        known.table.count(seen, start, former);
        if known.surge.is_open() && known.is_about(seen.template) {
            SampleLine::keep_newest(seen, &mut known.samples, config.samples);
        }
    }

    /// A window, which is open, has `excess` lines more than expected, with this line: whether one template
    /// makes at least half of them, and is told instead.
    #[cold]
    pub(crate) fn explains(
        &mut self,
        seen: &Observation<'_>,
        window: &Window,
        excess: f64,
        telling: &mut Telling<'_>,
    ) -> bool {
        let known = self.kept_mut().filter(|known| !known.is_open());
        known.is_some_and(|known| known.explains(seen, window, excess, telling))
    }

    /// Lines of a window that are not there because a template is missing of which that is told.
    pub(crate) fn misses(&self, window: &Window) -> u64 {
        let known = self.kept().filter(|known| known.vanishing.is_open());
        known.map_or(0, |known| known.misses(window.start))
    }

    /// Lines of a window beyond what is usual of the template that surges.
    pub(crate) fn accounts_for(&self, window: &Window) -> u64 {
        let known = self.kept().filter(|known| known.surge.is_open());
        known.map_or(0, |known| {
            known.accounts_for(window.start).min(window.records)
        })
    }
}

impl Row {
    fn is_known(&self, config: &Config) -> bool {
        self.learned >= LEAST_LEARNED * config.warm_up_windows
    }
}

impl Kept for Known {
    fn new(_: &Config) -> Self {
        Self {
            table: Table::default(),
            all: Row::default(),
            spans: Default::default(),
            closing: None,
            surge: Episodes::new(Kind::TemplateSurge, SURGES),
            vanishing: Episodes::new(Kind::TemplateVanished, VANISHES),
            subject: Subject::default(),
            place: 0,
            expected: 0.0,
            samples: Vec::new(),
        }
    }

    fn is_open(&self) -> bool {
        self.surge.is_open() || self.vanishing.is_open()
    }

    fn window_closed(&mut self, closing: &mut Closing<'_>, is_told: bool) {
        let (window, config) = (closing.window, closing.telling.config);
        let counts = self.table.take(window.start);
        if is_told && !self.is_open() {
            // What comes after it is not judged together with it.
            self.begin_spans();
            self.closing = Some((window.start, counts));
            return;
        }
        self.count(&counts);
        if !self.is_open() {
            if let Some(surge) = self.surge_in_a_span(config) {
                self.samples.clear();
                self.too_many(surge, window, &mut closing.telling);
            } else if let Some((place, score)) = self.gone(counts.total, config) {
                self.too_few(place, score, closing);
            }
        } else if self.surge.is_open() {
            self.go_on(&counts, closing);
        } else {
            self.stay_away(&counts, closing);
        }
        if self.is_open() {
            // Nothing is judged together with a storm, nor with what opened it.
            self.begin_spans();
        } else {
            self.learn(&counts);
            self.end_spans();
        }
        let kept = self.is_open().then_some(self.place);
        self.table.tidy(kept);
        self.closing = Some((window.start, counts));
    }

    fn clock_set(&mut self, to: EventTime) {
        self.table.clear_open();
        self.closing = None;
        self.surge.clock_set(to);
        self.vanishing.clock_set(to);
    }

    fn give_up(&mut self, telling: &mut Telling<'_>) {
        let ended = [self.surge.give_up(), self.vanishing.give_up()];
        for ended in ended.into_iter().flatten() {
            self.tell_end(&ended, telling);
        }
    }

    fn save(&self, to: &mut Writer) {
        self.table.save(to);
        self.all.save(to);
        for (total, windows) in self.spans {
            to.u64(total);
            to.u32(windows);
        }
        to.maybe(self.closing.as_ref(), |(start, counts), to| {
            to.moment(*start);
            counts.save(to);
        });
        self.surge.save(to);
        self.vanishing.save(to);
        to.maybe(self.subject.template.as_ref(), Template::save);
        to.byte(self.place as u8);
        to.f64(self.expected);
        SampleLine::save_all(&self.samples, to);
    }

    fn load(from: &mut Reader<'_>, config: &Config) -> Loaded<Self> {
        let table = Table::load(from)?;
        let all = Row::load(from)?;
        let mut spans = <[(u64, u32); SPANS.len()]>::default();
        for span in &mut spans {
            *span = (from.count()?, from.u32()?);
        }
        Ok(Self {
            table,
            all,
            spans,
            closing: from.maybe(|from| Ok((from.moment()?, Counts::load(from)?)))?,
            surge: Episodes::load(Kind::TemplateSurge, SURGES, from)?,
            vanishing: Episodes::load(Kind::TemplateVanished, VANISHES, from)?,
            subject: Subject {
                template: from.maybe(Template::load)?,
                ..Subject::default()
            },
            place: usize::from(from.byte()?),
            expected: from.amount()?,
            samples: SampleLine::load_all(from, config.samples)?,
        })
    }
}

impl Known {
    fn is_about(&self, template: u64) -> bool {
        let row = self.table.row(self.place);
        row.is_some_and(|row| row.template == template)
    }

    /// Lines expected of a row among `total` in `span` windows, of which it has `count`: what the other lines
    /// and its own past let expect, the greater of the two.
    fn expected(&self, row: &Row, count: u64, total: u64, span: usize) -> f64 {
        let by_others = self.by_others(row, count, total);
        by_others.max(row.mean() * span as f64)
    }

    /// Lines expected of a row beside the others among `total`.
    fn by_others(&self, row: &Row, count: u64, total: u64) -> f64 {
        let share = row.share(self.all.mean()).min(MOST_SHARE);
        beside(total.saturating_sub(count), share)
    }

    /// Counts of a window that is open, or closes.
    fn counts(&self, start: EventTime) -> Option<&Counts> {
        let closing = self.closing.as_ref().filter(|(window, _)| *window == start);
        let counts = closing.map(|(_, counts)| counts);
        counts.or_else(|| self.table.open(start))
    }

    /// Adds a window to the spans and to what is missing.
    fn count(&mut self, counts: &Counts) {
        for (total, windows) in &mut self.spans {
            *total += counts.total;
            *windows += 1;
        }
        let mean = self.all.mean();
        for (place, row) in self.table.rows_mut() {
            let count = counts.at(place);
            for (in_span, _) in &mut row.spans {
                *in_span += count;
            }
            if counts.total == 0 {
                continue;
            }
            if count == 0 {
                row.missed += (row.share(mean) * counts.total as f64) as f32;
            } else {
                row.missed = 0.0;
            }
            row.rhythm.window(count > 0);
        }
    }

    /// Spans that end with this window.
    fn is_over(&self, span: usize) -> bool {
        self.spans[span].1 as usize >= SPANS[span]
    }

    fn learn(&mut self, counts: &Counts) {
        let mean = self.all.mean();
        self.all.learn(counts.total);
        let over: [bool; SPANS.len()] = std::array::from_fn(|span| self.is_over(span));
        for (place, row) in self.table.rows_mut() {
            let share = row.share(mean);
            for (at, (count, dispersion)) in row.spans.iter_mut().enumerate() {
                if over[at] && row.learned as usize >= SPANS[at] {
                    dispersion.learn((*count, self.spans[at].0), share, 1);
                }
            }
            row.learn(counts.at(place));
        }
    }

    fn end_spans(&mut self) {
        for span in 0..SPANS.len() {
            if !self.is_over(span) {
                continue;
            }
            self.spans[span] = (0, 0);
            for (_, row) in self.table.rows_mut() {
                row.spans[span].0 = 0;
            }
        }
    }

    fn begin_spans(&mut self) {
        self.spans = Default::default();
        for (_, row) in self.table.rows_mut() {
            for (count, _) in &mut row.spans {
                *count = 0;
            }
        }
    }

    fn speak_of(&mut self, place: usize) {
        self.place = place;
        self.subject = Subject {
            template: self.table.row(place).map(|row| Template {
                id: row.template,
                text: row.example.to_string(),
            }),
            ..Subject::default()
        };
    }
}

/// Lines that have a share of all, beside so many others.
fn beside(others: u64, share: f64) -> f64 {
    others as f64 * share / (1.0 - share)
}
