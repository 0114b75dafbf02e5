//! Which member of a JSON object is which field of a line.
//!
//! Invariants: of two names for one field the better one wins, and of the same name twice the last;
//! what loses to a better name, or does not suit its field, is kept among the attributes. `null` is
//! as good as absent.

use std::{
    borrow::Cow,
    mem::{replace, swap, take},
};

use super::{
    Line, level,
    scan::{Broken, Scanner},
};
use crate::timestamps;

/// Fields of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Timestamp,
    Service,
    Level,
    SeverityNumber,
    Message,
    Host,
    TraceId,
    SpanId,
    Latency,
    Status,
    ClientIp,
    User,
}

/// The object whose members stand beside the unknown ones.
const ATTRIBUTES: &str = "attributes";

impl Field {
    const ALL: [Self; 12] = [
        Self::Timestamp,
        Self::Service,
        Self::Level,
        Self::SeverityNumber,
        Self::Message,
        Self::Host,
        Self::TraceId,
        Self::SpanId,
        Self::Latency,
        Self::Status,
        Self::ClientIp,
        Self::User,
    ];

    /// A field's names, best first: the contract's own, then the aliases.
    const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Timestamp => &["timestamp", "ts", "time", "@timestamp"],
            Self::Service => &["service", "source", "service.name", "app"],
            Self::Level => &["level", "severity", "lvl"],
            Self::SeverityNumber => &["severity_number"],
            Self::Message => &["message", "msg", "body"],
            Self::Host => &["host"],
            Self::TraceId => &["trace_id"],
            Self::SpanId => &["span_id"],
            Self::Latency => &["latency_ms", "duration_ms", "response_time_ms"],
            Self::Status => &["status", "status_code"],
            Self::ClientIp => &["client_ip", "ip", "remote_addr"],
            Self::User => &["user"],
        }
    }

    /// The field of that name, and the name's rank among the field's names.
    fn of(name: &str) -> Option<(Self, u8)> {
        Some(match name.as_bytes() {
            b"timestamp" => (Self::Timestamp, 0),
            b"ts" => (Self::Timestamp, 1),
            b"time" => (Self::Timestamp, 2),
            b"@timestamp" => (Self::Timestamp, 3),
            b"service" => (Self::Service, 0),
            b"source" => (Self::Service, 1),
            b"service.name" => (Self::Service, 2),
            b"app" => (Self::Service, 3),
            b"level" => (Self::Level, 0),
            b"severity" => (Self::Level, 1),
            b"lvl" => (Self::Level, 2),
            b"severity_number" => (Self::SeverityNumber, 0),
            b"message" => (Self::Message, 0),
            b"msg" => (Self::Message, 1),
            b"body" => (Self::Message, 2),
            b"host" => (Self::Host, 0),
            b"trace_id" => (Self::TraceId, 0),
            b"span_id" => (Self::SpanId, 0),
            b"latency_ms" => (Self::Latency, 0),
            b"duration_ms" => (Self::Latency, 1),
            b"response_time_ms" => (Self::Latency, 2),
            b"status" => (Self::Status, 0),
            b"status_code" => (Self::Status, 1),
            b"client_ip" => (Self::ClientIp, 0),
            b"ip" => (Self::ClientIp, 1),
            b"remote_addr" => (Self::ClientIp, 2),
            b"user" => (Self::User, 0),
            _ => return None,
        })
    }
}

/// Worse than any name's rank.
const ABSENT: u8 = u8::MAX;
const NONE: [u8; Field::ALL.len()] = [ABSENT; Field::ALL.len()];

type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The members of one object.
pub(super) struct Fields<'a> {
    /// By field; empty where absent.
    values: [Cow<'a, str>; Field::ALL.len()],
    /// By field: the rank of the name that its value stands under.
    ranks: [u8; Field::ALL.len()],
    others: Vec<Pair<'a>>,
}

impl<'a> Fields<'a> {
    pub(super) fn none() -> Self {
        Self {
            values: [const { Cow::Borrowed("") }; Field::ALL.len()],
            ranks: NONE,
            others: Vec::new(),
        }
    }

    /// Takes the members of the object that comes next; of a record's object (`unpack`) the members
    /// of `attributes` stand among the others.
    pub(super) fn read(&mut self, scanner: &mut Scanner<'a>, unpack: bool) -> Result<(), Broken> {
        let mut another = scanner.enter()?;
        while another {
            let name = scanner.name()?;
            let known = Field::of(&name);
            if known.is_some() || !unpack || name != ATTRIBUTES || !self.unpack(scanner) {
                match (scanner.value()?, known) {
                    (Some(value), Some((field, rank))) => self.put(field, rank, value),
                    (Some(value), None) => self.others.push((name, value)),
                    (None, _) => {}
                }
            }
            another = scanner.another()?;
        }
        Ok(())
    }

    /// The next value's members, among the others. `false`: it is no object, or one that cannot be
    /// read, and is still the next value.
    fn unpack(&mut self, scanner: &mut Scanner<'a>) -> bool {
        let (place, before) = (scanner.place(), self.others.len());
        let mut inner = Self::none();
        swap(&mut self.others, &mut inner.others);
        let unpacked = inner.read(scanner, false).is_ok();
        swap(&mut self.others, &mut inner.others);
        if !unpacked {
            scanner.back_to(place);
            self.others.truncate(before);
        } else if inner.ranks != NONE {
            let ranks = inner.ranks;
            let known = Field::ALL.into_iter().filter_map(|field| {
                let name = field.names().get(usize::from(ranks[field as usize]))?;
                Some((Cow::Borrowed(*name), inner.text(field)))
            });
            self.others.splice(before..before, known);
        }
        unpacked
    }

    #[inline]
    fn put(&mut self, field: Field, rank: u8, value: Cow<'a, str>) {
        let there = &mut self.ranks[field as usize];
        let (lost, loser) = if *there < rank {
            (rank, value)
        } else {
            let place = &mut self.values[field as usize];
            (replace(there, rank), replace(place, value))
        };
        // Nothing loses to the same name but its earlier value, and to an absent one nothing at all.
        if lost != *there
            && let Some(name) = field.names().get(usize::from(lost))
        {
            self.others.push((Cow::Borrowed(*name), loser));
        }
    }

    /// `None`: there is no message.
    pub(super) fn take_line(&mut self) -> Option<Line<'a>> {
        if self.ranks[Field::Message as usize] == ABSENT {
            return None;
        }
        let timestamp = self.understood(Field::Timestamp, timestamps::from_text);
        let level = self
            .understood(Field::Level, level::named)
            .or_else(|| self.understood(Field::SeverityNumber, level::numbered));
        let latency_ms = self.understood(Field::Latency, |text| {
            let latency = text.parse().ok();
            latency.filter(|latency: &f64| latency.is_finite() && *latency >= 0.0)
        });
        let status = self.understood(Field::Status, |text| text.parse().ok());
        Some(Line {
            timestamp,
            service: self.text(Field::Service),
            level: level.unwrap_or_default(),
            message: self.text(Field::Message),
            host: self.text(Field::Host),
            trace_id: self.text(Field::TraceId),
            span_id: self.text(Field::SpanId),
            latency_ms,
            status: status.unwrap_or_default(),
            client_ip: self.text(Field::ClientIp),
            user: self.text(Field::User),
            attributes: take(&mut self.others),
        })
    }

    fn text(&mut self, field: Field) -> Cow<'a, str> {
        replace(&mut self.values[field as usize], Cow::Borrowed(""))
    }

    /// A field's value as `reader` understands it; what it does not goes to the others.
    fn understood<T>(&mut self, field: Field, reader: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let name = field.names().get(usize::from(self.ranks[field as usize]))?;
        let read = reader(&self.values[field as usize]);
        if read.is_none() {
            let value = self.text(field);
            self.others.push((Cow::Borrowed(*name), value));
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_with_its_rank() {
        for field in Field::ALL {
            for (rank, name) in field.names().iter().enumerate() {
                assert_eq!(Field::of(name), Some((field, rank as u8)), "{name}");
            }
        }
        assert_eq!(Field::of("Message"), None);
    }
}
