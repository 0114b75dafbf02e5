//! What is kept of a record that becomes a dead letter: all of it.

use contracts::{
    dead_letter::{REASON, SOURCE_OFFSET, SOURCE_TIMESTAMP, is_of_letter, on_record},
    topics::TRACEPARENT,
};
use rdkafka::{Message as _, message::OwnedMessage};
use test_kit::{Message, all_headers, header, lines::now};

use crate::stack;

const TRACE: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

type Headers = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// What belongs to the record.
fn own(letter: &OwnedMessage) -> Headers {
    let own = all_headers(letter)
        .into_iter()
        .filter(|(name, _)| !is_of_letter(name));
    own.map(|(name, value)| (on_record(&name).to_vec(), value))
        .collect()
}

/// Headers in order, twice, null, binary, named like ours, with names that are no text; key and value
/// null and empty.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_keeps_headers_key_and_value_as_they_were() -> anyhow::Result<()> {
    let space = stack().await?.space_of("originals", 1).await?;
    let record = |key: Option<&[u8]>, payload: Option<&[u8]>| Message {
        key: key.map(<[u8]>::to_vec),
        payload: payload.map(<[u8]>::to_vec),
        headers: Vec::new(),
    };
    let sent = [
        record(Some(b"checkout"), Some(b"{"))
            .with_header("a", None)
            .with_header("a", Some(b"1"))
            .with_header("b", Some(b"\xff"))
            .with_header(TRACEPARENT, Some(TRACE)),
        record(Some(b"cart"), None).with_header("kind", Some(b"tombstone")),
        record(Some(b""), Some(b"")).with_header("", Some(b"")),
        record(None, Some(b"{"))
            .with_header("reason", Some(b"mine"))
            .with_header("original-reason", Some(b"mine too"))
            .with_header("letter-format", None)
            .with_header("source-offset", Some(b"7"))
            .with_header("reason", None),
        record(Some(b"\xff\x00"), Some(b"\xff"))
            .with_header(*b"\xff\xfe", Some(b"a name that is no text"))
            .with_header(TRACEPARENT, Some(b"no trace context")),
    ];
    let before = now();
    space.produce(sent.to_vec()).await?;
    let processor = space.processor("processor")?;
    let counts = space.all_arrived(&processor).await?;
    assert_eq!((counts.rows, counts.dead_letters), (0, sent.len() as u64));

    let mut letters = space.read(&space.dead_letter_topic()).await?;
    letters.sort_by_key(|letter| header(letter, SOURCE_OFFSET).parse::<i64>().ok());
    for (letter, sent) in letters.iter().zip(sent) {
        let what = (header(letter, REASON), all_headers(letter));
        assert_eq!(letter.key(), sent.key.as_deref(), "{what:?}");
        assert_eq!(letter.payload(), sent.payload.as_deref(), "{what:?}");
        assert_eq!(own(letter), sent.headers, "{what:?}");
        let time: i64 = header(letter, SOURCE_TIMESTAMP).parse()?;
        assert!((before..=now()).contains(&time), "{what:?}");
    }
    Ok(())
}
