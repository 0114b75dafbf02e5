//! From the bytes of one record to its fields: a tolerant reader of the log record's contract.
//!
//! Invariants: what can be read is never refused, whatever else is odd about it (an odd field goes
//! to the attributes as it is); what cannot be read is refused with a reason; nothing is copied
//! that the bytes already hold, but for strings with escapes.

use std::{borrow::Cow, fmt};

use contracts::{Level, dead_letter::Reason};
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::timestamps;

/// One log line, borrowed from the record's bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Line<'a> {
    /// Milliseconds since the epoch; `None`: the record has none that can be read.
    pub timestamp: Option<i64>,
    /// Empty: the record names none.
    pub service: Cow<'a, str>,
    pub level: Level,
    pub message: Cow<'a, str>,
    pub host: Cow<'a, str>,
    pub trace_id: Cow<'a, str>,
    pub span_id: Cow<'a, str>,
    pub latency_ms: Option<f64>,
    /// 0: none.
    pub status: u16,
    pub client_ip: Cow<'a, str>,
    pub user: Cow<'a, str>,
    pub attributes: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl Line<'_> {
    /// ERROR or worse, or a status from 500 up.
    pub fn is_error(&self) -> bool {
        self.level.is_error() || self.status >= 500
    }

    fn empty() -> Self {
        Line {
            timestamp: None,
            service: Cow::Borrowed(""),
            level: Level::Unknown,
            message: Cow::Borrowed(""),
            host: Cow::Borrowed(""),
            trace_id: Cow::Borrowed(""),
            span_id: Cow::Borrowed(""),
            latency_ms: None,
            status: 0,
            client_ip: Cow::Borrowed(""),
            user: Cow::Borrowed(""),
            attributes: Vec::new(),
        }
    }
}

/// Why a record goes to the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    pub reason: Reason,
    pub error: String,
}

pub fn decode(payload: &[u8]) -> Result<Line<'_>, Unreadable> {
    let unreadable = |reason, error: String| Err(Unreadable { reason, error });
    let text = match std::str::from_utf8(payload) {
        Ok(text) => text.trim_start_matches('\u{feff}').trim_ascii(),
        Err(error) => return unreadable(Reason::NotUtf8, error.to_string()),
    };
    if text.is_empty() {
        return unreadable(
            Reason::Empty,
            format!("the payload holds {} bytes and no text", payload.len()),
        );
    }
    if !text.starts_with('{') {
        return Ok(Line {
            level: level_in(text),
            message: Cow::Borrowed(text),
            ..Line::empty()
        });
    }
    let mut fields = Fields::default();
    let mut reader = serde_json::Deserializer::from_str(text);
    if let Err(error) = reader
        .deserialize_map(&mut fields)
        .and_then(|()| reader.end())
    {
        return unreadable(Reason::BrokenJson, error.to_string());
    }
    fields.into_line()
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

    fn into_line(mut self) -> Result<Line<'a>, Unreadable> {
        let Some((_, message)) = self.take(Field::Message) else {
            return Err(Unreadable {
                reason: Reason::NoMessage,
                error: "the object has none of message, msg, body".to_owned(),
            });
        };
        let mut line = Line {
            message: plain(message),
            ..Line::empty()
        };
        if let Some((name, json)) = self.take(Field::Timestamp) {
            line.timestamp = if json.starts_with('"') {
                timestamps::from_text(&plain(json))
            } else {
                // As text, so that nanoseconds keep their digits until they are divided.
                timestamps::from_text(json)
            };
            if line.timestamp.is_none() {
                self.others.push((name, json));
            }
        }
        line.level = self.level();
        if let Some((name, json)) = self.take(Field::Latency) {
            line.latency_ms = plain(json)
                .parse()
                .ok()
                .filter(|latency: &f64| latency.is_finite() && *latency >= 0.0);
            if line.latency_ms.is_none() {
                self.others.push((name, json));
            }
        }
        if let Some((name, json)) = self.take(Field::Status) {
            match plain(json).parse() {
                Ok(status) => line.status = status,
                Err(_) => self.others.push((name, json)),
            }
        }
        line.service = self.text(Field::Service);
        line.host = self.text(Field::Host);
        line.trace_id = self.text(Field::TraceId);
        line.span_id = self.text(Field::SpanId);
        line.client_ip = self.text(Field::ClientIp);
        line.user = self.text(Field::User);
        line.attributes = attributes(self.others);
        Ok(line)
    }

    fn level(&mut self) -> Level {
        let by_number = self.take(Field::SeverityNumber);
        let by_name = self.take(Field::Level);
        if let Some((name, json)) = by_name {
            let text = plain(json);
            let level = match text.trim().parse::<i64>() {
                Ok(number) => Level::from_number(number, false),
                Err(_) => Level::from_name(&text),
            };
            if let Some(level) = level {
                return level;
            }
            self.others.push((name, json));
        }
        if let Some((name, json)) = by_number {
            if let Some(level) = plain(json)
                .parse()
                .ok()
                .and_then(|number| Level::from_number(number, true))
            {
                return level;
            }
            self.others.push((name, json));
        }
        Level::Unknown
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

/// Bytes of a plain line in which a level is looked for.
const HEAD: usize = 256;

/// The level of a plain line, from its words: one in capitals (`ERROR`), in brackets (`[error]`),
/// named (`level=error`), or leading with a colon (`error: …`). A word in running text is no level.
fn level_in(text: &str) -> Level {
    let head = &text[..text.floor_char_boundary(HEAD)];
    let mut start = 0;
    for (at, next) in head.char_indices().chain([(head.len(), ' ')]) {
        if next.is_ascii_alphabetic() {
            continue;
        }
        let word = &head[start..at];
        let before = &head[..start];
        start = at + next.len_utf8();
        if !(3..=8).contains(&word.len()) {
            continue;
        }
        let marked = word.bytes().all(|byte| byte.is_ascii_uppercase())
            || (before.ends_with('[') && next == ']')
            || (before.ends_with('<') && next == '>')
            || ["level=", "lvl=", "severity=", "level=\""]
                .iter()
                .any(|name| before.ends_with(name))
            || (before.trim().is_empty() && next == ':');
        if marked
            && let Some(level) = Level::from_name(word)
                .filter(|_| !matches!(word, "LOG" | "CONFIG" | "FAIL" | "FINE" | "ALERT"))
        {
            return level;
        }
    }
    Level::Unknown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_the_contract_and_its_aliases() {
        let line = decode(
            br#"{"timestamp":"2026-11-21T07:00:00.123Z","service":"checkout","level":"ERROR","message":"payment \"81f3\" declined",
            "host":"h","trace_id":"t","span_id":"s","latency_ms":182.4,"status":502,"client_ip":"203.0.113.9","user":"u-81",
            "attributes":{"region":"eu-1","n":7},"extra":{"a":[1]}}"#,
        )
        .unwrap();
        assert_eq!(line.timestamp, Some(1_795_244_400_123));
        assert_eq!(
            (&*line.service, line.level, &*line.message),
            ("checkout", Level::Error, "payment \"81f3\" declined")
        );
        assert_eq!(
            (line.latency_ms, line.status, &*line.client_ip),
            (Some(182.4), 502, "203.0.113.9")
        );
        let pairs: Vec<_> = line
            .attributes
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        assert_eq!(
            pairs,
            [("region", "eu-1"), ("n", "7"), ("extra", r#"{"a":[1]}"#)]
        );

        let line = decode(br#"{"@timestamp":1795244400123,"app":"a","lvl":"warn","msg":"m","duration_ms":"5","status_code":"503","ip":"i"}"#).unwrap();
        assert_eq!(
            (line.timestamp, &*line.service, line.level, &*line.message),
            (Some(1_795_244_400_123), "a", Level::Warn, "m")
        );
        assert_eq!(
            (
                line.latency_ms,
                line.status,
                line.is_error(),
                &*line.client_ip
            ),
            (Some(5.0), 503, true, "i")
        );
    }

    #[test]
    fn the_better_name_wins_and_the_other_is_kept() {
        for json in [
            r#"{"msg":"alias","message":"own"}"#,
            r#"{"message":"own","msg":"alias"}"#,
        ] {
            let line = decode(json.as_bytes()).unwrap();
            assert_eq!(line.message, "own");
            assert_eq!(line.attributes, [("msg".into(), "alias".into())]);
        }
        assert_eq!(
            decode(br#"{"message":null,"msg":"alias"}"#)
                .unwrap()
                .message,
            "alias"
        );
    }

    #[test]
    fn odd_values_are_kept_as_attributes() {
        let line = decode(
            br#"{"message":"m","timestamp":"soon","level":"loud","status":"ok","latency_ms":-1}"#,
        )
        .unwrap();
        assert_eq!(
            (line.timestamp, line.level, line.status, line.latency_ms),
            (None, Level::Unknown, 0, None)
        );
        assert_eq!(line.attributes.len(), 4, "{:?}", line.attributes);
    }

    #[test]
    fn a_message_that_is_not_a_string_keeps_its_json_text() {
        for (json, message) in [
            (r#"{"message":{"a": 1}}"#, r#"{"a": 1}"#),
            (r#"{"message":[1,2]}"#, "[1,2]"),
            (r#"{"message":17.50}"#, "17.50"),
            (r#"{"message":""}"#, ""),
        ] {
            assert_eq!(decode(json.as_bytes()).unwrap().message, message);
        }
    }

    #[test]
    fn levels_by_name_and_number() {
        for (json, level) in [
            (r#"{"message":"m","level":50}"#, Level::Error),
            (r#"{"message":"m","level":"3"}"#, Level::Error),
            (r#"{"message":"m","severity_number":17}"#, Level::Error),
            (r#"{"message":"m","severity":"CRITICAL"}"#, Level::Fatal),
            (r#"{"message":"m"}"#, Level::Unknown),
        ] {
            assert_eq!(decode(json.as_bytes()).unwrap().level, level, "{json}");
        }
    }

    #[test]
    fn a_plain_line_is_a_message_with_the_level_of_its_words() {
        for (text, level) in [
            ("2026-11-21 ERROR disk full", Level::Error),
            ("[warn] slow query", Level::Warn),
            ("ts=1 level=error msg=x", Level::Error),
            ("error: no such file", Level::Error),
            ("panic: runtime error", Level::Fatal),
            ("there was no error at all", Level::Unknown),
            ("GET /ERRORS 200", Level::Unknown),
            ("[1,2,3]", Level::Unknown),
            ("straße INFO ok", Level::Info),
        ] {
            let line = decode(text.as_bytes()).unwrap();
            assert_eq!((line.level, &*line.message), (level, text));
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_reason() {
        for (payload, reason) in [
            (&b""[..], Reason::Empty),
            (b" \n", Reason::Empty),
            (b"\xff\xfe", Reason::NotUtf8),
            (b"{\"message\":\"m\"", Reason::BrokenJson),
            (b"{\"message\":\"m\"} trailing", Reason::BrokenJson),
            (b"{message:1}", Reason::BrokenJson),
            (b"{}", Reason::NoMessage),
            (b"{\"message\":null}", Reason::NoMessage),
        ] {
            assert_eq!(decode(payload).unwrap_err().reason, reason, "{payload:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_line_or_a_reason(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Err(unreadable) = decode(&payload) {
                prop_assert!(!unreadable.error.is_empty());
            }
        }

        #[test]
        fn nothing_in_an_object_is_lost(members in prop::collection::btree_map("[a-z]{1,6}", ".{0,20}", 0..8)) {
            let mut object: serde_json::Map<String, serde_json::Value> =
                members.iter().map(|(name, value)| (format!("x_{name}"), value.clone().into())).collect();
            object.insert("message".to_owned(), "m".into());
            let json = serde_json::to_string(&object).unwrap();
            let line = decode(json.as_bytes()).unwrap();
            for (name, value) in &members {
                let name = format!("x_{name}");
                prop_assert!(line.attributes.iter().any(|(key, kept)| **key == *name && kept == value));
            }
        }
    }
}
