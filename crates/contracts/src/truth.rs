//! What the generator injected, and when: the labels that detection is scored against.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What can be injected: what goes wrong, and what only looks as if it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    ErrorBurst,
    RateSpike,
    RateDrop,
    Silence,
    LatencyShift,
    FailedLogins,
    NewTemplate,
    Cascade,
    /// Errors become more over half of the span, and stay.
    ErrorCreep,
    /// One of the lines that a service writes anyway comes much more often.
    TemplateSurge,
    /// One of the lines that a service writes often comes no more.
    TemplateVanished,
    /// Requests are answered that they are wrong, though they are not.
    StatusShift,
    /// One of the machines of a service writes nothing; the others do its work.
    HostSilence,
    /// A new version: away for a moment, and then some of its lines read new.
    Deploy,
    /// Somebody has switched debugging on.
    DebugLevel,
}

impl Fault {
    pub const ALL: [Self; 15] = [
        Self::ErrorBurst,
        Self::RateSpike,
        Self::RateDrop,
        Self::Silence,
        Self::LatencyShift,
        Self::FailedLogins,
        Self::NewTemplate,
        Self::Cascade,
        Self::ErrorCreep,
        Self::TemplateSurge,
        Self::TemplateVanished,
        Self::StatusShift,
        Self::HostSilence,
        Self::Deploy,
        Self::DebugLevel,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ErrorBurst => "error_burst",
            Self::RateSpike => "rate_spike",
            Self::RateDrop => "rate_drop",
            Self::Silence => "silence",
            Self::LatencyShift => "latency_shift",
            Self::FailedLogins => "failed_logins",
            Self::NewTemplate => "new_template",
            Self::Cascade => "cascade",
            Self::ErrorCreep => "error_creep",
            Self::TemplateSurge => "template_surge",
            Self::TemplateVanished => "template_vanished",
            Self::StatusShift => "status_shift",
            Self::HostSilence => "host_silence",
            Self::Deploy => "deploy",
            Self::DebugLevel => "debug_level",
        }
    }

    /// Whether it is nobody's concern: planned, and no sign of anything wrong.
    pub const fn is_harmless(self) -> bool {
        matches!(self, Self::Deploy | Self::DebugLevel)
    }

    /// Anomaly kinds that count as having found this fault; none for what is harmless.
    pub const fn detected_by(self) -> &'static [&'static str] {
        match self {
            Self::ErrorBurst | Self::Cascade | Self::ErrorCreep => {
                &["error_burst", "error_rate_spike"]
            }
            Self::RateSpike => &["rate_spike"],
            Self::RateDrop | Self::Silence => &["rate_drop"],
            Self::LatencyShift => &["latency_shift", "latency_tail"],
            Self::FailedLogins => &["failed_logins", "password_spray", "distributed_brute_force"],
            Self::NewTemplate => &["new_template"],
            Self::TemplateSurge => &["template_surge"],
            Self::TemplateVanished => &["template_vanished"],
            Self::StatusShift => &["status_shift"],
            Self::HostSilence => &["silence"],
            Self::Deploy | Self::DebugLevel => &[],
        }
    }
}

/// Not a fault that can be injected.
#[derive(Debug, thiserror::Error)]
#[error("unknown fault {0:?}: use one of {names}", names = Fault::ALL.map(Fault::as_str).join(", "))]
pub struct UnknownFault(String);

impl std::str::FromStr for Fault {
    type Err = UnknownFault;
    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        Self::ALL
            .into_iter()
            .find(|fault| fault.as_str() == text)
            .ok_or_else(|| UnknownFault(text.to_owned()))
    }
}

/// One injected anomaly, written to the truth topic and file when it begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    pub schema_version: u32,
    /// Counts up from 0 within one run of the generator.
    pub ordinal: u32,
    pub kind: Fault,
    pub service: String,
    /// Services further down the call graph that suffer too (cascade).
    #[serde(default)]
    pub affected: Vec<String>,
    /// Event time of the first record that differs, and the end (exclusive).
    pub start: Timestamp,
    pub end: Timestamp,
    /// How strong: a factor on rate or latency, an error ratio, attempts per second.
    pub magnitude: f64,
    /// Wall clock at which `start` was produced, for measuring delay.
    pub injected_at: Timestamp,
}
