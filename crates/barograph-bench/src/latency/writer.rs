//! Writes calm services at a steady rate, and bursts of errors among them.
//!
//! Invariant: a record's moment is read right before its `send()`; where the producer's queue is full,
//! the wait for room belongs to it.

use std::{
    fmt::Write as _,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail};
use contracts::Timestamp;
use kafka_io::{Connection, producer};
use rdkafka::{
    ClientContext, Message as _,
    message::DeliveryResult,
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
};

use crate::{fill, lines::Lines};

/// What services that burst are called, with a number behind it.
pub(super) const BURST: &str = "burst-";
/// Errors of one burst: for a service never seen, some eight and nothing else are improbable.
const ERRORS: u32 = 10;
const CALM_SERVICES: usize = 50;
const TICK: Duration = Duration::from_millis(1);

/// What to write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// Records per second, bursts included.
    pub(super) rate: u32,
    pub(super) bursts: u32,
    pub(super) bursts_per_second: u32,
    /// Without a burst, at the beginning.
    pub(super) warm_up: Duration,
}

/// A record of a burst.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) at: Instant,
}

pub(super) struct Written {
    pub(super) records: u64,
    pub(super) bursts: u64,
    /// Every record of every burst.
    pub(super) sent: Vec<Sent>,
    pub(super) took: Duration,
}

/// Keeps where the records of bursts went.
#[derive(Default)]
struct Places {
    sent: Mutex<Vec<Sent>>,
    failed: Mutex<Option<String>>,
}

impl ClientContext for Places {}

impl ProducerContext for Places {
    /// The moment of `send()`, for records of bursts.
    type DeliveryOpaque = Box<Option<Instant>>;

    fn delivery(&self, result: &DeliveryResult<'_>, at: Box<Option<Instant>>) {
        match (result, *at) {
            (Ok(message), Some(at)) => {
                let sent = Sent {
                    partition: message.partition(),
                    offset: message.offset(),
                    at,
                };
                let mut places = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
                places.push(sent);
            }
            (Ok(_), None) => {}
            (Err((error, _)), _) => {
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.get_or_insert_with(|| error.to_string());
            }
        }
    }
}

/// Blocks until everything is written and acknowledged.
pub(super) fn write(connection: &Connection, topic: &str, plan: &Plan) -> anyhow::Result<Written> {
    // As an application would send: idempotent, all replicas, lz4, a millisecond of linger.
    let producer: ThreadedProducer<Places> = producer::config(connection)
        .create_with_context(Places::default())
        .context("cannot make a producer")?;
    let mut lines = Lines::new(1, CALM_SERVICES, now(), u64::from(plan.rate));
    let mut line = String::with_capacity(1024);
    let begun = Instant::now();
    let (mut records, mut bursts) = (0_u64, 0_u32);
    while bursts < plan.bursts {
        let elapsed = begun.elapsed();
        let due = (elapsed.as_secs_f64() * f64::from(plan.rate)) as u64;
        let bursting = elapsed.saturating_sub(plan.warm_up).as_secs_f64();
        let bursts_due = (bursting * f64::from(plan.bursts_per_second)) as u32;
        while bursts < bursts_due.min(plan.bursts) {
            burst(&producer, topic, bursts, &mut line)?;
            records += u64::from(ERRORS);
            bursts += 1;
        }
        while records < due {
            let service = lines.write(&mut line);
            let record = BaseRecord::with_opaque_to(topic, Box::new(None))
                .key(lines.service_name(service))
                .payload(line.as_str());
            fill::send(&producer, record)?;
            records += 1;
        }
        std::thread::sleep(TICK);
    }
    let took = begun.elapsed();
    producer.flush(Duration::from_secs(30))?;
    let places = producer.context();
    let failed = places.failed.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = &*failed {
        bail!("a record was not delivered: {error}");
    }
    let sent = places.sent.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Written {
        records,
        bursts: u64::from(bursts),
        sent: sent.clone(),
        took,
    })
}

/// Errors of a service of its own, one right after the other.
fn burst(
    producer: &ThreadedProducer<Places>,
    topic: &str,
    number: u32,
    line: &mut String,
) -> anyhow::Result<()> {
    let service = format!("{BURST}{number}");
    for error in 0..ERRORS {
        line.clear();
        // Writing to a string does not fail.
        let _ = write!(
            line,
            r#"{{"timestamp":"{}","service":"{service}","level":"ERROR","message":"request {number:08x}-{error} failed: connection refused by upstream 203.0.113.9","host":"ip-10-0-9-1","trace_id":"4bf92f3577b34da6a3ce929d{number:08x}","latency_ms":18.5,"status":502}}"#,
            now()
        );
        let record = BaseRecord::with_opaque_to(topic, Box::new(Some(Instant::now())))
            .key(service.as_str())
            .payload(line.as_str());
        fill::send(producer, record)?;
    }
    Ok(())
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp::from_millis(since.map_or(0, |since| since.as_millis() as i64))
}
