//! An ongoing anomaly is one episode with updates, not a thousand alerts.
//!
//! Invariants: versions of an episode count up from 1 without gaps; it opens once and closes once;
//! no two episodes of a series have the same start and ordinal.

use crate::{
    state::{Loaded, Reader, Writer},
    time::{EventTime, Score},
};

/// Episodes of one series, one at a time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Episodes {
    current: Option<Episode>,
    last_start: Option<(EventTime, u32)>,
    /// Ordinals begin here: above all that were used before the clock was set back.
    least_ordinal: u32,
    /// Above all that were used.
    next_ordinal: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Episode {
    pub(crate) start: EventTime,
    pub(crate) ordinal: u32,
    pub(crate) version: u32,
    /// Its start by the service's clock as it is now.
    pub(crate) began: EventTime,
    /// The most anomalous it has been.
    pub(crate) peak: Score,
    /// Event time of the last judgement that was anomalous.
    pub(crate) last_anomalous: EventTime,
    pub(crate) first_offset: i64,
    pub(crate) last_offset: i64,
    /// `observed` at the last version that was told.
    pub(crate) told: f64,
    pub(crate) told_at: EventTime,
}

/// What a judgement makes of the episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Open,
    Update,
    /// Goes on, and says nothing new.
    Quiet,
}

impl Episodes {
    pub(crate) fn current(&self) -> Option<&Episode> {
        self.current.as_ref()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.current.is_some()
    }

    /// Something anomalous at `now`. `start` names the episode if it opens now. An update is told
    /// when `observed` has doubled since the last one, `pace_ms` of event time apart at least.
    pub(crate) fn anomalous(
        &mut self,
        start: EventTime,
        now: EventTime,
        score: Score,
        observed: f64,
        offsets: (i64, i64),
        pace_ms: i64,
    ) -> Step {
        let Some(episode) = &mut self.current else {
            // Spans of different lengths may begin before an episode that was told already.
            let (start, ordinal) = match self.last_start {
                Some((last, ordinal)) if last >= start => (last, ordinal + 1),
                _ => (start, self.least_ordinal),
            };
            self.last_start = Some((start, ordinal));
            self.next_ordinal = self.next_ordinal.max(ordinal.saturating_add(1));
            self.current = Some(Episode {
                start,
                ordinal,
                version: 1,
                began: start,
                peak: score,
                last_anomalous: now,
                first_offset: offsets.0,
                last_offset: offsets.1,
                told: observed,
                told_at: now,
            });
            return Step::Open;
        };
        if score > episode.peak {
            episode.peak = score;
        }
        episode.last_anomalous = episode.last_anomalous.max(now);
        episode.first_offset = episode.first_offset.min(offsets.0);
        episode.last_offset = episode.last_offset.max(offsets.1);
        if observed >= 2.0 * episode.told && now - episode.told_at >= pace_ms {
            episode.told = observed;
            episode.told_at = now;
            episode.version += 1;
            return Step::Update;
        }
        Step::Quiet
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

    /// It was worse than known so far.
    pub(crate) fn raise(&mut self, score: Score) {
        if let Some(episode) = self.current.as_mut().filter(|episode| score > episode.peak) {
            episode.peak = score;
        }
    }

    /// Ends the episode; the last version is in the answer.
    pub(crate) fn close(&mut self) -> Option<Episode> {
        let mut episode = self.current.take()?;
        episode.version += 1;
        Some(episode)
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

    pub(crate) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        Ok(Self {
            last_start: from.maybe(|from| Ok((from.moment()?, from.u32()?)))?,
            current: from.maybe(Episode::load)?,
            least_ordinal: from.u32()?,
            next_ordinal: from.u32()?,
        })
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
        to.i64(self.first_offset);
        to.i64(self.last_offset);
        to.f64(self.told);
        to.moment(self.told_at);
    }

    fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        Ok(Self {
            start: from.moment()?,
            ordinal: from.u32()?,
            version: from.u32()?,
            began: from.moment()?,
            peak: Score::load(from)?,
            last_anomalous: from.moment()?,
            first_offset: from.i64()?,
            last_offset: from.i64()?,
            told: from.amount()?,
            told_at: from.moment()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_once_updates_on_doubling_and_tells_twins_apart() {
        let score = Score::of(1e-9, 1e-6);
        let mut episodes = Episodes::default();
        let mut step = |now, observed| {
            episodes.anomalous(
                EventTime(0),
                EventTime(now),
                score,
                observed,
                (now, now),
                10,
            )
        };
        assert_eq!(step(1, 10.0), Step::Open);
        assert_eq!(step(2, 30.0), Step::Quiet);
        assert_eq!(step(11, 30.0), Step::Update);
        assert_eq!(step(30, 50.0), Step::Quiet);
        let closed = episodes.close().unwrap();
        assert_eq!(
            (closed.version, closed.first_offset, closed.last_offset),
            (3, 1, 30)
        );
        assert!(episodes.close().is_none());
        episodes.anomalous(EventTime(0), EventTime(40), score, 1.0, (1, 1), 10);
        assert_eq!(episodes.current().unwrap().ordinal, 1);
    }
}
