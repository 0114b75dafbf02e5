//! Windowed statistics of the share of errors: what is too high for longer without being a burst.
//!
//! Invariant: silent while a burst is open and until its lines have left the windows summed up
//! here: one storm is told once.

use std::collections::VecDeque;

use crate::{
    Config,
    burst::{NEW_NORMAL, rounded},
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
    /// Where the episode was worst.
    worst: Option<Judged>,
}

/// Windows that were judged together: lines, errors, where they begin, and where they end.
#[derive(Debug, Clone, Copy)]
struct Judged {
    records: u64,
    errors: u64,
    from: EventTime,
    to: EventTime,
}

impl Judged {
    fn share(&self) -> f64 {
        self.errors as f64 / self.records.max(1) as f64
    }
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
            worst: None,
        }
    }

    /// See [`Episodes::clock_set`].
    pub(crate) fn clock_set(&mut self, to: EventTime) {
        self.episodes.clock_set(to);
        self.last.clear();
    }

    /// Another share of errors is normal from now on.
    pub(crate) fn forget(&mut self) {
        self.baseline.forget();
        self.learned = 0;
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
        let judged = Judged {
            records,
            errors,
            from: self.last.front().map_or(window.start, |first| first.start),
            to: window.start + config.window_ms,
        };
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
            let start = judged.from;
            if self
                .worst
                .is_none_or(|worst| judged.share() >= worst.share())
            {
                self.worst = Some(judged);
            }
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
                findings.push(self.tell(service, phase, episode, judged, lines, now, score));
            }
        }
        self.settle(
            service,
            window,
            anomalous.is_some(),
            judged,
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
        judged: Judged,
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
            // An episode is remembered by its worst, not by the calm in which it ended.
            let worst = self.worst.take().unwrap_or(judged);
            let mut finding = self.tell(service, Phase::Closed, &episode, worst, &[], now, peak);
            if adopted {
                finding.summary.push_str(NEW_NORMAL);
                self.forget();
            }
            findings.push(finding);
        }
    }

    /// What is open ends here.
    pub(crate) fn give_up(&mut self, service: &str, now: EventTime, findings: &mut Vec<Finding>) {
        if let Some((episode, worst)) = self.episodes.close().zip(self.worst.take()) {
            let peak = episode.peak;
            findings.push(self.tell(service, Phase::Closed, &episode, worst, &[], now, peak));
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
        to.maybe(self.worst, |worst, to| {
            to.u64(worst.records);
            to.u64(worst.errors);
            to.moment(worst.from);
            to.moment(worst.to);
        });
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
            worst: from.maybe(|from| {
                Ok(Judged {
                    records: from.count()?,
                    errors: from.count()?,
                    from: from.moment()?,
                    to: from.moment()?,
                })
            })?,
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
        Judged {
            records,
            errors,
            from,
            to,
        }: Judged,
        lines: &[SampleLine],
        now: EventTime,
        score: Score,
    ) -> Finding {
        let share = self.baseline.share();
        let expected = share * records as f64;
        let seconds = (to - from) / 1000;
        let title = if phase == Phase::Closed {
            let lasted = ((episode.last_anomalous - episode.start) / 1000).max(1);
            format!(
                "{service}: raised share of errors over after {lasted} s, {errors} errors in {seconds} s at its worst, {} expected",
                rounded(expected)
            )
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
            window_start: from,
            window_end: to,
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
