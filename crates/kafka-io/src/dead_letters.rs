//! Puts what could not be read aside, whole if Kafka can take that, with the reason.

use std::borrow::Cow;

use contracts::{
    dead_letter::{self as header, Reason},
    topics::MAX_DEAD_LETTER_BYTES,
};
use pipeline::{
    Partition,
    batch::Acknowledgement,
    ports::{Header, Record},
};
use sha2::{Digest, Sha256};

use crate::{insist::Insisting, kept::Kept, producer::Outgoing};

/// One record that could not be read, as it was received.
#[derive(Clone, Copy)]
pub struct DeadLetter<'a> {
    pub topic: &'a str,
    pub partition: Partition,
    pub record: &'a Record<'a>,
    pub reason: Reason,
    /// For people; cut to 1 KiB.
    pub error: &'a str,
}

/// A header whose name may have to be changed.
type Named<'a> = (Cow<'a, [u8]>, Option<&'a [u8]>);

/// The offset completes when the acknowledgement resolves, not before.
pub fn send(producer: &Insisting, to: &str, letter: &DeadLetter<'_>) -> Acknowledgement {
    let record = letter.record;
    let (partition, offset) = (letter.partition.to_string(), record.offset.to_string());
    let error = &letter.error[..letter.error.floor_char_boundary(1024)];
    let time = record.kafka_time.to_string();
    let mut headers: Vec<Named<'_>> = [
        (header::FORMAT, header::FORMAT_NOW),
        (header::REASON, letter.reason.as_str()),
        (header::ERROR, error),
        (header::SOURCE_TOPIC, letter.topic),
        (header::SOURCE_PARTITION, partition.as_str()),
        (header::SOURCE_OFFSET, offset.as_str()),
        (header::SOURCE_TIMESTAMP, time.as_str()),
    ]
    .map(|(name, value)| (name.as_bytes().into(), Some(value.as_bytes())))
    .into();
    // Kafka knows no time of it: nor do we.
    if record.kafka_time <= 0 {
        headers.pop();
    }
    let own = record.rest.headers();
    headers.extend(
        own.iter()
            .map(|(name, value)| (header::on_letter(name), *value)),
    );
    let headers: Vec<Header<'_>> = headers
        .iter()
        .map(|(name, value)| (name.as_ref(), *value))
        .collect();
    let message = Outgoing {
        topic: to,
        key: record.key,
        payload: record.value,
        headers: &headers,
    };
    if size_of(&message) <= MAX_DEAD_LETTER_BYTES {
        return producer.send(message, cut);
    }
    // No topic of ours takes it: cut before it is handed over, in pieces, so that nothing of it is
    // copied that is not sent.
    let mut kept = Kept {
        topic: to.to_owned(),
        key: None,
        payload: None,
        headers: Vec::new(),
    };
    shorten(&message, BUDGETS[0], &mut kept);
    let headers = kept.header_views();
    producer.send(
        Outgoing {
            topic: to,
            key: kept.key.as_deref(),
            payload: kept.payload.as_deref(),
            headers: &headers,
        },
        cut,
    )
}

/// Bytes of a record that are put aside when it cannot be whole, one size after the other until Kafka
/// takes it: enough to see what it was.
const BUDGETS: [usize; 4] = [64 * 1024, 4 * 1024, 256, 0];
/// What Kafka adds to a header, at most.
const PER_HEADER: usize = 16;

fn size_of(message: &Outgoing<'_>) -> usize {
    let sizes = message.headers.iter().map(header_size);
    let own = message.key.map_or(0, <[u8]>::len) + message.payload.map_or(0, <[u8]>::len);
    sizes.sum::<usize>() + own
}

fn header_size((name, value): &Header<'_>) -> usize {
    PER_HEADER + name.len() + value.map_or(0, <[u8]>::len)
}

/// What of the message belongs to the record.
fn of_the_record(message: &Outgoing<'_>) -> usize {
    let own = message
        .headers
        .iter()
        .filter(|(name, _)| header::is_of_letter(name));
    size_of(message) - own.map(header_size).sum::<usize>()
}

/// Makes a letter smaller that Kafka refuses for its size.
fn cut(letter: &mut Kept) -> bool {
    let before = std::mem::replace(
        letter,
        Kept {
            topic: letter.topic.clone(),
            key: None,
            payload: None,
            headers: Vec::new(),
        },
    );
    let headers = before.header_views();
    let message = Outgoing {
        topic: &before.topic,
        key: before.key.as_deref(),
        payload: before.payload.as_deref(),
        headers: &headers,
    };
    let now = of_the_record(&message);
    let Some(budget) = BUDGETS.into_iter().find(|budget| *budget < now) else {
        *letter = before;
        return false;
    };
    shorten(&message, budget, letter);
    true
}

/// The beginning of each part of the message, within `budget`, and for each part that is not whole its
/// length and hash, unless an earlier cut has said them.
fn shorten(message: &Outgoing<'_>, budget: usize, into: &mut Kept) {
    let (of_letter, of_record): (Vec<Header<'_>>, Vec<Header<'_>>) = message
        .headers
        .iter()
        .partition(|(name, _)| header::is_of_letter(name));
    into.headers = of_letter.into_iter().map(owned).collect();

    let key = message.key.map(|key| &key[..key.len().min(budget / 4)]);
    if key != message.key {
        let whole = message.key.unwrap_or_default();
        note(
            into,
            header::KEY_LENGTH,
            header::KEY_SHA256,
            whole.len(),
            || Sha256::digest(whole).into(),
        );
    }
    into.key = key.map(<[u8]>::to_vec);

    // In order, as far as they fit: a gap among them could not be seen.
    let mut left = budget / 4;
    let mut kept = Vec::new();
    for header in &of_record {
        let Some(rest) = left.checked_sub(header_size(header)) else {
            break;
        };
        left = rest;
        kept.push(owned(*header));
    }
    if kept.len() < of_record.len() {
        let count = of_record.len().to_string();
        let said = into
            .headers
            .iter()
            .any(|(name, _)| name == header::HEADERS_COUNT.as_bytes());
        if !said {
            let count = (header::HEADERS_COUNT.as_bytes(), Some(count.as_bytes()));
            into.headers.push(owned(count));
        }
        let as_sent = serialized(&of_record);
        note(
            into,
            header::HEADERS_LENGTH,
            header::HEADERS_SHA256,
            as_sent.len(),
            || Sha256::digest(&as_sent).into(),
        );
    }

    let left = (budget / 2) + left;
    let value = message.payload.map(|value| &value[..value.len().min(left)]);
    if value != message.payload {
        let whole = message.payload.unwrap_or_default();
        note(
            into,
            header::VALUE_LENGTH,
            header::VALUE_SHA256,
            whole.len(),
            || Sha256::digest(whole).into(),
        );
    }
    into.payload = value.map(<[u8]>::to_vec);
    into.headers.extend(kept);
}

fn owned((name, value): Header<'_>) -> (Vec<u8>, Option<Vec<u8>>) {
    (name.to_vec(), value.map(<[u8]>::to_vec))
}

fn note(into: &mut Kept, length: &str, sha256: &str, bytes: usize, hash: impl Fn() -> [u8; 32]) {
    let said = into
        .headers
        .iter()
        .any(|(name, _)| name == length.as_bytes());
    if said {
        return;
    }
    let hex = hash()
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let bytes = bytes.to_string();
    into.headers
        .push(owned((length.as_bytes(), Some(bytes.as_bytes()))));
    into.headers
        .push(owned((sha256.as_bytes(), Some(hex.as_bytes()))));
}

/// As `headers-sha256` is taken of: the record's names, in order.
fn serialized(headers: &[Header<'_>]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut push = |bytes: Option<&[u8]>| {
        let length = bytes.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        all.extend_from_slice(&length.to_be_bytes());
        all.extend_from_slice(bytes.unwrap_or_default());
    };
    for (name, value) in headers {
        push(Some(header::on_record(name)));
        push(*value);
    }
    all
}

#[cfg(test)]
mod tests;
