//! The decoder against its reference on `serde_json`, for JSON of every shape and for what is almost
//! JSON.

use proptest::{collection::vec, prelude::*, sample::select};

use super::{RecordContext, decode, reference};
use contracts::dead_letter::Reason;

fn agrees(payload: &[u8]) -> Result<(), TestCaseError> {
    let context = RecordContext {
        key: Some("key"),
        kafka_time: 1_795_244_400_000,
    };
    let decoded = decode(payload, &context).map_err(|unreadable| unreadable.reason);
    let Ok(text) = std::str::from_utf8(payload) else {
        prop_assert_eq!(decoded, Err(Reason::NotUtf8));
        return Ok(());
    };
    let text = text
        .trim_start_matches('\u{feff}')
        .trim_ascii_start()
        .trim_end_matches(|one: char| one == '\0' || one.is_ascii_whitespace());
    if text.starts_with('{') && decoded != Err(Reason::SeveralRecords) && !text.contains("ecords") {
        prop_assert_eq!(decoded, reference::read(text, &context));
    }
    Ok(())
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![8 => Just(String::new()), 1 => "[ \t\r\n]{1,3}"]
}

/// The inside of a JSON string.
fn characters() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => "[ -!#-\\[\\]-~]{0,12}",
        2 => "[^\\x00-\\x1f\"\\\\]{0,4}",
        2 => select(vec![r"\n", r"\t", r"\r", r"\b", r"\f", r"\/", r"\\", r#"\""#]).prop_map(str::to_owned),
        1 => "\\\\u00[0-9a-fA-F]{2}",
        // Halves of surrogate pairs, and whole ones.
        1 => "\\\\u[dD][89abAB][0-9a-f]{2}(\\\\u[dD][c-fC-F][0-9a-f]{2})?",
        1 => "\\\\u[dD][c-f][0-9a-f]{2}",
    ];
    vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

fn name() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "timestamp",
        "ts",
        "time",
        "@timestamp",
        "service",
        "source",
        "log.level",
        "log",
        "host",
        "kubernetes",
        "Message",
        "name",
        "labels",
        "app",
        "service.name",
        "app",
        "level",
        "severity",
        "lvl",
        "severity_number",
        "message",
        "msg",
        "body",
        "host",
        "trace_id",
        "span_id",
        "latency_ms",
        "duration_ms",
        "response_time_ms",
        "status",
        "status_code",
        "client_ip",
        "ip",
        "remote_addr",
        "user",
        "attributes",
        r"m\u0065ssage",
        r"\u0061ttributes",
    ];
    prop_oneof![6 => select(KNOWN).prop_map(str::to_owned), 1 => characters()]
}

fn number() -> impl Strategy<Value = String> {
    "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?"
}

fn scalar() -> impl Strategy<Value = String> {
    const UNDERSTOOD: &[&str] = &[
        r#""2026-11-21T07:00:00.123Z""#,
        r#""2026-11-21 07:00:00,5+02:00""#,
        "1795244400123",
        r#""soon""#,
        r#""ERROR""#,
        r#""info""#,
        r#"" Warning ""#,
        r#""loud""#,
        "17",
        r#""3""#,
        "502",
        r#""+404""#,
        "70000",
        "182.4",
        r#""1e3""#,
        "-1",
        "1e999",
    ];
    prop_oneof![
        2 => characters().prop_map(|text| format!("\"{text}\"")),
        2 => select(UNDERSTOOD).prop_map(str::to_owned),
        1 => number(),
        1 => select(vec!["true", "false", "null"]).prop_map(str::to_owned),
    ]
}

fn object(value: impl Strategy<Value = String> + Clone) -> impl Strategy<Value = String> {
    let member = (space(), name(), space(), space(), value, space())
        .prop_map(|(a, name, b, c, value, d)| format!("{a}\"{name}\"{b}:{c}{value}{d}"));
    (vec(member, 0..8), space())
        .prop_map(|(members, inside)| format!("{{{}{inside}}}", members.join(",")))
}

fn value() -> impl Strategy<Value = String> + Clone {
    scalar().prop_recursive(4, 24, 4, |inner| {
        let array = vec((space(), inner.clone(), space()), 0..4).prop_map(|items| {
            let items: Vec<_> = items
                .into_iter()
                .map(|(a, item, b)| format!("{a}{item}{b}"))
                .collect();
            format!("[{}]", items.join(","))
        });
        prop_oneof![array, object(inner)]
    })
}

fn record() -> impl Strategy<Value = String> {
    (
        select(vec!["", "", "\u{feff}", " \n"]),
        object(value()),
        space(),
    )
        .prop_map(|(before, object, after)| format!("{before}{object}{after}"))
}

/// One byte taken out, put in, or put in the place of another; or the rest cut off.
fn broken(text: String, edits: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    for (at, what, byte) in edits {
        if bytes.is_empty() {
            break;
        }
        let at = at.index(bytes.len());
        match what {
            0 => drop(bytes.remove(at)),
            1 => bytes.insert(at, *byte),
            2 => bytes.truncate(at),
            _ => bytes[at] = *byte,
        }
    }
    bytes
}

fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![3 => select(&b"{}[]:,\"\\ \t\n\x00\x1f\x7f/bfnrtuU0123456789abcdefE+-."[..]), 1 => any::<u8>()]
}

#[test]
fn filling_after_an_object_is_not_of_it() {
    agrees(b"{}\0").unwrap();
    agrees(b"{\"message\":\"full\"} \0\r\0\n").unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

    #[test]
    fn a_record_is_read_as_the_reference_reads_it(record in record()) {
        agrees(record.as_bytes())?;
    }

    #[test]
    fn what_is_almost_json_is_refused_or_read_as_the_reference_does(
        record in record(),
        edits in vec((any::<prop::sample::Index>(), 0_u8..5, byte()), 1..4),
    ) {
        agrees(&broken(record, &edits))?;
    }

    #[test]
    fn arbitrary_members_are_refused_or_read_as_the_reference_does(inside in vec(byte(), 0..24)) {
        agrees(&[b"{\"message\":1,", &inside[..], b"}"].concat())?;
        agrees(&[b"{\"message\":", &inside[..], b"}"].concat())?;
    }
}
