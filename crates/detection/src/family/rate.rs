//! Windowed statistics of the log rate: spike and drop against a moving average and deviation.
//!
//! Invariants: what is anomalous is not learned, so that an anomaly does not become its own
//! baseline: a window is judged by what was known before the longest span that holds it began. A change
//! that lasts is adopted, by starting over; silence never is, it ends with the next lines. Errors that a
//! burst has told are no spike: one storm is told once.

mod held_back;
mod words;

use held_back::HeldBack;

use super::closing::Closing;
use crate::{
    budget::Score,
    codec::{Loaded, Reader, Writer},
    config::Config,
    episode::{Anomalous, Asked, Ended, Episodes, Judged, Manner, Telling},
    finding::{Kind, Phase, SampleLine},
    record::{Observation, time::EventTime},
    stat::{CountBaseline, LONGER_SPANS, LONGEST_SPAN},
    window::Window,
};

/// What is rare but too small to matter is left alone: spikes above, drops below this factor.
const SPIKE_FACTOR: f64 = 1.5;
const DROP_FACTOR: f64 = 0.6;
/// And a spike has this many lines more than expected at the least.
const LEAST_EXCESS: f64 = 10.0;
/// Windows summed up to see a drop that one window is too small for.
const DROP_SPANS: [usize; 3] = [1, LONGER_SPANS[0], LONGER_SPANS[1]];
/// Windows that tell something of the gaps between lines.
const LEAST_LEARNED: u32 = 3;
/// So many lines expected of a span make it tell whether a drop is over.
const TELLING: f64 = 5.0;
const SPIKES: Manner = Manner {
    asked: Asked::OnLines,
    calm_windows: 2,
    empty_windows_count: false,
    calm_comes_first: false,
};
const DROPS: Manner = Manner {
    asked: Asked::OfWindows,
    ..SPIKES
};

#[derive(Debug, Clone)]
pub(crate) struct Rate {
    baseline: CountBaseline,
    held_back: HeldBack,
    /// Windows since a drop was over: the spans of the next one hold no others.
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
    pub(super) const VERSION: u32 = 2;

    pub(crate) fn new(config: &Config) -> Self {
        Self {
            baseline: CountBaseline::new(config.warm_up_windows),
            held_back: HeldBack::default(),
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
        self.spike.clock_set(to);
        self.drop.clock_set(to);
    }

    /// A window with fewer lines than this is no spike.
    pub(crate) fn spike_at(&self) -> u64 {
        self.spike_at
    }

    pub(crate) fn is_open(&self) -> bool {
        self.spike.is_open() || self.drop.is_open()
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
        if !self.is_spike(unexplained, telling.config) {
            return;
        }
        if self.lines.len() < telling.config.samples {
            self.lines.push(SampleLine::of(seen));
        }
        self.too_many(window, unexplained, telling);
    }

    /// A window closed.
    pub(crate) fn window_closed(&mut self, closing: &mut Closing<'_>) {
        let window = closing.window;
        let is_dropping = self.drop.is_open();
        let learned = self.baseline.learned();
        self.held_back
            .count(window.records, is_dropping, &mut self.baseline);
        self.arm_if_learned(learned);
        self.since_drop = (self.since_drop + 1).min(u32::MAX / 2);
        if self.baseline.is_warm() {
            self.judge(closing);
        }
        let learned = self.baseline.learned();
        self.held_back.learn(&mut self.baseline);
        self.arm_if_learned(learned);
    }

    fn judge(&mut self, closing: &mut Closing<'_>) {
        let (window, config) = (closing.window, closing.telling.config);
        // A storm that a burst has told is no more learned than a spike is.
        let is_usual = !self.is_spike(window.records, config);
        let is_spike = self.is_spike(closing.unexplained, config);
        if is_spike {
            self.too_many(window, closing.unexplained, &mut closing.telling);
            let score = self.spike_score(closing.unexplained, config);
            self.spike.raise(score);
        }
        let drop = self.drop_score(config);
        let is_low = self.is_low();
        // A long span may open a drop; it does not keep it open when lines are back.
        if let Some((span, score)) = drop.filter(|_| is_low || !self.drop.is_open()) {
            self.too_few(span, score, closing);
        }
        if let Some(ended) = self.spike.window_closed(window, !is_spike, config) {
            self.end(&ended, &mut closing.telling);
        }
        if let Some(ended) = self.drop.window_closed(window, !is_low, config) {
            self.end(&ended, &mut closing.telling);
            self.since_drop = 0;
        }
        self.held_back
            .newest_is_usual(is_usual && !self.spike.is_open());
        if self.drop.is_open() {
            // All that made it a drop, and what comes while it lasts.
            self.held_back.are_unusual(drop.map_or(1, |(span, _)| span));
        }
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
            .critical(config.alpha())
            .max(self.matters_at())
    }

    /// Rarer than this may be, but is too small to matter.
    fn matters_at(&self) -> u64 {
        let mean = self.baseline.mean();
        let most = (mean * SPIKE_FACTOR).max(mean + LEAST_EXCESS);
        most.ceil() as u64
    }

    fn arm_if_learned(&mut self, before: u32) {
        if self.baseline.learned() != before {
            self.arm();
        }
    }

    fn arm(&mut self) {
        self.is_exact = false;
        self.spike_at = if self.baseline.is_warm() {
            self.matters_at()
        } else {
            u64::MAX
        };
    }

    fn spike_score(&self, records: u64, config: &Config) -> Score {
        Score::of(self.baseline.upper_tail(records), config.alpha())
    }

    fn too_many(&mut self, window: &Window, unexplained: u64, telling: &mut Telling<'_>) {
        let config = telling.config;
        let observed = unexplained as f64;
        let judged = Judged {
            from: window.start,
            to: window.start + config.window_ms,
            records: window.records,
            errors: window.errors,
            observed,
            level: observed,
        };
        let anomalous = Anomalous {
            start: window.start,
            now: telling.now,
            // It costs a tail: worked out when something is told, and once a window.
            score: Score::NONE,
            size: observed,
            offsets: window.offsets().unwrap_or((0, 0)),
            judged,
        };
        let Some(phase) = self.spike.anomalous(anomalous, config) else {
            return;
        };
        let score = self.spike_score(unexplained, config);
        self.spike.raise(score);
        if let Some(episode) = self.spike.current() {
            let account = self.account(episode, &judged, telling);
            telling.tell(episode, phase, account);
        }
    }

    /// Whether lines are still missing, over the shortest span that tells.
    fn is_low(&self) -> bool {
        let mean = self.baseline.mean();
        let span = DROP_SPANS
            .into_iter()
            .find(|span| mean * *span as f64 >= TELLING)
            .unwrap_or(LONGEST_SPAN);
        self.held_back.sum(span) as f64 <= mean * span as f64 * DROP_FACTOR
    }

    /// The shortest span whose lines are too few, if any.
    fn drop_score(&self, config: &Config) -> Option<(usize, Score)> {
        // Of a service that writes little, only a long silence says something.
        let silence = self.held_back.quiet().max(LONGEST_SPAN);
        let spans = DROP_SPANS.into_iter().chain([silence]);
        spans.into_iter().find_map(|span| {
            if span > self.held_back.known() || span as u64 > u64::from(self.since_drop) {
                return None;
            }
            let seen = self.held_back.sum(span);
            if seen as f64 > self.baseline.mean() * span as f64 * DROP_FACTOR {
                return None;
            }
            let score = Score::of(self.baseline.lower_tail(seen, span), config.alpha());
            score.is_anomalous().then_some((span, score))
        })
    }

    fn too_few(&mut self, span: usize, score: Score, closing: &mut Closing<'_>) {
        let (window, telling) = (closing.window, &mut closing.telling);
        let config = telling.config;
        let observed = self.held_back.sum(span) as f64;
        let start = window.start + -(config.window_ms * (span as i64 - 1));
        let judged = Judged {
            from: start,
            to: window.start + config.window_ms,
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
            size: self.baseline.mean() * span as f64 / (observed + 1.0),
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
        self.arm();
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        self.baseline.save(to);
        self.held_back.save(to);
        to.u32(self.since_drop);
        self.spike.save(to);
        self.drop.save(to);
        SampleLine::save_all(&self.lines, to);
    }

    pub(crate) fn load(from: &mut Reader<'_>, config: &Config) -> Loaded<Self> {
        let mut rate = Self {
            baseline: CountBaseline::load(from, config.warm_up_windows)?,
            held_back: HeldBack::load(from)?,
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
