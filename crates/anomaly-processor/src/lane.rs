//! One partition's way through the processor: decode, mine, detect, gather into a block.
//!
//! Invariants:
//! - every record becomes a row or a dead letter, once;
//! - records before the point where this assignment takes over only teach the detectors and the miner;
//! - whatever the miner says of templates goes with a block, and with no later one than the first row
//!   that may refer to it;
//! - a snapshot is what is known at the end of the block before it, and is kept only when everything
//!   that this state takes for told is acknowledged or stored.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use clickhouse_store::{LogRow, LogRows, TemplateNews, log_rows::TimestampSource, templates::Text};
use contracts::dead_letter::Reason;
use detection::{Arrival, Finding, Moves, Observation, time::EventTime};
use kafka_io::partitioner::Partitioner;
use log_records::{Arrived, Line, NoTime, ServiceFrom, Unreadable, decode};
use pipeline::{
    Block, HoleReason, LaneId, Limits, NextOffset, Offset, Snapshot, Work,
    beginning::Beginning,
    block::Acknowledgement,
    gather::{self, Gather},
    ports::Record,
};
use template_mining::{Changes, TemplateId};

use crate::{
    knowledge::Knowledge,
    metrics::{Metrics, Oddity, Skipped},
};

/// An event time more than this past the Kafka record's own is held back to it.
const FUTURE_MS: i64 = 5 * 60_000;
/// A name longer than this is no service's.
const SERVICE_BYTES: usize = 256;
/// News of templates that may wait for a block, beside those of templates that are still known.
const MOST_WAITING: usize = 1024;

/// What a dead letter takes beside its record, until it is acknowledged.
const LETTER_BYTES: usize = 1024;

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
    knowledge: Knowledge,
    findings: Vec<Finding>,
    /// What the miner has said and no block has yet.
    news: TemplateNews,
    /// Of findings that no record raised: they belong to the next thing that is made durable.
    loose: Vec<Acknowledgement>,
    counted: Counted,
    kept: Kept,
    /// Of the topic, as they say; 0 while nobody has said.
    partitions: u32,
    /// What that means for the services here is known for so many.
    reckoned: u32,
}

/// What the metrics have been told of.
struct Counted {
    services_evicted: u64,
    templates_evicted: u64,
    /// Templates that were ever known, but for those that became part of others.
    templates: u64,
}

/// When what is known was last handed over to be kept.
struct Kept {
    every: Duration,
    at: Instant,
    next: NextOffset,
}

impl Lane {
    /// `knowledge`: the state before the record at `beginning.replay_from`.
    pub fn new(
        id: LaneId,
        limits: Limits,
        knowledge: Knowledge,
        beginning: Beginning,
        snapshot_every: Duration,
        now: Instant,
    ) -> Self {
        Self {
            gather: Gather::new(id, limits, beginning),
            counted: Counted {
                services_evicted: knowledge.detectors.evicted(),
                templates_evicted: knowledge.miner.evicted(),
                templates: ever_known(&knowledge),
            },
            knowledge,
            findings: Vec::new(),
            news: TemplateNews::default(),
            loose: Vec::new(),
            kept: Kept {
                every: snapshot_every,
                at: now,
                next: beginning.replay_from,
            },
            partitions: 0,
            reckoned: 0,
        }
    }

    /// The topic has this many partitions now, 0: nobody has said. Services whose lines go to another
    /// partition from now on are not silent here. Where keys go is found out from where they went.
    pub fn partitions_are<O: Outlets>(
        &mut self,
        count: i32,
        outlets: &mut O,
    ) -> Result<(), OutletError> {
        self.partitions = u32::try_from(count).unwrap_or_default();
        self.reckon(outlets)
    }

    /// Not before all is known that the owner before knew.
    fn reckon<O: Outlets>(&mut self, outlets: &mut O) -> Result<(), OutletError> {
        let count = self.partitions;
        if count == self.reckoned || count == 0 || !self.gather.has_caught_up() {
            return Ok(());
        }
        self.reckoned = count;
        let own = self.gather.id().assignment.partition;
        let detectors = &mut self.knowledge.detectors;
        let before = match detectors.partitions() {
            // Learned from the records alone, and the topic may have grown among them.
            0 => Partitioner::partitions_before(&detectors.names(), own, count),
            said if said == count => detectors.grown_from(),
            said => said,
        };
        if before == 0 || before == count {
            detectors.partitions_are(count);
            return Ok(());
        }
        let keys = Partitioner::of(&detectors.names(), own, before, count);
        let who = Moves::if_so(move |service| {
            keys.is_none_or(|keys| {
                let is_here = |partitions| keys.partition_of(service, partitions) == own;
                is_here(before) && !is_here(count)
            })
        });
        detectors.have_grown(before, count, who, &mut self.findings);
        self.tell(outlets)
    }

    /// The end of the partition is reached.
    pub fn at_end(&mut self) {
        if self.reckoned == self.partitions {
            self.knowledge.detectors.at_end();
        }
    }

    pub fn id(&self) -> LaneId {
        self.gather.id()
    }

    pub fn gather(&self) -> &Gather<LogRows> {
        &self.gather
    }

    pub fn services(&self) -> usize {
        self.knowledge.detectors.services()
    }

    pub fn templates(&self) -> usize {
        self.knowledge.miner.len()
    }

    /// Services and templates forgotten since the last call.
    pub fn newly_evicted(&mut self) -> (u64, u64) {
        let services = self.knowledge.detectors.evicted();
        let templates = self.knowledge.miner.evicted();
        let counted = &mut self.counted;
        (
            services - std::mem::replace(&mut counted.services_evicted, services),
            templates - std::mem::replace(&mut counted.templates_evicted, templates),
        )
    }

    /// See [`Gather::reach`].
    pub fn reach(&mut self, offset: Offset, now: Instant) {
        self.gather.reach(offset, now);
    }

    /// Nothing will ever come of these offsets: see [`Gather::hole`].
    pub fn hole(
        &mut self,
        first: Offset,
        end: NextOffset,
        why: HoleReason,
        now: Instant,
        metrics: &Metrics,
    ) {
        let offsets = self.gather.hole(first, end, why, now);
        metrics.skipped.at(why.into()).inc_by(offsets);
    }

    /// Closes the open block, if it may be closed.
    pub fn close(&mut self) -> Option<Block<LogRows>> {
        let mut block = self.gather.close()?;
        block.acknowledgements.append(&mut self.loose);
        Some(block)
    }

    /// What is known, if it is time to keep it, or `finally` if it is news at all. Call it when no
    /// block is open. Never while the miner's news wait for a block: who goes on from the snapshot
    /// takes them for stored.
    pub fn snapshot(&mut self, now: Instant, finally: bool) -> Option<Work<LogRows>> {
        let next = self.gather.next();
        let due = finally || now.duration_since(self.kept.at) >= self.kept.every;
        let is_whole =
            self.gather.is_empty() && self.gather.has_caught_up() && self.news.is_empty();
        if !due || !is_whole || next == self.kept.next {
            return None;
        }
        self.kept.at = now;
        self.kept.next = next;
        let snapshot = Snapshot {
            next,
            state: self.knowledge.snapshot(),
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
        let absent = self.gather.absent_before(record.offset, now);
        if absent > 0 {
            metrics.skipped.at(Skipped::Absent).inc_by(absent);
            let id = self.gather.id();
            tracing::debug!(partition = %id.assignment.partition, absent, offset = %record.offset, "offsets did not come");
        }
        let replaying = match self.gather.see(record.offset) {
            gather::Seen::Again => return Ok(()),
            gather::Seen::Replay => true,
            gather::Seen::New => false,
        };
        if !replaying && self.reckoned != self.partitions {
            self.reckon(outlets)?;
        }
        let id = self.gather.id();
        let key = record
            .key
            .and_then(|key| std::str::from_utf8(key).ok())
            .filter(|key| !key.trim_ascii().is_empty());
        let arrived = Arrived {
            key,
            kafka_time: record.kafka_time,
        };
        let line = match decode(record.payload(), &arrived) {
            Ok(line) => line,
            Err(_) if replaying => return Ok(()),
            Err(Unreadable { reason, error }) => {
                let acknowledgement = outlets.dead_letter(&id, record, reason, &error)?;
                let open = self.gather.open_for_letter(record, now);
                open.bytes += record.size() + LETTER_BYTES;
                open.acknowledgements.push(acknowledgement);
                return Ok(());
            }
        };
        let service = &line.service[..line.service.floor_char_boundary(SERVICE_BYTES)];
        let kafka_time = self.knowledge.detectors.kafka_time();
        let (timestamp, source) = time_of(&line, record.kafka_time, kafka_time);
        let template_id = self.mine(&line.message, service, replaying, metrics);
        let seen = self.knowledge.detectors.observe(
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
        let open = self.gather.open(record, now);
        if !self.news.is_empty() {
            open.bytes += self.news.size();
            open.rows.templates.append(std::mem::take(&mut self.news));
        }
        for finding in self.findings.drain(..) {
            open.acknowledgements.push(outlets.announce(
                &id,
                finding,
                record.rest.traceparent(),
            )?);
        }
        let late = seen == Arrival::Late;
        count_oddities(metrics, seen, source, &line, key.is_none());
        open.bytes += record.payload().len();
        open.rows.push(
            &LogRow {
                timestamp,
                timestamp_source: source,
                service,
                level: line.level,
                is_error: line.is_error(),
                message: &line.message,
                template_id,
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

    /// The template of a message. What is news of any template is taken down at once, while there is
    /// a line to show for it, and before the miner can forget the template again.
    fn mine(&mut self, message: &str, service: &str, replaying: bool, metrics: &Metrics) -> u64 {
        let id = self.knowledge.miner.observe(message.as_bytes());
        let changes = self.knowledge.miner.take_changes();
        if !(changes.templates.is_empty() && changes.merges.is_empty()) {
            self.take_down(changes, message, service, replaying, metrics);
        }
        stored_id(id)
    }

    #[cold]
    fn take_down(
        &mut self,
        changes: Changes,
        message: &str,
        service: &str,
        replaying: bool,
        metrics: &Metrics,
    ) {
        let known = ever_known(&self.knowledge);
        let before = std::mem::replace(&mut self.counted.templates, known);
        if !replaying {
            metrics.templates_found.inc_by(known.saturating_sub(before));
            metrics.templates_merged.inc_by(changes.merges.len() as u64);
        }
        for template in changes.templates {
            let text = Text {
                text: template.text,
                open_places: u32::try_from(template.open_places).unwrap_or(u32::MAX),
                sample: message.to_owned(),
                service: service.to_owned(),
                joins: template.joins.into_iter().map(stored_id).collect(),
            };
            self.news.describe(stored_id(template.id), text);
        }
        for merge in changes.merges {
            self.news
                .merge(stored_id(merge.from), stored_id(merge.into));
        }
        // Only while there is no block to take them. No row refers to what was forgotten since, and
        // what is found again is said again.
        if self.news.texts().len() > 2 * self.templates() + MOST_WAITING {
            let templates = self.knowledge.miner.templates();
            let known: HashSet<u64> = templates.map(|one| stored_id(one.id())).collect();
            self.news.retain(|id| known.contains(&id));
        }
    }

    /// The partition is at its end, and nothing came for so long.
    pub fn idle<O: Outlets>(
        &mut self,
        idle_for: Duration,
        outlets: &mut O,
    ) -> Result<(), OutletError> {
        if !self.gather.has_caught_up() {
            return Ok(());
        }
        self.reckon(outlets)?;
        let millis = i64::try_from(idle_for.as_millis()).unwrap_or(i64::MAX);
        self.knowledge.detectors.idle(millis, &mut self.findings);
        self.tell(outlets)
    }

    /// Findings that no record raised.
    fn tell<O: Outlets>(&mut self, outlets: &mut O) -> Result<(), OutletError> {
        let id = self.gather.id();
        for finding in self.findings.drain(..) {
            self.loose.push(outlets.announce(&id, finding, None)?);
        }
        Ok(())
    }
}

/// As in the tables, where 0 stands for lines that were not mined. No line is known that has it.
fn stored_id(id: TemplateId) -> u64 {
    id.0.max(1)
}

fn ever_known(knowledge: &Knowledge) -> u64 {
    knowledge.miner.len() as u64 + knowledge.miner.evicted()
}

/// The record's own time, or Kafka's where there is none, or where it lies in the future: of the
/// record's Kafka timestamp and of what `many` records before it had reached, lest one wrong Kafka
/// timestamp spoils a right time. Never against the wall clock: a replay must give the same answer.
fn time_of(line: &Line<'_>, kafka_time: i64, many: Option<i64>) -> (i64, TimestampSource) {
    let own = Some(kafka_time).filter(|time| detection::is_clock(*time));
    let now = own.max(many);
    match (line.timestamp, now) {
        (None, _) => (own.or(many).unwrap_or(0), TimestampSource::Kafka),
        (Some(time), Some(now)) if time > now.saturating_add(FUTURE_MS) => {
            (now, TimestampSource::Clamped)
        }
        (Some(time), _) => (time, TimestampSource::Record),
    }
}

fn count_oddities(
    metrics: &Metrics,
    seen: Arrival,
    source: TimestampSource,
    line: &Line<'_>,
    no_key: bool,
) {
    let is_kafkas = |why: NoTime| source == TimestampSource::Kafka && line.no_time == why;
    let odd = [
        (seen == Arrival::Late, Oddity::Late),
        (seen == Arrival::Ahead, Oddity::Ahead),
        (is_kafkas(NoTime::Absent), Oddity::NoTimestamp),
        (is_kafkas(NoTime::Unreadable), Oddity::UnreadableTimestamp),
        (is_kafkas(NoTime::Implausible), Oddity::ImplausibleTimestamp),
        (source == TimestampSource::Clamped, Oddity::Clamped),
        (line.service_from != ServiceFrom::Name, Oddity::NoService),
        (no_key, Oddity::NoKey),
    ];
    for (_, oddity) in odd.into_iter().filter(|(is_so, _)| *is_so) {
        metrics.oddities.at(oddity).inc();
    }
}
