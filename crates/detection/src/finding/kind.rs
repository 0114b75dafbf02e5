//! What can be found, and all that is settled about it beforehand.

use crate::{
    budget::Score,
    codec::{Loaded, Reader, Writer},
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
    /// Most requests take longer than half of them usually do.
    LatencyShift,
    /// Far more requests than usual take longer than nearly all.
    LatencyTail,
    /// Warnings that the service has never written, again and again.
    NewTemplate,
    /// One user, or one address, fails to log in again and again.
    FailedLogins,
    /// One address fails to log in as many users.
    PasswordSpray,
    /// One user's logins fail from many addresses.
    DistributedBruteForce,
    /// One of the things that a service says anyway comes far more often.
    TemplateSurge,
    /// One of the things that a service says all the time comes no more.
    TemplateVanished,
    /// Far more requests than usual are answered with a status of one class.
    StatusShift,
    /// One of the machines of a service has stopped writing.
    Silence,
    /// A rule that somebody wrote is met.
    Rule,
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

/// A row of the table of kinds.
struct Row {
    name: &'static str,
    /// The detector that finds it.
    detector: &'static str,
    /// What is measured.
    unit: &'static str,
    /// Whether there is too much of it, or too little.
    is_up: bool,
    /// The most it can mean, and what it can mean where hardly anything is left.
    worst: Severity,
    worst_silent: Severity,
    /// What it is called in a sentence.
    words: &'static str,
}

impl Severity {
    /// By how improbable it is.
    pub(super) fn of(score: Score) -> Self {
        match score.value() {
            score if score < 2.0 => Self::Low,
            score if score < 4.0 => Self::Medium,
            score if score < 10.0 => Self::High,
            _ => Self::Critical,
        }
    }
}

impl Kind {
    pub const ALL: [Self; 15] = [
        Self::ErrorBurst,
        Self::ErrorRateSpike,
        Self::RateSpike,
        Self::RateDrop,
        Self::LatencyShift,
        Self::LatencyTail,
        Self::NewTemplate,
        Self::FailedLogins,
        Self::PasswordSpray,
        Self::DistributedBruteForce,
        Self::TemplateSurge,
        Self::TemplateVanished,
        Self::StatusShift,
        Self::Silence,
        Self::Rule,
    ];

    const fn row(self) -> Row {
        match self {
            Self::ErrorBurst => Row {
                name: "error_burst",
                detector: "error_burst",
                unit: "errors",
                is_up: true,
                worst: Severity::Critical,
                worst_silent: Severity::Critical,
                words: "error burst",
            },
            Self::ErrorRateSpike => Row {
                name: "error_rate_spike",
                detector: "error_rate",
                unit: "errors",
                is_up: true,
                worst: Severity::High,
                worst_silent: Severity::High,
                words: "raised share of errors",
            },
            Self::RateSpike => Row {
                name: "rate_spike",
                detector: "rate",
                unit: "records",
                is_up: true,
                worst: Severity::High,
                worst_silent: Severity::High,
                words: "spike of the log rate",
            },
            Self::RateDrop => Row {
                name: "rate_drop",
                detector: "rate",
                unit: "records",
                is_up: false,
                // More traffic than ever is worth a look; nothing at all is an outage.
                worst: Severity::High,
                worst_silent: Severity::Critical,
                words: "drop of the log rate",
            },
            Self::LatencyShift => Row {
                name: "latency_shift",
                detector: "latency",
                unit: "requests",
                is_up: true,
                worst: Severity::High,
                worst_silent: Severity::High,
                words: "slow requests",
            },
            Self::LatencyTail => Row {
                name: "latency_tail",
                detector: "latency",
                unit: "requests",
                is_up: true,
                // It may be the first that is seen of a shift.
                worst: Severity::High,
                worst_silent: Severity::High,
                words: "some very slow requests",
            },
            Self::NewTemplate => Row {
                name: "new_template",
                detector: "novelty",
                unit: "new lines",
                is_up: true,
                worst: Severity::Medium,
                worst_silent: Severity::Medium,
                words: "new warnings",
            },
            Self::FailedLogins => Row {
                name: "failed_logins",
                detector: "logins",
                unit: "failed logins",
                is_up: true,
                worst: Severity::High,
                worst_silent: Severity::High,
                words: "guessing of passwords",
            },
            Self::PasswordSpray => Row {
                name: "password_spray",
                detector: "logins",
                unit: "failed logins",
                is_up: true,
                worst: Severity::Critical,
                worst_silent: Severity::Critical,
                words: "password spray",
            },
            Self::DistributedBruteForce => Row {
                name: "distributed_brute_force",
                detector: "logins",
                unit: "failed logins",
                is_up: true,
                worst: Severity::Critical,
                worst_silent: Severity::Critical,
                words: "distributed guessing of a password",
            },
            Self::TemplateSurge => Row {
                name: "template_surge",
                detector: "templates",
                unit: "lines",
                is_up: true,
                worst: Severity::High,
                worst_silent: Severity::High,
                words: "surge of a template",
            },
            Self::TemplateVanished => Row {
                name: "template_vanished",
                detector: "templates",
                unit: "lines",
                is_up: false,
                worst: Severity::Medium,
                worst_silent: Severity::Medium,
                words: "missing template",
            },
            Self::StatusShift => Row {
                name: "status_shift",
                detector: "status",
                unit: "answers",
                is_up: true,
                worst: Severity::High,
                worst_silent: Severity::High,
                words: "shift of HTTP status",
            },
            Self::Silence => Row {
                name: "silence",
                detector: "hosts",
                unit: "seconds without a line",
                is_up: true,
                worst: Severity::High,
                worst_silent: Severity::High,
                words: "silent machine",
            },
            Self::Rule => Row {
                name: "rule",
                detector: "rules",
                unit: "lines",
                is_up: true,
                worst: Severity::Critical,
                worst_silent: Severity::Critical,
                words: "rule",
            },
        }
    }

    pub const fn as_str(self) -> &'static str {
        self.row().name
    }

    /// The detector that finds this kind.
    pub const fn detector(self) -> &'static str {
        self.row().detector
    }

    /// What is measured.
    pub const fn metric(self) -> &'static str {
        self.row().unit
    }

    pub const fn is_up(self) -> bool {
        self.row().is_up
    }

    /// What it is called in a sentence.
    pub(crate) const fn words(self) -> &'static str {
        self.row().words
    }

    /// The most it can mean; `is_silence`: hardly anything is left of what is expected.
    pub(super) const fn worst(self, is_silence: bool) -> Severity {
        if is_silence {
            self.row().worst_silent
        } else {
            self.row().worst
        }
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
