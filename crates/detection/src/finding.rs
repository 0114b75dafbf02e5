//! What a detector found: facts, without ids, wall clock or wire format.

use crate::time::{EventTime, Score};

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
