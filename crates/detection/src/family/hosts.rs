//! One of the machines of a service has stopped writing, while the others go on.
//!
//! Each is held against its own gaps. Invariants: where names of machines come and go, as those of pods do,
//! nobody is missed; where most are missing it is the service that writes less, and not told here; silence
//! is never adopted, but who was away for a day is taken for gone.

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
    finding::{Kind, Subject},
    record::{Observation, time::EventTime},
    stat::Rhythm,
    window::Beside,
};

/// Machines of a service that are known; further ones are not.
const MOST: usize = 64;
/// Bytes of a name that are kept.
const NAME_BYTES: usize = 128;
/// Gaps of a machine before it is missed.
const LEAST_GAPS: u32 = 60;
/// It is missing for so many windows, and so many times as long as it ever was: who starts a machine anew is
/// back by then.
const LEAST_MISSING: u32 = 12;
const LONGER: u32 = 3;
/// Who was missing for so long is gone: a day.
const GONE_AFTER: u32 = 8640;
/// One new name is more than that for a day and a third: they come and go, and those that went were not missed
/// before they are forgotten.
const MOST_NEW: f32 = 0.4;
/// Of a new name, a window later; half-life a day.
const FORGET: f32 = 0.99992;
/// Windows in which all names are new, and in which nobody is missed, times those that the rate needs: a
/// quarter of an hour, and an hour.
const ALL_NEW: u32 = 5;
const LEAST_LEARNED: u32 = 20;
const MANNER: Manner = Manner {
    asked: Asked::OfWindows,
    calm_windows: 1,
    empty_windows_count: false,
    calm_comes_first: true,
    adopts: false,
};

#[derive(Debug, Clone)]
struct Row {
    name: Box<str>,
    /// See [`ending`].
    ending: u64,
    rhythm: Rhythm,
}

#[derive(Debug, Clone)]
pub(crate) struct Known {
    rows: Vec<Row>,
    /// Who wrote in each open window: a bit for each row.
    open: Beside<u64>,
    windows: u32,
    /// Names that were new lately, and since the last window closed.
    new: f32,
    begun: u32,
    episodes: Episodes,
    /// Of whom it is told.
    subject: Subject,
    place: usize,
}

pub(crate) type Hosts = OnHeap<Known>;

impl Hosts {
    /// See [`super::Family::version`].
    pub(super) const VERSION: u32 = 1;

    /// A line was counted in the window that begins at `start`; it says which machine wrote it.
    #[inline]
    pub(crate) fn observe(&mut self, seen: &Observation<'_>, start: EventTime, config: &Config) {
        self.begun(config).observe(seen.host, start);
    }
}

impl Kept for Known {
    fn new(_: &Config) -> Self {
        Self {
            rows: Vec::new(),
            open: Beside::default(),
            windows: 0,
            new: 0.0,
            begun: 0,
            episodes: Episodes::new(Kind::Silence, MANNER),
            subject: Subject::default(),
            place: 0,
        }
    }

    fn is_open(&self) -> bool {
        self.episodes.is_open()
    }

    fn window_closed(&mut self, closing: &mut Closing<'_>, is_told: bool) {
        let present = self.open.take(closing.window.start);
        self.windows = (self.windows + 1).min(u32::MAX / 2);
        let begun = std::mem::take(&mut self.begun) as f32;
        let warm_up = closing.telling.config.warm_up_windows;
        let are_new = self.windows > ALL_NEW * warm_up;
        self.new = self.new * FORGET + if are_new { begun } else { 0.0 };
        let says_nobody = present == 0 && closing.window.records > 0;
        if says_nobody && self.is_open() {
            // Lines no longer say who wrote them: nobody comes back any more.
            if let Some(row) = self.rows.get_mut(self.place) {
                row.rhythm.window(false);
            }
            self.go_on(closing);
            return;
        }
        // Where nobody wrote, or all write less, nobody is missed for himself.
        if present == 0 || (is_told && !self.is_open()) {
            return;
        }
        for (place, row) in self.rows.iter_mut().enumerate() {
            row.rhythm.window(present & (1 << place) != 0);
        }
        if self.is_open() {
            self.go_on(closing);
        } else if let Some((place, score)) = self.silent(closing.telling.config) {
            self.too_long(place, score, closing);
        }
        self.forget_one();
    }

    fn clock_set(&mut self, to: EventTime) {
        self.open.clear();
        self.episodes.clock_set(to);
    }

    fn give_up(&mut self, telling: &mut Telling<'_>) {
        if let Some(ended) = self.episodes.give_up() {
            self.tell_end(&ended, telling);
        }
    }

    fn save(&self, to: &mut Writer) {
        to.u64(self.rows.len() as u64);
        for row in &self.rows {
            to.text(&row.name);
            row.rhythm.save(to);
        }
        self.open.save(to, |bits, to| to.u64(*bits));
        to.u32(self.windows);
        to.f32(self.new);
        to.u32(self.begun);
        self.episodes.save(to);
        to.maybe(self.subject.host.as_ref(), |host, to| to.text(host));
        to.byte(self.place as u8);
    }

    fn load(from: &mut Reader<'_>, _: &Config) -> Loaded<Self> {
        let rows = (0..from.length(MOST, 2)?)
            .map(|_| Row::load(from))
            .collect::<Loaded<_>>()?;
        let known = Self {
            rows,
            open: Beside::load(from, Reader::u64)?,
            windows: from.u32()?,
            new: from.f32()?,
            begun: from.u32()?,
            episodes: Episodes::load(Kind::Silence, MANNER, from)?,
            subject: Subject {
                host: from.maybe(|from| from.text(NAME_BYTES).map(str::to_owned))?,
                ..Subject::default()
            },
            place: usize::from(from.byte()?),
        };
        if !(0.0..1e9).contains(&known.new) {
            return Err("an amount that there is not");
        }
        Ok(known)
    }
}

impl Known {
    fn observe(&mut self, name: &str, start: EventTime) {
        let name = &name[..name.floor_char_boundary(NAME_BYTES)];
        let ending = ending(name);
        let is_it = |row: &Row| row.ending == ending && *row.name == *name;
        let place = self.rows.iter().position(is_it);
        let Some(place) = place.or_else(|| self.admit(name)) else {
            return;
        };
        if let Some(bits) = self.open.of(start) {
            *bits |= 1 << place;
        }
    }

    #[cold]
    fn admit(&mut self, name: &str) -> Option<usize> {
        if self.rows.len() == MOST {
            return None;
        }
        self.begun += 1;
        self.rows.push(Row {
            name: name.into(),
            ending: ending(name),
            rhythm: Rhythm::default(),
        });
        Some(self.rows.len() - 1)
    }

    /// Who is silent, and least probably so, if anybody is.
    fn silent(&self, config: &Config) -> Option<(usize, Score)> {
        if self.windows < LEAST_LEARNED * config.warm_up_windows || self.new > MOST_NEW {
            return None;
        }
        let rows = self.rows.iter().enumerate();
        let (missing, others): (Vec<_>, Vec<_>) =
            rows.partition(|(_, row)| row.rhythm.missing() >= LEAST_MISSING / 2);
        if missing.len() > others.len() {
            return None;
        }
        let long = missing.into_iter().filter(|(_, row)| row.is_missed());
        let (place, row) =
            long.min_by(|(_, one), (_, other)| one.rhythm.p().total_cmp(&other.rhythm.p()))?;
        // As many questions as there are machines.
        let score = Score::of(row.rhythm.p() * self.rows.len() as f64, config.alpha());
        score.is_anomalous().then_some((place, score))
    }

    fn missing(&self) -> u32 {
        let row = self.rows.get(self.place);
        row.map_or(0, |row| row.rhythm.missing())
    }

    fn too_long(&mut self, place: usize, score: Score, closing: &mut Closing<'_>) {
        let (window, config) = (closing.window, closing.telling.config);
        if !self.episodes.is_open() {
            self.place = place;
            self.subject = Subject {
                host: self.rows.get(place).map(|row| row.name.to_string()),
                ..Subject::default()
            };
        }
        let missing = self.missing();
        let (from, to) = window.span(missing as usize, config);
        let judged = Judged {
            from,
            to,
            records: 0,
            errors: 0,
            observed: ((to - from) / 1000) as f64,
            level: f64::from(missing),
        };
        let (_, last_offset) = closing.last_line;
        let anomalous = Anomalous {
            start: from,
            now: closing.telling.now,
            score,
            // That it lasts is no news.
            size: 1.0,
            offsets: window.offsets().unwrap_or((last_offset, last_offset)),
            judged,
        };
        let phase = self.episodes.anomalous(anomalous, config);
        if let Some((phase, episode)) = phase.zip(self.episodes.current()) {
            let account = self.account(episode, &judged, &closing.telling);
            closing.telling.tell(episode, phase, account);
        }
    }

    /// A window closed while somebody is missing.
    fn go_on(&mut self, closing: &mut Closing<'_>) {
        let (window, config) = (closing.window, closing.telling.config);
        let missing = self.missing();
        if missing > 0 && missing < GONE_AFTER {
            self.too_long(self.place, Score::NONE, closing);
        }
        let ended = if missing >= GONE_AFTER {
            self.episodes.give_up()
        } else {
            self.episodes.window_closed(window, missing == 0, config)
        };
        if let Some(ended) = ended {
            self.tell_end(&ended, &mut closing.telling);
        }
    }

    /// Who is gone makes room, one in a window: the last row takes its place.
    fn forget_one(&mut self) {
        let is_gone = |row: &Row| row.rhythm.missing() >= GONE_AFTER;
        let Some(gone) = self.rows.iter().position(is_gone) else {
            return;
        };
        let last = self.rows.len() - 1;
        self.rows.swap_remove(gone);
        for bits in self.open.all() {
            let moved = if gone == last { 0 } else { (*bits >> last) & 1 };
            *bits = *bits & !(1 << last) & !(1 << gone) | moved << gone;
        }
        if self.place == last {
            self.place = gone;
        }
    }
}

impl Row {
    /// For long enough to be asked how improbable that is.
    fn is_missed(&self) -> bool {
        let least = LEAST_MISSING.max(LONGER * self.rhythm.longest());
        self.rhythm.gaps() >= LEAST_GAPS && (least..GONE_AFTER).contains(&self.rhythm.missing())
    }

    fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let name = from.text(NAME_BYTES)?;
        Ok(Self {
            name: name.into(),
            ending: ending(name),
            rhythm: Rhythm::load(from)?,
        })
    }
}

/// The last bytes of a name: most machines of a service are told apart by them.
#[inline]
fn ending(name: &str) -> u64 {
    let bytes = name.as_bytes();
    if let Some(last) = bytes.last_chunk() {
        return u64::from_le_bytes(*last);
    }
    bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
