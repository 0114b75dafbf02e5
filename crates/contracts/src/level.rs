//! Log levels, from whatever a sender calls them.

use serde::{Deserialize, Serialize};

/// Severity of one log line, ordered. The numbers are what ClickHouse stores (`Enum8`).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "UPPERCASE")]
#[repr(u8)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Level {
    /// The sender named none, or one that nobody knows.
    #[default]
    Unknown = 0,
    Trace = 1,
    Debug = 2,
    Info = 3,
    Warn = 4,
    Error = 5,
    Fatal = 6,
}

impl Level {
    pub const ALL: [Self; 7] = [
        Self::Unknown,
        Self::Trace,
        Self::Debug,
        Self::Info,
        Self::Warn,
        Self::Error,
        Self::Fatal,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }

    /// ERROR or worse.
    pub const fn is_error(self) -> bool {
        matches!(self, Self::Error | Self::Fatal)
    }

    /// A level's name in any case: the common ones, syslog's keywords, Java's and Python's.
    /// `None` for anything else.
    pub fn from_name(name: &str) -> Option<Self> {
        // Longest name is "informational".
        let mut lower = [0_u8; 13];
        let trimmed = name.trim();
        let letters = lower.get_mut(..trimmed.len())?;
        letters.copy_from_slice(trimmed.as_bytes());
        letters.make_ascii_lowercase();
        Some(match &*letters {
            b"trace" | b"finest" | b"verbose" | b"silly" | b"trc" | b"trce" | b"vrb" | b"v" => {
                Self::Trace
            }
            b"debug" | b"finer" | b"fine" | b"dbg" | b"dbug" | b"d" => Self::Debug,
            b"info" | b"information" | b"informational" | b"notice" | b"config" | b"log"
            | b"inf" | b"success" | b"i" => Self::Info,
            b"warn" | b"warning" | b"wrn" | b"w" => Self::Warn,
            b"error" | b"err" | b"severe" | b"failure" | b"fail" | b"eror" | b"e" => Self::Error,
            b"fatal" | b"critical" | b"crit" | b"alert" | b"emerg" | b"emergency" | b"panic"
            | b"dpanic" | b"ftl" | b"f" => Self::Fatal,
            _ => return None,
        })
    }

    /// A level given as a number: syslog severities 0–7, OTLP severity numbers 1–24, pino's 10–60.
    ///
    /// The ranges overlap. 10, 20, 30, … are pino's (its users never write anything else); the
    /// other numbers from 8 up are OTLP's. From 1 to 7 both syslog and OTLP are possible; a field
    /// named `severity_number` is OTLP's, any other syslog's, which is the older convention.
    pub fn from_number(number: i64, otlp: bool) -> Option<Self> {
        if otlp {
            return Some(match number {
                1..=4 => Self::Trace,
                5..=8 => Self::Debug,
                9..=12 => Self::Info,
                13..=16 => Self::Warn,
                17..=20 => Self::Error,
                21..=24 => Self::Fatal,
                _ => return None,
            });
        }
        Some(match number {
            0..=2 | 60 => Self::Fatal,
            3 | 50 => Self::Error,
            4 | 40 => Self::Warn,
            5 | 6 | 30 => Self::Info,
            7 | 20 => Self::Debug,
            10 => Self::Trace,
            8..=24 => return Self::from_number(number, true),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_case_and_from_every_tradition() {
        for (name, level) in [
            ("ERROR", Some(Level::Error)),
            ("err", Some(Level::Error)),
            (" Warning ", Some(Level::Warn)),
            ("emerg", Some(Level::Fatal)),
            ("SEVERE", Some(Level::Error)),
            ("Informational", Some(Level::Info)),
            ("", None),
            ("loud", None),
            ("a name that is longer than any level", None),
        ] {
            assert_eq!(Level::from_name(name), level, "{name:?}");
        }
    }

    #[test]
    fn numbers_of_syslog_pino_and_otlp() {
        for (number, otlp, level) in [
            (3, false, Some(Level::Error)),
            (3, true, Some(Level::Trace)),
            (7, false, Some(Level::Debug)),
            (17, false, Some(Level::Error)),
            (20, false, Some(Level::Debug)),
            (20, true, Some(Level::Error)),
            (50, false, Some(Level::Error)),
            (60, false, Some(Level::Fatal)),
            (99, false, None),
            (-1, false, None),
        ] {
            assert_eq!(Level::from_number(number, otlp), level, "{number} {otlp}");
        }
    }
}
