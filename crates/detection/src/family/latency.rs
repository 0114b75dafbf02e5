//! How long requests take: the share of them that are slower than half of them usually are, and the share
//! that are slower than nearly all.
//!
//! Durations of an open window are counted in buckets, and judged when it closes: what is usual is known then,
//! in whichever order its lines came.
//!
//! Invariants: nothing is learned while it lasts; while something more telling is open, errors or the rate,
//! nothing is opened here: one storm is told once.

mod words;

use std::collections::VecDeque;

use super::{
    closing::Closing,
    on_heap::{Kept, OnHeap},
};
use crate::{
    budget::Score,
    codec::{Loaded, Reader, Writer},
    config::Config,
    episode::{Anomalous, Asked, Episodes, Judged, Manner, Telling},
    finding::{Kind, SampleLine},
    record::{Observation, time::EventTime},
    stat::{Durations, ShareDispersion, UsualDurations},
    window::{Beside, Window},
};

/// Windows summed up for one judgement.
const SPANS: [usize; 2] = [1, LONGEST];
const LONGEST: usize = 6;
/// Durations that what is usual has to rest on.
const LEAST_USUAL: f64 = 200.0;
/// Lines slower than this quantile of what is usual are shown.
const SHOWN: f64 = 0.95;
/// Fewer durations of a span tell nothing.
const LEAST_LINES: u64 = 20;
const MANNER: Manner = Manner {
    asked: Asked::OfWindows,
    calm_windows: 3,
    empty_windows_count: false,
    calm_comes_first: false,
    adopts: true,
};

/// What one of the two questions asks.
struct Question {
    kind: Kind,
    /// Slower than all but this share of what is usual.
    slowest: f64,
    /// A smaller share of them is left alone: so much, and so many times what is usual.
    least_share: f64,
    factor: f64,
    /// Where on the window's own durations it is felt, and by how much more than usual.
    quantile: f64,
    slower: f64,
}

const QUESTIONS: [Question; 2] = [
    Question {
        kind: Kind::LatencyShift,
        slowest: 0.5,
        least_share: 0.75,
        factor: 1.0,
        quantile: 0.5,
        slower: 1.3,
    },
    Question {
        kind: Kind::LatencyTail,
        slowest: 0.01,
        least_share: 0.05,
        factor: 5.0,
        quantile: 0.95,
        slower: 1.5,
    },
];

/// A closed window: how many durations it had, and of those how many were slow, for each question.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    total: u64,
    slow: [u64; 2],
}

#[derive(Debug, Clone)]
struct Asking {
    episodes: Episodes,
    dispersion: [ShareDispersion; SPANS.len()],
}

#[derive(Debug, Clone)]
pub(crate) struct Known {
    usual: UsualDurations,
    learned: u32,
    open: Beside<Durations>,
    last: VecDeque<Counted>,
    asking: [Asking; 2],
    /// Lines slower than this, ms, are shown: one in twenty usually is.
    slow_from: f64,
    lines: Vec<SampleLine>,
}

/// What is judged of one question: a span, and the newest window.
struct Slow {
    span: usize,
    counted: (u64, u64),
    expected: f64,
    score: Score,
}

pub(crate) type Latency = OnHeap<Known>;

impl Latency {
    /// See [`super::Family::version`].
    pub(super) const VERSION: u32 = 3;

    /// A line was counted in the window that begins at `start`; it took `millis`.
    pub(crate) fn observe(
        &mut self,
        seen: &Observation<'_>,
        start: EventTime,
        millis: f64,
        config: &Config,
    ) {
        let known = self.begun(config);
        let Some(durations) = known.open.of(start) else {
            return;
        };
        durations.count(millis);
        if millis > known.slow_from {
            SampleLine::keep_newest(seen, &mut known.lines, config.samples);
        }
    }
}

impl Asking {
    fn load(from: &mut Reader<'_>, question: &Question) -> Loaded<Self> {
        Ok(Self {
            episodes: Episodes::load(question.kind, MANNER, from)?,
            dispersion: [ShareDispersion::load(from)?, ShareDispersion::load(from)?],
        })
    }
}

impl Kept for Known {
    fn new(_: &Config) -> Self {
        Self {
            usual: UsualDurations::default(),
            learned: 0,
            open: Beside::default(),
            last: VecDeque::new(),
            asking: QUESTIONS.map(|question| Asking {
                episodes: Episodes::new(question.kind, MANNER),
                dispersion: Default::default(),
            }),
            slow_from: f64::INFINITY,
            lines: Vec::new(),
        }
    }

    fn is_open(&self) -> bool {
        self.asking.iter().any(|asking| asking.episodes.is_open())
    }

    fn window_closed(&mut self, closing: &mut Closing<'_>, is_told: bool) {
        let durations = self.open.take(closing.window.start);
        let config = closing.telling.config;
        if !self.is_warm(config) {
            self.learn(&durations);
            return;
        }
        let usual = QUESTIONS.map(|question| self.usual.slowest(question.slowest));
        if self.last.len() == LONGEST {
            self.last.pop_front();
        }
        self.last.push_back(Counted {
            total: durations.total(),
            slow: usual.map(|(bucket, _)| durations.from(bucket)),
        });
        for (at, (_, expected)) in usual.into_iter().enumerate() {
            self.judge(at, expected, &durations, closing, is_told);
        }
        if is_told && !self.is_open() {
            // What comes after the storm is not judged together with it.
            self.last.clear();
        }
        if !self.is_open() && !is_told {
            for (at, (_, expected)) in usual.into_iter().enumerate() {
                for (dispersion, span) in (0..).zip(SPANS) {
                    let counted = self.sum(at, span);
                    self.asking[at].dispersion[dispersion].learn(counted, expected, span);
                }
            }
            self.learn(&durations);
        }
    }

    fn clock_set(&mut self, to: EventTime) {
        self.open.clear();
        self.last.clear();
        for asking in &mut self.asking {
            asking.episodes.clock_set(to);
        }
    }

    fn give_up(&mut self, telling: &mut Telling<'_>) {
        for at in 0..QUESTIONS.len() {
            if let Some(ended) = self.asking[at].episodes.give_up() {
                self.tell_end(at, &ended, telling);
            }
        }
    }

    fn save(&self, to: &mut Writer) {
        self.usual.save(to);
        to.u32(self.learned);
        self.open.save(to, Durations::save);
        to.u64(self.last.len() as u64);
        for counted in &self.last {
            to.u64(counted.total);
            for slow in counted.slow {
                to.u64(slow);
            }
        }
        for asking in &self.asking {
            asking.episodes.save(to);
            for dispersion in &asking.dispersion {
                dispersion.save(to);
            }
        }
        SampleLine::save_all(&self.lines, to);
    }

    fn load(from: &mut Reader<'_>, config: &Config) -> Loaded<Self> {
        let usual = UsualDurations::load(from)?;
        let learned = from.u32()?;
        let open = Beside::load(from, Durations::load)?;
        let last = (0..from.length(LONGEST, 2)?)
            .map(|_| {
                Ok(Counted {
                    total: from.count()?,
                    slow: [from.count()?, from.count()?],
                })
            })
            .collect::<Loaded<_>>()?;
        let asking = [
            Asking::load(from, &QUESTIONS[0])?,
            Asking::load(from, &QUESTIONS[1])?,
        ];
        let slow_from = if learned > 0 {
            usual.quantile(SHOWN)
        } else {
            f64::INFINITY
        };
        Ok(Self {
            usual,
            learned,
            open,
            last,
            asking,
            slow_from,
            lines: SampleLine::load_all(from, config.samples)?,
        })
    }
}

impl Known {
    fn is_warm(&self, config: &Config) -> bool {
        self.learned >= config.warm_up_windows && self.usual.weight() >= LEAST_USUAL
    }

    fn learn(&mut self, durations: &Durations) {
        self.usual.learn(durations);
        self.learned = self.learned.saturating_add(1);
        self.slow_from = self.usual.quantile(SHOWN);
    }

    /// Slow ones and all of the newest `span` windows, for one question.
    fn sum(&self, at: usize, span: usize) -> (u64, u64) {
        let newest = self.last.iter().rev().take(span);
        newest.fold((0, 0), |(slow, total), one| {
            (slow + one.slow[at], total + one.total)
        })
    }

    fn judge(
        &mut self,
        at: usize,
        expected: f64,
        durations: &Durations,
        closing: &mut Closing<'_>,
        is_told: bool,
    ) {
        let (window, config) = (closing.window, closing.telling.config);
        let question = &QUESTIONS[at];
        let is_felt = |_: &Slow| {
            let usual = self.usual.quantile(question.quantile);
            durations.quantile(question.quantile) >= question.slower * usual
        };
        let slow = self.slow(at, expected, config).filter(is_felt);
        let mut others = (0..QUESTIONS.len()).filter(|other| *other != at);
        let others = others.any(|other| self.asking[other].episodes.is_open());
        let may_open = !is_told && !others;
        if let Some(slow) = &slow
            && (may_open || self.asking[at].episodes.is_open())
        {
            self.too_slow(at, slow, window, &mut closing.telling);
        }
        let (slow_now, total) = self.sum(at, 1);
        let half_way = f64::midpoint(expected, least_share(question, expected));
        let is_calm = total == 0 || slow_now as f64 <= half_way * total as f64;
        let ended = self.asking[at]
            .episodes
            .window_closed(window, is_calm, config);
        if let Some(ended) = ended {
            self.tell_end(at, &ended, &mut closing.telling);
            self.lines.clear();
            if ended.is_adopted {
                self.forget();
            }
        }
    }

    /// The shortest span in which too many are slow, if any.
    fn slow(&self, at: usize, expected: f64, config: &Config) -> Option<Slow> {
        let question = &QUESTIONS[at];
        (0..).zip(SPANS).find_map(|(dispersion, span)| {
            let counted @ (slow, total) = self.sum(at, span);
            let least = least_share(question, expected) * total as f64;
            if total < LEAST_LINES || (slow as f64) < least {
                return None;
            }
            let dispersion = &self.asking[at].dispersion[dispersion];
            let score = Score::of(
                dispersion.upper_tail(counted, expected, span),
                config.alpha(),
            );
            score.is_anomalous().then_some(Slow {
                span,
                counted,
                expected,
                score,
            })
        })
    }

    fn too_slow(&mut self, at: usize, slow: &Slow, window: &Window, telling: &mut Telling<'_>) {
        let config = telling.config;
        let (start, to) = window.span(slow.span, config);
        let (count, total) = slow.counted;
        let judged = Judged {
            from: start,
            to,
            records: total,
            errors: 0,
            observed: count as f64,
            level: count as f64 / total.max(1) as f64,
        };
        let anomalous = Anomalous {
            start,
            now: telling.now,
            score: slow.score,
            size: judged.level / slow.expected.max(1e-3),
            offsets: window.offsets().unwrap_or((0, 0)),
            judged,
        };
        let phase = self.asking[at].episodes.anomalous(anomalous, config);
        if let Some((phase, episode)) = phase.zip(self.asking[at].episodes.current()) {
            let account = self.account(at, episode.start, &judged, telling.service);
            telling.tell(episode, phase, account);
        }
    }

    /// Other durations are usual from now on.
    fn forget(&mut self) {
        self.usual = UsualDurations::default();
        self.learned = 0;
        self.last.clear();
        self.slow_from = f64::INFINITY;
    }
}

/// What is fewer is left alone.
fn least_share(question: &Question, expected: f64) -> f64 {
    question.least_share.max(question.factor * expected)
}
