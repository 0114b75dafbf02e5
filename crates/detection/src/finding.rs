//! What a detector found: facts, without ids, wall clock or wire format.

mod kind;
mod sample;
mod subject;
pub(crate) mod words;

pub use kind::{Kind, Severity};
pub use sample::SampleLine;
pub use subject::{Subject, Template};

use primitives::splitmix::hash;

use crate::{budget::Score, codec::Writer, record::time::EventTime};

/// Where in its life an episode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Opened,
    Updated,
    Closed,
}

/// A part of an explanation.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub name: &'static str,
    pub text: String,
    /// 0 to 1.
    pub share: f64,
}

/// One version of one episode. Identity: kind's detector, service, metric and subject, `episode_start`,
/// `ordinal`; the rest may change from version to version.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub kind: Kind,
    pub service: String,
    pub subject: Subject,
    /// Where several belong together, all of them; empty: only [`Self::service`].
    pub services: Vec<String>,
    pub episode_start: EventTime,
    /// Tells episodes of one series apart that start in the same window.
    pub ordinal: u32,
    /// From 1, without gaps.
    pub version: u32,
    pub phase: Phase,
    pub window_start: EventTime,
    pub window_end: EventTime,
    /// Stream time at which this version became known.
    pub detected_at: EventTime,
    pub score: Score,
    pub observed: f64,
    pub expected: f64,
    pub lower: f64,
    pub upper: f64,
    pub title: String,
    pub summary: String,
    pub baseline: String,
    pub parts: Vec<Part>,
    pub samples: Vec<SampleLine>,
    /// First and last offsets of the lines it speaks of, ascending; for a silence, of the last line seen.
    pub ranges: Vec<(i64, i64)>,
}

impl Finding {
    /// How bad: by how improbable it is, within what the kind can mean.
    pub fn severity(&self) -> Severity {
        let is_silence = self.observed < 0.05 * self.expected;
        Severity::of(self.score).min(self.kind.worst(is_silence))
    }

    /// From its first line to its last; (0, 0): it speaks of none.
    pub fn span(&self) -> (i64, i64) {
        let first = self.ranges.first().map_or(0, |range| range.0);
        (first, self.ranges.last().map_or(0, |range| range.1))
    }

    /// A hash of all it says, its version left out.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut to = Writer::default();
        self.kind.save(&mut to);
        to.text(&self.service);
        self.subject.save(&mut to);
        for service in &self.services {
            to.text(service);
        }
        to.moment(self.episode_start);
        to.u32(self.ordinal);
        to.byte(self.phase as u8);
        for moment in [self.window_start, self.window_end, self.detected_at] {
            to.moment(moment);
        }
        self.score.save(&mut to);
        for value in [self.observed, self.expected, self.lower, self.upper] {
            to.f64(value);
        }
        for text in [&self.title, &self.summary, &self.baseline] {
            to.text(text);
        }
        for part in &self.parts {
            to.text(part.name);
            to.text(&part.text);
            to.f64(part.share);
        }
        SampleLine::save_all(&self.samples, &mut to);
        for (first, last) in &self.ranges {
            to.i64(*first);
            to.i64(*last);
        }
        hash(to.bytes())
    }
}
