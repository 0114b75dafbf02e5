//! What a detector found: facts, without ids, wall clock or wire format.

use crate::{
    partition::Observation,
    state::{Loaded, Reader, Writer, hash},
    time::{EventTime, Score},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Far more errors among the lines of a few seconds than this service has.
    ErrorBurst,
    /// A share of errors that is too high for longer, without a burst.
    ErrorRateSpike,
    /// Far more lines than expected.
    RateSpike,
    /// Far fewer lines than expected, down to none.
    RateDrop,
}

impl Kind {
    pub const ALL: [Self; 4] = [
        Self::ErrorBurst,
        Self::ErrorRateSpike,
        Self::RateSpike,
        Self::RateDrop,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ErrorBurst => "error_burst",
            Self::ErrorRateSpike => "error_rate_spike",
            Self::RateSpike => "rate_spike",
            Self::RateDrop => "rate_drop",
        }
    }

    /// The detector that finds this kind.
    pub const fn detector(self) -> &'static str {
        match self {
            Self::ErrorBurst => "error_burst",
            Self::ErrorRateSpike => "error_rate",
            Self::RateSpike | Self::RateDrop => "rate",
        }
    }

    /// What is measured.
    pub const fn metric(self) -> &'static str {
        match self {
            Self::ErrorBurst | Self::ErrorRateSpike => "errors",
            Self::RateSpike | Self::RateDrop => "records",
        }
    }

    pub const fn is_up(self) -> bool {
        !matches!(self, Self::RateDrop)
    }

    pub(crate) fn save(self, to: &mut Writer) {
        to.byte(self as u8);
    }

    pub(crate) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let number = from.byte()?;
        let kind = Self::ALL.into_iter().find(|kind| *kind as u8 == number);
        kind.ok_or("a kind that there is not")
    }
}

/// Where in its life an episode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Opened,
    Updated,
    Closed,
}

/// One of the lines themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleLine {
    pub time: EventTime,
    pub offset: i64,
    /// The level's number on the wire; this crate gives it no meaning.
    pub level: u8,
    pub message: String,
    pub trace_id: String,
}

/// Bytes of a sample line's message that are kept.
const MESSAGE_BYTES: usize = 1024;
/// Bytes of a sample line's trace id that are kept: whatever a sender puts there, samples stay small.
const TRACE_ID_BYTES: usize = 128;

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

impl SampleLine {
    pub(crate) fn of(seen: &Observation<'_>) -> Self {
        Self {
            time: seen.time,
            offset: seen.offset,
            level: seen.level,
            message: cut(seen.message, MESSAGE_BYTES).to_owned(),
            trace_id: cut(seen.trace_id, TRACE_ID_BYTES).to_owned(),
        }
    }

    /// Becomes that line, in the buffers it has.
    pub(crate) fn become_line(&mut self, seen: &Observation<'_>) {
        self.time = seen.time;
        self.offset = seen.offset;
        self.level = seen.level;
        self.message.clear();
        self.message.push_str(cut(seen.message, MESSAGE_BYTES));
        self.trace_id.clear();
        self.trace_id.push_str(cut(seen.trace_id, TRACE_ID_BYTES));
    }

    /// Keeps the newest `most` lines, oldest first, reusing their buffers.
    pub(crate) fn keep_newest(seen: &Observation<'_>, lines: &mut Vec<Self>, most: usize) {
        if lines.len() < most {
            lines.push(Self::of(seen));
            return;
        }
        if !lines.is_empty() {
            lines.rotate_left(1);
        }
        if let Some(line) = lines.last_mut() {
            line.become_line(seen);
        }
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        to.moment(self.time);
        to.i64(self.offset);
        to.byte(self.level);
        to.text(&self.message);
        to.text(&self.trace_id);
    }

    pub(crate) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        Ok(Self {
            time: from.moment()?,
            offset: from.i64()?,
            level: from.byte()?,
            message: from.text(MESSAGE_BYTES)?.to_owned(),
            trace_id: from.text(TRACE_ID_BYTES)?.to_owned(),
        })
    }

    pub(crate) fn save_all(lines: &[Self], to: &mut Writer) {
        to.u64(lines.len() as u64);
        for line in lines {
            line.save(to);
        }
    }

    pub(crate) fn load_all(from: &mut Reader<'_>, most: usize) -> Loaded<Vec<Self>> {
        let count = from.length(most, 5)?;
        (0..count).map(|_| Self::load(from)).collect()
    }
}

/// A part of an explanation.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub name: &'static str,
    pub text: String,
    /// 0 to 1.
    pub share: f64,
}

/// One version of one episode. Identity: kind's detector, service and metric, `episode_start`,
/// `ordinal`; the rest may change from version to version.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub kind: Kind,
    pub service: String,
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
    /// First and last offset of the lines it speaks of; for a silence, of the last line seen.
    pub offsets: (i64, i64),
}

impl Finding {
    /// A hash of all it says, its version left out.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut to = Writer::default();
        self.kind.save(&mut to);
        to.text(&self.service);
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
        to.i64(self.offsets.0);
        to.i64(self.offsets.1);
        hash(to.bytes())
    }
}
