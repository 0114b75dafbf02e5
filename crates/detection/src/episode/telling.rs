//! From an episode to a finding.

use super::engine::{Ended, Episode};
use crate::{
    config::Config,
    finding::{Finding, Part, Phase, SampleLine, Subject},
    record::time::EventTime,
};

/// Said of what is adopted.
const NEW_NORMAL: &str = " It has lasted so long that it is taken for the new normal.";

/// Of which service something is told, when, and where to.
pub(crate) struct Telling<'a> {
    pub(crate) service: &'a str,
    /// Stream time, or when the window that is judged closes.
    pub(crate) now: EventTime,
    pub(crate) config: &'a Config,
    pub(crate) findings: &'a mut Vec<Finding>,
}

/// What a family says of an episode.
pub(crate) struct Account {
    pub(crate) subject: Subject,
    pub(crate) window: (EventTime, EventTime),
    pub(crate) observed: f64,
    pub(crate) expected: f64,
    pub(crate) limits: (f64, f64),
    pub(crate) title: String,
    pub(crate) summary: String,
    pub(crate) baseline: String,
    pub(crate) parts: Vec<Part>,
    pub(crate) samples: Vec<SampleLine>,
}

impl Telling<'_> {
    /// The same, for a while.
    pub(crate) fn again(&mut self) -> Telling<'_> {
        Telling {
            service: self.service,
            now: self.now,
            config: self.config,
            findings: self.findings,
        }
    }

    /// One version of an episode.
    pub(crate) fn tell(&mut self, episode: &Episode, phase: Phase, account: Account) {
        self.findings.push(Finding {
            kind: episode.kind,
            service: self.service.to_owned(),
            subject: account.subject,
            services: Vec::new(),
            episode_start: episode.start,
            ordinal: episode.ordinal,
            version: episode.version,
            phase,
            window_start: account.window.0,
            window_end: account.window.1,
            detected_at: self.now,
            score: episode.peak,
            observed: account.observed,
            expected: account.expected,
            lower: account.limits.0,
            upper: account.limits.1,
            title: account.title,
            summary: account.summary,
            baseline: account.baseline,
            parts: account.parts,
            samples: account.samples,
            ranges: vec![episode.offsets],
        });
    }

    /// The last version of an episode.
    pub(crate) fn tell_end(&mut self, ended: &Ended, mut account: Account) {
        if ended.is_adopted {
            account.summary.push_str(NEW_NORMAL);
        }
        self.tell(&ended.episode, Phase::Closed, account);
    }
}
