//! Rules that somebody wrote: more matching lines within a span than are let pass.
//!
//! Invariants: a rule is met on the line that crosses; it costs nothing of the false-alert budget, and is told
//! whatever else is; one that was changed is another one, and what the former had open is over.

mod tally;
mod words;

use tally::Tally;

use super::{
    closing::Closing,
    on_heap::{Kept, OnHeap},
};
use crate::{
    budget::Score,
    codec::{Loaded, Reader, Writer},
    config::Config,
    episode::{Anomalous, Asked, Episode, Episodes, Judged, Manner, Telling},
    finding::{Kind, SampleLine},
    record::{MOST_RULES, Observation, Ready, Rules as Written, SPAN_MS, Weight, time::EventTime},
};

const MANNER: Manner = Manner {
    asked: Asked::OnLines,
    calm_windows: 2,
    empty_windows_count: true,
    calm_comes_first: true,
    adopts: false,
};

/// Of one rule that lines of the service have matched.
#[derive(Debug, Clone)]
struct Row {
    /// See [`Ready::id`].
    id: u64,
    name: Box<str>,
    above: u32,
    within_ms: i64,
    weight: Weight,
    tally: Tally,
    episodes: Episodes,
    samples: Vec<SampleLine>,
}

#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// See [`Written::generation`].
    generation: u64,
    rows: Vec<Row>,
}

pub(crate) type Rules = OnHeap<Known>;

impl Rules {
    /// See [`super::Family::version`].
    pub(super) const VERSION: u32 = 1;

    /// A line came, whatever its time.
    pub(crate) fn observe(
        &mut self,
        seen: &Observation<'_>,
        written: &Written,
        telling: &mut Telling<'_>,
    ) {
        if let Some(known) = self
            .kept_mut()
            .filter(|known| known.generation != written.generation())
        {
            known.become_others(written, telling);
        }
        for rule in written.matching(seen.service, seen.message) {
            let known = self.begun(telling.config);
            known.generation = written.generation();
            known.matched(rule, seen, telling);
        }
    }
}

impl Kept for Known {
    fn new(_: &Config) -> Self {
        Self {
            generation: 0,
            rows: Vec::new(),
        }
    }

    fn is_open(&self) -> bool {
        self.rows.iter().any(|row| row.episodes.is_open())
    }

    fn window_closed(&mut self, closing: &mut Closing<'_>, _: bool) {
        let (window, config) = (closing.window, closing.telling.config);
        for row in &mut self.rows {
            let is_calm = row.is_calm(closing.telling.now, config);
            if let Some(ended) = row.episodes.window_closed(window, is_calm, config) {
                row.tell_end(&ended, &mut closing.telling);
                row.samples.clear();
            }
        }
        let now = closing.telling.now;
        self.rows
            .retain(|row| row.episodes.is_open() || row.tally.sum(now, row.within_ms) > 0);
    }

    fn clock_set(&mut self, to: EventTime) {
        for row in &mut self.rows {
            row.tally = Tally::default();
            row.episodes.clock_set(to);
        }
    }

    fn give_up(&mut self, telling: &mut Telling<'_>) {
        for row in &mut self.rows {
            row.give_up(telling);
        }
    }

    fn save(&self, to: &mut Writer) {
        to.u64(self.generation);
        to.u64(self.rows.len() as u64);
        for row in &self.rows {
            row.save(to);
        }
    }

    fn load(from: &mut Reader<'_>, config: &Config) -> Loaded<Self> {
        Ok(Self {
            generation: from.u64()?,
            rows: (0..from.length(MOST_RULES, 2)?)
                .map(|_| Row::load(from, config))
                .collect::<Loaded<_>>()?,
        })
    }
}

impl Known {
    /// The rules were changed: those that are gone are over.
    #[cold]
    fn become_others(&mut self, written: &Written, telling: &mut Telling<'_>) {
        for row in &mut self.rows {
            if !written.has(row.id) {
                row.give_up(telling);
            }
        }
        self.rows.retain(|row| written.has(row.id));
        self.generation = written.generation();
    }

    fn matched(&mut self, rule: &Ready, seen: &Observation<'_>, telling: &mut Telling<'_>) {
        let at = match self.rows.iter().position(|row| row.id == rule.id) {
            Some(at) => at,
            None if self.rows.len() < MOST_RULES => {
                self.rows.push(Row::of(rule));
                self.rows.len() - 1
            }
            None => return,
        };
        if let Some(row) = self.rows.get_mut(at) {
            row.matched(seen, telling);
        }
    }
}

impl Row {
    /// Whether it is met no longer, and was not lately.
    fn is_calm(&self, now: EventTime, config: &Config) -> bool {
        let last = self
            .episodes
            .current()
            .map(|episode| episode.last_anomalous);
        self.tally.sum(now, self.within_ms) <= u64::from(self.above)
            && last.is_none_or(|last| now - last >= 2 * config.window_ms)
    }

    fn of(rule: &Ready) -> Self {
        Self {
            id: rule.id,
            name: rule.rule.name.as_str().into(),
            above: rule.rule.above,
            within_ms: rule.rule.within_ms,
            weight: rule.rule.weight,
            tally: Tally::default(),
            episodes: Episodes::new(Kind::Rule, MANNER),
            samples: Vec::new(),
        }
    }

    fn matched(&mut self, seen: &Observation<'_>, telling: &mut Telling<'_>) {
        let (now, config) = (telling.now, telling.config);
        // A service that writes nothing for hours closes no windows: it ends with the line that comes then.
        let is_over =
            |last: &Episode| now - last.last_anomalous >= self.within_ms + 2 * config.window_ms;
        if self.episodes.current().is_some_and(is_over) {
            self.give_up(telling);
        }
        let config = telling.config;
        self.tally.count(now, seen.offset, self.within_ms);
        SampleLine::keep_newest(seen, &mut self.samples, config.samples);
        let count = self.tally.sum(now, self.within_ms);
        if count <= u64::from(self.above) {
            return;
        }
        let start = now + -self.within_ms;
        let judged = Judged {
            from: start,
            to: now,
            records: count,
            errors: 0,
            observed: count as f64,
            level: count as f64,
        };
        let anomalous = Anomalous {
            start: now.start_of_window(config.window_ms),
            now,
            score: Score::of_weight(self.weight),
            size: count as f64,
            offsets: (
                self.tally.first_offset().unwrap_or(seen.offset),
                seen.offset,
            ),
            judged,
        };
        let phase = self.episodes.anomalous(anomalous, config);
        if let Some((phase, episode)) = phase.zip(self.episodes.current()) {
            let account = self.account(&judged, episode.start, telling.service);
            telling.tell(episode, phase, account);
        }
    }

    fn give_up(&mut self, telling: &mut Telling<'_>) {
        if let Some(ended) = self.episodes.give_up() {
            self.tell_end(&ended, telling);
        }
    }

    fn save(&self, to: &mut Writer) {
        to.u64(self.id);
        to.text(&self.name);
        to.u32(self.above.min(u32::MAX / 2));
        to.i64(self.within_ms);
        to.byte(self.weight as u8);
        self.tally.save(to);
        self.episodes.save(to);
        SampleLine::save_all(&self.samples, to);
    }

    fn load(from: &mut Reader<'_>, config: &Config) -> Loaded<Self> {
        let row = Self {
            id: from.u64()?,
            name: from.text(usize::MAX)?.into(),
            above: from.u32()?,
            within_ms: from.i64()?,
            weight: match from.byte()? {
                0 => Weight::Low,
                1 => Weight::Medium,
                2 => Weight::High,
                3 => Weight::Critical,
                _ => return Err("a weight that there is not"),
            },
            tally: Tally::load(from)?,
            episodes: Episodes::load(Kind::Rule, MANNER, from)?,
            samples: SampleLine::load_all(from, config.samples)?,
        };
        if !SPAN_MS.contains(&row.within_ms) {
            return Err("a span that no rule has");
        }
        Ok(row)
    }
}
