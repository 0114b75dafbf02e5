//! What becomes of records as other senders write them.

use std::collections::BTreeMap;

use contracts::{
    dead_letter::{ERROR, REASON, SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC},
    topics::{MAX_RECORD_BYTES, TRACEPARENT},
};
use rdkafka::Message as _;
use test_kit::{Message, header, lines::now};

use crate::space;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// What is asked of every row, in this order.
const COLUMNS: &str = "service, toString(level), is_error, message, \
     toString(timestamp_source), ifNull(toString(latency_ms), '-'), status, client_ip, host, \
     toString(attributes)";

fn keyed(key: Option<&str>, payload: &[u8]) -> Message {
    let message = Message {
        key: key.map(Into::into),
        payload: Some(payload.to_vec()),
        headers: Vec::new(),
    };
    message.with_header(TRACEPARENT, Some(TRACE.as_bytes()))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_readable_record_is_a_row_with_its_columns() -> anyhow::Result<()> {
    let far = now() + 3_600_000;
    let clamped = format!(r#"{{"timestamp":{far},"message":"clamped","service":"s"}}"#);
    // Not long ago: windows are kept by event time.
    let recent = now() - 3_600_000;
    let text = contracts::Timestamp::from_millis(recent);
    let aliases = format!(
        r#"{{"ts":"{text}","app":"aliased","lvl":"warn","msg":"aliases","duration_ms":"5.5","status_code":"503","ip":"203.0.113.9","host":"h1","extra":{{"a":[1]}}}}"#
    );
    let number = format!(r#"{{"message":17.50,"time":{}.5}}"#, recent / 1000);
    // Key, payload, and the row's columns.
    let cases: [(Option<&str>, &str, [&str; 10]); 11] = [
        (
            Some("k"),
            aliases.as_str(),
            [
                "aliased",
                "WARN",
                "true",
                "aliases",
                "record",
                "5.5",
                "503",
                "203.0.113.9",
                "h1",
                r#"{'extra':'{"a":[1]}'}"#,
            ],
        ),
        (
            Some("by-key"),
            r#"{"message":"no time"}"#,
            [
                "by-key", "UNKNOWN", "false", "no time", "kafka", "-", "0", "", "", "{}",
            ],
        ),
        (
            None,
            r#"{"message":"no key","level":"ERROR"}"#,
            [
                "unknown", "ERROR", "true", "no key", "kafka", "-", "0", "", "", "{}",
            ],
        ),
        (
            Some("plain"),
            "[error] disk full",
            [
                "plain",
                "ERROR",
                "true",
                "[error] disk full",
                "kafka",
                "-",
                "0",
                "",
                "",
                "{}",
            ],
        ),
        (
            Some("s"),
            clamped.as_str(),
            [
                "s", "UNKNOWN", "false", "clamped", "clamped", "-", "0", "", "", "{}",
            ],
        ),
        (
            Some("s"),
            number.as_str(),
            [
                "s", "UNKNOWN", "false", "17.50", "record", "-", "0", "", "", "{}",
            ],
        ),
        (
            Some("s"),
            r#"{"body":[1,{"a":"b"}],"severity_number":17}"#,
            [
                "s",
                "ERROR",
                "true",
                r#"[1,{"a":"b"}]"#,
                "kafka",
                "-",
                "0",
                "",
                "",
                "{}",
            ],
        ),
        (
            Some("s"),
            r#"[{"message":"in an array"}]"#,
            [
                "s",
                "UNKNOWN",
                "false",
                "in an array",
                "kafka",
                "-",
                "0",
                "",
                "",
                "{}",
            ],
        ),
        (
            Some("s"),
            "17",
            [
                "s", "UNKNOWN", "false", "17", "kafka", "-", "0", "", "", "{}",
            ],
        ),
        (
            Some("s"),
            r#"{"message":"odd","timestamp":"soon","status":99999,"latency_ms":-1,"level":"loud"}"#,
            [
                "s",
                "UNKNOWN",
                "false",
                "odd",
                "kafka",
                "-",
                "0",
                "",
                "",
                "{'timestamp':'soon','latency_ms':'-1','status':'99999','level':'loud'}",
            ],
        ),
        (
            Some("s"),
            "\u{feff}{\"message\":\"zero \\u0000 quote \\\" tab \\t snow \\u2603\"}",
            [
                "s",
                "UNKNOWN",
                "false",
                "zero \0 quote \" tab \t snow \u{2603}",
                "kafka",
                "-",
                "0",
                "",
                "",
                "{}",
            ],
        ),
    ];
    let space = space("rows").await?;
    let processor = space.processor("processor")?;
    let messages = cases
        .iter()
        .map(|(key, payload, _)| keyed(*key, payload.as_bytes()));
    space.produce(messages.collect()).await?;
    let counts = space.all_arrived(&processor).await?;
    assert_eq!((counts.rows, counts.dead_letters), (cases.len() as u64, 0));
    assert_eq!(counts.in_windows, counts.rows);
    for (_, payload, [.., attributes]) in &cases {
        assert!(!attributes.is_empty(), "{payload}");
    }
    for (_, payload, columns) in &cases {
        let query = format!(
            "SELECT {COLUMNS} FROM logs WHERE message = '{}' FORMAT JSONCompactEachRow \
             SETTINGS output_format_json_quote_64bit_integers = 0",
            escaped(columns[3])
        );
        let rows = space.rows(&query).await?;
        let [row] = rows.as_slice() else {
            anyhow::bail!("{} rows of {payload}", rows.len());
        };
        let values: Vec<serde_json::Value> = serde_json::from_str(row)?;
        let values: Vec<String> = values
            .iter()
            .map(|value| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            })
            .collect();
        assert_eq!(values[..9], columns[..9], "{payload}");
        // Members of a map have no order that matters.
        let sorted = |text: &str| {
            let mut letters: Vec<_> = text.chars().collect();
            letters.sort_unstable();
            letters
        };
        assert_eq!(sorted(&values[9]), sorted(columns[9]), "{payload}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_record_is_a_dead_letter_with_its_reason_and_its_bytes() -> anyhow::Result<()>
{
    // A readable one among them: the sum is over both.
    let mut largest = br#"{"message":"never ends "#.to_vec();
    largest.resize(MAX_RECORD_BYTES - 1024, b'x');
    let cases: [(Option<&str>, &[u8], &str); 9] = [
        (Some("a"), b"", "empty"),
        (None, b" \n\t", "empty"),
        (Some("a"), b"\xff\xfe not text", "not_utf8"),
        (Some("b"), b"{\"message\":\"cut off he", "broken_json"),
        (Some("b"), b"{\"message\":\"m\"} and more", "broken_json"),
        (Some("b"), b"{message:1}", "broken_json"),
        (Some("c"), b"{}", "no_message"),
        (
            Some("c"),
            b"{\"message\":null,\"level\":\"ERROR\"}",
            "no_message",
        ),
        (Some("d"), &largest, "broken_json"),
    ];
    let space = space("dead-letters").await?;
    let processor = space.processor("processor")?;
    let mut messages: Vec<_> = cases
        .iter()
        .map(|(key, payload, _)| keyed(*key, payload))
        .collect();
    messages.insert(3, keyed(Some("a"), b"readable"));
    space.produce(messages).await?;
    let counts = space.all_arrived(&processor).await?;
    assert_eq!((counts.rows, counts.dead_letters), (1, cases.len() as u64));
    assert_eq!(counts.in_windows, 1);

    let letters = space.read(&space.dead_letter_topic()).await?;
    for (key, payload, reason) in cases {
        let shown = String::from_utf8_lossy(&payload[..payload.len().min(40)]).into_owned();
        let found: Vec<_> = letters
            .iter()
            .filter(|letter| letter.payload().unwrap_or_default() == payload)
            .collect();
        let [letter] = found.as_slice() else {
            anyhow::bail!("{} dead letters of {shown:?}", found.len());
        };
        assert_eq!(header(letter, REASON), reason, "{shown:?}");
        assert_eq!(letter.key(), key.map(str::as_bytes), "{shown:?}");
        assert_eq!(header(letter, SOURCE_TOPIC), space.logs);
        assert_eq!(header(letter, TRACEPARENT), TRACE);
        assert!(!header(letter, ERROR).is_empty(), "{shown:?}");
    }
    let mut sources: BTreeMap<String, u64> = BTreeMap::new();
    for letter in &letters {
        let source = format!(
            "{} @ {}",
            header(letter, SOURCE_PARTITION),
            header(letter, SOURCE_OFFSET)
        );
        *sources.entry(source).or_default() += 1;
    }
    assert_eq!(sources.len(), cases.len(), "{sources:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_are_stored_whole() -> anyhow::Result<()> {
    // Random letters, so that no compression makes them small.
    let mut state = 7_u64;
    let mut letters = |count: usize| -> String {
        let letter = |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            char::from(b'a' + ((state >> 33) % 26) as u8)
        };
        (0..count).map(letter).collect()
    };
    let sizes = [5_000_000, MAX_RECORD_BYTES - 1024];
    let texts = sizes.map(&mut letters);
    let space = space("large").await?;
    let processor = space.processor("processor")?;
    let mut messages = vec![keyed(Some("s"), b"before")];
    for text in &texts {
        messages.push(keyed(
            Some("s"),
            format!(r#"{{"message":"{text}"}}"#).as_bytes(),
        ));
    }
    messages.push(keyed(Some("s"), b"after"));
    space.produce(messages).await?;
    let counts = space.all_arrived(&processor).await?;
    assert_eq!((counts.rows, counts.in_windows), (4, 4));
    for text in texts {
        let query = format!(
            "SELECT count() FROM logs WHERE length(message) = {} AND startsWith(message, '{}') AND endsWith(message, '{}')",
            text.len(),
            &text[..64],
            &text[text.len() - 64..]
        );
        assert_eq!(space.number(&query).await?, 1, "{} bytes", text.len());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_record_is_stored_marked_and_counted() -> anyhow::Result<()> {
    let space = space("late").await?;
    let processor = space.processor("processor")?;
    let start = now() - 600_000;
    let at = |seconds: i64, message: &str| {
        test_kit::lines::line("s", start + seconds * 1000, contracts::Level::Info, message)
    };
    // The service's time has got to two minutes: the window of 10 s and the grace of 10 s of the late
    // one are over.
    let mut messages: Vec<_> = (0..=24).map(|at_5| at(at_5 * 5, "on time")).collect();
    messages.extend([at(5, "late"), at(118, "in time")]);
    space.produce(messages).await?;
    let counts = space.all_arrived(&processor).await?;
    assert_eq!((counts.rows, counts.in_windows), (27, 27));
    assert_eq!(
        space.rows("SELECT message FROM logs WHERE late").await?,
        ["late"]
    );
    assert_eq!(space.number("SELECT sum(late) FROM log_windows").await?, 1);
    Ok(())
}
