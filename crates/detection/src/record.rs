//! A record, as the detectors see it.

mod login;
mod rules;
mod severity;
pub mod time;

pub(crate) use login::{Login, Who};
pub use rules::{BadRule, MOST_RULES, Rule, Rules, Weight};
pub(crate) use rules::{Ready, SPAN_MS};
pub(crate) use severity::sounds_severe;

use std::fmt;

use time::EventTime;

/// One record, as the detectors see it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Observation<'a> {
    pub service: &'a str,
    pub time: EventTime,
    /// The Kafka record's own time, ms. It may hold the partition's pace back, and moves nothing.
    pub kafka_time: i64,
    pub offset: i64,
    pub is_error: bool,
    /// WARN or worse.
    pub is_warning: bool,
    /// DEBUG or less: written for who looks closely.
    pub is_quiet: bool,
    /// The level's number on the wire, for samples.
    pub level: u8,
    pub message: &'a str,
    pub trace_id: &'a str,
    /// How long it took, ms; `None`: it does not say.
    pub latency_ms: Option<f64>,
    /// The id of its template; 0: nobody has looked.
    pub template: u64,
    /// Whoever knows which ids that template had before.
    pub lineage: Option<&'a dyn Lineage>,
    /// What somebody wants to be told of.
    pub rules: Option<&'a Rules>,
    /// Of HTTP; 0: it says none.
    pub status: u16,
    /// The machine that wrote it; empty: it does not say.
    pub host: &'a str,
    /// The address of a client, and who it says to be; empty: it does not say.
    pub address: &'a str,
    pub user: &'a str,
}

/// Of templates, whose ids change when it is found out that two are one.
pub trait Lineage {
    /// Ids that this template had before, and those of templates that are part of it now. Asked where a
    /// template is new, and nowhere else.
    fn former(&self, template: u64) -> &[u64];
}

impl fmt::Debug for dyn Lineage + '_ {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("Lineage")
    }
}

/// Whether a record came in time to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    InTime,
    /// Its window is closed: it counts for bursts alone.
    Late,
    /// So far ahead of the service's other lines that it is in no window: likewise.
    Ahead,
}
