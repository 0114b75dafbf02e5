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
    state::{Loaded, Reader, Writer},
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
pub(crate) struct ErrorRate {
    baseline: RatioBaseline,
    last: VecDeque<Window>,
    learned: u32,
    lasted: u32,
    episodes: Episodes,
    calm: u32,
    /// Windows that still hold lines of a burst.
    burst_within: usize,
}

impl ErrorRate {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            baseline: RatioBaseline::new(config.alpha()),
            last: VecDeque::new(),
            learned: 0,
            lasted: 0,
            episodes: Episodes::default(),
            calm: 0,
            burst_within: 0,
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one caller; a struct for it would only move the names"
    )]
    pub(crate) fn window_closed(
        &mut self,
        service: &str,
        window: &Window,
        burst: bool,
        lines: &[SampleLine],
        now: EventTime,
        config: &Config,
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
        let matters = self.learned >= config.warm_up_windows
            && self.burst_within == 0
            && errors >= LEAST_ERRORS
            && errors as f64 >= FACTOR * expected;
        // The score costs a sum over the tail.
        let anomalous = matters
            .then(|| self.baseline.score(records, errors))
            .filter(|score| score.is_anomalous());
        if let Some(score) = anomalous {
            self.calm = 0;
            let start = self.last.front().map_or(window.start, |first| first.start);
            let offsets = (
                self.last
                    .iter()
                    .find_map(Window::offsets)
                    .map_or(0, |(first, _)| first),
                self.last
                    .iter()
                    .rev()
                    .find_map(Window::offsets)
                    .map_or(0, |(_, last)| last),
            );
            let step = self.episodes.anomalous(
                start,
                now,
                score,
                errors as f64,
                offsets,
                config.window_ms,
            );
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
                    config,
                ));
            }
        }
        let counts = (records, errors);
        self.settle(
            service,
            window,
            anomalous.is_some(),
            counts,
            now,
            config,
            findings,
        );
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one caller; a struct for it would only move the names"
    )]
    fn settle(
        &mut self,
        service: &str,
        window: &Window,
        anomalous: bool,
        counts: (u64, u64),
        now: EventTime,
        config: &Config,
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
        let adopted = self.lasted >= config.adopt_after_windows;
        if self.calm < CALM_WINDOWS && !adopted {
            return;
        }
        self.lasted = 0;
        self.calm = 0;
        if let Some(episode) = self.episodes.close() {
            let peak = episode.peak;
            let mut finding = self.tell(
                service,
                Phase::Closed,
                &episode,
                counts,
                &[],
                now,
                peak,
                config,
            );
            if adopted {
                finding
                    .summary
                    .push_str(" It has lasted so long that it is taken for the new normal.");
                self.baseline.forget();
                self.learned = 0;
            }
            findings.push(finding);
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.episodes.is_open()
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        self.baseline.save(to);
        to.u64(self.last.len() as u64);
        for window in &self.last {
            window.save(to);
        }
        to.u32(self.learned);
        to.u32(self.lasted);
        self.episodes.save(to);
        to.u32(self.calm);
        to.byte(self.burst_within as u8);
    }

    pub(crate) fn load(from: &mut Reader<'_>, config: &Config) -> Loaded<Self> {
        let baseline = RatioBaseline::load(from, config.alpha())?;
        let count = from.length(SPAN, 2)?;
        Ok(Self {
            baseline,
            last: (0..count)
                .map(|_| Window::load(from))
                .collect::<Loaded<_>>()?,
            learned: from.u32()?,
            lasted: from.u32()?,
            episodes: Episodes::load(from)?,
            calm: from.u32()?,
            burst_within: usize::from(from.byte()?).min(SPAN),
        })
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
        config: &Config,
    ) -> Finding {
        let share = self.baseline.share();
        let expected = share * records as f64;
        let seconds = config.window_ms / 1000 * self.last.len() as i64;
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
                .map_or(now, |window| window.start + config.window_ms),
            detected_at: now,
            score: if score > episode.peak {
                score
            } else {
                episode.peak
            },
            observed: errors as f64,
            expected,
            lower: 0.0,
            upper: self.baseline.critical(records) as f64,
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
