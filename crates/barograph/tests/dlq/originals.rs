//! `replay` restores the whole record, also of one that comes back.

use contracts::dead_letter::{REPLAYED_FROM, REPLAYED_TIMESTAMP};
use rdkafka::Message as _;
use serde_json::json;
use test_kit::{Message, all_headers, lines::now};

use crate::letters::{contains, json, ok, space};

type Headers = Vec<(Vec<u8>, Option<Vec<u8>>)>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_restores_headers_key_value_and_time_however_often() -> anyhow::Result<()> {
    let space = space("dlq-originals").await?;
    let processor = space.processor("processor")?;
    let broken = Message::of("checkout", &b"{"[..])
        .with_header("a", None)
        .with_header("a", Some(b"1"))
        .with_header("b", Some(b"\xff"))
        .with_header("reason", Some(b"mine"))
        .with_header(*b"\xfe", Some(b""))
        .with_header(REPLAYED_FROM, Some(b"mine too"))
        .with_header("last", None);
    let tombstone = Message {
        key: Some(Vec::new()),
        ..Message::default()
    };
    let sent = [broken, tombstone.with_header("kind", Some(b"tombstone"))];
    let before = now();
    space.produce(sent.to_vec()).await?;
    space.all_arrived(&processor).await?;
    let after = now();
    let text = ok(&space, &["show", "0:0"]) + &ok(&space, &["show", "0:1"]);
    contains(
        &text,
        &[
            "header       a = (null)\n",
            "header       a = 1\n",
            r"header       b = \xff",
            "header       reason = mine\n",
            "key          (empty)\n",
            "null (a tombstone)",
            "kafka time   20",
        ],
    );
    let letters = json(&space, &["list", "--json"]);
    let mut headers: Vec<_> = letters["newest"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["headers"].clone(), row["bytes"].clone()))
        .collect();
    headers.sort_by_key(|(headers, _)| headers.as_u64());
    assert_eq!(headers, [(json!(1), json!(null)), (json!(7), json!(1))]);

    // What comes back is whole again, and dated as when it first came.
    for round in 1..=2_usize {
        ok(&space, &["replay", "--all", "--yes"]);
        space.all_arrived(&processor).await?;
        let records = space.read(&space.logs).await?;
        assert_eq!(records.len(), sent.len() * (round + 1));
        for sent in &sent {
            let same = records.iter().filter(|it| it.key() == sent.key.as_deref());
            for (times, record) in same.enumerate() {
                let mut found: Headers = all_headers(record);
                if times > 0 {
                    let (name, from) = found.pop().unwrap();
                    assert_eq!(name, REPLAYED_FROM.as_bytes());
                    assert!(from.unwrap().starts_with(b"dlq-originals-logs.dlq/0/"));
                    let (name, time) = found.pop().unwrap();
                    assert_eq!(name, REPLAYED_TIMESTAMP.as_bytes());
                    let time: i64 = String::from_utf8(time.unwrap())?.parse()?;
                    assert!((before..=after).contains(&time), "{time}");
                }
                assert_eq!(found, sent.headers);
                assert_eq!(record.payload(), sent.payload.as_deref());
            }
        }
    }
    Ok(())
}
