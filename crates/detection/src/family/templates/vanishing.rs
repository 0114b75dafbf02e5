//! One of the things that a service says all the time comes no more.

use super::{
    Known,
    table::{Counts, Row, SPANS},
};
use crate::{
    budget::Score,
    config::Config,
    episode::{Anomalous, Judged},
    family::closing::Closing,
    record::time::EventTime,
};

/// A template is gone when so many of its lines are missing, for so many windows, and for so many times as
/// long as it ever was.
const LEAST_MISSED: f32 = 30.0;
const LEAST_MISSING: u32 = 6;
const LONGER: u32 = 3;
/// What comes like clockwork: so many times, so many windows apart, and none of them so many windows late.
const LEAST_BEATS: u32 = 60;
const BEAT_WINDOWS: f64 = 1.8;
const REGULAR_WITHIN: f64 = 1.5;
/// Another one that is as old as this one is missing, give or take so many windows, and comes about as often,
/// is the same in new words.
const ABOUT: u32 = 6;

impl Row {
    /// Whether it comes like clockwork, some windows apart.
    fn is_regular(&self) -> bool {
        let usual = self.rhythm.usual();
        self.rhythm.gaps() >= LEAST_BEATS
            && usual >= BEAT_WINDOWS
            && f64::from(self.rhythm.longest()) <= usual + REGULAR_WITHIN
    }

    /// For long enough, and lines enough, to say that it is gone.
    fn is_missing(&self, config: &Config) -> bool {
        let least = LEAST_MISSING.max(LONGER * self.rhythm.longest());
        self.is_known(config)
            && self.rhythm.missing() >= least
            && (self.missed >= LEAST_MISSED || self.is_regular())
    }
}

impl Known {
    /// The template that is gone, if any, and least probably so; `total`: lines of the newest window.
    pub(super) fn gone(&mut self, total: u64, config: &Config) -> Option<(usize, Score)> {
        if total == 0 {
            return None;
        }
        self.forget_former_names(config);
        let rows = self.table.rows().count() as f64;
        let missing = self.table.rows().filter(|(_, row)| row.is_missing(config));
        let least = missing
            .map(|(place, row)| (place, self.p_of_none(row)))
            .min_by(|(_, one), (_, other)| one.total_cmp(other));
        let (place, p) = least?;
        let score = Score::of(p * rows, config.alpha());
        score.is_anomalous().then_some((place, score))
    }

    /// What is missing since another one comes about as often is the same in new words.
    fn forget_former_names(&mut self, config: &Config) {
        let is_new_name = |former: &Row, other: &Row| {
            other.learned.abs_diff(former.rhythm.missing()) <= ABOUT
                && other.remembered() >= former.missed / 2.0
        };
        let is_former = |(_, row): &(usize, &Row)| {
            row.is_missing(config) && self.table.rows().any(|(_, other)| is_new_name(row, other))
        };
        let former = self.table.rows().filter(is_former);
        for place in former.map(|(place, _)| place).collect::<Vec<_>>() {
            self.table.remove(place);
        }
    }

    /// Probability that so many lines of the others have none of a template with them, or, of one that comes
    /// like clockwork, that it is away for so long.
    fn p_of_none(&self, row: &Row) -> f64 {
        let share = row.share(self.all.mean());
        let (_, dispersion) = row.spans[SPANS.len() - 1];
        let lines = (f64::from(row.missed) / share.max(1e-9)) as u64;
        let by_share = dispersion.none_of(lines, share);
        if row.is_regular() {
            by_share.min(row.rhythm.p())
        } else {
            // What it has of the lines was measured lately, of few where it is rare; its gaps for days.
            by_share.max(row.rhythm.p())
        }
    }

    pub(super) fn misses(&self, start: EventTime) -> u64 {
        let Some((counts, row)) = self.counts(start).zip(self.table.row(self.place)) else {
            return 0;
        };
        let expected = self.by_others(row, counts.at(self.place), counts.total);
        expected.min(row.mean()).round() as u64
    }

    pub(super) fn too_few(&mut self, place: usize, score: Score, closing: &mut Closing<'_>) {
        let (window, config) = (closing.window, closing.telling.config);
        self.speak_of(place);
        let row = self.table.row(place);
        let (missing_for, missed) = row.map_or((1, 0.0), |row| (row.rhythm.missing(), row.missed));
        self.expected = f64::from(missed);
        let (start, to) = window.span(missing_for as usize, config);
        let judged = Judged {
            from: start,
            to,
            records: 0,
            errors: 0,
            observed: 0.0,
            level: 0.0,
        };
        let (_, last_offset) = closing.last_line;
        let anomalous = Anomalous {
            start,
            now: closing.telling.now,
            score,
            size: 1.0,
            offsets: window.offsets().unwrap_or((last_offset, last_offset)),
            judged,
        };
        let phase = self.vanishing.anomalous(anomalous, config);
        if let Some((phase, episode)) = phase.zip(self.vanishing.current()) {
            let account = self.account(episode, &judged, self.expected, &closing.telling);
            closing.telling.tell(episode, phase, account);
        }
    }

    /// A window closed while a template is missing.
    pub(super) fn stay_away(&mut self, counts: &Counts, closing: &mut Closing<'_>) {
        let (window, config) = (closing.window, closing.telling.config);
        let is_back = counts.at(self.place) > 0;
        if let Some(row) = self.table.row(self.place) {
            self.expected = self.expected.max(f64::from(row.missed));
        }
        if let Some(ended) = self.vanishing.window_closed(window, is_back, config) {
            self.tell_end(&ended, &mut closing.telling);
            if ended.is_adopted {
                self.table.remove(self.place);
            }
        }
    }
}
