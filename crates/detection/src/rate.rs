//! Windowed statistics of the log rate: spike and drop against a moving average and deviation.
//!
//! Invariants: what is anomalous is not learned, so that an anomaly does not become its own
//! baseline: a window is judged by what was known before the longest span that holds it began. A change
//! that lasts is adopted, by starting over; silence never is, it ends with the next lines. Errors that a
//! burst has told are no spike: one storm is told once. Windows in a row go up and down together, so
//! that each span has a dispersion of its own.

mod scale;
mod series;
mod tell;

use std::collections::VecDeque;

use scale::Scale;
use series::{Judged, Series};

use crate::{
    Config,
    burst::NEW_NORMAL,
    episode::{Episode, Step},
    finding::{Finding, Kind, Phase, SampleLine},
    partition::Observation,
    state::{Loaded, Reader, Writer},
    tail::{negative_binomial_critical, negative_binomial_lower, negative_binomial_upper},
    time::{EventTime, Score},
    window::{MOST_QUIET, Window},
};

/// Weight of one window in the moving average: half-life 20 windows.
const LEARN_MEAN: f64 = 0.034;
/// The deviation is learned more slowly: it needs more windows to be known at all.
const LEARN_DEVIATION: f64 = 0.015;
/// Regular machines still jitter: a relative deviation of 5% at the least.
const LEAST_DISPERSION: f64 = 0.0025;
/// What is rare but too small to matter is left alone: spikes above, drops below this factor.
const SPIKE_FACTOR: f64 = 1.5;
const DROP_FACTOR: f64 = 0.6;
/// And a spike has this many lines more than expected at the least.
const LEAST_EXCESS: f64 = 10.0;
/// Windows summed up to see a drop that one window is too small for.
const DROP_SPANS: [usize; 3] = [1, 6, LONGEST_SPAN];
pub(crate) const LONGEST_SPAN: usize = 30;
/// Normal windows in a row that end an episode.
const CALM_WINDOWS: u32 = 2;
/// Windows that tell something of the gaps between lines.
const LEAST_LEARNED: u32 = 3;
/// So many lines expected of a span make it tell whether a drop is over.
const TELLING: f64 = 5.0;

#[derive(Debug, Clone)]
pub(crate) struct Rate {
    learned: u32,
    mean: f64,
    /// Mean of squared deviations from the moving average.
    deviation2: f64,
    /// The last windows, newest last, anomalous ones included.
    last: VecDeque<Counted>,
    /// How many of them, the newest, are not learned yet.
    waiting: usize,
    /// What is known of the longer spans.
    scales: [Scale; 2],
    /// Windows since a drop was over: the spans of the next one hold no others.
    since_drop: u32,
    /// Empty windows in a row, to the newest; and how many of them wait to be learned, beyond those
    /// above: silence is learned when it is over, if it was none that was told.
    quiet: u32,
    held: u32,
    spike_at: u64,
    /// Whether `spike_at` is the critical count, or only something below it that costs nothing.
    is_exact: bool,
    spike: Series,
    drop: Series,
    lines: Vec<SampleLine>,
}

/// A window that was judged.
#[derive(Debug, Clone, Copy)]
struct Counted {
    records: u64,
    /// Whether it is one to learn from.
    is_usual: bool,
    /// By how much the sums of the longer spans that end with it are off what was expected.
    off: [f32; 2],
}

impl Rate {
    pub(crate) fn new() -> Self {
        Self {
            learned: 0,
            mean: 0.0,
            deviation2: 0.0,
            last: VecDeque::new(),
            waiting: 0,
            scales: [Scale::default(); 2],
            since_drop: u32::MAX / 2,
            quiet: 0,
            held: 0,
            spike_at: u64::MAX,
            is_exact: false,
            spike: Series::default(),
            drop: Series::default(),
            lines: Vec::new(),
        }
    }

    fn is_warm(&self, config: &Config) -> bool {
        self.learned >= config.warm_up_windows.max(1)
    }

    /// Between two lines, ms; 0 while it is not known.
    pub(crate) fn usual_gap(&self, config: &Config) -> i64 {
        if self.learned < LEAST_LEARNED || self.mean <= 0.0 {
            return 0;
        }
        (config.window_ms as f64 / self.mean).min(1e12) as i64
    }

    /// See [`crate::episode::Episodes::clock_set`].
    pub(crate) fn clock_set(&mut self, to: EventTime) {
        self.spike.episodes.clock_set(to);
        self.drop.episodes.clock_set(to);
    }

    /// A window with fewer lines than this is no spike.
    pub(crate) fn spike_at(&self) -> u64 {
        self.spike_at
    }

    pub(crate) fn is_open(&self) -> bool {
        self.spike.episodes.is_open() || self.drop.episodes.is_open()
    }

    /// One record was counted in `window`, which is still open and has lines enough to ask.
    /// `unexplained`: how many of them no burst of errors accounts for.
    pub(crate) fn observe(
        &mut self,
        seen: &Observation<'_>,
        window: &Window,
        unexplained: u64,
        now: EventTime,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) {
        if !self.is_spike(unexplained, config) {
            return;
        }
        if self.lines.len() < config.samples {
            self.lines.push(SampleLine::of(seen));
        }
        self.spiking(seen.service, window, unexplained, now, config, findings);
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
        negative_binomial_critical(self.mean, self.dispersion(), config.alpha())
            .max(self.matters_at())
    }

    /// Rarer than this may be, but is too small to matter.
    fn matters_at(&self) -> u64 {
        let most = (self.mean * SPIKE_FACTOR).max(self.mean + LEAST_EXCESS);
        most.ceil() as u64
    }

    fn arm(&mut self, config: &Config) {
        self.is_exact = false;
        self.spike_at = if self.is_warm(config) {
            self.matters_at()
        } else {
            u64::MAX
        };
    }

    fn spiking(
        &mut self,
        service: &str,
        window: &Window,
        unexplained: u64,
        now: EventTime,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) {
        let judged = Judged {
            window: *window,
            span: 1,
            observed: unexplained as f64,
        };
        self.spike.note(judged, true);
        // The score costs a tail probability: worked out when something is told, and once a window.
        let step = self.spike.episodes.anomalous(
            window.start,
            now,
            Score::NONE,
            judged.observed,
            window.offsets().unwrap_or((0, 0)),
            1000,
        );
        let phase = match step {
            Step::Open => Phase::Opened,
            Step::Update => Phase::Updated,
            Step::Quiet => return,
        };
        self.spike.calm = 0;
        let score = self.score(unexplained, config);
        self.spike.episodes.raise(score);
        if let Some(episode) = self.spike.episodes.current().cloned() {
            findings.push(self.tell(
                service,
                Kind::RateSpike,
                phase,
                &episode,
                judged,
                now,
                score,
                config,
            ));
        }
    }

    /// A window closed. `unexplained`: how many of its lines no burst of errors accounts for.
    /// `last_line`: a line that the service wrote lately, for a drop, which has no lines of its own.
    #[expect(
        clippy::too_many_arguments,
        reason = "one caller; a struct for it would only move the names"
    )]
    pub(crate) fn window_closed(
        &mut self,
        service: &str,
        window: &Window,
        unexplained: u64,
        last_line: Option<&SampleLine>,
        last_offset: i64,
        now: EventTime,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) {
        self.count(window.records, config);
        if !self.is_warm(config) {
            self.learn_what_waited_long(config);
            return;
        }
        // A storm that a burst has told is no more learned than a spike is.
        let is_usual = !self.is_spike(window.records, config);
        let spiking = self.is_spike(unexplained, config);
        if spiking {
            self.spiking(service, window, unexplained, now, config, findings);
            let score = self.score(unexplained, config);
            self.spike.episodes.raise(score);
        }
        let dropping = self.dropping(config);
        if let Some((span, score)) = dropping {
            self.dropped(
                service,
                window,
                span,
                score,
                last_line,
                last_offset,
                now,
                config,
                findings,
            );
        }
        self.end_if_calm(
            service,
            Kind::RateSpike,
            spiking,
            window,
            now,
            config,
            findings,
        );
        // A long span may open a drop; it does not keep it open when lines are back.
        let still_low = self.is_low();
        self.end_if_calm(
            service,
            Kind::RateDrop,
            still_low,
            window,
            now,
            config,
            findings,
        );
        if let Some(newest) = self.last.back_mut() {
            newest.is_usual = is_usual && !self.spike.episodes.is_open();
        }
        if self.drop.episodes.is_open() {
            // All that made it a drop, and what comes while it lasts.
            let span = dropping.map_or(1, |(span, _)| span);
            for counted in self.last.iter_mut().rev().take(span) {
                counted.is_usual = false;
            }
        }
        self.learn_what_waited_long(config);
    }

    fn count(&mut self, records: u64, config: &Config) {
        if records == 0 {
            self.quiet = (self.quiet + 1).min(MOST_QUIET);
        } else {
            self.quiet = 0;
            let held = std::mem::take(&mut self.held);
            if !self.drop.episodes.is_open() {
                (0..held).for_each(|_| self.learn_count(0, config));
            }
        }
        let mut counted = Counted {
            records,
            is_usual: true,
            off: [0.0; 2],
        };
        for (off, span) in counted.off.iter_mut().zip(&DROP_SPANS[1..]) {
            let before = self.last.iter().rev().take(span - 1);
            let sum: u64 = before.map(|counted| counted.records).sum();
            *off = ((sum + records) as f64 - self.mean * *span as f64) as f32;
        }
        self.last.push_back(counted);
        self.waiting += 1;
        self.since_drop = (self.since_drop + 1).min(u32::MAX / 2);
    }

    /// Windows wait until the longest span has passed them, so that what begins slowly is not learned
    /// before it can be seen; fewer while little is known.
    fn learn_what_waited_long(&mut self, config: &Config) {
        loop {
            let beyond = self.learned.saturating_sub(config.warm_up_windows.max(1)) as usize;
            if self.waiting <= beyond.min(LONGEST_SPAN) {
                break;
            }
            let at = self.last.len() - self.waiting;
            self.waiting -= 1;
            if self.is_warm(config) && self.quiet as usize > self.waiting {
                self.held = (self.held + 1).min(MOST_QUIET);
                continue;
            }
            if let Some(counted) = self.last.get(at).filter(|counted| counted.is_usual) {
                self.learn(*counted, config);
            }
        }
        while self.last.len() > LONGEST_SPAN {
            self.last.pop_front();
        }
    }

    fn sum(&self, span: usize) -> u64 {
        let newest = self.last.iter().rev().take(span);
        newest.map(|counted| counted.records).sum()
    }

    /// Whether lines are still missing, over the shortest span that tells.
    fn is_low(&self) -> bool {
        let span = DROP_SPANS
            .into_iter()
            .find(|span| self.mean * *span as f64 >= TELLING)
            .unwrap_or(LONGEST_SPAN);
        self.sum(span) as f64 <= self.mean * span as f64 * DROP_FACTOR
    }

    /// The shortest span whose lines are too few, if any.
    fn dropping(&self, config: &Config) -> Option<(usize, Score)> {
        // Of a service that writes little, only a long silence says something.
        let silence = (self.quiet as usize).max(LONGEST_SPAN);
        let spans = DROP_SPANS.into_iter().chain([silence]);
        spans.into_iter().find_map(|span| {
            let known = self.last.len().max(self.quiet as usize);
            if span > known || span as u64 > u64::from(self.since_drop) {
                return None;
            }
            let seen = self.sum(span);
            let expected = self.mean * span as f64;
            if seen as f64 > expected * DROP_FACTOR {
                return None;
            }
            let score = Score::of(
                negative_binomial_lower(seen, expected, self.dispersion_over(span)),
                config.alpha(),
            );
            score.is_anomalous().then_some((span, score))
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one caller; a struct for it would only move the names"
    )]
    fn dropped(
        &mut self,
        service: &str,
        window: &Window,
        span: usize,
        score: Score,
        last_line: Option<&SampleLine>,
        last_offset: i64,
        now: EventTime,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) {
        let start = window.start + -(config.window_ms * (span as i64 - 1));
        let offsets = window.offsets().unwrap_or((last_offset, last_offset));
        let observed = self.sum(span) as f64;
        let judged = Judged {
            window: *window,
            span,
            observed,
        };
        self.drop.note(judged, false);
        // "Twice as bad" for a drop is half the lines; told as the inverse so that it doubles.
        let badness = self.mean * span as f64 / (observed + 1.0);
        let step =
            self.drop
                .episodes
                .anomalous(start, now, score, badness, offsets, config.window_ms);
        self.drop.calm = 0;
        let phase = match step {
            Step::Open => Phase::Opened,
            Step::Update => Phase::Updated,
            Step::Quiet => return,
        };
        if phase == Phase::Opened {
            self.lines = last_line.cloned().into_iter().collect();
        }
        if let Some(episode) = self.drop.episodes.current().cloned() {
            findings.push(self.tell(
                service,
                Kind::RateDrop,
                phase,
                &episode,
                judged,
                now,
                score,
                config,
            ));
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one caller; a struct for it would only move the names"
    )]
    fn end_if_calm(
        &mut self,
        service: &str,
        kind: Kind,
        still: bool,
        window: &Window,
        now: EventTime,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) {
        let series = if kind == Kind::RateSpike {
            &mut self.spike
        } else {
            &mut self.drop
        };
        // Windows from before it began close while it lasts, and say nothing about its end.
        let began = |episode: &Episode| episode.began <= window.start;
        if !series.episodes.current().is_some_and(began) {
            return;
        }
        series.calm = if still { 0 } else { series.calm + 1 };
        // Silence is no level that could be the new one.
        series.lasted += u32::from(window.records > 0);
        let adopted = series.lasted >= config.adopt_after_windows;
        if series.calm < CALM_WINDOWS && !adopted {
            return;
        }
        series.calm = 0;
        series.lasted = 0;
        let last = Judged {
            window: *window,
            span: 1,
            observed: window.records as f64,
        };
        // An episode is remembered by its worst, not by the calm in which it ended.
        let worst = series.worst.take().unwrap_or(last);
        if let Some(episode) = series.episodes.close() {
            let peak = episode.peak;
            let mut finding = self.tell(
                service,
                kind,
                Phase::Closed,
                &episode,
                worst,
                now,
                peak,
                config,
            );
            if adopted {
                finding.summary.push_str(NEW_NORMAL);
            }
            findings.push(finding);
            self.lines.clear();
        }
        if kind == Kind::RateDrop {
            self.since_drop = 0;
        }
        if adopted {
            self.forget();
        }
    }

    /// What is open ends here.
    pub(crate) fn give_up(
        &mut self,
        service: &str,
        now: EventTime,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) {
        for kind in [Kind::RateSpike, Kind::RateDrop] {
            let series = match kind {
                Kind::RateSpike => &mut self.spike,
                _ => &mut self.drop,
            };
            if let Some((episode, worst)) = series.episodes.close().zip(series.worst.take()) {
                let (phase, peak) = (Phase::Closed, episode.peak);
                let told = self.tell(service, kind, phase, &episode, worst, now, peak, config);
                findings.push(told);
            }
        }
    }

    fn learn(&mut self, counted: Counted, config: &Config) {
        if self.is_warm(config) {
            for ((scale, span), off) in self
                .scales
                .iter_mut()
                .zip(&DROP_SPANS[1..])
                .zip(counted.off)
            {
                scale.learn(f64::from(off), *span, self.mean);
            }
        }
        self.learn_count(counted.records, config);
    }

    fn learn_count(&mut self, records: u64, config: &Config) {
        let count = f64::from(self.learned);
        let seen = records as f64;
        let deviation = seen - self.mean;
        if self.learned > 0 {
            // The most that one window may move the deviation: what nearly never happens by chance.
            let most = 16.0 * self.variance().max(1.0);
            let weight = LEARN_DEVIATION.max(1.0 / count.max(1.0));
            let deviation2 = if self.is_warm(config) {
                (deviation * deviation).min(most)
            } else {
                deviation * deviation
            };
            self.deviation2 += (deviation2 - self.deviation2) * weight;
        }
        self.mean += deviation * LEARN_MEAN.max(1.0 / (count + 1.0));
        self.learned = self.learned.saturating_add(1);
        self.arm(config);
    }

    fn forget(&mut self) {
        self.learned = 0;
        self.mean = 0.0;
        self.deviation2 = 0.0;
        self.spike_at = u64::MAX;
        self.last.clear();
        self.waiting = 0;
        self.quiet = 0;
        self.held = 0;
        self.scales = [Scale::default(); 2];
    }

    /// Dispersion of the negative binomial count, raised by how little is known of it.
    fn dispersion(&self) -> f64 {
        let windows = f64::from(self.learned.min((1.0 / LEARN_DEVIATION) as u32)).max(2.0);
        let unsure = 1.0 + 2.0 * (2.0 / windows).sqrt();
        let beyond_poisson =
            (self.deviation2 - self.mean).max(0.0) / (self.mean * self.mean).max(1e-9);
        (beyond_poisson * unsure).max(LEAST_DISPERSION) + 1.0 / (windows * 4.0 * self.mean.max(1.0))
    }

    /// Dispersion of the sum over `span` windows. While little is known of it: as one window's, as if
    /// all of them went up and down together.
    fn dispersion_over(&self, span: usize) -> f64 {
        // Of what is longer than the longest, the longest says the most.
        let of = span.min(LONGEST_SPAN);
        let at = DROP_SPANS[1..].iter().position(|longer| *longer == of);
        at.and_then(|at| self.scales.get(at)?.dispersion(of, self.mean))
            .map_or_else(|| self.dispersion(), |known| known.max(LEAST_DISPERSION))
    }

    fn variance_over(&self, span: usize) -> f64 {
        let expected = self.mean * span as f64;
        expected + self.dispersion_over(span) * expected * expected
    }

    fn variance(&self) -> f64 {
        self.mean + self.dispersion() * self.mean * self.mean
    }

    fn score(&self, records: u64, config: &Config) -> Score {
        let p = negative_binomial_upper(records, self.mean, self.dispersion());
        Score::of(p, config.alpha())
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        to.u32(self.learned);
        to.f64(self.mean);
        to.f64(self.deviation2);
        to.u64(self.last.len() as u64);
        for counted in &self.last {
            to.u64(counted.records);
            to.flag(counted.is_usual);
            for off in counted.off {
                to.f32(off);
            }
        }
        to.u64(self.waiting as u64);
        for scale in &self.scales {
            scale.save(to);
        }
        to.u32(self.since_drop);
        to.u32(self.quiet);
        to.u32(self.held);
        self.spike.save(to);
        self.drop.save(to);
        SampleLine::save_all(&self.lines, to);
    }

    pub(crate) fn load(from: &mut Reader<'_>, config: &Config) -> Loaded<Self> {
        let mut rate = Self::new();
        rate.learned = from.u32()?;
        rate.mean = from.amount()?;
        rate.deviation2 = from.amount()?;
        let count = from.length(LONGEST_SPAN, 1)?;
        let last = (0..count).map(|_| {
            Ok(Counted {
                records: from.count()?,
                is_usual: from.flag()?,
                off: [from.f32()?, from.f32()?],
            })
        });
        rate.last = last.collect::<Loaded<_>>()?;
        rate.waiting = from.length(count, 0)?;
        rate.scales = [Scale::load(from)?, Scale::load(from)?];
        rate.since_drop = from.u32()?;
        rate.quiet = from.u32()?.min(MOST_QUIET);
        rate.held = from.u32()?.min(MOST_QUIET);
        rate.spike = Series::load(from)?;
        rate.drop = Series::load(from)?;
        // A drop keeps one line, however few are asked for.
        rate.lines = SampleLine::load_all(from, config.samples.max(1))?;
        rate.arm(config);
        Ok(rate)
    }
}
