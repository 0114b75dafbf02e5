//! Windowed statistics of the share of errors: what is too high for longer without being a burst.
//!
//! Invariant: silent while a burst is open and until its lines have left the windows summed up
//! here: one storm is told once.

use std::collections::VecDeque;

use crate::{
    Config,
    burst::rounded,
    episode::{Episode, Episodes, Step},
    finding::{Finding, Kind, Part, Phase, SampleLine},
    ratio::RatioBaseline,
    time::{EventTime, Score},
    window::Window,
};

/// Windows summed up for one judgement.
const SPAN: usize = 6;
const LEAST_ERRORS: u64 = 10;
/// Rare but too small to matter is left alone.
const FACTOR: f64 = 2.0;
const CALM_WINDOWS: u32 = 3;

#[derive(Debug, Clone)]
pub struct ErrorRate {
    window_ms: i64,
    baseline: RatioBaseline,
    last: VecDeque<Window>,
    learned: u32,
    warm_up: u32,
    adopt_after: u32,
    lasted: u32,
    episodes: Episodes,
    calm: u32,
    /// Windows that still hold lines of a burst.
    burst_within: usize,
}

impl ErrorRate {
    pub fn new(config: &Config) -> Self {
        Self {
            window_ms: config.window_ms,
            baseline: RatioBaseline::new(config.alpha()),
            last: VecDeque::with_capacity(SPAN),
            learned: 0,
            warm_up: config.warm_up_windows,
            adopt_after: config.adopt_after_windows,
            lasted: 0,
            episodes: Episodes::default(),
            calm: 0,
            burst_within: 0,
        }
    }

    pub fn window_closed(
        &mut self,
        service: &str,
        window: &Window,
        burst: bool,
        lines: &[SampleLine],
        now: EventTime,
        findings: &mut Vec<Finding>,
    ) {
        if self.last.len() == SPAN {
            self.last.pop_front();
        }
        self.last.push_back(*window);
        self.burst_within = if burst {
            SPAN
        } else {
            self.burst_within.saturating_sub(1)
        };
        let records: u64 = self.last.iter().map(|window| window.records).sum();
        let errors: u64 = self.last.iter().map(|window| window.errors).sum();
        let expected = self.baseline.share() * records as f64;
        let score = self.baseline.score(records, errors);
        let anomalous = self.learned >= self.warm_up
            && self.burst_within == 0
            && errors >= LEAST_ERRORS
            && errors as f64 >= FACTOR * expected
            && score.is_anomalous();
        if anomalous {
            self.calm = 0;
            let start = self.last.front().map_or(window.start, |first| first.start);
            let offsets = (
                self.last
                    .iter()
                    .find_map(|window| window.offsets)
                    .map_or(0, |(first, _)| first),
                self.last
                    .iter()
                    .rev()
                    .find_map(|window| window.offsets)
                    .map_or(0, |(_, last)| last),
            );
            let step =
                self.episodes
                    .anomalous(start, now, score, errors as f64, offsets, self.window_ms);
            let phase = match step {
                Step::Open => Some(Phase::Opened),
                Step::Update => Some(Phase::Updated),
                Step::Quiet => None,
            };
            if let (Some(phase), Some(episode)) = (phase, self.episodes.current()) {
                findings.push(self.tell(
                    service,
                    phase,
                    episode,
                    (records, errors),
                    lines,
                    now,
                    score,
                ));
            }
        }
        self.settle(service, window, anomalous, (records, errors), now, findings);
    }

    fn settle(
        &mut self,
        service: &str,
        window: &Window,
        anomalous: bool,
        counts: (u64, u64),
        now: EventTime,
        findings: &mut Vec<Finding>,
    ) {
        if !self.episodes.is_open() {
            if !anomalous && self.burst_within == 0 {
                self.baseline.learn(window.records, window.errors);
                self.learned = self.learned.saturating_add(1);
            }
            return;
        }
        self.lasted += 1;
        if !anomalous {
            self.calm += 1;
        }
        let adopted = self.lasted >= self.adopt_after;
        if self.calm < CALM_WINDOWS && !adopted {
            return;
        }
        self.lasted = 0;
        self.calm = 0;
        if let Some(episode) = self.episodes.close() {
            let peak = episode.peak;
            let mut finding = self.tell(service, Phase::Closed, &episode, counts, &[], now, peak);
            if adopted {
                finding
                    .summary
                    .push_str(" It has lasted so long that it is taken for the new normal.");
                self.baseline = RatioBaseline::new(self.baseline_alpha());
                self.learned = 0;
            }
            findings.push(finding);
        }
    }

    fn baseline_alpha(&self) -> f64 {
        self.baseline.alpha()
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "gathers what its callers know; a struct would only move the names"
    )]
    fn tell(
        &self,
        service: &str,
        phase: Phase,
        episode: &Episode,
        (records, errors): (u64, u64),
        lines: &[SampleLine],
        now: EventTime,
        score: Score,
    ) -> Finding {
        let share = self.baseline.share();
        let expected = share * records as f64;
        let seconds = self.window_ms / 1000 * self.last.len() as i64;
        let title = if phase == Phase::Closed {
            let lasted = ((episode.last_anomalous - episode.start) / 1000).max(1);
            format!("{service}: raised share of errors over after {lasted} s")
        } else {
            format!(
                "{service}: {errors} errors in {seconds} s, {} expected",
                rounded(expected)
            )
        };
        Finding {
            kind: Kind::ErrorRateSpike,
            service: service.to_owned(),
            episode_start: episode.start,
            ordinal: episode.ordinal,
            version: episode.version,
            phase,
            window_start: self
                .last
                .front()
                .map_or(episode.start, |window| window.start),
            window_end: self
                .last
                .back()
                .map_or(now, |window| window.start + self.window_ms),
            detected_at: now,
            score: if score > episode.peak {
                score
            } else {
                episode.peak
            },
            observed: errors as f64,
            expected,
            lower: 0.0,
            upper: self.baseline.clone().critical(records) as f64,
            title,
            summary: format!(
                "{:.1}% of {records} lines are errors; {:.1}% is usual for {service}.",
                100.0 * errors as f64 / records.max(1) as f64,
                100.0 * share
            ),
            baseline: format!(
                "Share of errors over the recent closed windows of this service, {:.0} lines by weight (half-life 69 windows).",
                self.baseline.weight()
            ),
            parts: vec![Part {
                name: "share of errors",
                text: format!(
                    "{} errors more than the usual share of these lines",
                    rounded((errors as f64 - expected).max(0.0))
                ),
                share: 1.0,
            }],
            samples: lines.to_vec(),
            offsets: (episode.first_offset, episode.last_offset),
        }
    }
}
