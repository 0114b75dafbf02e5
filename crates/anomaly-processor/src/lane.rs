//! One partition's way through the processor: decode, detect, gather into a block.
//!
//! Invariants:
//! - every record becomes a row or a dead letter, once;
//! - records before the point where this assignment takes over only teach the detectors;
//! - a snapshot is the detectors' state at the end of the block before it, and is kept only when
//!   everything that this state takes for told is acknowledged.

use std::time::{Duration, Instant};

use clickhouse_store::{LogRow, LogRows, log_rows::TimestampSource};
use contracts::dead_letter::Reason;
use detection::{Finding, Observation, PartitionDetectors, Seen, time::EventTime};
use pipeline::{
    Block, LaneId, Limits, NextOffset, Snapshot, Work,
    beginning::Beginning,
    block::Acknowledgement,
    gather::{self, Gather},
    ports::Record,
};

use crate::{
    decode::{Line, Unreadable, decode},
    metrics::{Metrics, Oddity},
};

/// An event time more than this past the Kafka record's own is held back to it.
const FUTURE_MS: i64 = 5 * 60_000;
/// A name longer than this is no service's.
const SERVICE_BYTES: usize = 256;

/// Where dead letters and findings go. Handing over never waits for the network.
pub trait Outlets {
    fn dead_letter(
        &mut self,
        lane: &LaneId,
        record: &Record<'_>,
        reason: Reason,
        error: &str,
    ) -> Result<Acknowledgement, OutletError>;
    fn announce(
        &mut self,
        lane: &LaneId,
        finding: Finding,
        traceparent: Option<&str>,
    ) -> Result<Acknowledgement, OutletError>;
}

/// Kafka can never take this message.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OutletError(pub String);

pub struct Lane {
    gather: Gather<LogRows>,
    detectors: PartitionDetectors,
    findings: Vec<Finding>,
    /// Of findings that no record raised: they belong to the next thing that is made durable.
    loose: Vec<Acknowledgement>,
    evicted: u64,
    kept: Kept,
}

/// When the detectors' state was last handed over to be kept.
struct Kept {
    every: Duration,
    at: Instant,
    next: NextOffset,
}

impl Lane {
    /// `detectors`: their state before the record at `beginning.replay_from`.
    pub fn new(
        id: LaneId,
        limits: Limits,
        detectors: PartitionDetectors,
        beginning: Beginning,
        snapshot_every: Duration,
        now: Instant,
    ) -> Self {
        Self {
            gather: Gather::new(id, limits, beginning),
            evicted: detectors.evicted(),
            detectors,
            findings: Vec::new(),
            loose: Vec::new(),
            kept: Kept {
                every: snapshot_every,
                at: now,
                next: beginning.replay_from,
            },
        }
    }

    pub fn id(&self) -> LaneId {
        self.gather.id()
    }

    pub fn gather(&self) -> &Gather<LogRows> {
        &self.gather
    }

    pub fn services(&self) -> usize {
        self.detectors.services()
    }

    /// Services forgotten since the last call.
    pub fn newly_evicted(&mut self) -> u64 {
        let before = std::mem::replace(&mut self.evicted, self.detectors.evicted());
        self.evicted - before
    }

    /// See [`Gather::reach`].
    pub fn reach(&mut self, offset: pipeline::Offset) {
        self.gather.reach(offset);
    }

    /// Closes the open block, if it may be closed.
    pub fn close(&mut self) -> Option<Block<LogRows>> {
        let mut block = self.gather.close()?;
        block.acknowledgements.append(&mut self.loose);
        Some(block)
    }

    /// The state of the detectors, if it is time to keep it, or `finally` if it is news at all. Call
    /// it when no block is open.
    pub fn snapshot(&mut self, now: Instant, finally: bool) -> Option<Work<LogRows>> {
        let next = self.gather.next();
        let due = finally || now.duration_since(self.kept.at) >= self.kept.every;
        if !due || !self.gather.is_empty() || !self.gather.has_caught_up() || next == self.kept.next
        {
            return None;
        }
        self.kept.at = now;
        self.kept.next = next;
        let snapshot = Snapshot {
            next,
            state: self.detectors.snapshot(),
        };
        Some(Work::Snapshot(snapshot, std::mem::take(&mut self.loose)))
    }

    /// Takes one record. Records that were seen before (after a seek) are passed over.
    pub fn take<O: Outlets>(
        &mut self,
        record: &Record<'_>,
        now: Instant,
        metrics: &Metrics,
        outlets: &mut O,
    ) -> Result<(), OutletError> {
        let hole = self.gather.hole_before(record.offset);
        if hole > 0 {
            metrics.skipped.inc_by(hole);
            let id = self.gather.id();
            tracing::debug!(partition = %id.assignment.partition, next = %self.gather.next(), offset = %record.offset, "offsets did not come");
        }
        let replaying = match self.gather.see(record.offset) {
            gather::Seen::Again => return Ok(()),
            gather::Seen::Replay => true,
            gather::Seen::New => false,
        };
        let id = self.gather.id();
        let rows = || LogRows::of_day(record.kafka_time);
        let line = match decode(record.payload) {
            Ok(line) => line,
            Err(_) if replaying => return Ok(()),
            Err(Unreadable { reason, error }) => {
                let acknowledgement = outlets.dead_letter(&id, record, reason, &error)?;
                let open = self.gather.open(record.offset, now, rows);
                open.bytes += record.payload.len();
                open.acknowledgements.push(acknowledgement);
                return Ok(());
            }
        };
        let key = record
            .key
            .and_then(|key| std::str::from_utf8(key).ok())
            .filter(|key| !key.is_empty());
        let named = if line.service.is_empty() {
            key.unwrap_or("unknown")
        } else {
            &line.service
        };
        let service = &named[..named.floor_char_boundary(SERVICE_BYTES)];
        let (timestamp, source) = time_of(&line, record.kafka_time);
        let seen = self.detectors.observe(
            &Observation {
                service,
                time: EventTime(timestamp),
                kafka_time: record.kafka_time,
                offset: record.offset.raw(),
                is_error: line.is_error(),
                level: line.level as u8,
                message: &line.message,
                trace_id: &line.trace_id,
            },
            &mut self.findings,
        );
        if replaying {
            // Told already, by whoever owned the partition then.
            self.findings.clear();
            return Ok(());
        }
        let open = self.gather.open(record.offset, now, rows);
        for finding in self.findings.drain(..) {
            open.acknowledgements
                .push(outlets.announce(&id, finding, record.traceparent)?);
        }
        let late = seen == Seen::Late;
        count_oddities(
            metrics,
            late,
            source,
            line.service.is_empty(),
            key.is_none(),
        );
        open.bytes += record.payload.len();
        open.rows.push(
            &LogRow {
                timestamp,
                timestamp_source: source,
                service,
                level: line.level,
                is_error: line.is_error(),
                message: &line.message,
                host: &line.host,
                trace_id: &line.trace_id,
                span_id: &line.span_id,
                latency_ms: line.latency_ms,
                status: line.status,
                client_ip: &line.client_ip,
                user: &line.user,
                late,
                kafka_timestamp: record.kafka_time,
                kafka_offset: record.offset.raw(),
            },
            line.attributes
                .iter()
                .map(|(name, value)| (&**name, &**value)),
        );
        Ok(())
    }

    /// The partition is at its end and has been for a while; `kafka_now` in ms.
    pub fn idle<O: Outlets>(&mut self, kafka_now: i64, outlets: &mut O) -> Result<(), OutletError> {
        if !self.gather.has_caught_up() {
            return Ok(());
        }
        self.detectors.idle(kafka_now, &mut self.findings);
        let id = self.gather.id();
        for finding in self.findings.drain(..) {
            self.loose.push(outlets.announce(&id, finding, None)?);
        }
        Ok(())
    }
}

/// The record's own time, or Kafka's where there is none, or where it lies in the future.
/// Never against the wall clock: a replay must give the same answer.
fn time_of(line: &Line<'_>, kafka_time: i64) -> (i64, TimestampSource) {
    match line.timestamp {
        None => (kafka_time, TimestampSource::Kafka),
        Some(time) if time > kafka_time.saturating_add(FUTURE_MS) => {
            (kafka_time, TimestampSource::Clamped)
        }
        Some(time) => (time, TimestampSource::Record),
    }
}

fn count_oddities(
    metrics: &Metrics,
    late: bool,
    source: TimestampSource,
    no_service: bool,
    no_key: bool,
) {
    let odd = [
        (late, Oddity::Late),
        (source == TimestampSource::Kafka, Oddity::NoTimestamp),
        (source == TimestampSource::Clamped, Oddity::Clamped),
        (no_service, Oddity::NoService),
        (no_key, Oddity::NoKey),
    ];
    for (_, oddity) in odd.into_iter().filter(|(is_so, _)| *is_so) {
        metrics.oddities.at(oddity).inc();
    }
}
