//! What a service warns of and never has before: templates that are new to it, again and again.
//!
//! Invariants: one new line, or a few, tell nothing, since new ones come now and then anywhere; nothing is
//! learned of what is told, or of what is part of something more telling.

mod words;

use super::{
    closing::Closing,
    on_heap::{Kept, OnHeap},
};
use crate::{
    budget::Score,
    codec::{Loaded, Reader, Writer},
    config::Config,
    episode::{Anomalous, Asked, Episodes, Judged, Manner, Telling},
    finding::{Kind, SampleLine, Subject, Template},
    record::{Observation, sounds_severe, time::EventTime},
    stat::{Familiar, Handfuls, Seen},
    window::{Beside, Window},
};

/// Before anything is known, what is new comes as so many lines.
const USUAL_LINES: f64 = 1.5;
/// Fewer lines are never told.
const LEAST_LINES: u64 = 10;
/// Windows in which everything is new, and tells nothing.
const LEAST_WINDOWS: u32 = 60;
/// For so many windows after its first line a template is new.
const NEW_FOR: i64 = 30;
/// New templates at once; of more the eldest are no longer new.
const MOST_NEW: usize = 16;
const MANNER: Manner = Manner {
    asked: Asked::OnLines,
    calm_windows: 6,
    empty_windows_count: true,
    calm_comes_first: true,
    adopts: true,
};

/// A template that is new, and whose lines are warnings.
#[derive(Debug, Clone)]
struct Young {
    template: u64,
    /// Stream time of its first line.
    since: EventTime,
    lines: u64,
    offsets: (i64, i64),
    /// It belongs to the open episode.
    is_told: bool,
    sample: SampleLine,
}

#[derive(Debug, Clone)]
pub(crate) struct Known {
    templates: Familiar,
    handfuls: Handfuls,
    windows: u32,
    /// New templates since the last window closed.
    begun: u64,
    young: Vec<Young>,
    /// Lines of new templates, for each open window.
    lines: Beside<u64>,
    episodes: Episodes,
    /// What the open episode is about, and its newest lines.
    subject: Subject,
    samples: Vec<SampleLine>,
    /// Lines of new templates since it opened, and how many templates.
    during: (u64, u64),
    /// Anything but what is to be expected.
    critical: u64,
}

pub(crate) type Novelty = OnHeap<Known>;

impl Novelty {
    /// See [`super::Family::version`].
    pub(super) const VERSION: u32 = 2;

    /// A line came, whatever its time. `is_told`: something more telling is open.
    #[inline]
    pub(crate) fn observe(
        &mut self,
        seen: &Observation<'_>,
        is_told: bool,
        telling: &mut Telling<'_>,
    ) {
        if seen.template == 0 {
            return;
        }
        let config = telling.config;
        let known = self.begun(config);
        match known.templates.see(seen.template, telling.now.0) {
            Seen::Before if known.young.is_empty() => {}
            Seen::Before => known.once_more(seen, is_told, telling),
            Seen::Never | Seen::Untold if known.had_another_id(seen) => {
                known.once_more(seen, is_told, telling);
            }
            Seen::Never => known.first(seen, telling),
            Seen::Untold => {}
        }
    }

    /// Lines of a window that an open episode accounts for.
    pub(crate) fn accounts_for(&self, window: &Window) -> u64 {
        let known = self.kept().filter(|known| known.episodes.is_open());
        known.map_or(0, |known| {
            let lines = known.lines.get(window.start).copied().unwrap_or(0);
            lines.min(window.records)
        })
    }
}

impl Kept for Known {
    fn new(config: &Config) -> Self {
        let mut known = Self {
            templates: Familiar::default(),
            handfuls: Handfuls::of_mean(USUAL_LINES),
            windows: 0,
            begun: 0,
            young: Vec::new(),
            lines: Beside::default(),
            episodes: Episodes::new(Kind::NewTemplate, MANNER),
            subject: Subject::default(),
            samples: Vec::new(),
            during: (0, 0),
            critical: u64::MAX,
        };
        known.arm(config);
        known
    }

    fn is_open(&self) -> bool {
        self.episodes.is_open()
    }

    fn window_closed(&mut self, closing: &mut Closing<'_>, _: bool) {
        let (window, now, config) = (closing.window, closing.telling.now, closing.telling.config);
        self.windows = self.windows.saturating_add(1);
        self.lines.take(window.start);
        let begun = std::mem::take(&mut self.begun);
        self.handfuls.window(begun);
        if let Some(episode) = self.episodes.current() {
            let is_calm = now - episode.last_anomalous >= 2 * config.window_ms;
            if let Some(ended) = self.episodes.window_closed(window, is_calm, config) {
                self.tell_end(&ended, &mut closing.telling);
                self.young.retain(|young| !young.is_told);
                self.samples = Vec::new();
            }
        }
        let grown = |young: &Young| now - young.since >= NEW_FOR * config.window_ms;
        while let Some(at) = self
            .young
            .iter()
            .position(|young| grown(young) && !young.is_told)
        {
            let young = self.young.remove(at);
            self.no_longer_new(&young, config);
        }
        self.templates.day_of(now.0);
        self.arm(config);
    }

    fn clock_set(&mut self, to: EventTime) {
        self.lines.clear();
        self.episodes.clock_set(to);
        for young in &mut self.young {
            young.since = to;
        }
    }

    fn give_up(&mut self, telling: &mut Telling<'_>) {
        if let Some(ended) = self.episodes.give_up() {
            self.tell_end(&ended, telling);
        }
    }

    fn save(&self, to: &mut Writer) {
        self.templates.save(to);
        self.handfuls.save(to);
        to.u32(self.windows);
        to.u64(self.begun);
        to.u64(self.young.len() as u64);
        for young in &self.young {
            young.save(to);
        }
        self.lines.save(to, |lines, to| to.u64(*lines));
        self.episodes.save(to);
        to.maybe(self.subject.template.as_ref(), Template::save);
        SampleLine::save_all(&self.samples, to);
        to.u64(self.during.0);
        to.u64(self.during.1);
    }

    fn load(from: &mut Reader<'_>, config: &Config) -> Loaded<Self> {
        let mut known = Self {
            templates: Familiar::load(from)?,
            handfuls: Handfuls::load(from)?,
            windows: from.u32()?,
            begun: from.count()?,
            young: (0..from.length(MOST_NEW, 2)?)
                .map(|_| Young::load(from))
                .collect::<Loaded<_>>()?,
            lines: Beside::load(from, Reader::count)?,
            episodes: Episodes::load(Kind::NewTemplate, MANNER, from)?,
            subject: Subject {
                template: from.maybe(Template::load)?,
                ..Subject::default()
            },
            samples: SampleLine::load_all(from, config.samples)?,
            during: (from.count()?, from.count()?),
            critical: u64::MAX,
        };
        known.arm(config);
        Ok(known)
    }
}

impl Known {
    /// While everything is new nothing is told.
    fn arm(&mut self, config: &Config) {
        self.critical = if self.windows < LEAST_WINDOWS.max(config.warm_up_windows) {
            u64::MAX
        } else {
            self.handfuls.critical(config.alpha()).max(LEAST_LINES)
        };
    }

    #[cold]
    fn first(&mut self, seen: &Observation<'_>, telling: &Telling<'_>) {
        if !seen.is_warning && !sounds_severe(seen.message) {
            return;
        }
        if self.young.len() == MOST_NEW {
            let eldest = self.young.remove(0);
            self.no_longer_new(&eldest, telling.config);
            self.arm(telling.config);
        }
        self.begun += 1;
        self.young.push(Young {
            template: seen.template,
            since: telling.now,
            lines: 0,
            offsets: (seen.offset, seen.offset),
            is_told: false,
            sample: SampleLine::of(seen),
        });
        self.count(self.young.len() - 1, seen, telling.config);
    }

    #[cold]
    fn once_more(&mut self, seen: &Observation<'_>, is_told: bool, telling: &mut Telling<'_>) {
        let mut young = self.young.iter();
        let Some(at) = young.position(|young| young.template == seen.template) else {
            return;
        };
        self.count(at, seen, telling.config);
        self.judge(at, seen, is_told, telling);
    }

    fn count(&mut self, at: usize, seen: &Observation<'_>, config: &Config) {
        let Some(young) = self.young.get_mut(at) else {
            return;
        };
        young.lines += 1;
        young.offsets.0 = young.offsets.0.min(seen.offset);
        young.offsets.1 = young.offsets.1.max(seen.offset);
        let start = seen.time.start_of_window(config.window_ms);
        if let Some(lines) = self.lines.of(start) {
            *lines += 1;
        }
    }

    fn judge(
        &mut self,
        at: usize,
        seen: &Observation<'_>,
        is_told: bool,
        telling: &mut Telling<'_>,
    ) {
        let config = telling.config;
        let Some(young) = self.young.get_mut(at) else {
            return;
        };
        if young.is_told {
            self.during.0 += 1;
            self.too_many(seen, (seen.offset, seen.offset), Score::NONE, telling);
            return;
        }
        if young.lines < self.critical {
            return;
        }
        if is_told && !self.episodes.is_open() {
            // Part of something else, and no example of what is usual.
            self.young.remove(at);
            return;
        }
        young.is_told = true;
        let (lines, offsets) = (young.lines, young.offsets);
        if !self.episodes.is_open() {
            self.subject = Subject {
                template: Some(Template {
                    id: young.template,
                    text: young.sample.message.clone(),
                }),
                ..Subject::default()
            };
            self.during = (0, 0);
            self.samples = vec![young.sample.clone()];
        }
        self.during.0 += lines;
        self.during.1 += 1;
        let score = Score::of(self.handfuls.expected(lines), config.alpha());
        self.too_many(seen, offsets, score, telling);
    }

    fn too_many(
        &mut self,
        seen: &Observation<'_>,
        offsets: (i64, i64),
        score: Score,
        telling: &mut Telling<'_>,
    ) {
        let config = telling.config;
        SampleLine::keep_newest(seen, &mut self.samples, config.samples);
        let (lines, _) = self.during;
        let since = self.began().min(telling.now);
        let judged = Judged {
            from: since.start_of_window(config.window_ms),
            to: telling.now,
            records: lines,
            errors: 0,
            observed: lines as f64,
            // All of it, up to the last line.
            level: 0.0,
        };
        let anomalous = Anomalous {
            start: judged.from,
            now: telling.now,
            score,
            size: lines as f64,
            offsets,
            judged,
        };
        let phase = self.episodes.anomalous(anomalous, config);
        if let Some((phase, episode)) = phase.zip(self.episodes.current()) {
            let account = self.account(episode, telling.service);
            telling.tell(episode, phase, account);
        }
    }

    /// The first line of what is told.
    fn began(&self) -> EventTime {
        let told = self.young.iter().filter(|young| young.is_told);
        told.map(|young| young.since).min().unwrap_or(EventTime(0))
    }

    /// What was told is no example of what is usual; nor is what came while everything was new.
    fn no_longer_new(&mut self, young: &Young, config: &Config) {
        if !young.is_told && self.critical < u64::MAX {
            self.handfuls.ended(young.lines, config.alpha());
        }
    }

    /// Whether the template of this line is one that was known under other ids. It has this one from now on.
    #[cold]
    fn had_another_id(&mut self, seen: &Observation<'_>) -> bool {
        let Some(lineage) = seen.lineage else {
            return false;
        };
        let former = lineage.former(seen.template).iter();
        former.fold(false, |known, from| {
            let is_known = self.templates.rename(*from, seen.template);
            if is_known {
                self.young_renamed(*from, seen.template);
            }
            known || is_known
        })
    }

    fn young_renamed(&mut self, from: u64, into: u64) {
        let Some(at) = self.young.iter().position(|young| young.template == from) else {
            return;
        };
        let old = self.young.remove(at);
        match self.young.iter_mut().find(|young| young.template == into) {
            Some(young) => {
                young.lines += old.lines;
                young.since = young.since.min(old.since);
                young.offsets.0 = young.offsets.0.min(old.offsets.0);
                young.is_told |= old.is_told;
            }
            None => self.young.insert(
                at,
                Young {
                    template: into,
                    ..old
                },
            ),
        }
    }
}

impl Young {
    fn save(&self, to: &mut Writer) {
        to.u64(self.template);
        to.moment(self.since);
        to.u64(self.lines);
        to.i64(self.offsets.0);
        to.i64(self.offsets.1);
        to.flag(self.is_told);
        self.sample.save(to);
    }

    fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        Ok(Self {
            template: from.u64()?,
            since: from.moment()?,
            lines: from.count()?,
            offsets: (from.i64()?, from.i64()?),
            is_told: from.flag()?,
            sample: SampleLine::load(from)?,
        })
    }
}
