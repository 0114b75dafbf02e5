//! Finds out whether what lies at an offset can be read at all, and where it ends if it cannot.
//!
//! librdkafka decodes whole batches. One that it cannot decode (a codec that it does not know, more
//! bytes than it may unpack, a checksum that is wrong) it fetches again and again, and says so in an
//! error that names the batch. The `rdkafka` crate drops that name and keeps the code, so this module
//! reads the errors from the C library itself.
//!
//! Invariants: a client of its own, one partition, no group; what passes by itself (a broker that is
//! away, a fault on the wire) is never taken for a batch that cannot be read: it has to fail
//! [`ATTEMPTS`] times in a row, each fetched anew.
#![expect(
    unsafe_code,
    reason = "rdkafka's poll drops partition and offset of an error; see the module's comment"
)]

use std::{
    ffi::CStr,
    time::{Duration, Instant},
};

use pipeline::{NextOffset, Offset, Partition};
use rdkafka::{
    Offset as KafkaOffset, TopicPartitionList, bindings as c,
    consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext},
    error::RDKafkaErrorCode as Code,
};

use crate::{Connection, reader};

/// Times that a batch has to fail before it counts as one that cannot be read.
pub const ATTEMPTS: usize = 3;
const BETWEEN: Duration = Duration::from_millis(500);
/// For one look at an offset.
const PATIENCE: Duration = Duration::from_secs(20);
const ASK: Duration = Duration::from_secs(5);

/// What cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// From the offset that was asked for.
    pub first: Offset,
    pub end: NextOffset,
    /// As librdkafka says it.
    pub reason: String,
}

/// Whether an error of a consumer says that a batch could not be decoded.
pub fn is_about_a_batch(code: Code) -> bool {
    matches!(
        code,
        Code::BadCompression
            | Code::BadMessage
            | Code::InvalidMessage
            | Code::InvalidMessageSize
            | Code::MessageSizeTooLarge
            | Code::NotImplemented
            | Code::CriticalSystemResource
            | Code::Underflow
    )
}

/// Looks at the record that is to be read next. `None`: it can be read, or there is none, or nobody can
/// tell now. Blocks: up to a minute where something cannot be read.
pub fn examine(
    connection: &Connection,
    topic: &str,
    partition: Partition,
    next: NextOffset,
) -> Option<Unreadable> {
    let probe = Probe::open(connection, topic, partition)
        .inspect_err(|error| tracing::warn!(%partition, error, "what is next cannot be looked at"))
        .ok()?;
    let (_, high) = probe
        .client
        .fetch_watermarks(topic, partition.0, ASK)
        .ok()?;
    let first = next.raw();
    if first >= high {
        return None;
    }
    let (batch, reason) = probe.fails_for_good(first)?;
    let end = probe.end_of(batch, first, high)?;
    Some(Unreadable {
        first: Offset::new(first),
        end: NextOffset::resume_at(Offset::new(end)),
        reason,
    })
}

/// What lies at an offset.
enum Found {
    /// Something that can be read, or nothing.
    Readable,
    /// A batch, by its first offset, and what is wrong with it.
    Unreadable { batch: i64, reason: String },
    /// Nobody answered.
    Unknown,
}

struct Probe<'a> {
    client: BaseConsumer<DefaultConsumerContext>,
    topic: &'a str,
    partition: Partition,
}

impl<'a> Probe<'a> {
    fn open(connection: &Connection, topic: &'a str, partition: Partition) -> Result<Self, String> {
        let client = reader::config(connection)
            .set("enable.partition.eof", "true")
            .set("fetch.error.backoff.ms", "1")
            .set("queued.min.messages", "1")
            .create()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            client,
            topic,
            partition,
        })
    }

    /// The batch and its fault, if every attempt at it fails.
    fn fails_for_good(&self, offset: i64) -> Option<(i64, String)> {
        let mut failed = None;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                std::thread::sleep(BETWEEN);
            }
            match self.at(offset) {
                Found::Unreadable { batch, reason } => failed = Some((batch, reason)),
                Found::Readable | Found::Unknown => return None,
            }
        }
        failed
    }

    /// One past the last offset of the batch, of which `first` is one. Reading from any offset of it
    /// fails with the same batch; the steps double until one does not, and the last step is halved.
    fn end_of(&self, batch: i64, first: i64, high: i64) -> Option<i64> {
        let (mut inside, mut step) = (first, 1);
        let mut outside = loop {
            let next = inside.saturating_add(step);
            if next >= high {
                break high;
            }
            if !self.is_of(batch, next)? {
                break next;
            }
            inside = next;
            step *= 2;
        };
        while outside - inside > 1 {
            let middle = inside + (outside - inside) / 2;
            if self.is_of(batch, middle)? {
                inside = middle;
            } else {
                outside = middle;
            }
        }
        Some(outside)
    }

    /// `None`: nobody can tell now.
    fn is_of(&self, batch: i64, offset: i64) -> Option<bool> {
        match self.at(offset) {
            Found::Unreadable { batch: found, .. } => Some(found == batch),
            Found::Readable => Some(false),
            Found::Unknown => None,
        }
    }

    fn at(&self, offset: i64) -> Found {
        let mut list = TopicPartitionList::with_capacity(1);
        let assigned = list
            .add_partition_offset(self.topic, self.partition.0, KafkaOffset::Offset(offset))
            .and_then(|()| self.client.assign(&list));
        if assigned.is_err() {
            return Found::Unknown;
        }
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(found) = self.poll() {
                return found;
            }
        }
        Found::Unknown
    }

    /// `None`: nothing came yet that says something about the partition.
    fn poll(&self) -> Option<Found> {
        // SAFETY: the client lives as long as `self`. The message is ours once it is handed out, is
        // read before it is destroyed, and is destroyed once; its error text belongs to it.
        unsafe {
            let message = c::rd_kafka_consumer_poll(self.client.client().native_ptr(), 200);
            if message.is_null() {
                return None;
            }
            let code = (*message).err;
            let offset = (*message).offset;
            let found = if code == c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                Some(Found::Readable)
            } else {
                let code = Code::from(code);
                if code == Code::PartitionEOF {
                    Some(Found::Readable)
                } else if is_about_a_batch(code) {
                    let text = c::rd_kafka_message_errstr(message);
                    let reason = if text.is_null() {
                        code.to_string()
                    } else {
                        CStr::from_ptr(text).to_string_lossy().into_owned()
                    };
                    Some(Found::Unreadable {
                        batch: offset,
                        reason,
                    })
                } else {
                    // The broker may be away: the deadline says when that is enough.
                    None
                }
            };
            c::rd_kafka_message_destroy(message);
            found
        }
    }
}
