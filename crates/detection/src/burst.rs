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
    state::{Loaded, Reader, Writer},
    time::{EventTime, Score},
    window::Window,
};

/// Fewer errors than this are never a burst.
const LEAST_ERRORS: u64 = 5;
/// Said of what is adopted.
pub(crate) const NEW_NORMAL: &str = " It has lasted so long that it is taken for the new normal.";

#[derive(Debug, Clone)]
pub(crate) struct ErrorBurst {
    baseline: RatioBaseline,
    episodes: Episodes,
    /// Newest error lines, oldest first.
    lines: Vec<SampleLine>,
    /// Errors, and lines, since the episode opened.
    during: (u64, u64),
    /// The same, up to the last line that was too many.
    worst: (u64, u64),
    /// Windows closed since, and what they teach if it lasts.
    lasted: u32,
    lasting: RatioBaseline,
    usual_lines: f64,
}

/// Judged on every error, with overlapping spans: a tenth of the budget of one window.
fn alpha(config: &Config) -> f64 {
    config.alpha() / 10.0
}

impl ErrorBurst {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            baseline: RatioBaseline::new(alpha(config)),
            episodes: Episodes::default(),
            lines: Vec::new(),
            during: (0, 0),
            worst: (0, 0),
            lasted: 0,
            lasting: RatioBaseline::new(alpha(config)),
            usual_lines: 0.0,
        }
    }

    /// See [`Episodes::clock_set`].
    pub(crate) fn clock_set(&mut self, to: EventTime) {
        self.episodes.clock_set(to);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.episodes.is_open()
    }

    /// The newest error lines of the service, oldest first.
    pub(crate) fn lines(&self) -> &[SampleLine] {
        &self.lines
    }

    /// Lines of a window that an open burst does not account for: its errors beyond those that the
    /// other lines would usually bring are told by the burst. All lines while none is open.
    pub(crate) fn unexplained(&self, window: &Window) -> u64 {
        if !self.episodes.is_open() {
            return window.records;
        }
        let others = window.records - window.errors;
        let usual = self.baseline.lines_with_usual_errors(others).round();
        (usual as u64).min(window.records)
    }

    /// One record: an error, or any record while a burst is open. `recent`: records and errors of
    /// the last span, with this one, and where its first error was.
    pub(crate) fn observe(
        &mut self,
        seen: &Observation<'_>,
        recent: ((u64, u64), Option<i64>),
        now: EventTime,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) {
        if self.episodes.is_open() {
            self.during.0 += u64::from(seen.is_error);
            self.during.1 += 1;
        }
        if !seen.is_error {
            return;
        }
        SampleLine::keep_newest(seen, &mut self.lines, config.samples);
        let ((records, errors), first_error) = recent;
        if errors < LEAST_ERRORS || !self.baseline.is_rare(records, errors) {
            return;
        }
        if !self.episodes.is_open() {
            self.during = (errors, records);
        }
        self.worst = self.during;
        let first = first_error.unwrap_or(seen.offset);
        let errors_during = self.during.0 as f64;
        // The score costs a sum over the tail: worked out when something is told.
        let step = self.episodes.anomalous(
            named_by(seen.time, now, config),
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
            let counts = (records, errors);
            findings.push(self.tell(seen.service, phase, &episode, now, score, counts, config));
        }
    }

    /// A window of the service closed; `now` is when it does. `true`: the share of errors has lasted so
    /// long that it is taken for the new normal.
    pub(crate) fn window_closed(
        &mut self,
        service: &str,
        window: &Window,
        now: EventTime,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) -> bool {
        let Some(episode) = self.episodes.current() else {
            self.baseline.learn(window.records, window.errors);
            self.usual_lines += (window.records as f64 - self.usual_lines) * 0.05;
            return false;
        };
        // A long grace keeps windows open: what they hold of the burst is not learned, nor told again.
        let holds_more = window.start + config.window_ms <= episode.last_anomalous;
        let is_over = !holds_more && now - episode.last_anomalous >= 2 * config.window_ms;
        if window.start >= episode.began {
            self.lasted += 1;
        }
        let is_adopted = !is_over && self.lasted >= config.adopt_after_windows;
        if !is_over {
            self.lasting.learn(window.records, window.errors);
        }
        if !is_over && !is_adopted {
            return false;
        }
        self.lasted = 0;
        let lasting = std::mem::replace(&mut self.lasting, RatioBaseline::new(alpha(config)));
        let told = findings.len();
        self.give_up(service, now, config, findings);
        if is_adopted {
            if let Some(finding) = findings.get_mut(told) {
                finding.summary.push_str(NEW_NORMAL);
            }
            self.baseline = lasting;
        }
        is_adopted
    }

    /// What is open ends here.
    pub(crate) fn give_up(
        &mut self,
        service: &str,
        now: EventTime,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) {
        if let Some(episode) = self.episodes.close() {
            let peak = episode.peak;
            let (errors, records) = self.worst;
            let counts = (records, errors);
            findings.push(self.tell(service, Phase::Closed, &episode, now, peak, counts, config));
        }
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        self.baseline.save(to);
        self.episodes.save(to);
        SampleLine::save_all(&self.lines, to);
        to.u64(self.during.0);
        to.u64(self.during.1);
        to.u64(self.worst.0);
        to.u64(self.worst.1);
        to.u32(self.lasted);
        self.lasting.save(to);
        to.f64(self.usual_lines);
    }

    pub(crate) fn load(from: &mut Reader<'_>, config: &Config) -> Loaded<Self> {
        Ok(Self {
            baseline: RatioBaseline::load(from, alpha(config))?,
            episodes: Episodes::load(from)?,
            lines: SampleLine::load_all(from, config.samples)?,
            during: (from.count()?, from.count()?),
            worst: (from.count()?, from.count()?),
            lasted: from.u32()?,
            lasting: RatioBaseline::load(from, alpha(config))?,
            usual_lines: from.amount()?,
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "gathers what its two callers know; a struct would only move the names"
    )]
    fn tell(
        &self,
        service: &str,
        phase: Phase,
        episode: &Episode,
        now: EventTime,
        score: Score,
        (records, errors): (u64, u64),
        config: &Config,
    ) -> Finding {
        let share = self.baseline.share();
        let expected = share * records as f64;
        let (a, upper) = (0.0, self.baseline.critical(records) as f64);
        let last = episode.last_anomalous.max(episode.start);
        let seconds = if phase == Phase::Closed {
            ((last - episode.start) / 1000).max(1)
        } else {
            config.window_ms / 1000
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

/// The moment that names an episode: the line's own, unless its clock is far off its service's.
fn named_by(line: EventTime, now: EventTime, config: &Config) -> EventTime {
    let earliest = now + -config.window_ms * 30;
    line.clamp(earliest, now).start_of_window(config.window_ms)
}

/// A number as a person writes it: no decimals from ten up.
pub(crate) fn rounded(value: f64) -> String {
    if value >= 9.95 || value == value.trunc() {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}
