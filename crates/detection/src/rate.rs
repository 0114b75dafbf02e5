//! Windowed statistics of the log rate: spike and drop against a moving average and deviation.
//!
//! Invariant: what is anomalous is not learned, so that an anomaly does not become its own
//! baseline; a change that lasts is adopted, by starting over. Errors that a burst has told are no
//! spike: one storm is told once.

mod series;
mod tell;

use std::collections::VecDeque;

use series::{Judged, Series};

use crate::{
    Config,
    episode::{Episode, Step},
    finding::{Finding, Kind, Phase, SampleLine},
    partition::Observation,
    state::{Loaded, Reader, Writer},
    tail::{negative_binomial_critical, negative_binomial_lower, negative_binomial_upper},
    time::{EventTime, Score},
    window::Window,
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

#[derive(Debug, Clone)]
pub(crate) struct Rate {
    learned: u32,
    mean: f64,
    /// Mean of squared deviations from the moving average.
    deviation2: f64,
    /// Counts of the last windows, newest last, anomalous ones included.
    last: VecDeque<u64>,
    spike_at: u64,
    /// Whether `spike_at` is the critical count, or only something below it that costs nothing.
    is_exact: bool,
    spike: Series,
    drop: Series,
    lines: Vec<SampleLine>,
}

impl Rate {
    pub(crate) fn new() -> Self {
        Self {
            learned: 0,
            mean: 0.0,
            deviation2: 0.0,
            last: VecDeque::new(),
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
        if self.last.len() == LONGEST_SPAN {
            self.last.pop_front();
        }
        self.last.push_back(window.records);
        if !self.is_warm(config) {
            self.learn(window.records, config);
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
        self.end_if_calm(
            service,
            Kind::RateDrop,
            dropping.is_some(),
            window,
            now,
            config,
            findings,
        );
        if is_usual && dropping.is_none() && !self.is_open() {
            self.learn(window.records, config);
        }
    }

    /// The shortest span whose lines are too few, if any.
    fn dropping(&self, config: &Config) -> Option<(usize, Score)> {
        DROP_SPANS.into_iter().find_map(|span| {
            if span > self.last.len() {
                return None;
            }
            let seen: u64 = self.last.iter().rev().take(span).sum();
            let expected = self.mean * span as f64;
            if seen as f64 > expected * DROP_FACTOR {
                return None;
            }
            // Windows in a row go up and down together, so a sum disperses as one window does.
            let score = Score::of(
                negative_binomial_lower(seen, expected, self.dispersion()),
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
        let observed = self.last.iter().rev().take(span).sum::<u64>() as f64;
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
        let began = |episode: &Episode| episode.start <= window.start;
        if !series.episodes.current().is_some_and(began) {
            return;
        }
        series.calm = if still { 0 } else { series.calm + 1 };
        series.lasted += 1;
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
                finding
                    .summary
                    .push_str(" It has lasted so long that it is taken for the new normal.");
            }
            findings.push(finding);
            self.lines.clear();
        }
        if adopted {
            self.forget();
        }
    }

    fn learn(&mut self, records: u64, config: &Config) {
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
    }

    /// Dispersion of the negative binomial count, raised by how little is known of it.
    fn dispersion(&self) -> f64 {
        let windows = f64::from(self.learned.min((1.0 / LEARN_DEVIATION) as u32)).max(2.0);
        let unsure = 1.0 + 2.0 * (2.0 / windows).sqrt();
        let beyond_poisson =
            (self.deviation2 - self.mean).max(0.0) / (self.mean * self.mean).max(1e-9);
        (beyond_poisson * unsure).max(LEAST_DISPERSION) + 1.0 / (windows * 4.0 * self.mean.max(1.0))
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
        for records in &self.last {
            to.u64(*records);
        }
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
        rate.last = (0..count).map(|_| from.count()).collect::<Loaded<_>>()?;
        rate.spike = Series::load(from)?;
        rate.drop = Series::load(from)?;
        // A drop keeps one line, however few are asked for.
        rate.lines = SampleLine::load_all(from, config.samples.max(1))?;
        rate.arm(config);
        Ok(rate)
    }
}
