//! One partition's way through the processor: decode, detect, gather into a block.
//!
//! Invariants:
//! - every record becomes a row or a dead letter, once;
//! - records before the point where this assignment takes over only teach the detectors;
//! - a block whose range an earlier owner announced is closed exactly at that range's end.

use std::time::{Duration, Instant};

use clickhouse_store::{LogRow, LogRows, log_rows::TimestampSource};
use contracts::dead_letter::Reason;
use detection::{Finding, Observation, PartitionDetectors, Seen, time::EventTime};
use pipeline::{
    Assignment, Block, Incarnation, Limits, NextOffset, Offset, block::Acknowledgement,
};

use crate::{
    decode::{Line, Unreadable, decode},
    metrics::{Metrics, Oddity},
};

/// An event time more than this past the Kafka record's own is held back to it.
const FUTURE_MS: i64 = 5 * 60_000;
/// A name longer than this is no service's.
const SERVICE_BYTES: usize = 256;

/// One record as it was received.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    pub offset: Offset,
    /// Kafka's timestamp, ms since the epoch.
    pub kafka_time: i64,
    pub key: Option<&'a [u8]>,
    pub payload: &'a [u8],
    pub traceparent: Option<&'a str>,
}

/// Where dead letters and findings go.
pub trait Outlets {
    type Error;
    fn dead_letter(
        &mut self,
        lane: &LaneId,
        record: &Record<'_>,
        reason: Reason,
        error: &str,
    ) -> Result<Acknowledgement, Self::Error>;
    fn announce(
        &mut self,
        lane: &LaneId,
        finding: Finding,
        traceparent: Option<&str>,
    ) -> Result<Acknowledgement, Self::Error>;
}

/// Which partition, in which life.
#[derive(Debug, Clone, Copy)]
pub struct LaneId {
    pub assignment: Assignment,
    pub incarnation: Incarnation,
}

/// Where a lane begins, as settled at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beginning {
    /// First record that teaches the detectors.
    pub replay_from: NextOffset,
    /// First record that is stored.
    pub take_from: NextOffset,
    /// End of the block that an earlier owner announced.
    pub announced_end: Option<NextOffset>,
}

pub struct Lane {
    pub id: LaneId,
    limits: Limits,
    detectors: PartitionDetectors,
    beginning: Beginning,
    /// One past the newest record seen.
    next: NextOffset,
    open: Option<Open>,
    findings: Vec<Finding>,
    evicted: u64,
}

/// The block that is being gathered.
struct Open {
    first: Offset,
    since: Instant,
    rows: LogRows,
    acknowledgements: Vec<Acknowledgement>,
    payload_bytes: usize,
}

impl Lane {
    pub fn new(
        id: LaneId,
        limits: Limits,
        config: detection::Config,
        beginning: Beginning,
    ) -> Self {
        Self {
            id,
            limits,
            detectors: PartitionDetectors::new(config),
            next: beginning.replay_from,
            beginning,
            open: None,
            findings: Vec::new(),
            evicted: 0,
        }
    }

    pub fn next(&self) -> NextOffset {
        self.next
    }

    pub fn services(&self) -> usize {
        self.detectors.services()
    }

    /// Services forgotten since the last call.
    pub fn newly_evicted(&mut self) -> u64 {
        let before = std::mem::replace(&mut self.evicted, self.detectors.evicted());
        self.evicted - before
    }

    /// Bytes gathered in the open block.
    pub fn open_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.payload_bytes)
    }

    /// Takes one record. Records that were seen before (after a seek) are passed over.
    pub fn take<O: Outlets>(
        &mut self,
        record: &Record<'_>,
        now: Instant,
        metrics: &Metrics,
        outlets: &mut O,
    ) -> Result<(), O::Error> {
        if record.offset < self.next.offset() {
            return Ok(());
        }
        self.next = record.offset.next();
        let replaying = record.offset < self.beginning.take_from.offset();
        let line = match decode(record.payload) {
            Ok(line) => line,
            Err(_) if replaying => return Ok(()),
            Err(Unreadable { reason, error }) => {
                let acknowledgement = outlets.dead_letter(&self.id, record, reason, &error)?;
                let open = Self::opened(&mut self.open, record, now);
                open.payload_bytes += record.payload.len();
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
        let open = Self::opened(&mut self.open, record, now);
        for finding in self.findings.drain(..) {
            open.acknowledgements
                .push(outlets.announce(&self.id, finding, record.traceparent)?);
        }
        let late = seen == Seen::Late;
        count_oddities(
            metrics,
            late,
            source,
            line.service.is_empty(),
            key.is_none(),
        );
        open.payload_bytes += record.payload.len();
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
    pub fn idle<O: Outlets>(&mut self, kafka_now: i64, outlets: &mut O) -> Result<(), O::Error> {
        self.detectors.idle(kafka_now, &mut self.findings);
        for finding in self.findings.drain(..) {
            let acknowledgement = outlets.announce(&self.id, finding, None)?;
            // No record raised it: a replay finds it again, so nothing waits for it but an open block.
            if let Some(open) = &mut self.open {
                open.acknowledgements.push(acknowledgement);
            }
        }
        Ok(())
    }

    /// Whether the open block should be closed now.
    pub fn is_due(&self, now: Instant) -> bool {
        let Some(open) = &self.open else { return false };
        if let Some(end) = self.announced_end() {
            return self.next >= end;
        }
        open.rows.len() >= self.limits.rows
            || open.payload_bytes >= self.limits.bytes
            || now.duration_since(open.since) >= self.limits.age
    }

    /// Whether the open block can take no more, and reading must wait for it to be closed.
    pub fn is_full(&self) -> bool {
        let Some(open) = &self.open else { return false };
        match self.announced_end() {
            Some(end) => self.next >= end,
            None => open.rows.len() >= self.limits.rows || open.payload_bytes >= self.limits.bytes,
        }
    }

    /// Time until the open block is due by age; `None` where age does not decide.
    pub fn due_in(&self, now: Instant) -> Option<Duration> {
        if self.announced_end().is_some() {
            return None;
        }
        let open = self.open.as_ref()?;
        Some(
            self.limits
                .age
                .saturating_sub(now.duration_since(open.since)),
        )
    }

    /// Closes the open block. One that an earlier owner announced stays open until it is whole.
    pub fn close(&mut self) -> Option<Block<LogRows>> {
        let announced = self.announced_end();
        if announced.is_some_and(|end| self.next < end) {
            return None;
        }
        let open = self.open.take()?;
        self.beginning.announced_end = None;
        Some(Block {
            assignment: self.id.assignment,
            incarnation: self.id.incarnation,
            first: open.first,
            end: announced.unwrap_or(self.next),
            row_count: open.rows.len() as u64,
            rows: open.rows,
            bytes: open.payload_bytes,
            acknowledgements: open.acknowledgements,
            uncertain: announced.is_some(),
        })
    }

    /// The next record is `offset`. If it lies past the range that an earlier owner announced, that
    /// range is over although its last records never came (compaction).
    pub fn reach(&mut self, offset: Offset) {
        let Some(end) = self.announced_end().filter(|end| offset >= end.offset()) else {
            return;
        };
        self.next = self.next.max(end);
        if self.open.is_none() {
            self.beginning.announced_end = None;
        }
    }

    fn announced_end(&self) -> Option<NextOffset> {
        self.beginning.announced_end
    }

    fn opened<'a>(open: &'a mut Option<Open>, record: &Record<'_>, now: Instant) -> &'a mut Open {
        open.get_or_insert_with(|| Open {
            first: record.offset,
            since: now,
            rows: LogRows::of_day(record.kafka_time),
            acknowledgements: Vec::new(),
            payload_bytes: 0,
        })
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
