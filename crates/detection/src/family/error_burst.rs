//! Error burst: fires on the record that crosses the line, not when a window closes.
//!
//! Invariant: it looks at the share of errors among the lines of the last span, so that more
//! traffic with the usual share of errors is no burst, whatever the number of errors.

use super::closing::Closing;
use crate::{
    budget::Score,
    codec::{Loaded, Reader, Writer},
    config::Config,
    episode::{Account, Anomalous, Asked, Ended, Episode, Episodes, Judged, Manner, Telling},
    finding::{
        Kind, Part, SampleLine, Subject,
        words::{self, rounded},
    },
    record::{Observation, time::EventTime},
    stat::RatioBaseline,
    window::Window,
};

/// Fewer errors than this are never a burst.
const LEAST_ERRORS: u64 = 5;
/// What is open goes on while a window has so many, and so many times what is expected.
const STILL_ERRORS: u64 = 2;
const STILL_HIGH_FACTOR: f64 = 4.0;
/// Where a raised share of errors is told already, it is a storm of its own only from so many times that share.
const BEYOND_TOLD: f64 = 3.0;
const MANNER: Manner = Manner {
    asked: Asked::OnLines,
    // Of a service that writes little, a window may have none of its errors in the middle of it.
    calm_windows: 3,
    empty_windows_count: true,
    calm_comes_first: true,
    adopts: true,
};

#[derive(Debug, Clone)]
pub(crate) struct ErrorBurst {
    baseline: RatioBaseline,
    episodes: Episodes,
    /// Newest error lines, oldest first.
    lines: Vec<SampleLine>,
    /// Errors, and lines, since the episode opened.
    during: (u64, u64),
    /// What the windows closed since then teach if it lasts.
    lasting: RatioBaseline,
    usual_lines: f64,
}

/// Judged on every error, with overlapping spans: a tenth of the budget of one window.
fn alpha(config: &Config) -> f64 {
    config.alpha() / 10.0
}

impl ErrorBurst {
    /// See [`super::Family::version`].
    pub(super) const VERSION: u32 = 4;

    pub(crate) fn new(config: &Config) -> Self {
        Self {
            baseline: RatioBaseline::new(alpha(config)),
            episodes: Episodes::new(Kind::ErrorBurst, MANNER),
            lines: Vec::new(),
            during: (0, 0),
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
    /// the last span, with this one, and where its first error was. `told`: the share of errors that is told
    /// as raised, 0 to 1.
    pub(crate) fn observe(
        &mut self,
        seen: &Observation<'_>,
        recent: ((u64, u64), Option<i64>),
        told: f64,
        telling: &mut Telling<'_>,
    ) {
        if self.episodes.is_open() {
            self.during.0 += u64::from(seen.is_error);
            self.during.1 += 1;
        }
        if !seen.is_error {
            return;
        }
        let config = telling.config;
        SampleLine::keep_newest(seen, &mut self.lines, config.samples);
        let ((records, errors), first_error) = recent;
        if errors < LEAST_ERRORS || !self.baseline.is_rare(records, errors) {
            return;
        }
        if !self.episodes.is_open() {
            if (errors as f64) < BEYOND_TOLD * told * records as f64 {
                return;
            }
            self.during = (errors, records);
        }
        let now = telling.now;
        let start = named_by(seen.time, now, config);
        let (errors_during, records_during) = self.during;
        let anomalous = Anomalous {
            start,
            now,
            // It costs a sum over the tail: worked out when something is told.
            score: Score::NONE,
            size: errors_during as f64,
            offsets: (first_error.unwrap_or(seen.offset), seen.offset),
            judged: Judged {
                from: start,
                to: now,
                records: records_during,
                errors: errors_during,
                observed: errors_during as f64,
                // All of it, up to the last line that was too many.
                level: 0.0,
            },
        };
        let Some(phase) = self.episodes.anomalous(anomalous, config) else {
            return;
        };
        let p = self.baseline.upper_tail(records, errors);
        self.episodes.raise(Score::of(p, self.baseline.alpha()));
        if let Some(episode) = self.episodes.current() {
            let seconds = config.window_ms / 1000;
            let account = self.account(episode, (records, errors), seconds, telling.service);
            telling.tell(episode, phase, account);
        }
    }

    /// A window of the service closed. `true`: the share of errors has lasted so long that it is taken for
    /// the new normal.
    pub(crate) fn window_closed(&mut self, closing: &mut Closing<'_>) -> bool {
        let (window, now, config) = (closing.window, closing.telling.now, closing.telling.config);
        let Some(episode) = self.episodes.current() else {
            self.baseline.learn(window.records, window.errors);
            self.usual_lines += (window.records as f64 - self.usual_lines) * 0.05;
            return false;
        };
        // A long grace keeps windows open: what they hold of the burst is not learned, nor told again.
        let holds_more = window.start + config.window_ms <= episode.last_anomalous;
        let is_calm = !holds_more
            && now - episode.last_anomalous >= 2 * config.window_ms
            && !self.is_high(window);
        if !is_calm {
            self.lasting.learn(window.records, window.errors);
        }
        let Some(ended) = self.episodes.window_closed(window, is_calm, config) else {
            return false;
        };
        self.tell_end(&ended, &mut closing.telling);
        let lasting = std::mem::replace(&mut self.lasting, RatioBaseline::new(alpha(config)));
        if ended.is_adopted {
            self.baseline = lasting;
        }
        ended.is_adopted
    }

    /// Whether a window still has far more errors than usual: of few lines, those of a burst come and go.
    fn is_high(&self, window: &Window) -> bool {
        let expected = self.baseline.share() * window.records as f64;
        window.errors >= STILL_ERRORS && window.errors as f64 > STILL_HIGH_FACTOR * expected
    }

    /// What is open ends here.
    pub(crate) fn give_up(&mut self, telling: &mut Telling<'_>) {
        if let Some(ended) = self.episodes.give_up() {
            self.tell_end(&ended, telling);
        }
    }

    fn tell_end(&self, ended: &Ended, telling: &mut Telling<'_>) {
        let episode = &ended.episode;
        let Judged {
            records, errors, ..
        } = episode.worst;
        let seconds = ((last_of(episode) - episode.start) / 1000).max(1);
        let mut account = self.account(episode, (records, errors), seconds, telling.service);
        let lasted = words::lasting(last_of(episode) - episode.start);
        account.title = format!(
            "{}: {} over, {errors} errors in {lasted}, {} expected",
            telling.service,
            episode.kind.words(),
            rounded(account.expected)
        );
        telling.tell_end(ended, account);
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        self.baseline.save(to);
        self.episodes.save(to);
        SampleLine::save_all(&self.lines, to);
        to.u64(self.during.0);
        to.u64(self.during.1);
        self.lasting.save(to);
        to.f64(self.usual_lines);
    }

    pub(crate) fn load(from: &mut Reader<'_>, config: &Config) -> Loaded<Self> {
        Ok(Self {
            baseline: RatioBaseline::load(from, alpha(config))?,
            episodes: Episodes::load(Kind::ErrorBurst, MANNER, from)?,
            lines: SampleLine::load_all(from, config.samples)?,
            during: (from.count()?, from.count()?),
            lasting: RatioBaseline::load(from, alpha(config))?,
            usual_lines: from.amount()?,
        })
    }

    fn account(
        &self,
        episode: &Episode,
        (records, errors): (u64, u64),
        seconds: i64,
        service: &str,
    ) -> Account {
        let share = self.baseline.share();
        let expected = share * records as f64;
        Account {
            subject: Subject::default(),
            window: (episode.start, last_of(episode)),
            observed: errors as f64,
            expected,
            limits: (0.0, self.baseline.critical(records) as f64),
            title: format!(
                "{service}: {}, {errors} errors in {seconds} s, {} expected, since {}",
                episode.kind.words(),
                rounded(expected),
                words::time_of_day(episode.start)
            ),
            summary: format!(
                "{:.0}% of {records} lines are errors; {:.1}% is usual for {service}.",
                100.0 * errors as f64 / records.max(1) as f64,
                100.0 * share
            ),
            baseline: self.describe_baseline(),
            parts: self.parts(records, errors),
            samples: self.lines.clone(),
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

/// When it was last anomalous.
fn last_of(episode: &Episode) -> EventTime {
    episode.last_anomalous.max(episode.start)
}
