//! The life of an episode.
//!
//! One engine for all families: what is anomalous goes in, and so does each window that closes; open,
//! update, close and adopt come out. A family says in its [`Manner`] how its episodes go on and end.
//!
//! Invariants: versions of an episode count up from 1 without gaps; it opens once and closes once;
//! no two episodes of a series have the same start and ordinal.

use super::judged::Judged;
use crate::{
    budget::Score,
    codec::{Loaded, Reader, Writer},
    config::Config,
    finding::{Kind, Phase},
    record::time::EventTime,
    window::Window,
};

/// Episodes of one kind of one service, one at a time.
#[derive(Debug, Clone)]
pub(crate) struct Episodes {
    kind: Kind,
    manner: Manner,
    current: Option<Episode>,
    last_start: Option<(EventTime, u32)>,
    /// Ordinals begin here: above all that were used before the clock was set back.
    least_ordinal: u32,
    /// Above all that were used.
    next_ordinal: u32,
}

/// How episodes of a kind go on and end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) asked: Asked,
    /// Calm windows in a row that end one.
    pub(crate) calm_windows: u32,
    /// Whether windows without lines count for what has lasted. Silence is no level that could be the
    /// new one.
    pub(crate) empty_windows_count: bool,
    /// Whether one that is calm in the window with which it has lasted long enough is over, and nothing
    /// is adopted.
    pub(crate) calm_comes_first: bool,
    /// Whether what lasts becomes the new normal.
    pub(crate) adopts: bool,
}

/// When the question is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// On lines: what goes on anyway does not begin the calm anew. Updates are a second apart.
    OnLines,
    /// Of closed windows. Updates are a window apart.
    OfWindows,
}

#[derive(Debug, Clone)]
pub(crate) struct Episode {
    pub(crate) kind: Kind,
    pub(crate) start: EventTime,
    pub(crate) ordinal: u32,
    pub(crate) version: u32,
    /// Its start by the service's clock as it is now.
    began: EventTime,
    /// The most anomalous it has been.
    pub(crate) peak: Score,
    /// Event time of the last judgement that was anomalous.
    pub(crate) last_anomalous: EventTime,
    pub(crate) offsets: (i64, i64),
    /// The size at the last version that was told.
    told: f64,
    told_at: EventTime,
    /// Calm windows in a row, to the newest.
    calm: u32,
    /// Windows that closed since it began.
    lasted: u32,
    /// Where it was worst: an episode is remembered by it, not by the calm in which it ended.
    pub(crate) worst: Judged,
}

/// Something anomalous.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Anomalous {
    /// Names the episode if it opens now.
    pub(crate) start: EventTime,
    pub(crate) now: EventTime,
    /// [`Score::NONE`] where it costs too much; see [`Episodes::raise`].
    pub(crate) score: Score,
    /// An update is told when it has doubled since the last one.
    pub(crate) size: f64,
    pub(crate) offsets: (i64, i64),
    pub(crate) judged: Judged,
}

/// An episode that is over, with its last version.
pub(crate) struct Ended {
    pub(crate) episode: Episode,
    /// It has lasted so long that it is taken for the new normal.
    pub(crate) is_adopted: bool,
}

impl Episodes {
    pub(crate) fn new(kind: Kind, manner: Manner) -> Self {
        Self {
            kind,
            manner,
            current: None,
            last_start: None,
            least_ordinal: 0,
            next_ordinal: 0,
        }
    }

    pub(crate) fn current(&self) -> Option<&Episode> {
        self.current.as_ref()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.current.is_some()
    }

    /// Opens an episode, or goes on with it; the answer is what is to be told, if anything.
    pub(crate) fn anomalous(&mut self, seen: Anomalous, config: &Config) -> Option<Phase> {
        let Anomalous {
            now, size, offsets, ..
        } = seen;
        let Some(episode) = &mut self.current else {
            self.open(seen);
            return Some(Phase::Opened);
        };
        if seen.judged.is_as_bad_as(&episode.worst, self.kind) {
            episode.worst = seen.judged;
        }
        if seen.score > episode.peak {
            episode.peak = seen.score;
        }
        episode.last_anomalous = episode.last_anomalous.max(now);
        episode.offsets.0 = episode.offsets.0.min(offsets.0);
        episode.offsets.1 = episode.offsets.1.max(offsets.1);
        let is_news =
            size >= 2.0 * episode.told && now - episode.told_at >= self.manner.asked.pace(config);
        if is_news {
            episode.told = size;
            episode.told_at = now;
            episode.version += 1;
        }
        if is_news || self.manner.asked == Asked::OfWindows {
            episode.calm = 0;
        }
        is_news.then_some(Phase::Updated)
    }

    fn open(&mut self, seen: Anomalous) {
        // Spans of different lengths may begin before an episode that was told already.
        let (start, ordinal) = match self.last_start {
            Some((last, ordinal)) if last >= seen.start => (last, ordinal + 1),
            _ => (seen.start, self.least_ordinal),
        };
        self.last_start = Some((start, ordinal));
        self.next_ordinal = self.next_ordinal.max(ordinal.saturating_add(1));
        self.current = Some(Episode {
            kind: self.kind,
            start,
            ordinal,
            version: 1,
            began: start,
            peak: seen.score,
            last_anomalous: seen.now,
            offsets: seen.offsets,
            told: seen.size,
            told_at: seen.now,
            calm: 0,
            lasted: 0,
            worst: seen.judged,
        });
    }

    /// It was worse than known so far.
    pub(crate) fn raise(&mut self, score: Score) {
        if let Some(episode) = self.current.as_mut().filter(|episode| score > episode.peak) {
            episode.peak = score;
        }
    }

    /// A window closed; the answer is the episode if it ends with it: calm for long enough, or taken for
    /// the new normal.
    pub(crate) fn window_closed(
        &mut self,
        window: &Window,
        is_calm: bool,
        config: &Config,
    ) -> Option<Ended> {
        // Windows from before it began close while it lasts, and say nothing about its end.
        let episode = self
            .current
            .as_mut()
            .filter(|episode| episode.began <= window.start)?;
        episode.calm = if is_calm { episode.calm + 1 } else { 0 };
        let counts = window.records > 0 || self.manner.empty_windows_count;
        episode.lasted += u32::from(counts);
        let is_over = episode.calm >= self.manner.calm_windows;
        let has_lasted = self.manner.adopts && episode.lasted >= config.adopt_after_windows;
        if !is_over && !has_lasted {
            return None;
        }
        let mut ended = self.give_up()?;
        ended.is_adopted = has_lasted && !(is_over && self.manner.calm_comes_first);
        Some(ended)
    }

    /// Ends the episode whatever the windows say.
    pub(crate) fn give_up(&mut self) -> Option<Ended> {
        let mut episode = self.current.take()?;
        episode.version += 1;
        Some(Ended {
            episode,
            is_adopted: false,
        })
    }

    /// The service's clock was set: times of before mean nothing after it, and starts may come again.
    pub(crate) fn clock_set(&mut self, to: EventTime) {
        self.last_start = None;
        self.least_ordinal = self.next_ordinal;
        if let Some(episode) = &mut self.current {
            episode.began = episode.began.min(to);
            episode.last_anomalous = episode.last_anomalous.min(to);
            episode.told_at = episode.told_at.min(to);
        }
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        to.maybe(self.last_start, |(start, ordinal), to| {
            to.moment(start);
            to.u32(ordinal);
        });
        to.maybe(self.current.as_ref(), Episode::save);
        to.u32(self.least_ordinal);
        to.u32(self.next_ordinal);
    }

    pub(crate) fn load(kind: Kind, manner: Manner, from: &mut Reader<'_>) -> Loaded<Self> {
        Ok(Self {
            kind,
            manner,
            last_start: from.maybe(|from| Ok((from.moment()?, from.u32()?)))?,
            current: from.maybe(|from| Episode::load(kind, from))?,
            least_ordinal: from.u32()?,
            next_ordinal: from.u32()?,
        })
    }
}

impl Asked {
    /// Event time between two updates at the least, ms.
    const fn pace(self, config: &Config) -> i64 {
        match self {
            Self::OnLines => 1000,
            Self::OfWindows => config.window_ms,
        }
    }
}

impl Episode {
    fn save(&self, to: &mut Writer) {
        to.moment(self.start);
        to.u32(self.ordinal);
        to.u32(self.version);
        to.moment(self.began);
        self.peak.save(to);
        to.moment(self.last_anomalous);
        to.i64(self.offsets.0);
        to.i64(self.offsets.1);
        to.f64(self.told);
        to.moment(self.told_at);
        to.u32(self.calm);
        to.u32(self.lasted);
        self.worst.save(to);
    }

    fn load(kind: Kind, from: &mut Reader<'_>) -> Loaded<Self> {
        Ok(Self {
            kind,
            start: from.moment()?,
            ordinal: from.u32()?,
            version: from.u32()?,
            began: from.moment()?,
            peak: Score::load(from)?,
            last_anomalous: from.moment()?,
            offsets: (from.i64()?, from.i64()?),
            told: from.amount()?,
            told_at: from.moment()?,
            calm: from.u32()?,
            lasted: from.u32()?,
            worst: Judged::load(from)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANNER: Manner = Manner {
        asked: Asked::OnLines,
        calm_windows: 2,
        empty_windows_count: false,
        calm_comes_first: false,
        adopts: true,
    };

    fn config() -> Config {
        Config {
            window_ms: 1000,
            adopt_after_windows: 4,
            ..Config::default()
        }
    }

    fn anomalous(episodes: &mut Episodes, now: i64, size: f64) -> Option<Phase> {
        let seen = Anomalous {
            start: EventTime(0),
            now: EventTime(now),
            score: Score::of(1e-9, 1e-6),
            size,
            offsets: (now, now),
            judged: Judged {
                from: EventTime(0),
                to: EventTime(now),
                records: size as u64,
                errors: 0,
                observed: size,
                level: size,
            },
        };
        episodes.anomalous(seen, &config())
    }

    fn window(start: i64, records: u64) -> Window {
        let mut window = Window::empty(EventTime(start));
        window.records = records;
        window
    }

    #[test]
    fn opens_once_updates_on_doubling_and_tells_twins_apart() {
        let mut episodes = Episodes::new(Kind::RateSpike, MANNER);
        assert_eq!(anomalous(&mut episodes, 1, 10.0), Some(Phase::Opened));
        assert_eq!(anomalous(&mut episodes, 2, 30.0), None);
        assert_eq!(anomalous(&mut episodes, 1001, 30.0), Some(Phase::Updated));
        assert_eq!(anomalous(&mut episodes, 3000, 50.0), None);
        let closed = episodes.give_up().unwrap().episode;
        assert_eq!((closed.version, closed.offsets), (3, (1, 3000)));
        assert_eq!(closed.worst.observed, 50.0);
        assert!(episodes.give_up().is_none());
        anomalous(&mut episodes, 4000, 1.0);
        assert_eq!(episodes.current().unwrap().ordinal, 1);
    }

    #[test]
    fn ends_after_calm_windows_in_a_row_and_is_adopted_when_it_lasts() {
        let closes = |manner, windows: &[(u64, bool)]| {
            let mut episodes = Episodes::new(Kind::RateSpike, manner);
            anomalous(&mut episodes, 1, 10.0);
            assert!(
                episodes
                    .window_closed(&window(-1000, 1), true, &config())
                    .is_none(),
                "before it began"
            );
            let windows = (0..).zip(windows);
            windows
                .map(|(at, (records, is_calm))| {
                    episodes.window_closed(&window(at * 1000, *records), *is_calm, &config())
                })
                .position(|ended| ended.is_some_and(|ended| ended.is_adopted))
                .or_else(|| (!episodes.is_open()).then_some(usize::MAX))
        };
        let over = Some(usize::MAX);
        assert_eq!(closes(MANNER, &[(5, true), (5, false), (5, true)]), None);
        assert_eq!(closes(MANNER, &[(5, false), (5, true), (5, true)]), over);
        assert_eq!(closes(MANNER, &[(5, false); 4]), Some(3));
        assert_eq!(closes(MANNER, &[(0, false); 9]), None, "silence");
        let counting = Manner {
            empty_windows_count: true,
            ..MANNER
        };
        assert_eq!(closes(counting, &[(0, false); 4]), Some(3));
        let calm_at_last = [(5, false), (5, false), (5, true), (5, true)];
        assert_eq!(closes(MANNER, &calm_at_last), Some(3));
        let calm_first = Manner {
            calm_comes_first: true,
            ..MANNER
        };
        assert_eq!(closes(calm_first, &calm_at_last), over);
    }
}
