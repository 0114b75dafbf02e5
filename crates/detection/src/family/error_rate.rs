//! Windowed statistics of the share of errors: what is too high for longer without being a burst, beside what
//! was usual lately, or creeps up, beside what was usual for hours.
//!
//! Invariant: silent while a burst is open and until its lines have left the windows summed up
//! here: one storm is told once.

mod creeping;

use std::collections::VecDeque;

use creeping::{Creeping, Crept};

use super::closing::Closing;
use crate::{
    budget::Score,
    codec::{Loaded, Reader, Writer},
    config::Config,
    episode::{Account, Anomalous, Asked, Ended, Episodes, Judged, Manner, Telling},
    finding::{
        Kind, Part, SampleLine, Subject,
        words::{self, rounded},
    },
    record::time::EventTime,
    stat::RatioBaseline,
    window::Window,
};

/// Windows summed up for one judgement.
const SPAN: usize = 6;
const LEAST_ERRORS: u64 = 10;
/// Rare but too small to matter is left alone.
const FACTOR: f64 = 2.0;
const MANNER: Manner = Manner {
    asked: Asked::OfWindows,
    calm_windows: 3,
    empty_windows_count: true,
    calm_comes_first: false,
    adopts: true,
};

#[derive(Debug, Clone)]
pub(crate) struct ErrorRate {
    baseline: RatioBaseline,
    creeping: Creeping,
    last: VecDeque<Window>,
    learned: u32,
    episodes: Episodes,
    /// Whether the open episode crept up.
    has_crept: bool,
    /// Windows that still hold lines of a burst.
    burst_within: usize,
}

impl ErrorRate {
    /// See [`super::Family::version`].
    pub(super) const VERSION: u32 = 2;

    pub(crate) fn new(config: &Config) -> Self {
        Self {
            baseline: RatioBaseline::new(config.alpha()),
            creeping: Creeping::default(),
            last: VecDeque::new(),
            learned: 0,
            episodes: Episodes::new(Kind::ErrorRateSpike, MANNER),
            has_crept: false,
            burst_within: 0,
        }
    }

    /// See [`Episodes::clock_set`].
    pub(crate) fn clock_set(&mut self, to: EventTime) {
        self.episodes.clock_set(to);
        self.last.clear();
        self.creeping.forget_spans();
    }

    /// Another share of errors is normal from now on.
    pub(crate) fn forget(&mut self) {
        self.baseline.forget();
        self.creeping.forget();
        self.learned = 0;
    }

    /// A window closed. `lines`: the newest error lines of the service.
    pub(crate) fn window_closed(&mut self, closing: &mut Closing<'_>, lines: &[SampleLine]) {
        let (window, config) = (closing.window, closing.telling.config);
        if self.last.len() == SPAN {
            self.last.pop_front();
        }
        self.last.push_back(*window);
        self.burst_within = if closing.was_bursting {
            SPAN
        } else {
            self.burst_within.saturating_sub(1)
        };
        let judged = self.judged(window, config);
        let score = self.score(&judged, config);
        let was_open = self.episodes.is_open();
        if let Some(score) = score {
            self.has_crept &= was_open;
            self.too_many(judged, score, lines, &mut closing.telling);
        }
        let is_told = self.burst_within > 0 || self.episodes.is_open();
        if let Some(crept) = self.creeping.window_closed(window, is_told, config) {
            self.has_crept = true;
            let judged = crept.judged(window, config);
            self.too_many(judged, crept.score, lines, &mut closing.telling);
        }
        let is_calm = if self.has_crept {
            self.creeping.is_calm(judged.records, judged.errors)
        } else {
            score.is_none()
        };
        if let Some(ended) = self.episodes.window_closed(window, is_calm, config) {
            self.tell_end(&ended, &mut closing.telling);
            if ended.is_adopted {
                self.forget();
            }
        } else if !self.episodes.is_open() && self.burst_within == 0 {
            self.baseline.learn(window.records, window.errors);
            self.learned = self.learned.saturating_add(1);
        }
    }

    /// The last windows, taken together.
    fn judged(&self, newest: &Window, config: &Config) -> Judged {
        let records: u64 = self.last.iter().map(|window| window.records).sum();
        let errors: u64 = self.last.iter().map(|window| window.errors).sum();
        Judged {
            from: self.last.front().map_or(newest.start, |first| first.start),
            to: newest.start + config.window_ms,
            records,
            errors,
            observed: errors as f64,
            level: errors as f64 / records.max(1) as f64,
        }
    }

    /// How anomalous, if it is.
    fn score(&self, judged: &Judged, config: &Config) -> Option<Score> {
        let Judged {
            records, errors, ..
        } = *judged;
        let expected = self.baseline.share() * records as f64;
        let matters = self.learned >= config.warm_up_windows
            && self.burst_within == 0
            && errors >= LEAST_ERRORS
            && errors as f64 >= FACTOR * expected;
        // It costs a sum over the tail.
        let score = || {
            let p = self.baseline.upper_tail(records, errors);
            Score::of(p, self.baseline.alpha())
        };
        matters.then(score).filter(|score| score.is_anomalous())
    }

    fn too_many(
        &mut self,
        judged: Judged,
        score: Score,
        lines: &[SampleLine],
        telling: &mut Telling<'_>,
    ) {
        // Of what crept up the last minute is the example.
        let first = self.last.iter().find_map(Window::offsets);
        let last = self.last.iter().rev().find_map(Window::offsets);
        let anomalous = Anomalous {
            start: judged.from,
            now: telling.now,
            score,
            size: judged.observed,
            offsets: (
                first.map_or(0, |(first, _)| first),
                last.map_or(0, |(_, last)| last),
            ),
            judged,
        };
        let phase = self.episodes.anomalous(anomalous, telling.config);
        if let Some((phase, episode)) = phase.zip(self.episodes.current()) {
            let account = self.account(episode.start, &judged, lines, telling.service);
            telling.tell(episode, phase, account);
        }
    }

    fn tell_end(&self, ended: &Ended, telling: &mut Telling<'_>) {
        let Ended { episode, .. } = ended;
        let mut account = self.account(episode.start, &episode.worst, &[], telling.service);
        account.title = format!(
            "{}: {} over after {}, {} errors in {} s at its worst, {} expected",
            telling.service,
            episode.kind.words(),
            words::lasting(episode.last_anomalous - episode.start),
            episode.worst.errors,
            seconds(&episode.worst),
            rounded(account.expected)
        );
        telling.tell_end(ended, account);
    }

    /// What is open ends here.
    pub(crate) fn give_up(&mut self, telling: &mut Telling<'_>) {
        if let Some(ended) = self.episodes.give_up() {
            self.tell_end(&ended, telling);
        }
    }

    /// The share of errors that is told, at its worst, 0 to 1; 0 while none is.
    pub(crate) fn told_share(&self) -> f64 {
        let episode = self.episodes.current();
        episode.map_or(0.0, |episode| episode.worst.level)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.episodes.is_open()
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        self.baseline.save(to);
        self.creeping.save(to);
        to.flag(self.has_crept);
        to.u64(self.last.len() as u64);
        for window in &self.last {
            window.save(to);
        }
        to.u32(self.learned);
        self.episodes.save(to);
        to.byte(self.burst_within as u8);
    }

    pub(crate) fn load(from: &mut Reader<'_>, config: &Config) -> Loaded<Self> {
        let baseline = RatioBaseline::load(from, config.alpha())?;
        let creeping = Creeping::load(from)?;
        let has_crept = from.flag()?;
        let count = from.length(SPAN, 2)?;
        Ok(Self {
            baseline,
            creeping,
            has_crept,
            last: (0..count)
                .map(|_| Window::load(from))
                .collect::<Loaded<_>>()?,
            learned: from.u32()?,
            episodes: Episodes::load(Kind::ErrorRateSpike, MANNER, from)?,
            burst_within: usize::from(from.byte()?).min(SPAN),
        })
    }

    fn account(
        &self,
        start: EventTime,
        judged: &Judged,
        lines: &[SampleLine],
        service: &str,
    ) -> Account {
        let Judged {
            records, errors, ..
        } = *judged;
        let (share, limit, baseline) = if self.has_crept {
            (
                self.creeping.share(),
                self.creeping.matters_at(records),
                format!(
                    "Share of errors over the last hours of this service, {:.0} lines by weight (half-life 3.9 h).",
                    self.creeping.weight()
                ),
            )
        } else {
            (
                self.baseline.share(),
                self.baseline.critical(records) as f64,
                format!(
                    "Share of errors over the recent closed windows of this service, {:.0} lines by weight (half-life 69 windows).",
                    self.baseline.weight()
                ),
            )
        };
        let expected = share * records as f64;
        Account {
            subject: Subject::default(),
            window: (judged.from, judged.to),
            observed: errors as f64,
            expected,
            limits: (0.0, limit),
            title: format!(
                "{service}: {}, {errors} errors in {} s, {} expected, since {}",
                Kind::ErrorRateSpike.words(),
                seconds(judged),
                rounded(expected),
                words::time_of_day(start)
            ),
            summary: format!(
                "{:.1}% of {records} lines are errors; {:.1}% is usual for {service}{}.",
                100.0 * errors as f64 / records.max(1) as f64,
                100.0 * share,
                if self.has_crept { " for hours" } else { "" }
            ),
            baseline,
            parts: vec![Part {
                name: "share of errors",
                text: format!(
                    "{} errors more than the usual share of these lines",
                    rounded((errors as f64 - expected).max(0.0))
                ),
                share: 1.0,
            }],
            samples: lines.to_vec(),
        }
    }
}

impl Crept {
    /// The span that ends with `newest`.
    fn judged(&self, newest: &Window, config: &Config) -> Judged {
        let (from, to) = newest.span(self.windows, config);
        Judged {
            from,
            to,
            records: self.records,
            errors: self.errors,
            observed: self.errors as f64,
            level: self.errors as f64 / self.records.max(1) as f64,
        }
    }
}

fn seconds(judged: &Judged) -> i64 {
    (judged.to - judged.from) / 1000
}
