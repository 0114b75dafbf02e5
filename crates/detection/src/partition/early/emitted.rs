//! What is remembered of an episode that was told ahead.

use std::collections::VecDeque;

use primitives::splitmix::hash;

use crate::{
    budget::Score,
    codec::{Loaded, Reader, Writer},
    finding::{Finding, Kind, Phase, Subject},
    record::time::EventTime,
};

/// Versions of one episode told ahead: more than a silence of the greatest length that is judged has.
pub(super) const MOST_AHEAD: usize = 1024;

/// An episode of a service, by its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) slot: u32,
    pub(super) kind: Kind,
    /// A hash of what it is about: a service may be told of several at once.
    pub(super) subject: u64,
    pub(super) start: EventTime,
    pub(super) ordinal: u32,
}

#[derive(Debug, Clone)]
pub(super) struct EmittedEarly {
    /// The newest version that was told.
    pub(super) newest: u32,
    /// What is added to the detectors' own versions, so that none is used twice.
    pub(super) shift: u32,
    /// Told ahead and not yet borne out, oldest first.
    pub(super) ahead: VecDeque<Ahead>,
    pub(super) is_withdrawn: bool,
    /// Since when the service's clock had not been set when the newest was told.
    pub(super) time_began: EventTime,
    pub(super) facts: Facts,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    /// The version as the detectors count.
    pub(super) version: u32,
    pub(super) fingerprint: u64,
    pub(super) detected_at: EventTime,
    /// The episode's last.
    pub(super) is_over: bool,
}

/// What a withdrawal repeats of the newest version told.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) subject: Subject,
    pub(super) window: (EventTime, EventTime),
    pub(super) score: Score,
    pub(super) observed: f64,
    pub(super) expected: f64,
    pub(super) limits: (f64, f64),
    pub(super) offsets: (i64, i64),
}

impl Key {
    pub(super) fn of(slot: u32, finding: &Finding) -> Self {
        Self {
            slot,
            kind: finding.kind,
            subject: hash(finding.subject.series().as_bytes()),
            start: finding.episode_start,
            ordinal: finding.ordinal,
        }
    }

    pub(super) fn save(&self, to: &mut Writer) {
        to.u32(self.slot);
        self.kind.save(to);
        to.u64(self.subject);
        to.moment(self.start);
        to.u32(self.ordinal);
    }

    pub(super) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        Ok(Self {
            slot: from.u32()?,
            kind: Kind::load(from)?,
            subject: from.u64()?,
            start: from.moment()?,
            ordinal: from.u32()?,
        })
    }
}

impl EmittedEarly {
    /// Nothing was told ahead yet.
    pub(super) fn before(first: &Finding, time_began: EventTime) -> Self {
        Self {
            newest: first.version.saturating_sub(1),
            shift: 0,
            ahead: VecDeque::new(),
            is_withdrawn: false,
            time_began,
            facts: Facts::of(first),
        }
    }

    /// Told ahead from its first version on, and none of it borne out.
    pub(super) fn is_unopened(&self) -> bool {
        self.ahead.front().is_some_and(|ahead| ahead.version == 1)
    }

    /// What takes the detectors' version above all that were told.
    pub(super) fn shift_for(&self, version: u32) -> u32 {
        self.newest.saturating_add(1).saturating_sub(version)
    }

    /// The records came past what was told ahead and do not bear it out. An episode that they did not open
    /// is withdrawn; one that they did goes on, which is said where it was told to be over.
    pub(super) fn take_back(&mut self, key: Key, service: &str, now: EventTime) -> Option<Finding> {
        let next = self.ahead.front()?.version;
        let was_over = self.ahead.back().is_some_and(|ahead| ahead.is_over);
        let what = key.kind.words();
        let told = if self.is_unopened() {
            self.is_withdrawn = true;
            Some((
                Phase::Closed,
                format!("{service}: {what} withdrawn, the lines came late"),
                format!(
                    "Told while no lines of {service} came. They came late, and with them nothing is out of the ordinary: withdrawn."
                ),
            ))
        } else if was_over {
            Some((
                Phase::Updated,
                format!("{service}: {what} goes on, it was told to be over too early"),
                format!(
                    "Told to be over while no lines of {service} came. By the lines that came it is not."
                ),
            ))
        } else {
            None
        };
        self.newest = self.newest.saturating_add(u32::from(told.is_some()));
        self.shift = self.shift_for(next);
        self.ahead.clear();
        let (phase, title, summary) = told?;
        let Facts {
            subject,
            window,
            score,
            observed,
            expected,
            limits,
            offsets,
        } = self.facts.clone();
        Some(Finding {
            kind: key.kind,
            service: service.to_owned(),
            subject,
            services: Vec::new(),
            episode_start: key.start,
            ordinal: key.ordinal,
            version: self.newest,
            phase,
            window_start: window.0,
            window_end: window.1,
            detected_at: now,
            score,
            observed,
            expected,
            lower: limits.0,
            upper: limits.1,
            title,
            summary,
            baseline: "The baseline is that of the versions before.".to_owned(),
            parts: Vec::new(),
            samples: Vec::new(),
            ranges: vec![offsets],
        })
    }

    pub(super) fn save(&self, to: &mut Writer) {
        to.u32(self.newest);
        to.u32(self.shift);
        to.flag(self.is_withdrawn);
        to.moment(self.time_began);
        self.facts.save(to);
        to.u64(self.ahead.len() as u64);
        for ahead in &self.ahead {
            to.u32(ahead.version);
            to.u64(ahead.fingerprint);
            to.moment(ahead.detected_at);
            to.flag(ahead.is_over);
        }
    }

    pub(super) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let newest = from.u32()?;
        let shift = from.u32()?;
        let is_withdrawn = from.flag()?;
        let time_began = from.moment()?;
        let facts = Facts::load(from)?;
        let count = from.length(MOST_AHEAD, 3)?;
        let ahead = (0..count).map(|_| {
            Ok(Ahead {
                version: from.u32()?,
                fingerprint: from.u64()?,
                detected_at: from.moment()?,
                is_over: from.flag()?,
            })
        });
        Ok(Self {
            newest,
            shift,
            is_withdrawn,
            time_began,
            facts,
            ahead: ahead.collect::<Loaded<_>>()?,
        })
    }
}

impl Facts {
    pub(super) fn of(finding: &Finding) -> Self {
        Self {
            subject: finding.subject.clone(),
            window: (finding.window_start, finding.window_end),
            score: finding.score,
            observed: finding.observed,
            expected: finding.expected,
            limits: (finding.lower, finding.upper),
            offsets: finding.span(),
        }
    }

    pub(super) fn save(&self, to: &mut Writer) {
        self.subject.save_whole(to);
        to.moment(self.window.0);
        to.moment(self.window.1);
        self.score.save(to);
        for value in [self.observed, self.expected, self.limits.0, self.limits.1] {
            to.f64(value);
        }
        to.i64(self.offsets.0);
        to.i64(self.offsets.1);
    }

    pub(super) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        Ok(Self {
            subject: Subject::load(from)?,
            window: (from.moment()?, from.moment()?),
            score: Score::load(from)?,
            observed: from.amount()?,
            expected: from.amount()?,
            limits: (from.amount()?, from.amount()?),
            offsets: (from.i64()?, from.i64()?),
        })
    }
}
