//! From the bytes of one record to its fields: a tolerant reader of the log record's contract, and of what
//! the field's loggers, agents and collectors write instead (`docs/records.md`).
//!
//! Invariants: what can be read is never refused, whatever else is odd about it (an odd field goes
//! to the attributes as it is); what cannot be read is refused with a reason; nothing is copied
//! that the bytes already hold, but for strings with escapes and records within records.
//!
//! A record is read once, from front to back: `json` knows JSON, `names` what senders call the fields,
//! `fields` which value of a field is taken, `level` and `time` what senders write as such, `envelope`
//! what carries a record.

mod clef;
mod envelope;
mod explain;
mod fields;
mod json;
mod level;
mod names;
mod plain_text;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod reference;
mod time;

use std::borrow::Cow;

use contracts::{Level, dead_letter::Reason, topics::MAX_LINE_BYTES};
use envelope::{Batch, Cri};
pub use explain::{Note, Verdict, explain};
use fields::Fields;
use json::{Broken, Scanner};
pub use names::Field;
pub use time::NoTime;

/// The service of a record that nobody names.
const NOBODY: &str = "unknown";
/// Records in records that are looked into: an agent's in a collector's in a queue's.
const DEPTH: usize = 4;

/// What Kafka says of a record.
#[derive(Debug, Clone, Copy)]
pub struct RecordContext<'a> {
    /// `None`: it has none, or one that is no text.
    pub key: Option<&'a str>,
    /// Milliseconds since the epoch; not above 0: it has none.
    pub kafka_time: i64,
}

impl RecordContext<'_> {
    /// A record that Kafka says nothing of.
    pub const UNKNOWN: Self = Self {
        key: None,
        kafka_time: 0,
    };
}

/// Who named a line's service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceFrom {
    Nobody,
    /// A member that yields to the record's key.
    Source,
    Key,
    Name,
}

/// One log line, borrowed from the record's bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Line<'a> {
    /// Milliseconds since the epoch; `None`: the record has none that can be read.
    pub timestamp: Option<i64>,
    /// Why there is no timestamp, where there is none.
    pub no_time: NoTime,
    /// Never blank.
    pub service: Cow<'a, str>,
    pub service_from: ServiceFrom,
    pub level: Level,
    pub message: Cow<'a, str>,
    pub host: Cow<'a, str>,
    pub trace_id: Cow<'a, str>,
    pub span_id: Cow<'a, str>,
    pub latency_ms: Option<f64>,
    /// Of HTTP, 100 to 599; 0: none.
    pub status: u16,
    pub client_ip: Cow<'a, str>,
    pub user: Cow<'a, str>,
    /// Of any name one.
    pub attributes: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Line<'a> {
    /// ERROR or worse, or a status from 500 up.
    pub fn is_error(&self) -> bool {
        self.level.is_error() || self.status >= 500
    }

    fn plain(message: &'a str, context: &RecordContext<'a>) -> Self {
        let (service, service_from) = match context.key {
            Some(key) => (key, ServiceFrom::Key),
            None => (NOBODY, ServiceFrom::Nobody),
        };
        Line {
            timestamp: None,
            no_time: NoTime::Absent,
            service: Cow::Borrowed(service),
            service_from,
            level: level::among_words(message),
            message: Cow::Borrowed(message),
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

    /// What this record wraps: what it says itself counts more than what is said around it.
    fn wrap(&mut self, inner: Self) {
        self.message = inner.message;
        if inner.timestamp.is_some() {
            self.timestamp = inner.timestamp;
        } else if self.no_time == NoTime::Absent {
            self.no_time = inner.no_time;
        }
        if inner.service_from == ServiceFrom::Name || self.service_from < inner.service_from {
            (self.service, self.service_from) = (inner.service, inner.service_from);
        }
        if inner.level != Level::Unknown {
            self.level = inner.level;
        }
        for (outer, inner) in [
            (&mut self.host, inner.host),
            (&mut self.trace_id, inner.trace_id),
            (&mut self.span_id, inner.span_id),
            (&mut self.client_ip, inner.client_ip),
            (&mut self.user, inner.user),
        ] {
            if !inner.is_empty() {
                *outer = inner;
            }
        }
        self.latency_ms = inner.latency_ms.or(self.latency_ms);
        if inner.status != 0 {
            self.status = inner.status;
        }
        self.attributes.extend(inner.attributes);
    }

    fn into_owned<'b>(self) -> Line<'b> {
        fn owned<'b>(text: Cow<'_, str>) -> Cow<'b, str> {
            Cow::Owned(text.into_owned())
        }
        let attributes = self.attributes.into_iter();
        Line {
            timestamp: self.timestamp,
            no_time: self.no_time,
            service: owned(self.service),
            service_from: self.service_from,
            level: self.level,
            message: owned(self.message),
            host: owned(self.host),
            trace_id: owned(self.trace_id),
            span_id: owned(self.span_id),
            latency_ms: self.latency_ms,
            status: self.status,
            client_ip: owned(self.client_ip),
            user: owned(self.user),
            attributes: attributes
                .map(|(name, value)| (owned(name), owned(value)))
                .collect(),
        }
    }
}

/// Why a record goes to the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    pub reason: Reason,
    pub error: String,
}

impl Unreadable {
    fn new(reason: Reason, error: String) -> Self {
        Self { reason, error }
    }
}

/// Reads one record's value. In time and memory linear in its length, however it is nested.
pub fn decode<'a>(payload: &'a [u8], context: &RecordContext<'a>) -> Result<Line<'a>, Unreadable> {
    read_record(payload, context, None)
}

fn read_record<'a>(
    payload: &'a [u8],
    context: &RecordContext<'a>,
    notes: Option<&mut Vec<Note>>,
) -> Result<Line<'a>, Unreadable> {
    let whole = match simdutf8::compat::from_utf8(payload) {
        Ok(text) => text,
        Err(error) => return Err(Unreadable::new(Reason::NotUtf8, error.to_string())),
    };
    if whole.len() > MAX_LINE_BYTES {
        let error = format!(
            "the payload holds {} bytes, and a line at most {MAX_LINE_BYTES}",
            whole.len()
        );
        return Err(Unreadable::new(Reason::TooLarge, error));
    }
    let begun = whole.trim_start_matches('\u{feff}').trim_ascii_start();
    // What C's programs end a text with.
    let text = begun.trim_end_matches(|one: char| one == '\0' || one.is_ascii_whitespace());
    if text.is_empty() {
        let error = format!("the payload holds {} bytes and no text", payload.len());
        return Err(Unreadable::new(Reason::Empty, error));
    }
    if text.starts_with('{') {
        return read_object(text, whole.len() - begun.len(), context, DEPTH, notes);
    }
    read_text(text, context, DEPTH, notes)
}

/// A text that may be a record, or hold one. `depth`: records in it that may be looked into.
fn read_text<'a>(
    text: &'a str,
    context: &RecordContext<'a>,
    depth: usize,
    notes: Option<&mut Vec<Note>>,
) -> Result<Line<'a>, Unreadable> {
    match text.as_bytes() {
        [b'{', ..] => read_object(text, 0, context, depth, notes),
        [b'[', ..] => match envelope::array(text) {
            Some(Batch::One(one)) => read_within(&one, context, depth, notes),
            Some(Batch::Many(count)) => Err(Batch::refused(count)),
            None => Ok(Line::plain(text, context)),
        },
        [b'"', .., b'"'] => match serde_json::from_str::<String>(text) {
            Ok(inner) => read_within(&inner, context, depth, notes),
            Err(_) => Ok(Line::plain(text, context)),
        },
        _ => match Cri::of(text) {
            Some(cri) => Ok(read_output(&cri, context, depth, notes)),
            None => Ok(Line::plain(text, context)),
        },
    }
}

/// What is within a text that does not live as long as the record.
fn read_within<'a>(
    text: &str,
    context: &RecordContext<'a>,
    depth: usize,
    notes: Option<&mut Vec<Note>>,
) -> Result<Line<'a>, Unreadable> {
    if depth == 0 || text.trim_ascii().is_empty() {
        return Ok(Line::plain(text, context).into_owned());
    }
    read_text(text.trim_ascii(), context, depth - 1, notes).map(Line::into_owned)
}

/// A line of a container's output.
fn read_output<'a>(
    cri: &Cri<'a>,
    context: &RecordContext<'a>,
    depth: usize,
    notes: Option<&mut Vec<Note>>,
) -> Line<'a> {
    let is_whole = cri.text.starts_with('{') && depth > 0 && !cri.tag.starts_with('P');
    let mut line = match is_whole.then(|| read_text(cri.text, context, depth - 1, notes)) {
        Some(Ok(line)) => line,
        _ => Line::plain(cri.text, context),
    };
    if line.timestamp.is_none() {
        let read = time::read(
            cri.time,
            json::Shape::Text,
            names::How::Plain,
            context.kafka_time,
            false,
        );
        line.timestamp = read.ok();
    }
    let stream = (Cow::Borrowed("stream"), Cow::Borrowed(cri.stream));
    if line.attributes.iter().all(|(name, _)| *name != stream.0) {
        line.attributes.push(stream);
    }
    if cri.tag.starts_with('P') {
        line.attributes
            .push((Cow::Borrowed("logtag"), Cow::Borrowed(cri.tag)));
    }
    line
}

/// `before`: bytes of the payload before the text.
fn read_object<'a>(
    text: &'a str,
    before: usize,
    context: &RecordContext<'a>,
    depth: usize,
    notes: Option<&mut Vec<Note>>,
) -> Result<Line<'a>, Unreadable> {
    let mut scanner = Scanner::new(text);
    let mut fields = Fields::none();
    fields.notes = notes.is_some().then(Vec::new);
    let read = fields.read(&mut scanner);
    if let Err(broken) = read.and_then(|()| scanner.end()) {
        return Err(refused(text, before, broken));
    }
    let line = match fields.take_line(context, depth) {
        Some(line) => Ok(line),
        None => batch_of_one(&mut fields, context, depth),
    };
    if let (Some(notes), Some(own)) = (notes, fields.notes) {
        notes.extend(own);
    }
    line
}

#[cold]
fn refused(text: &str, before: usize, Broken { at, expected }: Broken) -> Unreadable {
    if let Some(Batch::Many(count)) = envelope::objects(text) {
        return Batch::refused(count);
    }
    let error = format!(
        "expected {expected} at byte {} of {}",
        before + at,
        before + text.len()
    );
    Unreadable::new(Reason::BrokenJson, error)
}

/// An object without a message may be a batch.
#[cold]
fn batch_of_one<'a>(
    fields: &mut Fields<'a>,
    context: &RecordContext<'a>,
    depth: usize,
) -> Result<Line<'a>, Unreadable> {
    let no_message = || {
        let error = "the object has none of the names of a message (message, msg, body, log, …): see docs/records.md";
        Unreadable::new(Reason::NoMessage, error.to_owned())
    };
    let Some((place, batch)) = envelope::among(fields.others()) else {
        return Err(no_message());
    };
    let one = match batch {
        Batch::One(_) if depth == 0 => return Err(no_message()),
        Batch::One(one) => one,
        Batch::Many(count) => return Err(Batch::refused(count)),
    };
    fields.remove_other(place);
    let inside = RecordContext {
        key: None,
        ..*context
    };
    let mut notes = fields.notes.is_some().then(Vec::new);
    let line = read_within(&one, &inside, depth, notes.as_mut())?;
    let line = fields
        .take_line_around(context, line)
        .ok_or_else(no_message);
    if let (Some(all), Some(notes)) = (&mut fields.notes, notes) {
        all.extend(notes);
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(payload: &[u8]) -> Result<Line<'_>, Unreadable> {
        super::decode(payload, &RecordContext::UNKNOWN)
    }

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
    fn a_status_is_an_error_where_http_says_so() {
        for (status, is_error) in [
            ("499", false),
            ("500", true),
            ("\"503\"", true),
            ("502.0", true),
            ("599", true),
            ("600", false),
            ("999", false),
            ("1000", false),
            ("1011", false),
            ("65535", false),
            ("\"502, 200\"", false),
            ("\"-\"", false),
        ] {
            let json = format!(r#"{{"level":"info","message":"m","status":{status}}}"#);
            let line = decode(json.as_bytes()).unwrap();
            assert_eq!(line.is_error(), is_error, "{status}");
        }
        let line = decode(br#"{"message":"m","status":"502, 200"}"#).unwrap();
        assert_eq!(line.attributes, [("status".into(), "502, 200".into())]);
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

    #[test]
    fn broken_json_is_refused_with_its_place() {
        for (payload, error) in [
            (&br#"{"message":"m""#[..], "expected `,` or `}` at byte 14"),
            (b" {\"message\" 1}", "expected `:` at byte 12"),
            (
                b"{\"message\":tru}",
                "expected true, false, null, or another JSON value at byte 11",
            ),
            (b"{\"message\":}", "expected a JSON value at byte 11"),
            (
                b"{\"message\":\"m\n\"}",
                "expected an escape for the control character at byte 13",
            ),
            (b"{\"message\":\"m", "expected the string's end at byte 13"),
            (
                b"{\"message\":\"\\x\"}",
                "expected an escape that JSON knows at byte 12",
            ),
            (b"{\"message\":01}", "expected `,` or `}` at byte 12"),
            (b"{\"message\":[1}", "expected `,` or `]` at byte 13"),
            (
                b"{\"message\":1,}",
                "expected a name in double quotes at byte 13",
            ),
            (
                b"{\"message\":1}}",
                "expected nothing more after the object at byte 13",
            ),
            (
                b"{\"\\ud800\":1}",
                "expected a name without half a surrogate pair at byte 1",
            ),
        ] {
            assert_eq!(
                decode(payload),
                Err(Unreadable {
                    reason: Reason::BrokenJson,
                    error: format!("{error} of {}", payload.len())
                })
            );
        }
    }

    #[test]
    fn the_members_of_attributes_stand_among_the_unknown_ones() {
        for (attributes, pairs) in [
            (
                r#"{"a":"1","host":"h","b":null}"#,
                &[("a", "1"), ("host", "h")][..],
            ),
            (r#"{"attributes":{"a":1}}"#, &[("attributes", r#"{"a":1}"#)]),
            (r"{}", &[]),
            (r#""text""#, &[("attributes", "text")]),
            // A name that is no text: the whole object is kept as it is.
            (
                r#"{"a":1,"\ud800":2}"#,
                &[("attributes", r#"{"a":1,"\ud800":2}"#)],
            ),
        ] {
            let json =
                format!(r#"{{"x":"before","attributes":{attributes},"message":"m","y":"after"}}"#);
            let line = decode(json.as_bytes()).unwrap();
            let read: Vec<_> = line
                .attributes
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .collect();
            assert_eq!(
                read,
                [&[("x", "before")], pairs, &[("y", "after")]].concat()
            );
        }
    }

    #[test]
    fn escapes_are_read_and_half_surrogate_pairs_keep_their_json_text() {
        for (string, text) in [
            (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r"caf\u00e9 \ud83d\uDE00!", "café 😀!"),
            (r"\u0000", "\0"),
            (r"a\ud83d", r#""a\ud83d""#),
            (r"\ude00\ud83d", r#""\ude00\ud83d""#),
            (r"\ud83d\u0041", r#""\ud83d\u0041""#),
        ] {
            let json = format!(r#"{{"message":"{string}"}}"#);
            assert_eq!(decode(json.as_bytes()).unwrap().message, text);
        }
    }

    #[test]
    fn neither_depth_nor_length_is_too_much() {
        const DEPTH: usize = 100_000;
        const LENGTH: usize = 16 << 20;
        let deep = format!("{}{}", r#"{"a":["#.repeat(DEPTH), "]}".repeat(DEPTH));
        for value in [
            deep.clone(),
            format!("\"{}\"", "x".repeat(LENGTH)),
            format!("\"{}\"", r"\n".repeat(LENGTH / 2)),
            format!("{{{}}}", vec![r#""a":"\ud800""#; LENGTH / 12].join(",")),
            format!("[{}]", vec!["1"; LENGTH / 2].join(",")),
        ] {
            for name in ["message", "attributes", "x"] {
                let json = format!(r#"{{"{name}":{value},"message":"m"}}"#);
                assert_eq!(decode(json.as_bytes()).unwrap().message, "m");
            }
        }
        let open = format!(r#"{{"message":{}"#, "[".repeat(DEPTH));
        let refused = decode(open.as_bytes()).unwrap_err();
        assert_eq!(refused.reason, Reason::BrokenJson);
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
