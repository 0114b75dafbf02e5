//! Error burst: fires on the record that crosses the line, not when a window closes.
//!
//! Invariant: it looks at the share of errors among the lines of the last span, so that more
//! traffic with the usual share of errors is no burst, whatever the number of errors.

use crate::{
    Config,
    episode::{Episode, Episodes, Step},
    finding::{Finding, Kind, Part, Phase, SampleLine},
    partition::Observation,
    ratio::RatioBaseline,
    recent::Recent,
    time::{EventTime, Score},
};

/// Fewer errors than this are never a burst.
const LEAST_ERRORS: u64 = 5;

#[derive(Debug, Clone)]
pub struct ErrorBurst {
    recent: Recent,
    pub(crate) baseline: RatioBaseline,
    episodes: Episodes,
    span_ms: i64,
    /// Newest error lines, oldest first.
    lines: Vec<SampleLine>,
    samples: usize,
    /// Errors, and lines, since the episode opened.
    during: (u64, u64),
    usual_lines: f64,
}

impl ErrorBurst {
    pub fn new(config: &Config) -> Self {
        Self {
            recent: Recent::over(config.window_ms),
            // Judged on every error, with overlapping spans: a tenth of the budget of one window.
            baseline: RatioBaseline::new(config.alpha() / 10.0),
            episodes: Episodes::default(),
            span_ms: config.window_ms,
            lines: Vec::new(),
            samples: config.samples,
            during: (0, 0),
            usual_lines: 0.0,
        }
    }

    pub fn is_open(&self) -> bool {
        self.episodes.is_open()
    }

    /// The newest error lines of the service, oldest first.
    pub fn lines(&self) -> &[SampleLine] {
        &self.lines
    }

    pub fn observe(
        &mut self,
        seen: &Observation<'_>,
        now: EventTime,
        window_start: EventTime,
        findings: &mut Vec<Finding>,
    ) {
        self.recent.count(seen.time, seen.is_error, seen.offset);
        if self.episodes.is_open() {
            self.during.0 += u64::from(seen.is_error);
            self.during.1 += 1;
        }
        if !seen.is_error {
            return;
        }
        seen.keep_in(&mut self.lines, self.samples);
        let (records, errors) = self.recent.sum();
        if errors < LEAST_ERRORS || errors < self.baseline.critical(records) {
            return;
        }
        if !self.episodes.is_open() {
            self.during = (errors, records);
        }
        let first = self.recent.first_error().unwrap_or(seen.offset);
        let errors_during = self.during.0 as f64;
        // The score costs a sum over the tail: worked out when something is told.
        let step = self.episodes.anomalous(
            window_start,
            now,
            Score::NONE,
            errors_during,
            (first, seen.offset),
            1000,
        );
        let phase = match step {
            Step::Open => Phase::Opened,
            Step::Update => Phase::Updated,
            Step::Quiet => return,
        };
        let score = self.baseline.score(records, errors);
        self.episodes.raise(score);
        if let Some(episode) = self.episodes.current().cloned() {
            findings.push(self.tell(seen.service, phase, &episode, now, score, (records, errors)));
        }
    }

    /// A window of the service closed at stream time `now`.
    pub fn window_closed(
        &mut self,
        service: &str,
        now: EventTime,
        records: u64,
        errors: u64,
        findings: &mut Vec<Finding>,
    ) {
        let Some(episode) = self.episodes.current() else {
            self.baseline.learn(records, errors);
            self.usual_lines += (records as f64 - self.usual_lines) * 0.05;
            return;
        };
        if now - episode.last_anomalous < 2 * self.span_ms {
            return;
        }
        if let Some(episode) = self.episodes.close() {
            let peak = episode.peak;
            let (errors, records) = self.during;
            findings.push(self.tell(
                service,
                Phase::Closed,
                &episode,
                now,
                peak,
                (records, errors),
            ));
        }
    }

    fn tell(
        &self,
        service: &str,
        phase: Phase,
        episode: &Episode,
        now: EventTime,
        score: Score,
        (records, errors): (u64, u64),
    ) -> Finding {
        let share = self.baseline.share();
        let expected = share * records as f64;
        let (a, upper) = (0.0, self.baseline.clone().critical(records) as f64);
        let last = episode.last_anomalous.max(episode.start);
        let seconds = if phase == Phase::Closed {
            ((last - episode.start) / 1000).max(1)
        } else {
            self.span_ms / 1000
        };
        let over = if phase == Phase::Closed {
            ", over now"
        } else {
            ""
        };
        Finding {
            kind: Kind::ErrorBurst,
            service: service.to_owned(),
            episode_start: episode.start,
            ordinal: episode.ordinal,
            version: episode.version,
            phase,
            window_start: episode.start,
            window_end: last,
            detected_at: now,
            score: if score > episode.peak {
                score
            } else {
                episode.peak
            },
            observed: errors as f64,
            expected,
            lower: a,
            upper,
            title: format!(
                "{service}: {errors} errors in {seconds} s, {} expected{over}",
                rounded(expected)
            ),
            summary: format!(
                "{:.0}% of {records} lines are errors; {:.1}% is usual for {service}.",
                100.0 * errors as f64 / records.max(1) as f64,
                100.0 * share
            ),
            baseline: self.describe_baseline(),
            parts: self.parts(records, errors),
            samples: self.lines.clone(),
            offsets: (episode.first_offset, episode.last_offset),
        }
    }

    fn describe_baseline(&self) -> String {
        if self.baseline.weight() < 1.0 {
            return "No history of this service yet: held against one error in twenty lines, the assumption for a new service.".to_owned();
        }
        format!(
            "Share of errors over the recent closed windows of this service, {:.0} lines by weight (half-life 69 windows).",
            self.baseline.weight()
        )
    }

    /// Splits the errors beyond the usual into those that come of more lines and those that come of
    /// a higher share.
    fn parts(&self, records: u64, errors: u64) -> Vec<Part> {
        let share = self.baseline.share();
        let usual = if self.usual_lines > 0.0 {
            self.usual_lines
        } else {
            records as f64
        };
        let by_share = (errors as f64 - share * records as f64).max(0.0);
        let by_volume = (share * (records as f64 - usual)).max(0.0);
        let excess = (by_share + by_volume).max(1e-9);
        let mut parts = vec![Part {
            name: "share of errors",
            text: format!(
                "{} errors more than the usual share of these lines",
                rounded(by_share)
            ),
            share: by_share / excess,
        }];
        if by_volume / excess >= 0.01 {
            parts.push(Part {
                name: "volume",
                text: format!(
                    "{} errors that come of more lines than usual",
                    rounded(by_volume)
                ),
                share: by_volume / excess,
            });
        }
        parts
    }
}

/// A number as a person writes it: no decimals from ten up.
pub(crate) fn rounded(value: f64) -> String {
    if value >= 9.95 || value == value.trunc() {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}
