//! Dead letters as the processor writes them, and the command that looks at them.

use std::process::{Command, Output, Stdio};

use contracts::{
    dead_letter::{ERROR, REASON, Reason, SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC},
    topics::TRACEPARENT,
};
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use serde_json::Value;
use test_kit::{Space, Stack};

pub(crate) const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
pub(crate) const BINARY: &[u8] = b"\x1f\x8b\x08\x00\xff\x00 log";

pub(crate) async fn space(name: &str) -> anyhow::Result<Space> {
    let scratch = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    Stack::shared(scratch).await?.space(name).await
}

pub(crate) fn dlq(space: &Space, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_barograph"));
    command
        .arg("dlq")
        .args(args)
        .env("KAFKA_BROKERS", &space.connection.brokers)
        .env("KAFKA_TOPIC", &space.logs)
        .env_remove("KAFKA_BROKER")
        .stdin(Stdio::null());
    command
}

#[track_caller]
pub(crate) fn said(output: Output, code: i32) -> String {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{stdout}{stderr}");
    stdout + &stderr
}

#[track_caller]
pub(crate) fn ok(space: &Space, args: &[&str]) -> String {
    said(dlq(space, args).output().unwrap(), 0)
}

#[track_caller]
pub(crate) fn json(space: &Space, args: &[&str]) -> Value {
    serde_json::from_str(&ok(space, args)).unwrap()
}

#[track_caller]
pub(crate) fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

pub(crate) struct Letter<'a> {
    pub(crate) reason: Reason,
    /// Partition and offset.
    pub(crate) source: (i32, i64),
    pub(crate) key: Option<&'a str>,
    pub(crate) payload: &'a [u8],
}

/// As the processor writes them.
pub(crate) async fn put_aside(space: &Space, letters: &[Letter<'_>]) -> anyhow::Result<()> {
    let producer: FutureProducer = space.connection.config().create()?;
    let topic = space.dead_letter_topic();
    let sending = letters.iter().map(|letter| {
        let (partition, offset) = (letter.source.0.to_string(), letter.source.1.to_string());
        let headers = [
            (REASON, letter.reason.as_str()),
            (ERROR, "the \x1b[31merror"),
            (SOURCE_TOPIC, &space.logs),
            (SOURCE_PARTITION, &partition),
            (SOURCE_OFFSET, &offset),
            (TRACEPARENT, TRACE),
        ];
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| {
                all.insert(Header {
                    key,
                    value: Some(*value),
                })
            });
        let mut record = FutureRecord::<str, [u8]>::to(&topic)
            .payload(letter.payload)
            .headers(headers);
        record.key = letter.key;
        producer.send_result(record).map_err(|(error, _)| error)
    });
    for delivery in sending.collect::<Result<Vec<_>, _>>()? {
        delivery.await?.map_err(|(error, _)| error)?;
    }
    Ok(())
}

pub(crate) async fn some_letters(space: &Space) -> anyhow::Result<()> {
    let cut_off = b"{\"message\":\"m\x1b[2J";
    let letter = |reason, source, key, payload| Letter {
        reason,
        source,
        key,
        payload,
    };
    let letters = [
        letter(Reason::BrokenJson, (1, 7), Some("checkout"), &cut_off[..]),
        letter(Reason::NotUtf8, (0, 3), None, BINARY),
        letter(Reason::BrokenJson, (1, 7), Some("checkout"), &cut_off[..]),
        letter(Reason::Empty, (0, 4), Some("cart"), b""),
        letter(Reason::BrokenJson, (0, 9), Some("cart"), b"{}{}"),
    ];
    put_aside(space, &letters).await
}
