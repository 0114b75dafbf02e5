//! Windowed statistics of the log rate: spike and drop against a moving average and deviation.
//!
//! Invariant: what is anomalous is not learned, so that an anomaly does not become its own
//! baseline; a change that lasts is adopted, by starting over.

use std::collections::VecDeque;

use crate::{
    Config,
    burst::rounded,
    episode::{Episode, Episodes, Step},
    finding::{Finding, Kind, Part, Phase, SampleLine},
    partition::Observation,
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
const DROP_SPANS: [usize; 3] = [1, 6, 30];
/// Normal windows in a row that end an episode.
const CALM_WINDOWS: u32 = 2;

#[derive(Debug, Clone)]
pub struct Rate {
    window_ms: i64,
    alpha: f64,
    warm_up: u32,
    adopt_after: u32,
    samples: usize,
    learned: u32,
    mean: f64,
    /// Mean of squared deviations from the moving average.
    deviation2: f64,
    /// Counts of the last windows, newest last, anomalous ones included.
    last: VecDeque<u64>,
    spike_at: u64,
    spike: Series,
    drop: Series,
    lines: Vec<SampleLine>,
}

#[derive(Debug, Clone, Default)]
struct Series {
    episodes: Episodes,
    calm: u32,
    lasted: u32,
    worst: Option<Judged>,
}

/// Windows that were judged together: the newest one, how many, and their lines.
#[derive(Debug, Clone, Copy)]
struct Judged {
    window: Window,
    span: usize,
    observed: f64,
}

impl Series {
    /// Remembers where it was worst: the most lines per window (`up`), or the fewest.
    fn note(&mut self, judged: Judged, up: bool) {
        let per_window = |judged: &Judged| judged.observed / judged.span as f64;
        let worse = self.worst.as_ref().is_none_or(|worst| {
            if up {
                per_window(&judged) >= per_window(worst)
            } else {
                per_window(&judged) <= per_window(worst)
            }
        });
        if worse {
            self.worst = Some(judged);
        }
    }
}

impl Rate {
    pub fn new(config: &Config) -> Self {
        Self {
            window_ms: config.window_ms,
            alpha: config.alpha(),
            warm_up: config.warm_up_windows,
            adopt_after: config.adopt_after_windows,
            samples: config.samples,
            learned: 0,
            mean: 0.0,
            deviation2: 0.0,
            last: VecDeque::with_capacity(DROP_SPANS[2]),
            spike_at: u64::MAX,
            spike: Series::default(),
            drop: Series::default(),
            lines: Vec::new(),
        }
    }

    pub fn is_warm(&self) -> bool {
        self.learned >= self.warm_up
    }

    pub fn is_open(&self) -> bool {
        self.spike.episodes.is_open() || self.drop.episodes.is_open()
    }

    /// One record was counted in `window`, which is still open.
    pub fn observe(
        &mut self,
        seen: &Observation<'_>,
        window: &Window,
        now: EventTime,
        findings: &mut Vec<Finding>,
    ) {
        if window.records < self.spike_at {
            return;
        }
        if self.lines.len() < self.samples {
            seen.keep_in(&mut self.lines, self.samples);
        }
        self.spiking(seen.service, window, now, findings);
    }

    fn spiking(
        &mut self,
        service: &str,
        window: &Window,
        now: EventTime,
        findings: &mut Vec<Finding>,
    ) {
        let offsets = window.offsets.unwrap_or((0, 0));
        let judged = Judged {
            window: *window,
            span: 1,
            observed: window.records as f64,
        };
        self.spike.note(judged, true);
        // The score costs a tail probability: worked out when something is told, and once a window.
        let step = self.spike.episodes.anomalous(
            window.start,
            now,
            Score::NONE,
            judged.observed,
            offsets,
            1000,
        );
        let phase = match step {
            Step::Open => Phase::Opened,
            Step::Update => Phase::Updated,
            Step::Quiet => return,
        };
        self.spike.calm = 0;
        let score = self.score(window.records, Kind::RateSpike);
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
            ));
        }
    }

    /// A window closed. `last_line`: a line that the service wrote lately, for a drop, which has
    /// no lines of its own.
    pub fn window_closed(
        &mut self,
        service: &str,
        window: &Window,
        last_line: Option<&SampleLine>,
        last_offset: i64,
        now: EventTime,
        findings: &mut Vec<Finding>,
    ) {
        if self.last.len() == DROP_SPANS[2] {
            self.last.pop_front();
        }
        self.last.push_back(window.records);
        if !self.is_warm() {
            self.learn(window.records);
            return;
        }
        let spiking = window.records >= self.spike_at;
        if spiking {
            self.spiking(service, window, now, findings);
            self.spike
                .episodes
                .raise(self.score(window.records, Kind::RateSpike));
        }
        let dropping = self.dropping();
        if let Some((span, score)) = dropping {
            self.dropped(
                service,
                window,
                span,
                score,
                last_line,
                last_offset,
                now,
                findings,
            );
        }
        self.end_if_calm(service, Kind::RateSpike, spiking, window, now, findings);
        self.end_if_calm(
            service,
            Kind::RateDrop,
            dropping.is_some(),
            window,
            now,
            findings,
        );
        if !spiking && dropping.is_none() && !self.is_open() {
            self.learn(window.records);
        }
    }

    /// The shortest span whose lines are too few, if any.
    fn dropping(&self) -> Option<(usize, Score)> {
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
                self.alpha,
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
        findings: &mut Vec<Finding>,
    ) {
        let start = window.start + -(self.window_ms * (span as i64 - 1));
        let offsets = window.offsets.unwrap_or((last_offset, last_offset));
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
                .anomalous(start, now, score, badness, offsets, self.window_ms);
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
            findings.push(self.tell(service, Kind::RateDrop, phase, &episode, judged, now, score));
        }
    }

    fn end_if_calm(
        &mut self,
        service: &str,
        kind: Kind,
        still: bool,
        window: &Window,
        now: EventTime,
        findings: &mut Vec<Finding>,
    ) {
        let adopt_after = self.adopt_after;
        let series = if kind == Kind::RateSpike {
            &mut self.spike
        } else {
            &mut self.drop
        };
        if !series.episodes.is_open() {
            return;
        }
        series.calm = if still { 0 } else { series.calm + 1 };
        series.lasted += 1;
        let adopted = series.lasted >= adopt_after;
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
            let mut finding = self.tell(service, kind, Phase::Closed, &episode, worst, now, peak);
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

    fn learn(&mut self, records: u64) {
        let count = f64::from(self.learned);
        let seen = records as f64;
        let deviation = seen - self.mean;
        if self.learned > 0 {
            // The most that one window may move the deviation: what nearly never happens by chance.
            let most = 16.0 * self.variance().max(1.0);
            let weight = LEARN_DEVIATION.max(1.0 / count.max(1.0));
            let deviation2 = if self.is_warm() {
                (deviation * deviation).min(most)
            } else {
                deviation * deviation
            };
            self.deviation2 += (deviation2 - self.deviation2) * weight;
        }
        self.mean += deviation * LEARN_MEAN.max(1.0 / (count + 1.0));
        self.learned = self.learned.saturating_add(1);
        self.spike_at = if self.is_warm() {
            negative_binomial_critical(self.mean, self.dispersion(), self.alpha)
                .max((self.mean * SPIKE_FACTOR).ceil() as u64)
                .max((self.mean + LEAST_EXCESS).ceil() as u64)
        } else {
            u64::MAX
        };
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

    fn score(&self, records: u64, kind: Kind) -> Score {
        let dispersion = self.dispersion();
        let p = if kind == Kind::RateSpike {
            negative_binomial_upper(records, self.mean, dispersion)
        } else {
            negative_binomial_lower(records, self.mean, dispersion)
        };
        Score::of(p, self.alpha)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "gathers what its three callers know; a struct would only move the names"
    )]
    fn tell(
        &self,
        service: &str,
        kind: Kind,
        phase: Phase,
        episode: &Episode,
        Judged {
            window,
            span,
            observed,
        }: Judged,
        now: EventTime,
        score: Score,
    ) -> Finding {
        let expected = self.mean * span as f64;
        let seconds = self.window_ms / 1000 * span as i64;
        let spread = 3.0 * self.variance().sqrt() * span as f64;
        let title = match phase {
            Phase::Closed => {
                let lasted = ((episode.last_anomalous - episode.start) / 1000).max(1);
                let what = if kind == Kind::RateSpike {
                    "spike"
                } else {
                    "drop"
                };
                format!(
                    "{service}: {what} of the log rate over after {lasted} s, {} lines in {seconds} s at its worst, {} expected",
                    rounded(observed),
                    rounded(expected)
                )
            }
            _ if observed == 0.0 => format!(
                "{service}: silent for {seconds} s, {} lines expected",
                rounded(expected)
            ),
            _ => format!(
                "{service}: {} lines in {seconds} s, {} expected",
                rounded(observed),
                rounded(expected)
            ),
        };
        Finding {
            kind,
            service: service.to_owned(),
            episode_start: episode.start,
            ordinal: episode.ordinal,
            version: episode.version,
            phase,
            window_start: window.start + -(self.window_ms * (span as i64 - 1)),
            window_end: window.start + self.window_ms,
            detected_at: now,
            score: if score > episode.peak {
                score
            } else {
                episode.peak
            },
            observed,
            expected,
            lower: (expected - spread).max(0.0),
            upper: if kind == Kind::RateSpike && self.spike_at != u64::MAX {
                self.spike_at as f64
            } else {
                expected + spread
            },
            title,
            summary: summary(service, kind, observed, expected),
            baseline: format!(
                "Moving average of {} lines per {} s and deviation {} over the last windows (half-life 20 windows, {} learned); anomalous windows are not learned.",
                rounded(self.mean),
                self.window_ms / 1000,
                rounded(self.variance().sqrt()),
                self.learned
            ),
            parts: vec![Part {
                name: "volume",
                text: difference(observed, expected),
                share: 1.0,
            }],
            samples: self.lines.clone(),
            offsets: (episode.first_offset, episode.last_offset),
        }
    }
}

fn summary(service: &str, kind: Kind, observed: f64, expected: f64) -> String {
    if expected <= 0.0 {
        return format!("{service} usually writes nothing.");
    }
    let factor = observed / expected;
    match kind {
        Kind::RateSpike => format!("{service} writes {factor:.1} times as many lines as expected."),
        _ => format!(
            "{service} writes {:.0}% of the lines expected.",
            100.0 * factor
        ),
    }
}

fn difference(observed: f64, expected: f64) -> String {
    if observed >= expected {
        format!("{} lines more than expected", rounded(observed - expected))
    } else {
        format!("{} lines fewer than expected", rounded(expected - observed))
    }
}
