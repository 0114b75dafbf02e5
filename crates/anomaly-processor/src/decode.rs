//! From the bytes of one record to its fields: a tolerant reader of the log record's contract.
//!
//! Invariants: what can be read is never refused, whatever else is odd about it (an odd field goes
//! to the attributes as it is); what cannot be read is refused with a reason; nothing is copied
//! that the bytes already hold, but for strings with escapes.
//!
//! A record is read once, from front to back: `scan` knows JSON, `fields` the contract's names,
//! `level` what senders call a level.

mod fields;
mod level;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod reference;
mod scan;
mod words;

use std::borrow::Cow;

use contracts::{Level, dead_letter::Reason, topics::MAX_LINE_BYTES};
use fields::Fields;
use scan::{Broken, Scanner};

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
    /// ERROR or worse, or a status of HTTP from 500 up. Statuses of others, such as the close codes of
    /// a WebSocket from 1000 up, say nothing of the kind.
    pub fn is_error(&self) -> bool {
        self.level.is_error() || (500..600).contains(&self.status)
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

/// Reads one record's value. In time and memory linear in its length, however it is nested.
pub fn decode(payload: &[u8]) -> Result<Line<'_>, Unreadable> {
    let unreadable = |reason, error: String| Err(Unreadable { reason, error });
    let whole = match std::str::from_utf8(payload) {
        Ok(text) => text,
        Err(error) => return unreadable(Reason::NotUtf8, error.to_string()),
    };
    if whole.len() > MAX_LINE_BYTES {
        return unreadable(
            Reason::TooLarge,
            format!(
                "the payload holds {} bytes, and a line at most {MAX_LINE_BYTES}",
                whole.len()
            ),
        );
    }
    let begun = whole.trim_start_matches('\u{feff}').trim_ascii_start();
    let text = begun.trim_ascii_end();
    if text.is_empty() {
        return unreadable(
            Reason::Empty,
            format!("the payload holds {} bytes and no text", payload.len()),
        );
    }
    if !text.starts_with('{') {
        return Ok(Line {
            level: level::among_words(text),
            message: Cow::Borrowed(text),
            ..Line::empty()
        });
    }
    let mut scanner = Scanner::new(text);
    let mut fields = Fields::none();
    let read = fields.read(&mut scanner, true);
    if let Err(Broken { at, expected }) = read.and_then(|()| scanner.end()) {
        let at = whole.len() - begun.len() + at;
        return unreadable(
            Reason::BrokenJson,
            format!("expected {expected} at byte {at} of {}", payload.len()),
        );
    }
    match fields.take_line() {
        Some(line) => Ok(line),
        None => unreadable(
            Reason::NoMessage,
            "the object has none of message, msg, body".to_owned(),
        ),
    }
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
    fn a_status_is_an_error_where_http_says_so() {
        for (status, is_error) in [
            ("499", false),
            ("500", true),
            ("\"503\"", true),
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
                &[("host", "h"), ("a", "1")][..],
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
