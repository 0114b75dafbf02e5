//! The decoder as it would be written on `serde_json`, to hold the real one against: every value is
//! read as raw JSON first and understood afterwards.

use std::{borrow::Cow, fmt};

use contracts::{Level, dead_letter::Reason};
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Line;
use crate::timestamps;

/// Of a text that begins with `{`.
pub(super) fn read(text: &str) -> Result<Line<'_>, Reason> {
    let mut fields = Fields::default();
    let mut reader = serde_json::Deserializer::from_str(text);
    reader
        .deserialize_map(&mut fields)
        .and_then(|()| reader.end())
        .map_err(|_| Reason::BrokenJson)?;
    fields.into_line().ok_or(Reason::NoMessage)
}

/// Fields of the contract, by how their values are read.
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

const FIELDS: usize = 12;

/// A field and the rank of its name: the contract's own name is 0, aliases follow.
fn field_of(name: &str) -> Option<(Field, u8)> {
    Some(match name {
        "timestamp" => (Field::Timestamp, 0),
        "ts" => (Field::Timestamp, 1),
        "time" => (Field::Timestamp, 2),
        "@timestamp" => (Field::Timestamp, 3),
        "service" => (Field::Service, 0),
        "source" => (Field::Service, 1),
        "service.name" => (Field::Service, 2),
        "app" => (Field::Service, 3),
        "level" => (Field::Level, 0),
        "severity" => (Field::Level, 1),
        "lvl" => (Field::Level, 2),
        "severity_number" => (Field::SeverityNumber, 0),
        "message" => (Field::Message, 0),
        "msg" => (Field::Message, 1),
        "body" => (Field::Message, 2),
        "host" => (Field::Host, 0),
        "trace_id" => (Field::TraceId, 0),
        "span_id" => (Field::SpanId, 0),
        "latency_ms" => (Field::Latency, 0),
        "duration_ms" => (Field::Latency, 1),
        "response_time_ms" => (Field::Latency, 2),
        "status" => (Field::Status, 0),
        "status_code" => (Field::Status, 1),
        "client_ip" => (Field::ClientIp, 0),
        "ip" => (Field::ClientIp, 1),
        "remote_addr" => (Field::ClientIp, 2),
        "user" => (Field::User, 0),
        _ => return None,
    })
}

/// One member of the JSON object: its name, and its value's JSON text.
type Member<'a> = (Cow<'a, str>, &'a str);

#[derive(Default)]
struct Fields<'a> {
    known: [Option<(u8, Member<'a>)>; FIELDS],
    others: Vec<Member<'a>>,
}

impl<'a> Visitor<'a> for &mut Fields<'a> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut members: M) -> Result<(), M::Error> {
        while let Some(Name(name)) = members.next_key()? {
            let value: &'a RawValue = members.next_value()?;
            self.put(name, value.get());
        }
        Ok(())
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Fields<'a> {
    /// Of two names for one field the better one wins, and of the same name twice the last; what
    /// loses to a better name is kept among the attributes. `null` is as good as absent.
    fn put(&mut self, name: Cow<'a, str>, value: &'a str) {
        if value == "null" {
            return;
        }
        let Some((field, rank)) = field_of(&name) else {
            self.others.push((name, value));
            return;
        };
        let place = &mut self.known[field as usize];
        match place {
            Some((there, _)) if *there < rank => self.others.push((name, value)),
            Some((there, loser)) if *there > rank => {
                self.others.push(std::mem::replace(loser, (name, value)));
                *there = rank;
            }
            _ => *place = Some((rank, (name, value))),
        }
    }

    fn take(&mut self, field: Field) -> Option<Member<'a>> {
        self.known[field as usize].take().map(|(_, member)| member)
    }

    fn text(&mut self, field: Field) -> Cow<'a, str> {
        self.take(field)
            .map_or(Cow::Borrowed(""), |(_, json)| plain(json))
    }

    fn into_line(mut self) -> Option<Line<'a>> {
        let message = self.take(Field::Message)?.1;
        let timestamp = self.read(Field::Timestamp, timestamps::from_text);
        let named = self.read(Field::Level, |text| match text.trim().parse() {
            Ok(number) => Level::from_number(number, false),
            Err(_) => Level::from_name(text),
        });
        let level = match named {
            Some(level) => level,
            None => self
                .read(Field::SeverityNumber, |text| {
                    Level::from_number(text.parse().ok()?, true)
                })
                .unwrap_or(Level::Unknown),
        };
        let latency_ms = self.read(Field::Latency, |text| {
            let latency: f64 = text.parse().ok()?;
            (latency.is_finite() && latency >= 0.0).then_some(latency)
        });
        let status = self.read(Field::Status, |text| text.parse().ok());
        Some(Line {
            timestamp,
            level,
            latency_ms,
            status: status.unwrap_or(0),
            message: plain(message),
            service: self.text(Field::Service),
            host: self.text(Field::Host),
            trace_id: self.text(Field::TraceId),
            span_id: self.text(Field::SpanId),
            client_ip: self.text(Field::ClientIp),
            user: self.text(Field::User),
            attributes: attributes(self.others),
        })
    }

    fn read<T>(&mut self, field: Field, reader: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let (name, json) = self.take(field)?;
        let read = reader(&plain(json));
        if read.is_none() {
            self.others.push((name, json));
        }
        read
    }
}

/// A JSON string without its quotes and escapes; of any other value its JSON text.
fn plain(json: &str) -> Cow<'_, str> {
    let Some(inner) = json
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    else {
        return Cow::Borrowed(json);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    // Checked once already when the object was read; only a lone surrogate escape can fail here.
    serde_json::from_str(json).map_or(Cow::Borrowed(json), Cow::Owned)
}

/// Members of an `attributes` object stand beside the unknown ones.
fn attributes(members: Vec<Member<'_>>) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let mut pairs = Vec::with_capacity(members.len());
    for (name, json) in members {
        let mut inner = Fields::default();
        let nested = name == "attributes"
            && json.starts_with('{')
            && serde_json::Deserializer::from_str(json)
                .deserialize_map(&mut inner)
                .is_ok();
        if nested {
            let known = inner.known.into_iter().flatten().map(|(_, member)| member);
            pairs.extend(
                known
                    .chain(inner.others)
                    .map(|(name, json)| (name, plain(json))),
            );
        } else {
            pairs.push((name, plain(json)));
        }
    }
    pairs
}
