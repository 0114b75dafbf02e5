//! What a service says anyway: one of its templates comes far more often, or no more.
//!
//! A template is held against the service's other lines and against itself: where there is more to do, there
//! is more of everything, and where another one stops, its share grows without a line more.
//!
//! Invariants: errors and lines of level DEBUG are not counted: those have families of their own, and these
//! are for who looks closely; nothing is learned while anything is told; a template needs an hour of its own
//! before anything is said of it.

mod table;
mod words;

use table::{Counts, Row, SPANS, Table};

use super::{
    closing::Closing,
    on_heap::{Kept, OnHeap},
};
use crate::{
    budget::Score,
    codec::{Loaded, Reader, Writer},
    config::Config,
    episode::{Anomalous, Asked, Episodes, Judged, Manner, Telling},
    finding::{Kind, SampleLine, Subject, Template},
    record::{Observation, time::EventTime},
    window::Window,
};

/// Windows of its own before a template is judged, times those that the rate needs: an hour.
const LEAST_LEARNED: u32 = 20;
/// So many times what is expected, and so many lines more, are a surge at the least; and they are worth so
/// many windows of the service's ordinary traffic.
const FACTOR: f64 = 2.0;
const LEAST_EXCESS: f64 = 10.0;
const LEAST_AREA: f64 = 0.3;
/// What is open goes on while a window has so many times what is expected.
const STILL_HIGH_FACTOR: f64 = 1.5;
/// A template that makes this share of what is too much names the storm.
const NAMES_IT: f64 = 0.5;
/// A template is gone when so many of its lines are missing, for so many windows, and for so many times as
/// long as it ever was.
const LEAST_MISSED: f32 = 30.0;
const LEAST_MISSING: u32 = 6;
const LONGER: u32 = 3;
/// What comes like clockwork: so many times, so many windows apart, and none of them so many windows late.
const LEAST_BEATS: u32 = 60;
const BEAT_WINDOWS: f64 = 1.8;
const REGULAR_WITHIN: f64 = 1.5;
/// Another one that is as old as this one is missing, give or take so many windows, and comes about as often,
/// is the same in new words.
const ABOUT: u32 = 6;
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

/// One template's lines, and what was expected of them.
#[derive(Debug, Clone, Copy)]
struct Surge {
    place: usize,
    /// Windows.
    span: usize,
    count: u64,
    expected: f64,
    score: Score,
}

impl Surge {
    fn excess(&self) -> f64 {
        self.count as f64 - self.expected
    }
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

    /// Whether it comes like clockwork, some windows apart.
    fn is_regular(&self) -> bool {
        let usual = self.rhythm.usual();
        self.rhythm.gaps() >= LEAST_BEATS
            && usual >= BEAT_WINDOWS
            && f64::from(self.rhythm.longest()) <= usual + REGULAR_WITHIN
    }

    /// For long enough, and lines enough, to say that it is gone.
    fn is_missing(&self, config: &Config) -> bool {
        let least = LEAST_MISSING.max(LONGER * self.rhythm.longest());
        self.is_known(config)
            && self.rhythm.missing() >= least
            && (self.missed >= LEAST_MISSED || self.is_regular())
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

    /// Whether so many lines of one row are far too many.
    fn surge(
        &self,
        place: usize,
        (count, total): (u64, u64),
        span: usize,
        config: &Config,
    ) -> Option<Surge> {
        let row = self.table.row(place)?;
        let expected = self.expected(row, count, total, SPANS[span]);
        let least = (expected * FACTOR)
            .max(expected + LEAST_EXCESS)
            .max(expected + LEAST_AREA * self.all.mean());
        if !row.is_known(config) || (count as f64) < least {
            return None;
        }
        let (_, dispersion) = &row.spans[span];
        let share = row.share(self.all.mean());
        // As many questions as there are rows.
        let p = dispersion.upper_tail((count, total), share, 1) * self.table.rows().count() as f64;
        let score = Score::of(p, config.alpha());
        score.is_anomalous().then_some(Surge {
            place,
            span: SPANS[span],
            count,
            expected,
            score,
        })
    }

    fn explains(
        &mut self,
        seen: &Observation<'_>,
        window: &Window,
        excess: f64,
        telling: &mut Telling<'_>,
    ) -> bool {
        let Some(counts) = self.table.open(window.start) else {
            return false;
        };
        let count = |place, _: &Row| counts.at(place);
        let greatest = self.greatest_surge(0, counts.total, count, telling.config);
        let Some(surge) = greatest.filter(|it| it.excess() >= NAMES_IT * excess) else {
            return false;
        };
        self.samples.clear();
        self.too_many(surge, window, telling);
        if self.is_about(seen.template) {
            self.samples.push(SampleLine::of(seen));
        }
        true
    }

    /// Counts of a window that is open, or closes.
    fn counts(&self, start: EventTime) -> Option<&Counts> {
        let closing = self.closing.as_ref().filter(|(window, _)| *window == start);
        let counts = closing.map(|(_, counts)| counts);
        counts.or_else(|| self.table.open(start))
    }

    /// Lines of a window beyond what is usual of all templates that surge together: one place in the program
    /// may be several.
    fn accounts_for(&self, start: EventTime) -> u64 {
        let Some(counts) = self.counts(start) else {
            return 0;
        };
        let (mut count, mut mean) = (0, 0.0);
        for (place, row) in self.table.rows() {
            let own = counts.at(place);
            let is_part = place == self.place
                || own as f64 >= FACTOR * self.expected(row, own, counts.total, 1);
            if is_part {
                count += own;
                mean += row.mean();
            }
        }
        let share = (mean / self.all.mean().max(1e-9)).min(MOST_SHARE);
        let expected = beside(counts.total - count, share).max(mean);
        (count as f64 - expected).max(0.0) as u64
    }

    fn misses(&self, start: EventTime) -> u64 {
        let Some((counts, row)) = self.counts(start).zip(self.table.row(self.place)) else {
            return 0;
        };
        let expected = self.by_others(row, counts.at(self.place), counts.total);
        expected.min(row.mean()).round() as u64
    }

    /// Adds a window to the spans and to what is missing.
    fn count(&mut self, counts: &Counts) {
        for (total, windows) in &mut self.spans {
            *total += counts.total;
            *windows += 1;
        }
        let mean = self.all.mean();
        let gone = self.vanishing.is_open().then_some(self.place);
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
                if gone == Some(place) {
                    row.rhythm.forgive();
                }
            }
            row.rhythm.window(count > 0);
        }
    }

    /// Spans that end with this window.
    fn is_over(&self, span: usize) -> bool {
        self.spans[span].1 as usize >= SPANS[span]
    }

    /// Of the shortest span with any.
    fn surge_in_a_span(&self, config: &Config) -> Option<Surge> {
        let mut spans = (0..SPANS.len()).filter(|span| self.is_over(*span));
        spans.find_map(|span| {
            let (total, _) = self.spans[span];
            self.greatest_surge(span, total, |_, row| row.spans[span].0, config)
        })
    }

    /// Of a span with so many lines, by how many each row has.
    fn greatest_surge(
        &self,
        span: usize,
        total: u64,
        count: impl Fn(usize, &Row) -> u64,
        config: &Config,
    ) -> Option<Surge> {
        let surges = self
            .table
            .rows()
            .filter_map(|(place, row)| self.surge(place, (count(place, row), total), span, config));
        surges.max_by(|one, other| one.excess().total_cmp(&other.excess()))
    }

    /// The template that is gone, if any, and least probably so; `total`: lines of the newest window.
    fn gone(&mut self, total: u64, config: &Config) -> Option<(usize, Score)> {
        if total == 0 {
            return None;
        }
        self.forget_former_names(config);
        let rows = self.table.rows().count() as f64;
        let missing = self.table.rows().filter(|(_, row)| row.is_missing(config));
        let least = missing
            .map(|(place, row)| (place, self.p_of_none(row)))
            .min_by(|(_, one), (_, other)| one.total_cmp(other));
        let (place, p) = least?;
        let score = Score::of(p * rows, config.alpha());
        score.is_anomalous().then_some((place, score))
    }

    /// What is missing since another one comes about as often is the same in new words.
    fn forget_former_names(&mut self, config: &Config) {
        let is_new_name = |former: &Row, other: &Row| {
            other.learned.abs_diff(former.rhythm.missing()) <= ABOUT
                && other.remembered() >= former.missed / 2.0
        };
        let is_former = |(_, row): &(usize, &Row)| {
            row.is_missing(config) && self.table.rows().any(|(_, other)| is_new_name(row, other))
        };
        let former = self.table.rows().filter(is_former);
        for place in former.map(|(place, _)| place).collect::<Vec<_>>() {
            self.table.remove(place);
        }
    }

    /// Probability that so many lines of the others have none of a template with them, or, of one that comes
    /// like clockwork, that it is away for so long.
    fn p_of_none(&self, row: &Row) -> f64 {
        let share = row.share(self.all.mean());
        let (_, dispersion) = row.spans[SPANS.len() - 1];
        let lines = (f64::from(row.missed) / share.max(1e-9)) as u64;
        let by_share = dispersion.none_of(lines, share);
        if row.is_regular() {
            by_share.min(row.rhythm.p())
        } else {
            by_share
        }
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
            // Who is overdue may be missing: what is expected of it stays.
            if row.rhythm.missing() <= row.rhythm.longest() {
                row.learn(counts.at(place));
            }
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

    fn too_many(&mut self, surge: Surge, window: &Window, telling: &mut Telling<'_>) {
        let config = telling.config;
        if !self.surge.is_open() {
            self.speak_of(surge.place);
        }
        let start = window.start + -(config.window_ms * (surge.span as i64 - 1));
        let judged = Judged {
            from: start,
            to: window.start + config.window_ms,
            records: surge.count,
            errors: 0,
            observed: surge.count as f64,
            level: surge.count as f64 / surge.span as f64,
        };
        let anomalous = Anomalous {
            start,
            now: telling.now,
            score: surge.score,
            size: judged.level,
            offsets: window.offsets().unwrap_or((0, 0)),
            judged,
        };
        let phase = self.surge.anomalous(anomalous, config);
        let is_worst = self
            .surge
            .current()
            .is_some_and(|episode| episode.worst.level <= judged.level);
        if is_worst {
            self.expected = surge.expected;
        }
        if let Some((phase, episode)) = phase.zip(self.surge.current()) {
            let account = self.account(episode, &judged, surge.expected, telling);
            telling.tell(episode, phase, account);
        }
    }

    /// A window closed while a surge is open.
    fn go_on(&mut self, counts: &Counts, closing: &mut Closing<'_>) {
        let (window, config) = (closing.window, closing.telling.config);
        let count = counts.at(self.place);
        let Some(row) = self.table.row(self.place) else {
            return;
        };
        let expected = self.expected(row, count, counts.total, 1);
        let is_calm = (count as f64) < STILL_HIGH_FACTOR * expected;
        if !is_calm {
            let surge = Surge {
                place: self.place,
                span: 1,
                count,
                expected,
                score: Score::NONE,
            };
            self.too_many(surge, window, &mut closing.telling);
        }
        if let Some(ended) = self.surge.window_closed(window, is_calm, config) {
            self.tell_end(&ended, &mut closing.telling);
            self.samples = Vec::new();
            if ended.is_adopted
                && let Some(row) = self.table.row_mut(self.place)
            {
                row.forget();
            }
        }
    }

    fn too_few(&mut self, place: usize, score: Score, closing: &mut Closing<'_>) {
        let (window, config) = (closing.window, closing.telling.config);
        self.speak_of(place);
        let row = self.table.row(place);
        let (missing_for, missed) = row.map_or((1, 0.0), |row| (row.rhythm.missing(), row.missed));
        self.expected = f64::from(missed);
        let windows = i64::from(missing_for) - 1;
        let start = window.start + -(config.window_ms * windows);
        let judged = Judged {
            from: start,
            to: window.start + config.window_ms,
            records: 0,
            errors: 0,
            observed: 0.0,
            level: 0.0,
        };
        let (_, last_offset) = closing.last_line;
        let anomalous = Anomalous {
            start,
            now: closing.telling.now,
            score,
            size: 1.0,
            offsets: window.offsets().unwrap_or((last_offset, last_offset)),
            judged,
        };
        let phase = self.vanishing.anomalous(anomalous, config);
        if let Some((phase, episode)) = phase.zip(self.vanishing.current()) {
            let account = self.account(episode, &judged, self.expected, &closing.telling);
            closing.telling.tell(episode, phase, account);
        }
    }

    /// A window closed while a template is missing.
    fn stay_away(&mut self, counts: &Counts, closing: &mut Closing<'_>) {
        let (window, config) = (closing.window, closing.telling.config);
        let is_back = counts.at(self.place) > 0;
        if let Some(row) = self.table.row(self.place) {
            self.expected = self.expected.max(f64::from(row.missed));
        }
        if let Some(ended) = self.vanishing.window_closed(window, is_back, config) {
            self.tell_end(&ended, &mut closing.telling);
            if ended.is_adopted {
                self.table.remove(self.place);
            }
        }
    }
}

/// Lines that have a share of all, beside so many others.
fn beside(others: u64, share: f64) -> f64 {
    others as f64 * share / (1.0 - share)
}
