//! A message as it lies in librdkafka's memory, and the queue that hands out many with one call.
//!
//! The `rdkafka` crate hands out one message per call, with two looks at the clock, three locks and
//! an allocation for each; a member of a group spends a third of its consuming there (docs/adr/014).
//!
//! Invariants: a message is borrowed for as long as it is handed out, and no longer; the queue is
//! destroyed before the client that it is of.
#![expect(
    unsafe_code,
    reason = "handing out many messages with one call has no safe wrapper; see the module's comment"
)]

use std::{
    any::Any,
    ffi::{CStr, CString, c_void},
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    ptr::{self, NonNull},
    time::Duration,
};

use pipeline::{LeaderEpoch, Offset, Partition};
use rdkafka::{
    bindings as c,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::KafkaError,
    message::{BorrowedHeaders, BorrowedMessage},
};

use crate::{Error, headers};

const NO_ERROR: c::rd_kafka_resp_err_t = c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
const END: c::rd_kafka_resp_err_t = c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF;

#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    native: *mut c::rd_kafka_message_t,
    owner: PhantomData<&'a ()>,
}

impl<'a> Message<'a> {
    pub(crate) fn of(message: &'a BorrowedMessage<'_>) -> Self {
        Self {
            native: message.ptr(),
            owner: PhantomData,
        }
    }

    fn fields(self) -> &'a c::rd_kafka_message_t {
        // SAFETY: it lives as long as its owner, which `'a` borrows, and nobody writes its fields once
        // it has been handed out.
        unsafe { &*self.native }
    }

    pub(crate) fn partition(self) -> Partition {
        Partition(self.fields().partition)
    }

    pub(crate) fn offset(self) -> Offset {
        Offset::new(self.fields().offset)
    }

    pub(crate) fn key(self) -> Option<&'a [u8]> {
        let fields = self.fields();
        // SAFETY: librdkafka keeps that many bytes there for as long as the message lives.
        unsafe { bytes(fields.key.cast(), fields.key_len) }
    }

    pub(crate) fn payload(self) -> Option<&'a [u8]> {
        let fields = self.fields();
        // SAFETY: as in `key`.
        unsafe { bytes(fields.payload.cast(), fields.len) }
    }

    /// Kafka's timestamp, ms since the epoch; 0 where there is none.
    pub(crate) fn kafka_time(self) -> i64 {
        let mut kind = c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the call reads the message and writes the kind.
        let time = unsafe { c::rd_kafka_message_timestamp(self.native, &raw mut kind) };
        let is_there = kind != c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        if is_there && time != -1 { time } else { 0 }
    }

    pub(crate) fn leader_epoch(self) -> LeaderEpoch {
        // SAFETY: the call reads the message.
        LeaderEpoch(unsafe { c::rd_kafka_message_leader_epoch(self.native) })
    }

    /// `None`: it has none.
    pub(crate) fn headers(self) -> Option<&'a BorrowedHeaders> {
        let mut found = ptr::null_mut();
        // SAFETY: the call reads the message, and may keep what it has parsed of the headers with it;
        // the message is in the hands of this thread alone. What it gives lives as long as the message.
        unsafe {
            let error = c::rd_kafka_message_headers(self.native, &raw mut found);
            if error != NO_ERROR {
                return None;
            }
            NonNull::new(found).map(|found| headers::borrowed(found))
        }
    }

    /// It is no record: what it says instead, and librdkafka's words for it.
    pub(crate) fn error(self) -> Option<(KafkaError, String)> {
        let code = self.fields().err;
        if code == NO_ERROR {
            return None;
        }
        if code == END {
            return Some((KafkaError::PartitionEOF(self.partition().0), String::new()));
        }
        // SAFETY: the words belong to the message and end with a NUL; they are copied here.
        let words = unsafe {
            let words = c::rd_kafka_message_errstr(self.native);
            if words.is_null() {
                String::new()
            } else {
                CStr::from_ptr(words).to_string_lossy().into_owned()
            }
        };
        Some((KafkaError::MessageConsumption(code.into()), words))
    }
}

/// # Safety
///
/// `start` is null, or `length` bytes lie there as long as `'a`.
unsafe fn bytes<'a>(start: *const u8, length: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller says.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start, length) })
}

/// Where the records of a consumer's partitions arrive, apart from what the group decides: a call that
/// hands out many would answer a rebalance by itself.
pub(crate) struct RecordsQueue {
    native: NonNull<c::rd_kafka_queue_t>,
    topic: CString,
}

// SAFETY: librdkafka's queues are made to be used from any thread, under locks of their own.
unsafe impl Send for RecordsQueue {}
// SAFETY: as above.
unsafe impl Sync for RecordsQueue {}

impl RecordsQueue {
    /// It has to be dropped before `client`.
    ///
    /// # Errors
    ///
    /// Where no topic can have this name, or no queue was made.
    pub(crate) fn of<C: ConsumerContext>(
        client: &BaseConsumer<C>,
        topic: &str,
    ) -> Result<Self, Error> {
        let failed = |reason: &str| Error::Topic {
            topic: topic.to_owned(),
            reason: reason.to_owned(),
        };
        let name = CString::new(topic).map_err(|_| failed("has a NUL byte in its name"))?;
        // SAFETY: the client lives; the queue is a new one, and ours.
        let native = unsafe { c::rd_kafka_queue_new(client.client().native_ptr()) };
        Ok(Self {
            native: NonNull::new(native).ok_or_else(|| failed("librdkafka made no queue"))?,
            topic: name,
        })
    }

    /// From now on the partition's records arrive here, also those that wait elsewhere. librdkafka
    /// forgets it when the partition is taken away. Of the client that the queue was made of.
    pub(crate) fn lead_here<C: ConsumerContext>(
        &self,
        client: &BaseConsumer<C>,
        partition: Partition,
    ) {
        // SAFETY: client and topic live; the partition's queue is held from the first call to the last,
        // and keeps a hold of its own on this one.
        unsafe {
            let of_partition = c::rd_kafka_queue_get_partition(
                client.client().native_ptr(),
                self.topic.as_ptr(),
                partition.0,
            );
            if !of_partition.is_null() {
                c::rd_kafka_queue_forward(of_partition, self.native.as_ptr());
                c::rd_kafka_queue_destroy(of_partition);
            }
        }
    }

    /// Waits up to `wait`, rounded up to milliseconds, for the first message, and hands out all that have
    /// arrived: those of one partition in their order. While the client lives.
    ///
    /// All, because librdkafka holds the queue for empty until the call returns, and fetches: what a
    /// call leaves would be fetched ahead on top of the bound, again with each call.
    pub(crate) fn hand_out(&self, wait: Duration, take: &mut dyn FnMut(Message<'_>)) {
        // Rounded down, the last part of a millisecond would be spent spinning.
        let wait_ms = i32::try_from(wait.as_micros().div_ceil(1_000)).unwrap_or(i32::MAX);
        let mut call = Call {
            take,
            panicked: None,
        };
        // SAFETY: the queue lives, and its client. `call` lives until the call returns, and nobody but
        // `each` touches it meanwhile, on this thread.
        unsafe {
            let opaque = (&raw mut call).cast();
            c::rd_kafka_consume_callback_queue(self.native.as_ptr(), wait_ms, Some(each), opaque);
        }
        if let Some(panicked) = call.panicked {
            resume_unwind(panicked);
        }
    }
}

/// One call that hands messages out.
struct Call<'a> {
    take: &'a mut dyn FnMut(Message<'_>),
    /// No panic may pass through librdkafka.
    panicked: Option<Box<dyn Any + Send>>,
}

/// # Safety
///
/// `opaque` is a [`Call`] that nobody else touches, and `message` lives until this returns.
unsafe extern "C" fn each(message: *mut c::rd_kafka_message_t, opaque: *mut c_void) {
    // SAFETY: as the caller says.
    let call = unsafe { &mut *opaque.cast::<Call<'_>>() };
    if call.panicked.is_some() {
        return;
    }
    let message = Message {
        native: message,
        owner: PhantomData,
    };
    call.panicked = catch_unwind(AssertUnwindSafe(|| (call.take)(message))).err();
}

impl Drop for RecordsQueue {
    fn drop(&mut self) {
        // SAFETY: it is ours, and this is its last use. What still arrives is thrown away.
        unsafe { c::rd_kafka_queue_destroy(self.native.as_ptr()) }
    }
}
