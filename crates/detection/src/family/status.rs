//! What requests are answered with: far too many of them that they are wrong, or to go elsewhere.
//!
//! Answers of the classes 3xx and 4xx, as shares of all lines with an HTTP status. Those of class 5xx are
//! errors, and have families of their own.
//!
//! Invariants: nothing is learned while it lasts, nor while something more telling is open, and then nothing
//! is opened here either: one storm is told once.

mod counted;
mod words;

use counted::{CLASSES, Counted};

use super::{
    closing::Closing,
    on_heap::{Kept, OnHeap},
};
use crate::{
    budget::Score,
    codec::{Loaded, Reader, Writer},
    config::Config,
    episode::{Anomalous, Asked, Episodes, Judged, Manner, Telling},
    finding::{Kind, SampleLine},
    record::{Observation, time::EventTime},
    stat::ShareDispersion,
    window::{Beside, Window},
};

/// Windows of a span; one follows the other.
const SPANS: [usize; 3] = [1, 6, 30];
/// Half-life 35 minutes.
const FORGET: f64 = 0.9967;
/// As if so many answers had been seen before, one in fifty of each class.
const UNSEEN: f64 = 50.0;
const UNSEEN_SHARE: f64 = 0.02;
/// Fewer answers of a span tell nothing.
const LEAST_ANSWERS: u64 = 20;
/// A share below is left alone: so many times what is usual, so many answers more, and so much of all.
const FACTOR: f64 = 2.0;
const LEAST_EXCESS: f64 = 10.0;
const LEAST_SHARE: f64 = 0.05;
/// Windows before anything is told, times those that the rate needs: nine minutes.
const LEAST_LEARNED: u32 = 3;
/// Of what came while it lasts a window later: of a service that writes little one window says nothing.
const LINGERS: f64 = 0.8;
/// A class that makes this share of what is too much names the storm.
const NAMES_IT: f64 = 0.5;
const MANNER: Manner = Manner {
    asked: Asked::OfWindows,
    calm_windows: 3,
    empty_windows_count: false,
    calm_comes_first: false,
    adopts: true,
};

/// A span that has begun, and what such spans vary by, for each class.
#[derive(Debug, Clone, Default)]
struct Span {
    windows: u32,
    counted: Counted,
    dispersion: [ShareDispersion; CLASSES],
}

#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// Answers, and those of each class, as far as they are remembered.
    all: f64,
    of: [f64; CLASSES],
    learned: u32,
    /// Answers of a class in an ordinary window: of more the lines are kept.
    ordinary: [u32; CLASSES],
    spans: [Span; SPANS.len()],
    open: Beside<Counted>,
    /// The window that closes.
    closing: Option<(EventTime, Counted)>,
    episodes: Episodes,
    /// Of which class something is told, and which codes there were where it was worst.
    class: usize,
    worst: Counted,
    /// Answers of that class, and all, of the last windows.
    lately: (f64, f64),
    lines: [Vec<SampleLine>; CLASSES],
}

pub(crate) type Status = OnHeap<Known>;

/// Too many answers of a class.
struct Shift {
    class: usize,
    windows: usize,
    counted: Counted,
    score: Score,
}

impl Status {
    /// See [`super::Family::version`].
    pub(super) const VERSION: u32 = 1;

    /// A line was counted in the window that begins at `start`; it has a status.
    pub(crate) fn observe(&mut self, seen: &Observation<'_>, start: EventTime, config: &Config) {
        let known = self.begun(config);
        let Some(counted) = known.open.of(start) else {
            return;
        };
        let Some(class) = counted.count(seen.status) else {
            return;
        };
        if counted.of(class) > u64::from(known.ordinary[class]) {
            SampleLine::keep_newest(seen, &mut known.lines[class], config.samples);
        }
    }

    /// A window, which is open, has `excess` lines more than expected: whether answers of one class make at
    /// least half of them, and are told instead.
    #[cold]
    pub(crate) fn explains(
        &mut self,
        window: &Window,
        excess: f64,
        telling: &mut Telling<'_>,
    ) -> bool {
        let known = self.kept_mut().filter(|known| !known.is_open());
        known.is_some_and(|known| known.explains(window, excess, telling))
    }

    /// Lines of a window beyond what is usual of the class that is told.
    pub(crate) fn accounts_for(&self, window: &Window) -> u64 {
        let known = self.kept().filter(|known| known.is_open());
        known.map_or(0, |known| known.accounts_for(window))
    }
}

impl Kept for Known {
    fn new(_: &Config) -> Self {
        Self {
            all: 0.0,
            of: [0.0; CLASSES],
            learned: 0,
            ordinary: [0; CLASSES],
            spans: Default::default(),
            open: Beside::default(),
            closing: None,
            episodes: Episodes::new(Kind::StatusShift, MANNER),
            class: 0,
            worst: Counted::default(),
            lately: (0.0, 0.0),
            lines: Default::default(),
        }
    }

    fn is_open(&self) -> bool {
        self.episodes.is_open()
    }

    fn window_closed(&mut self, closing: &mut Closing<'_>, is_told: bool) {
        let (window, config) = (closing.window, closing.telling.config);
        let counted = self.open.take(window.start);
        if is_told && !self.is_open() {
            // What comes after it is not judged together with it.
            self.begin_spans();
            self.closing = Some((window.start, counted));
            return;
        }
        for span in &mut self.spans {
            span.windows += 1;
            span.counted.add(&counted);
        }
        if self.is_open() {
            self.go_on(&counted, closing);
        } else if let Some(shift) = self.shift_of_a_span(config) {
            self.too_many(&shift, window, &mut closing.telling);
        }
        if self.is_open() {
            self.begin_spans();
        } else {
            self.learn(&counted);
        }
        self.closing = Some((window.start, counted));
    }

    fn clock_set(&mut self, to: EventTime) {
        self.open.clear();
        self.closing = None;
        self.episodes.clock_set(to);
        self.begin_spans();
    }

    fn give_up(&mut self, telling: &mut Telling<'_>) {
        if let Some(ended) = self.episodes.give_up() {
            self.tell_end(&ended, telling);
        }
    }

    fn save(&self, to: &mut Writer) {
        to.f64(self.all);
        self.of.iter().for_each(|of| to.f64(*of));
        to.u32(self.learned);
        self.ordinary.iter().for_each(|most| to.u32(*most));
        for span in &self.spans {
            to.u32(span.windows);
            span.counted.save(to);
            span.dispersion.iter().for_each(|it| it.save(to));
        }
        self.open.save(to, Counted::save);
        to.maybe(self.closing.as_ref(), |(start, counted), to| {
            to.moment(*start);
            counted.save(to);
        });
        self.episodes.save(to);
        to.byte(self.class as u8);
        self.worst.save(to);
        to.f64(self.lately.0);
        to.f64(self.lately.1);
        for lines in &self.lines {
            SampleLine::save_all(lines, to);
        }
    }

    fn load(from: &mut Reader<'_>, config: &Config) -> Loaded<Self> {
        let mut known = Self::new(config);
        known.all = from.amount()?;
        for of in &mut known.of {
            *of = from.amount()?;
        }
        known.learned = from.u32()?;
        for most in &mut known.ordinary {
            *most = from.u32()?;
        }
        for span in &mut known.spans {
            span.windows = from.u32()?;
            span.counted = Counted::load(from)?;
            for dispersion in &mut span.dispersion {
                *dispersion = ShareDispersion::load(from)?;
            }
        }
        known.open = Beside::load(from, Counted::load)?;
        known.closing = from.maybe(|from| Ok((from.moment()?, Counted::load(from)?)))?;
        known.episodes = Episodes::load(Kind::StatusShift, MANNER, from)?;
        known.class = usize::from(from.byte()?);
        if known.class >= CLASSES {
            return Err("a class of answers that there is not");
        }
        known.worst = Counted::load(from)?;
        known.lately = (from.amount()?, from.amount()?);
        for lines in &mut known.lines {
            *lines = SampleLine::load_all(from, config.samples)?;
        }
        Ok(known)
    }
}

impl Known {
    /// Expected share of a class, 0 to 1.
    fn share(&self, class: usize) -> f64 {
        ((self.of[class] + UNSEEN * UNSEEN_SHARE) / (self.all + UNSEEN)).min(1.0)
    }

    /// Answers of a class among `total` that are let pass.
    fn matters_at(&self, class: usize, total: u64) -> f64 {
        let total = total as f64;
        let expected = self.share(class) * total;
        (expected * FACTOR)
            .max(expected + LEAST_EXCESS)
            .max(expected + LEAST_SHARE * total)
    }

    /// Whether answers of a class are far too many, over one of the [`SPANS`].
    fn shift(&self, class: usize, at: usize, counted: &Counted, config: &Config) -> Option<Shift> {
        let (count, total) = (counted.of(class), counted.total());
        let is_known = self.learned >= LEAST_LEARNED * config.warm_up_windows;
        if !is_known || total < LEAST_ANSWERS || (count as f64) < self.matters_at(class, total) {
            return None;
        }
        let dispersion = &self.spans[at].dispersion[class];
        let p = dispersion.upper_tail((count, total), self.share(class), 1);
        let score = Score::of(p * CLASSES as f64, config.alpha());
        score.is_anomalous().then(|| Shift {
            class,
            windows: SPANS[at],
            counted: counted.clone(),
            score,
        })
    }

    /// Of both classes the more improbable.
    fn greatest_shift(&self, at: usize, counted: &Counted, config: &Config) -> Option<Shift> {
        let shifts = (0..CLASSES).filter_map(|class| self.shift(class, at, counted, config));
        shifts.max_by(|one, other| one.score.value().total_cmp(&other.score.value()))
    }

    fn is_over(&self, at: usize) -> bool {
        self.spans[at].windows as usize >= SPANS[at]
    }

    /// Of the shortest span with any, of those that end now.
    fn shift_of_a_span(&self, config: &Config) -> Option<Shift> {
        let mut over = (0..SPANS.len()).filter(|at| self.is_over(*at));
        over.find_map(|at| self.greatest_shift(at, &self.spans[at].counted, config))
    }

    fn explains(&mut self, window: &Window, excess: f64, telling: &mut Telling<'_>) -> bool {
        let Some(counted) = self.open.get(window.start) else {
            return false;
        };
        let shift = self.greatest_shift(0, counted, telling.config);
        let Some(shift) =
            shift.filter(|it| self.beyond(it.class, &it.counted) >= NAMES_IT * excess)
        else {
            return false;
        };
        self.too_many(&shift, window, telling);
        true
    }

    /// Answers of a class beyond what the others let expect.
    fn beyond(&self, class: usize, counted: &Counted) -> f64 {
        let (count, share) = (counted.of(class), self.share(class));
        let others = counted.total().saturating_sub(count) as f64;
        (count as f64 - others * share / (1.0 - share).max(0.01)).max(0.0)
    }

    fn accounts_for(&self, window: &Window) -> u64 {
        let closing = self.closing.as_ref();
        let closing = closing.filter(|(start, _)| *start == window.start);
        let counted = closing
            .map(|(_, counted)| counted)
            .or_else(|| self.open.get(window.start));
        counted
            .map_or(0, |it| self.beyond(self.class, it) as u64)
            .min(window.records)
    }

    fn learn(&mut self, counted: &Counted) {
        self.learned = self.learned.saturating_add(1);
        let shares: [f64; CLASSES] = std::array::from_fn(|class| self.share(class));
        for (span, most) in self.spans.iter_mut().zip(SPANS) {
            if (span.windows as usize) < most {
                continue;
            }
            let total = span.counted.total();
            for (class, share) in shares.into_iter().enumerate() {
                let counted = (span.counted.of(class), total);
                span.dispersion[class].learn(counted, share, 1);
            }
            span.begin();
        }
        self.all = self.all * FORGET + counted.total() as f64;
        let windows = (1.0 - FORGET.powi(self.learned.min(10_000) as i32)) / (1.0 - FORGET);
        for class in 0..CLASSES {
            self.of[class] = self.of[class] * FORGET + counted.of(class) as f64;
            self.ordinary[class] = (FACTOR * self.of[class] / windows) as u32;
        }
    }

    fn begin_spans(&mut self) {
        self.spans.iter_mut().for_each(Span::begin);
    }

    fn too_many(&mut self, shift: &Shift, window: &Window, telling: &mut Telling<'_>) {
        let config = telling.config;
        if !self.episodes.is_open() {
            self.class = shift.class;
            self.lately = (0.0, 0.0);
        }
        let count = shift.counted.of(shift.class);
        let total = shift.counted.total();
        let (start, to) = window.span(shift.windows, config);
        let judged = Judged {
            from: start,
            to,
            records: total,
            errors: 0,
            observed: count as f64,
            level: count as f64 / total.max(1) as f64,
        };
        let anomalous = Anomalous {
            start,
            now: telling.now,
            score: shift.score,
            size: judged.level / self.share(self.class).max(1e-3),
            offsets: window.offsets().unwrap_or((0, 0)),
            judged,
        };
        let phase = self.episodes.anomalous(anomalous, config);
        let episode = self.episodes.current();
        if episode.is_some_and(|it| it.worst.level <= judged.level) {
            self.worst = shift.counted.clone();
        }
        if let Some((phase, episode)) = phase.zip(episode) {
            let account = self.account(episode.start, &judged, &shift.counted, telling.service);
            telling.tell(episode, phase, account);
        }
    }

    /// A window closed while it lasts.
    fn go_on(&mut self, counted: &Counted, closing: &mut Closing<'_>) {
        let (window, config) = (closing.window, closing.telling.config);
        let (count, total) = &mut self.lately;
        *count = *count * LINGERS + counted.of(self.class) as f64;
        *total = *total * LINGERS + counted.total() as f64;
        let (count, total) = self.lately;
        let share = self.share(self.class);
        let half_way = f64::midpoint(share, (share * FACTOR).max(share + LEAST_SHARE));
        let is_calm = count <= half_way * total;
        if !is_calm {
            let shift = Shift {
                class: self.class,
                windows: 1,
                counted: counted.clone(),
                score: Score::NONE,
            };
            self.too_many(&shift, window, &mut closing.telling);
        }
        if let Some(ended) = self.episodes.window_closed(window, is_calm, config) {
            self.tell_end(&ended, &mut closing.telling);
            self.lines = Default::default();
            if ended.is_adopted {
                *self = Self {
                    open: std::mem::take(&mut self.open),
                    episodes: self.episodes.clone(),
                    ..Self::new(config)
                };
            }
        }
    }
}

impl Span {
    fn begin(&mut self) {
        (self.windows, self.counted) = (0, Counted::default());
    }
}
