//! One of the things that a service says comes far more often: what is asked on lines, of windows, and while it
//! lasts.

use super::{
    Known, MOST_SHARE, beside,
    table::{Counts, Row, SPANS},
};
use crate::{
    budget::Score,
    config::Config,
    episode::{Anomalous, Judged, Telling},
    family::closing::Closing,
    finding::SampleLine,
    record::{Observation, time::EventTime},
    window::Window,
};

/// So many times what is expected, and so many lines more, are a surge at the least; and they are worth so
/// many windows of the service's ordinary traffic.
pub(super) const FACTOR: f64 = 2.0;
const LEAST_EXCESS: f64 = 10.0;
const LEAST_AREA: f64 = 0.3;
/// What is open goes on while a window has so many times what is expected.
const STILL_HIGH_FACTOR: f64 = 1.5;
/// A template that makes this share of what is too much names the storm.
const NAMES_IT: f64 = 0.5;

/// One template's lines, and what was expected of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surge {
    place: usize,
    /// Windows.
    span: usize,
    count: u64,
    expected: f64,
    score: Score,
}

impl Surge {
    fn excess(&self) -> f64 {
        self.count as f64 - self.expected
    }
}

impl Known {
    /// Whether so many lines of one row are far too many.
    fn surge(
        &self,
        place: usize,
        (count, total): (u64, u64),
        span: usize,
        config: &Config,
    ) -> Option<Surge> {
        let row = self.table.row(place)?;
        let expected = self.expected(row, count, total, SPANS[span]);
        let least = (expected * FACTOR)
            .max(expected + LEAST_EXCESS)
            .max(expected + LEAST_AREA * self.all.mean());
        if !row.is_known(config) || (count as f64) < least {
            return None;
        }
        let (_, dispersion) = &row.spans[span];
        let share = row.share(self.all.mean());
        // As many questions as there are rows.
        let p = dispersion.upper_tail((count, total), share, 1) * self.table.rows().count() as f64;
        let score = Score::of(p, config.alpha());
        score.is_anomalous().then_some(Surge {
            place,
            span: SPANS[span],
            count,
            expected,
            score,
        })
    }

    pub(super) fn explains(
        &mut self,
        seen: &Observation<'_>,
        window: &Window,
        excess: f64,
        telling: &mut Telling<'_>,
    ) -> bool {
        let Some(counts) = self.table.open(window.start) else {
            return false;
        };
        let count = |place, _: &Row| counts.at(place);
        let greatest = self.greatest_surge(0, counts.total, count, telling.config);
        let Some(surge) = greatest.filter(|it| it.excess() >= NAMES_IT * excess) else {
            return false;
        };
        self.samples.clear();
        self.too_many(surge, window, telling);
        if self.is_about(seen.template) {
            self.samples.push(SampleLine::of(seen));
        }
        true
    }

    /// Lines of a window beyond what is usual of all templates that surge together: one place in the program
    /// may be several.
    pub(super) fn accounts_for(&self, start: EventTime) -> u64 {
        let Some(counts) = self.counts(start) else {
            return 0;
        };
        let (mut count, mut mean) = (0, 0.0);
        for (place, row) in self.table.rows() {
            let own = counts.at(place);
            let is_part = place == self.place
                || own as f64 >= FACTOR * self.expected(row, own, counts.total, 1);
            if is_part {
                count += own;
                mean += row.mean();
            }
        }
        let share = (mean / self.all.mean().max(1e-9)).min(MOST_SHARE);
        let expected = beside(counts.total.saturating_sub(count), share).max(mean);
        (count as f64 - expected).max(0.0) as u64
    }

    /// Of the shortest span with any.
    pub(super) fn surge_in_a_span(&self, config: &Config) -> Option<Surge> {
        let mut spans = (0..SPANS.len()).filter(|span| self.is_over(*span));
        spans.find_map(|span| {
            let (total, _) = self.spans[span];
            self.greatest_surge(span, total, |_, row| row.spans[span].0, config)
        })
    }

    /// Of a span with so many lines, by how many each row has.
    fn greatest_surge(
        &self,
        span: usize,
        total: u64,
        count: impl Fn(usize, &Row) -> u64,
        config: &Config,
    ) -> Option<Surge> {
        let surges = self
            .table
            .rows()
            .filter_map(|(place, row)| self.surge(place, (count(place, row), total), span, config));
        surges.max_by(|one, other| one.excess().total_cmp(&other.excess()))
    }

    pub(super) fn too_many(&mut self, surge: Surge, window: &Window, telling: &mut Telling<'_>) {
        let config = telling.config;
        if !self.surge.is_open() {
            self.speak_of(surge.place);
        }
        let (start, to) = window.span(surge.span, config);
        let judged = Judged {
            from: start,
            to,
            records: surge.count,
            errors: 0,
            observed: surge.count as f64,
            level: surge.count as f64 / surge.span as f64,
        };
        let anomalous = Anomalous {
            start,
            now: telling.now,
            score: surge.score,
            size: judged.level,
            offsets: window.offsets().unwrap_or((0, 0)),
            judged,
        };
        let phase = self.surge.anomalous(anomalous, config);
        let is_worst = self
            .surge
            .current()
            .is_some_and(|episode| episode.worst.level <= judged.level);
        if is_worst {
            self.expected = surge.expected;
        }
        if let Some((phase, episode)) = phase.zip(self.surge.current()) {
            let account = self.account(episode, &judged, surge.expected, telling);
            telling.tell(episode, phase, account);
        }
    }

    /// A window closed while a surge is open.
    pub(super) fn go_on(&mut self, counts: &Counts, closing: &mut Closing<'_>) {
        let (window, config) = (closing.window, closing.telling.config);
        let count = counts.at(self.place);
        let Some(row) = self.table.row(self.place) else {
            return;
        };
        let expected = self.expected(row, count, counts.total, 1);
        let is_calm = (count as f64) < STILL_HIGH_FACTOR * expected;
        if !is_calm {
            let surge = Surge {
                place: self.place,
                span: 1,
                count,
                expected,
                score: Score::NONE,
            };
            self.too_many(surge, window, &mut closing.telling);
        }
        if let Some(ended) = self.surge.window_closed(window, is_calm, config) {
            self.tell_end(&ended, &mut closing.telling);
            self.samples = Vec::new();
            if ended.is_adopted
                && let Some(row) = self.table.row_mut(self.place)
            {
                row.forget();
            }
        }
    }
}
