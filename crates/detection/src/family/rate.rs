//! Windowed statistics of the log rate: spike and drop against a moving average and deviation.
//!
//! Invariants: what is anomalous is not learned, so that an anomaly does not become its own
//! baseline: a window is judged by what was known before the longest span that holds it began. A change
//! that lasts is adopted, by starting over; silence never is, it ends with the next lines. Errors that a
//! burst has told are no spike: one storm is told once. What was off at the same time yesterday, and is off
//! by no more today, is neither told nor learned.

mod held_back;
mod quiet;
mod words;

use held_back::HeldBack;
use quiet::Quiet;

use super::closing::Closing;
use crate::{
    budget::Score,
    codec::{Loaded, Reader, Writer},
    config::Config,
    episode::{Anomalous, Asked, Ended, Episode, Episodes, Judged, Manner, Telling},
    finding::{Kind, Phase, SampleLine},
    record::{Observation, time::EventTime},
    stat::{CountBaseline, LONGER_SPANS, LONGEST_SPAN, Recurrence},
    window::Window,
};

/// What is rare but too small to matter is left alone: spikes below, drops above this factor.
const SPIKE_FACTOR: f64 = 1.5;
const DROP_FACTOR: f64 = 0.6;
/// And a spike has this many lines more than expected at the least.
const LEAST_EXCESS: f64 = 10.0;
/// And what is too much or missing is worth so many windows of ordinary traffic: a service that starts anew
/// is away for ten seconds or twelve, and nobody wants to be told.
const LEAST_AREA: f64 = 1.5;
/// What is open goes on while it is beyond these, and by more than chance alone makes of it: what opened it
/// may waver.
const STILL_HIGH_FACTOR: f64 = 1.25;
const STILL_LOW_FACTOR: f64 = 0.8;
const TWO_DEVIATIONS: f64 = 2.0;
/// What recurs is never quite the same: so much more of the deviation is still yesterday's.
const TOLERANCE: f64 = 1.25;
/// Windows summed up to see what one window is too small for.
const SPIKE_SPANS: [usize; 2] = [2, LONGER_SPANS[0]];
const DROP_SPANS: [usize; 5] = [1, 2, 3, LONGER_SPANS[0], LONGER_SPANS[1]];
/// Within so many windows, a day, a level that was given up may come back without a word, as near as this.
const REMEMBERED: u32 = 8640;
const AS_BEFORE: f64 = 1.3;
/// Windows in a row that bear it out.
const BACK_FOR: usize = 3;
/// Windows that tell something of the gaps between lines.
const LEAST_LEARNED: u32 = 3;
/// So many lines expected of a span make it tell some from none, and all from half of them.
const TELLING: f64 = 5.0;
const TELLING_APART: f64 = 50.0;
/// Less of what is expected than this is as good as none.
const NEXT_TO_NOTHING: f64 = 0.1;
const SPIKES: Manner = Manner {
    asked: Asked::OnLines,
    calm_windows: 2,
    empty_windows_count: false,
    calm_comes_first: false,
    adopts: true,
};
const DROPS: Manner = Manner {
    asked: Asked::OfWindows,
    ..SPIKES
};

#[derive(Debug, Clone)]
pub(crate) struct Rate {
    baseline: CountBaseline,
    held_back: HeldBack,
    quiet: Quiet,
    yesterday: Recurrence,
    /// Times the level that are to be expected at this time of day, the least and the most.
    usual: (f64, f64),
    /// Lines of an ordinary window before a change was adopted, and for how many windows that is remembered.
    former: (f64, u32),
    /// Windows in a row that would be told, had they not been there yesterday.
    recurring: u32,
    /// Windows since a spike and a drop were over: the spans of the next one hold no others.
    since_spike: u32,
    since_drop: u32,
    spike_at: u64,
    /// Whether `spike_at` is the critical count, or only something below it that costs nothing.
    is_exact: bool,
    spike: Episodes,
    drop: Episodes,
    lines: Vec<SampleLine>,
}

impl Rate {
    /// See [`super::Family::version`].
    pub(super) const VERSION: u32 = 6;

    pub(crate) fn new(config: &Config) -> Self {
        Self {
            baseline: CountBaseline::new(config.warm_up_windows),
            held_back: HeldBack::default(),
            quiet: Quiet::default(),
            yesterday: Recurrence::default(),
            usual: (1.0, 1.0),
            former: (0.0, 0),
            recurring: 0,
            since_spike: u32::MAX / 2,
            since_drop: u32::MAX / 2,
            spike_at: u64::MAX,
            is_exact: false,
            spike: Episodes::new(Kind::RateSpike, SPIKES),
            drop: Episodes::new(Kind::RateDrop, DROPS),
            lines: Vec::new(),
        }
    }

    /// Between two lines, ms; 0 while it is not known.
    pub(crate) fn usual_gap(&self, config: &Config) -> i64 {
        let mean = self.baseline.mean();
        if self.baseline.learned() < LEAST_LEARNED || mean <= 0.0 {
            return 0;
        }
        (config.window_ms as f64 / mean).min(1e12) as i64
    }

    /// See [`Episodes::clock_set`].
    pub(crate) fn clock_set(&mut self, to: EventTime) {
        self.quiet.clear();
        self.spike.clock_set(to);
        self.drop.clock_set(to);
    }

    /// Lines of such a window, usually.
    pub(crate) fn level(&self, window: &Window) -> u64 {
        self.baseline.mean().round() as u64 + self.quiet.passed_over(window)
    }

    /// A window with fewer lines than this is no spike.
    pub(crate) fn spike_at(&self) -> u64 {
        self.spike_at
    }

    pub(crate) fn is_spiking(&self) -> bool {
        self.spike.is_open()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.spike.is_open() || self.drop.is_open()
    }

    /// A line of level DEBUG or less came; it belongs to the window that begins at `start`.
    pub(crate) fn observe_quiet(&mut self, start: EventTime) {
        self.quiet.observe(start);
    }

    /// Lines of an open window beyond what is expected, where they are a spike that nobody has been told of.
    /// `unexplained`: how many of its lines no other family accounts for.
    pub(crate) fn would_spike(
        &mut self,
        window: &Window,
        unexplained: u64,
        config: &Config,
    ) -> Option<f64> {
        let lines = unexplained.saturating_sub(self.quiet.passed_over(window));
        let opens = !self.spike.is_open() && self.is_spike(lines, config);
        opens.then(|| lines as f64 - self.baseline.mean() * self.usual.1)
    }

    /// One record was counted in `window`, which is still open and has lines enough to ask.
    /// `unexplained`: how many of them no burst of errors accounts for.
    pub(crate) fn observe(
        &mut self,
        seen: &Observation<'_>,
        window: &Window,
        unexplained: u64,
        telling: &mut Telling<'_>,
    ) {
        let passed_over = self.quiet.passed_over(window);
        let unexplained = unexplained.saturating_sub(passed_over);
        if !self.is_spike(unexplained, telling.config) {
            return;
        }
        let window = &window.without(passed_over);
        if self.lines.len() < telling.config.samples {
            self.lines.push(SampleLine::of(seen));
        }
        self.too_many(window, unexplained, 1, telling);
    }

    /// A window closed.
    pub(crate) fn window_closed(&mut self, closing: &mut Closing<'_>) {
        let (whole, unexplained, counts) =
            (closing.window, closing.unexplained, self.quiet.counts());
        let passed_over = self.quiet.closed(whole);
        if self.quiet.counts() != counts {
            // What was counted so far says nothing of what is counted from now on.
            self.forget();
        }
        let window = whole.without(passed_over);
        self.close(&mut Closing {
            window: &window,
            unexplained: unexplained.saturating_sub(passed_over),
            was_bursting: closing.was_bursting,
            last_line: closing.last_line,
            telling: closing.telling.again(),
        });
    }

    fn close(&mut self, closing: &mut Closing<'_>) {
        let window = closing.window;
        let is_dropping = self.drop.is_open();
        let learned = self.baseline.learned();
        self.held_back.count(
            (window.records, closing.unexplained),
            is_dropping,
            &mut self.baseline,
        );
        self.arm_if_learned(learned);
        self.since_spike = (self.since_spike + 1).min(u32::MAX / 2);
        self.since_drop = (self.since_drop + 1).min(u32::MAX / 2);
        if self.baseline.is_warm() {
            self.yesterday
                .learn(window.start.0, window.records, self.baseline.mean());
            self.judge(closing);
        }
        let learned = self.baseline.learned();
        self.held_back.learn(&mut self.baseline);
        self.arm_if_learned(learned);
    }

    fn judge(&mut self, closing: &mut Closing<'_>) {
        let (window, config) = (closing.window, closing.telling.config);
        self.former.1 = self.former.1.saturating_sub(1);
        if self.is_back() {
            self.former = (0.0, 0);
            self.forget();
            return;
        }
        self.expect(self.yesterday.at(window.start.0));
        // A storm that a burst has told is no more learned than a spike is.
        let is_usual = !self.is_spike(window.records, config) && !self.recurs();
        let spike = self.spike_span(closing.unexplained, config);
        if let Some((span, score)) = spike {
            let sum = self.held_back.unexplained(span);
            self.too_many(window, sum, span, &mut closing.telling);
            self.spike.raise(score);
        }
        let drop = self.drop_score(self.usual.0, config);
        // A long span may open a drop; it does not keep it open when lines are back.
        let is_low = self.is_low();
        if let Some((span, score)) = drop.filter(|_| is_low || !self.drop.is_open()) {
            self.too_few(span, score, closing);
        }
        let is_high = closing.unexplained as f64 > self.still_high();
        if let Some(ended) = self.spike.window_closed(window, !is_high, config) {
            self.end(&ended, &mut closing.telling);
            self.since_spike = 0;
        }
        if let Some(ended) = self.drop.window_closed(window, !is_low, config) {
            self.end(&ended, &mut closing.telling);
            self.since_drop = 0;
        }
        self.held_back
            .newest_is_usual(is_usual && !self.spike.is_open());
        if self.spike.is_open() {
            self.held_back
                .are_unusual(spike.map_or(1, |(span, _)| span));
        }
        if self.drop.is_open() {
            // All that made it a drop, and what comes while it lasts.
            self.held_back.are_unusual(drop.map_or(1, |(span, _)| span));
        }
        if self.recurring >= config.adopt_after_windows {
            // Every day at this time it is another service.
            self.forget();
        }
    }

    /// From now on so many times the level are to be expected, the least and the most.
    fn expect(&mut self, (least, most): (f64, f64)) {
        let wide = |ratio: f64| 1.0 + (ratio - 1.0) * TOLERANCE;
        let mut usual = (wide(least).max(least / 2.0), wide(most));
        if let Some(former) = self.former_ratio() {
            usual = (
                usual.0.min(former / AS_BEFORE),
                usual.1.max(former * AS_BEFORE),
            );
        }
        if self.usual != usual {
            self.usual = usual;
            self.arm();
        }
    }

    /// Times the level that were to be expected before a change was adopted, if one was.
    fn former_ratio(&self) -> Option<f64> {
        let (level, windows) = self.former;
        let ratio = level / self.baseline.mean().max(1e-3);
        let has_changed = !(DROP_FACTOR..=SPIKE_FACTOR).contains(&ratio);
        (windows > 0 && has_changed).then_some(ratio)
    }

    /// Whether what was adopted is over, and all is as it was before.
    fn is_back(&self) -> bool {
        let (level, _) = self.former;
        let chance = TWO_DEVIATIONS * level.sqrt();
        let as_before = level / AS_BEFORE - chance..=level * AS_BEFORE + chance;
        // Each of them: on its way down to nothing it passes through every level there is.
        let lines = |windows: usize| self.held_back.sum(windows) - self.held_back.sum(windows - 1);
        let mut newest = (1..=BACK_FOR).map(lines);
        let all = self.held_back.sum(BACK_FOR) as f64 / (BACK_FOR as f64 * level.max(1e-3));
        self.former_ratio().is_some()
            && !self.is_open()
            && (1.0 / AS_BEFORE..=AS_BEFORE).contains(&all)
            && newest.all(|lines| lines > 0 && as_before.contains(&(lines as f64)))
    }

    /// Whether yesterday is all that keeps the newest window from being told: it is not learned either, so
    /// that the level stays that of the rest of the day.
    fn recurs(&mut self) -> bool {
        let (least, most) = self.usual;
        let newest = self.held_back.sum(1) as f64;
        let level = self.baseline.mean();
        let is_up = most >= SPIKE_FACTOR && newest > high(level);
        let is_down = least <= DROP_FACTOR && newest < low(level);
        let recurs = (is_up || is_down) && !self.is_open();
        self.recurring = if recurs {
            self.recurring + 1
        } else {
            self.recurring.saturating_sub(1)
        };
        recurs
    }

    /// The shortest span whose lines are too many, if any; `unexplained`: of the newest window.
    fn spike_span(&mut self, unexplained: u64, config: &Config) -> Option<(usize, Score)> {
        if self.is_spike(unexplained, config) {
            return Some((1, self.spike_score(unexplained, 1, config)));
        }
        SPIKE_SPANS.into_iter().find_map(|span| {
            if span > self.held_back.known() || span as u64 > u64::from(self.since_spike) {
                return None;
            }
            let sum = self.held_back.unexplained(span);
            // A long span may open a spike, of one that lasts still.
            let is_enough = sum as f64 >= self.matters_at(span, self.usual.1)
                && unexplained as f64 > self.still_high();
            let score = || self.spike_score(sum, span, config);
            is_enough
                .then(score)
                .filter(|score| score.is_anomalous())
                .map(|score| (span, score))
        })
    }

    /// More lines than this in a window are still part of a spike.
    fn still_high(&self) -> f64 {
        high(self.baseline.mean() * self.usual.1)
    }

    /// The critical count costs many tails: it is worked out for windows that come near it.
    fn is_spike(&mut self, records: u64, config: &Config) -> bool {
        if records >= self.spike_at && !self.is_exact {
            self.spike_at = self.critical(config);
            self.is_exact = true;
        }
        records >= self.spike_at
    }

    fn critical(&self, config: &Config) -> u64 {
        self.baseline
            .critical(config.alpha(), self.usual.1)
            .max(self.matters_at(1, self.usual.1).ceil() as u64)
    }

    /// Rarer than this the lines of `span` windows may be, but are too few to matter, where `factor` times
    /// the level are expected.
    fn matters_at(&self, span: usize, factor: f64) -> f64 {
        let expected = self.baseline.mean() * factor * span as f64;
        (expected * SPIKE_FACTOR)
            .max(expected + LEAST_EXCESS)
            .max(expected + self.least_area())
    }

    /// Lines of ordinary traffic that a deviation is worth at the least.
    fn least_area(&self) -> f64 {
        self.baseline.mean() * LEAST_AREA
    }

    fn arm_if_learned(&mut self, before: u32) {
        if self.baseline.learned() != before {
            self.arm();
        }
    }

    fn arm(&mut self) {
        self.is_exact = false;
        self.spike_at = if self.baseline.is_warm() {
            self.matters_at(1, self.usual.1).ceil() as u64
        } else {
            u64::MAX
        };
    }

    fn spike_score(&self, records: u64, span: usize, config: &Config) -> Score {
        let p = self.baseline.upper_tail(records, span, self.usual.1);
        Score::of(p, config.alpha())
    }

    /// `observed`: lines of the `span` windows that end with `window`, without what a burst accounts for.
    fn too_many(&mut self, window: &Window, observed: u64, span: usize, telling: &mut Telling<'_>) {
        let config = telling.config;
        let (start, to) = window.span(span, config);
        let judged = Judged {
            from: start,
            to,
            records: window.records,
            errors: window.errors,
            observed: observed as f64,
            level: observed as f64 / span as f64,
        };
        let anomalous = Anomalous {
            start,
            now: telling.now,
            // It costs a tail: worked out when something is told, and once a window.
            score: Score::NONE,
            size: judged.level,
            offsets: window.offsets().unwrap_or((0, 0)),
            judged,
        };
        let Some(phase) = self.spike.anomalous(anomalous, config) else {
            return;
        };
        let score = self.spike_score(observed, span, config);
        self.spike.raise(score);
        if let Some(episode) = self.spike.current() {
            let account = self.account(episode, &judged, telling);
            telling.tell(episode, phase, account);
        }
    }

    /// Whether lines are missing, or still are, over the shortest span that tells.
    fn is_low(&self) -> bool {
        let mean = self.baseline.mean() * self.usual.0;
        let is_some_left = |drop: &Episode| drop.worst.level > mean * NEXT_TO_NOTHING;
        let telling = if self.drop.current().is_some_and(is_some_left) {
            TELLING_APART
        } else {
            TELLING
        };
        let span = DROP_SPANS
            .into_iter()
            .find(|span| mean * *span as f64 >= telling)
            .unwrap_or(LONGEST_SPAN);
        let expected = mean * span as f64;
        let lines = self.held_back.sum(span) as f64;
        let most = expected * DROP_FACTOR;
        lines
            <= if self.drop.is_open() {
                most.max(low(expected))
            } else {
                most
            }
    }

    /// The shortest span whose lines are too few, if any, where `factor` times the level are expected.
    fn drop_score(&self, factor: f64, config: &Config) -> Option<(usize, Score)> {
        // Of a service that writes little, only a long silence says something.
        let silence = self.held_back.quiet().max(LONGEST_SPAN);
        let spans = DROP_SPANS.into_iter().chain([silence]);
        spans.into_iter().find_map(|span| {
            if span > self.held_back.known() || span as u64 > u64::from(self.since_drop) {
                return None;
            }
            let seen = self.held_back.sum(span);
            let expected = self.baseline.mean() * factor * span as f64;
            if seen as f64 > (expected * DROP_FACTOR).min(expected - self.least_area()) {
                return None;
            }
            let p = self.baseline.lower_tail(seen, span, factor);
            let score = Score::of(p, config.alpha());
            score.is_anomalous().then_some((span, score))
        })
    }

    /// Lines expected of `span` windows, as a spike or as a drop.
    fn expected(&self, kind: Kind, span: usize) -> f64 {
        let (least, most) = self.usual;
        let factor = if kind.is_up() { most } else { least };
        self.baseline.mean() * factor * span as f64
    }

    fn too_few(&mut self, span: usize, score: Score, closing: &mut Closing<'_>) {
        let (window, telling) = (closing.window, &mut closing.telling);
        let config = telling.config;
        let observed = self.held_back.sum(span) as f64;
        let (start, to) = window.span(span, config);
        let judged = Judged {
            from: start,
            to,
            records: observed as u64,
            errors: window.errors,
            observed,
            level: observed / span as f64,
        };
        let (last_line, last_offset) = closing.last_line;
        let anomalous = Anomalous {
            start,
            now: telling.now,
            score,
            // "Twice as bad" for a drop is half the lines; told as the inverse so that it doubles.
            size: self.expected(Kind::RateDrop, span) / (observed + 1.0),
            offsets: window.offsets().unwrap_or((last_offset, last_offset)),
            judged,
        };
        let Some(phase) = self.drop.anomalous(anomalous, config) else {
            return;
        };
        if phase == Phase::Opened {
            self.lines = last_line.cloned().into_iter().collect();
        }
        if let Some(episode) = self.drop.current() {
            let account = self.account(episode, &judged, telling);
            telling.tell(episode, phase, account);
        }
    }

    fn end(&mut self, ended: &Ended, telling: &mut Telling<'_>) {
        self.tell_end(ended, telling);
        self.lines.clear();
        if ended.is_adopted {
            self.former = (self.baseline.mean(), REMEMBERED);
            self.forget();
        }
    }

    /// What is open ends here.
    pub(crate) fn give_up(&mut self, telling: &mut Telling<'_>) {
        let ended = [self.spike.give_up(), self.drop.give_up()];
        for ended in ended.into_iter().flatten() {
            self.tell_end(&ended, telling);
        }
    }

    fn forget(&mut self) {
        self.baseline.forget();
        self.held_back = HeldBack::default();
        self.recurring = 0;
        self.arm();
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        self.baseline.save(to);
        self.held_back.save(to);
        self.quiet.save(to);
        self.yesterday.save(to);
        to.f64(self.usual.0);
        to.f64(self.usual.1);
        to.f64(self.former.0);
        to.u32(self.former.1);
        to.u32(self.recurring);
        to.u32(self.since_spike);
        to.u32(self.since_drop);
        self.spike.save(to);
        self.drop.save(to);
        SampleLine::save_all(&self.lines, to);
    }

    pub(crate) fn load(from: &mut Reader<'_>, config: &Config) -> Loaded<Self> {
        let mut rate = Self {
            baseline: CountBaseline::load(from, config.warm_up_windows)?,
            held_back: HeldBack::load(from)?,
            quiet: Quiet::load(from)?,
            yesterday: Recurrence::load(from)?,
            usual: (from.amount()?, from.amount()?),
            former: (from.amount()?, from.u32()?),
            recurring: from.u32()?,
            since_spike: from.u32()?,
            since_drop: from.u32()?,
            spike: Episodes::load(Kind::RateSpike, SPIKES, from)?,
            drop: Episodes::load(Kind::RateDrop, DROPS, from)?,
            // A drop keeps one line, however few are asked for.
            lines: SampleLine::load_all(from, config.samples.max(1))?,
            ..Self::new(config)
        };
        rate.arm();
        Ok(rate)
    }
}

/// What lies above, or below, is off what is expected by more than chance alone makes of it.
fn high(expected: f64) -> f64 {
    (expected * STILL_HIGH_FACTOR).max(expected + TWO_DEVIATIONS * expected.sqrt())
}

fn low(expected: f64) -> f64 {
    (expected * STILL_LOW_FACTOR).min(expected - TWO_DEVIATIONS * expected.sqrt())
}
