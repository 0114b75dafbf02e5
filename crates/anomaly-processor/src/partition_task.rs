//! One partition's records on their way through the processor.
//!
//! ```text
//!            1 place            2 read               3 learn                4 keep
//! record ──► is its offset ──► which line is it, ──► its template, and ──► row and findings into ──► writer
//!            new here?         of what time?         what is odd            the open batch
//!            │                 │                                            │
//!            seen before:      no line:                                     findings ──► topic `anomalies`
//!            passed over       ──► topic of dead letters
//! ```
//!
//! Invariants:
//! - every record becomes a row or a dead letter, once;
//! - records before the point where this assignment takes over only teach the detectors and the miner;
//! - whatever the miner says of templates goes with a batch, and with no later one than the first row
//!   that may refer to it;
//! - a snapshot is what is known at the end of the batch before it, and is kept only when everything
//!   that this state takes for told is acknowledged or stored.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use clickhouse_store::{LogRow, LogRows, TemplateNews, log_rows::TimestampSource, templates::Text};
use contracts::{Level, dead_letter::Reason};
use detection::{Arrival, Finding, Lineage, Moves, Observation, Rules, time::EventTime};
use kafka_io::partitioner::Partitioner;
use log_records::{Line, NoTime, RecordContext, ServiceFrom, Unreadable, decode};
use pipeline::{
    Batch, HoleReason, Limits, NextOffset, Offset, TaskId, Work,
    batch::Acknowledgement,
    batch_builder::{self, BatchBuilder},
    ports::Record,
    resume::ResumePoint,
    snapshot::{Keep, Lost},
};
use template_mining::{Changes, Miner, TemplateId};

use crate::{
    metrics::{Metrics, Oddity, Skipped},
    partition_state::PartitionState,
    rules::InForce,
};

/// An event time more than this past the Kafka record's own is held back to it.
const FUTURE_MS: i64 = 5 * 60_000;
/// A name longer than this is no service's.
const SERVICE_BYTES: usize = 256;
/// News of templates that may wait for a batch, beside those of templates that are still known.
const MOST_WAITING: usize = 1024;

/// So many changes are made a whole: a start reads and applies all that there are.
const FOLDED: u32 = 20;
const LONGEST_UNFOLDED: Duration = Duration::from_mins(10);
/// Well below the retention of `template_texts`, less that of `logs`.
const TELL_AGAIN: Duration = Duration::from_hours(7 * 24);

/// What a dead letter takes beside its record, until it is acknowledged.
const LETTER_BYTES: usize = 1024;

/// Where dead letters and findings go. Handing over never waits for the network.
pub trait Sinks {
    fn dead_letter(
        &mut self,
        task: &TaskId,
        record: &Record<'_>,
        reason: Reason,
        error: &str,
    ) -> Result<Acknowledgement, SinkError>;
    fn announce(
        &mut self,
        task: &TaskId,
        finding: Finding,
        traceparent: Option<&str>,
    ) -> Result<Acknowledgement, SinkError>;
}

/// Kafka can never take this message.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SinkError(pub String);

pub struct PartitionTask {
    builder: BatchBuilder<LogRows>,
    state: PartitionState,
    findings: Vec<Finding>,
    /// What the miner has said and no batch has yet.
    news: TemplateNews,
    /// When the miner was last asked to tell all texts again.
    told_again: Option<Instant>,
    rules: Option<Following>,
    /// Of findings that no record raised: they belong to the next thing that is made durable.
    loose: Vec<Acknowledgement>,
    counted: Counted,
    kept: Kept,
    /// Of the topic, as they say; 0 while nobody has said.
    partitions: u32,
    /// What that means for the services here is known for so many.
    reckoned: u32,
}

/// The rules that are followed, and whoever says when they change.
struct Following {
    in_force: InForce,
    rules: Arc<Rules>,
}

/// What the metrics have been told of.
struct Counted {
    services_evicted: u64,
    templates_evicted: u64,
    /// Templates that were ever known, but for those that became part of others.
    templates: u64,
}

/// A record that was read.
struct Reading<'a> {
    line: Line<'a>,
    timestamp: i64,
    source: TimestampSource,
    has_key: bool,
}

impl Reading<'_> {
    fn service(&self) -> &str {
        let service = &self.line.service;
        &service[..service.floor_char_boundary(SERVICE_BYTES)]
    }
}

/// What miner and detectors say of a line.
struct Learned {
    template_id: u64,
    arrival: Arrival,
}

/// When what is known was last handed over to be kept.
struct Kept {
    every: Duration,
    at: Instant,
    next: NextOffset,
    /// When it was last all of it, as far as this task knows.
    whole_at: Instant,
    lost: Lost,
}

impl PartitionTask {
    /// `state`: what is known before the record at `resume.replay_from`.
    pub fn new(
        id: TaskId,
        limits: Limits,
        state: PartitionState,
        resume: ResumePoint,
        snapshot_every: Duration,
        now: Instant,
    ) -> Self {
        Self {
            builder: BatchBuilder::new(id, limits, resume),
            counted: Counted {
                services_evicted: state.detectors.evicted(),
                templates_evicted: state.miner.evicted(),
                templates: ever_known(&state),
            },
            state,
            findings: Vec::new(),
            news: TemplateNews::default(),
            told_again: None,
            rules: None,
            loose: Vec::new(),
            kept: Kept {
                every: snapshot_every,
                at: now,
                next: resume.replay_from,
                whole_at: now,
                lost: Lost::default(),
            },
            partitions: 0,
            reckoned: 0,
        }
    }

    /// From now on these rules are followed, and what becomes of them.
    pub fn follow(&mut self, mut in_force: InForce) {
        let rules = in_force.now();
        self.rules = Some(Following { in_force, rules });
    }

    /// The topic has this many partitions now, 0: nobody has said. Services whose lines go to another
    /// partition from now on are not silent here. Where keys go is found out from where they went.
    pub fn partitions_are<O: Sinks>(&mut self, count: i32, sinks: &mut O) -> Result<(), SinkError> {
        self.partitions = u32::try_from(count).unwrap_or_default();
        self.reckon(sinks)
    }

    /// Not before all is known that the owner before knew.
    fn reckon<O: Sinks>(&mut self, sinks: &mut O) -> Result<(), SinkError> {
        let count = self.partitions;
        if count == self.reckoned || count == 0 || !self.builder.has_caught_up() {
            return Ok(());
        }
        self.reckoned = count;
        let own = self.builder.id().assignment.partition;
        let detectors = &mut self.state.detectors;
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
        self.tell(sinks)
    }

    /// The end of the partition is reached.
    pub fn at_end(&mut self) {
        if self.reckoned == self.partitions {
            self.state.detectors.at_end();
        }
    }

    pub fn id(&self) -> TaskId {
        self.builder.id()
    }

    pub fn builder(&self) -> &BatchBuilder<LogRows> {
        &self.builder
    }

    pub fn services(&self) -> usize {
        self.state.detectors.services()
    }

    pub fn templates(&self) -> usize {
        self.state.miner.len()
    }

    /// Services and templates forgotten since the last call.
    pub fn newly_evicted(&mut self) -> (u64, u64) {
        let services = self.state.detectors.evicted();
        let templates = self.state.miner.evicted();
        let counted = &mut self.counted;
        (
            services - std::mem::replace(&mut counted.services_evicted, services),
            templates - std::mem::replace(&mut counted.templates_evicted, templates),
        )
    }

    /// See [`BatchBuilder::reach`].
    pub fn reach(&mut self, offset: Offset, now: Instant) {
        self.builder.reach(offset, now);
    }

    /// Nothing will ever come of these offsets: see [`BatchBuilder::hole`].
    pub fn hole(
        &mut self,
        first: Offset,
        end: NextOffset,
        why: HoleReason,
        now: Instant,
        metrics: &Metrics,
    ) {
        let offsets = self.builder.hole(first, end, why, now);
        metrics.skipped.at(why.into()).inc_by(offsets);
    }

    /// Closes the open batch, if it may be closed.
    pub fn close(&mut self) -> Option<Batch<LogRows>> {
        let mut batch = self.builder.close()?;
        batch.acknowledgements.append(&mut self.loose);
        Some(batch)
    }

    /// What is known, if it is time to keep it, or `finally` if it is news at all. Call it when no
    /// batch is open. Never while the miner's news wait for a batch: who goes on from the snapshot
    /// takes them for stored.
    pub fn snapshot(&mut self, now: Instant, finally: bool) -> Option<Work<LogRows>> {
        self.tell_again(now);
        let next = self.builder.next();
        let due = finally || now.duration_since(self.kept.at) >= self.kept.every;
        let is_whole =
            self.builder.is_empty() && self.builder.has_caught_up() && self.news.is_empty();
        if !due || !is_whole || next == self.kept.next {
            return None;
        }
        self.kept.at = now;
        self.kept.next = next;
        if self.kept.lost.take() {
            self.state.forget_kept();
        }
        let snapshot = self.state.snapshot(next);
        let links = self.state.links();
        let is_old = links > 0 && now.duration_since(self.kept.whole_at) >= LONGEST_UNFOLDED;
        let fold = !finally && (links >= FOLDED || is_old);
        if fold {
            self.state.are_folded();
        }
        if fold || links == 0 {
            self.kept.whole_at = now;
        }
        Some(Work::Snapshot(Keep {
            snapshot,
            acknowledgements: std::mem::take(&mut self.loose),
            fold,
            lost: self.kept.lost.clone(),
        }))
    }

    /// Texts live for a while only: who is new here tells those that it meets, and does so again every week.
    /// A replay brings no rows that they could go with.
    fn tell_again(&mut self, now: Instant) {
        let is_due = |at: Instant| now.duration_since(at) >= TELL_AGAIN;
        if self.builder.has_caught_up() && self.told_again.is_none_or(is_due) {
            self.told_again = Some(now);
            self.state.miner.tell_again();
        }
    }

    /// Takes one record through the four steps that stand at the top of this file. Records that were
    /// seen before (after a seek) are passed over.
    pub fn take<O: Sinks>(
        &mut self,
        record: &Record<'_>,
        now: Instant,
        metrics: &Metrics,
        sinks: &mut O,
    ) -> Result<(), SinkError> {
        let is_replay = match self.place(record, now, metrics) {
            batch_builder::Seen::Again => return Ok(()),
            batch_builder::Seen::Replay => true,
            batch_builder::Seen::New => false,
        };
        if !is_replay && self.reckoned != self.partitions {
            self.reckon(sinks)?;
        }
        let reading = match self.read(record) {
            Ok(reading) => reading,
            Err(_) if is_replay => return Ok(()),
            Err(unreadable) => return self.set_aside(record, &unreadable, now, sinks),
        };
        let learned = self.learn(record, &reading, is_replay, metrics);
        if is_replay {
            // Told already, by whoever owned the partition then.
            self.findings.clear();
            return Ok(());
        }
        count_oddities(metrics, learned.arrival, &reading);
        self.keep(record, &reading, &learned, now, sinks)
    }

    /// Step 1: whether its offset is new here, and what between the one before and it did not come.
    fn place(
        &mut self,
        record: &Record<'_>,
        now: Instant,
        metrics: &Metrics,
    ) -> batch_builder::Seen {
        let absent = self.builder.absent_before(record.offset, now);
        if absent > 0 {
            metrics.skipped.at(Skipped::Absent).inc_by(absent);
            let id = self.builder.id();
            tracing::debug!(partition = %id.assignment.partition, absent, offset = %record.offset, "offsets did not come");
        }
        self.builder.see(record.offset)
    }

    /// Step 2: the line that the record is, and its time.
    fn read<'a>(&self, record: &Record<'a>) -> Result<Reading<'a>, Unreadable> {
        let key = record
            .key
            .and_then(|key| std::str::from_utf8(key).ok())
            .filter(|key| !key.trim_ascii().is_empty());
        let context = RecordContext {
            key,
            kafka_time: record.kafka_time,
        };
        let line = decode(record.payload(), &context)?;
        let kafka_time = self.state.detectors.kafka_time();
        let (timestamp, source) = time_of(&line, record.kafka_time, kafka_time);
        Ok(Reading {
            line,
            timestamp,
            source,
            has_key: key.is_some(),
        })
    }

    /// Instead of steps 3 and 4, where it is no line.
    #[cold]
    fn set_aside<O: Sinks>(
        &mut self,
        record: &Record<'_>,
        why: &Unreadable,
        now: Instant,
        sinks: &mut O,
    ) -> Result<(), SinkError> {
        let id = self.builder.id();
        let acknowledgement = sinks.dead_letter(&id, record, why.reason, &why.error)?;
        let open = self.builder.open_for_letter(record, now);
        open.bytes += record.size() + LETTER_BYTES;
        open.acknowledgements.push(acknowledgement);
        Ok(())
    }

    /// Step 3: miner and detectors see the line. What they find waits in `findings` and `news`.
    fn learn(
        &mut self,
        record: &Record<'_>,
        reading: &Reading<'_>,
        is_replay: bool,
        metrics: &Metrics,
    ) -> Learned {
        let line = &reading.line;
        let service = reading.service();
        let template_id = self.mine(&line.message, service, is_replay, metrics);
        if let Some(following) = self.rules.as_mut().filter(|it| it.in_force.has_changed()) {
            following.rules = following.in_force.now();
        }
        let arrival = self.state.detectors.observe(
            &Observation {
                service,
                time: EventTime(reading.timestamp),
                kafka_time: record.kafka_time,
                offset: record.offset.raw(),
                is_error: line.is_error(),
                is_quiet: matches!(line.level, Level::Trace | Level::Debug),
                is_warning: line.level >= Level::Warn || line.is_error(),
                level: line.level as u8,
                message: &line.message,
                trace_id: &line.trace_id,
                latency_ms: line.latency_ms,
                template: template_id,
                lineage: Some(&Former(&self.state.miner)),
                rules: self.rules.as_ref().map(|it| &*it.rules),
                status: line.status,
                host: &line.host,
                address: &line.client_ip,
                user: &line.user,
            },
            &mut self.findings,
        );
        Learned {
            template_id,
            arrival,
        }
    }

    /// Step 4: its row, what was found and what is news of templates go into the open batch.
    fn keep<O: Sinks>(
        &mut self,
        record: &Record<'_>,
        reading: &Reading<'_>,
        learned: &Learned,
        now: Instant,
        sinks: &mut O,
    ) -> Result<(), SinkError> {
        let id = self.builder.id();
        let open = self.builder.open(record, now);
        if !self.news.is_empty() {
            open.bytes += self.news.size();
            open.rows.templates.append(std::mem::take(&mut self.news));
        }
        for finding in self.findings.drain(..) {
            let finding = with_text(finding, &self.state.miner);
            open.acknowledgements
                .push(sinks.announce(&id, finding, record.rest.traceparent())?);
        }
        open.bytes += record.payload().len();
        let line = &reading.line;
        open.rows.push(
            &LogRow {
                timestamp: reading.timestamp,
                timestamp_source: reading.source,
                service: reading.service(),
                level: line.level,
                is_error: line.is_error(),
                message: &line.message,
                template_id: learned.template_id,
                host: &line.host,
                trace_id: &line.trace_id,
                span_id: &line.span_id,
                latency_ms: line.latency_ms,
                status: line.status,
                client_ip: &line.client_ip,
                user: &line.user,
                late: learned.arrival == Arrival::Late,
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
        let id = self.state.miner.observe(message.as_bytes());
        let changes = self.state.miner.take_changes();
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
        let known = ever_known(&self.state);
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
        // Only while there is no batch to take them. No row refers to what was forgotten since, and
        // what is found again is said again.
        if self.news.texts().len() > 2 * self.templates() + MOST_WAITING {
            let templates = self.state.miner.templates();
            let known: HashSet<u64> = templates.map(|one| stored_id(one.id())).collect();
            self.news.retain(|id| known.contains(&id));
        }
    }

    /// The partition is at its end, and nothing came for so long.
    pub fn idle<O: Sinks>(&mut self, idle_for: Duration, sinks: &mut O) -> Result<(), SinkError> {
        if !self.builder.has_caught_up() {
            return Ok(());
        }
        self.reckon(sinks)?;
        let millis = i64::try_from(idle_for.as_millis()).unwrap_or(i64::MAX);
        self.state.detectors.idle(millis, &mut self.findings);
        self.tell(sinks)
    }

    /// Findings that no record raised.
    fn tell<O: Sinks>(&mut self, sinks: &mut O) -> Result<(), SinkError> {
        let id = self.builder.id();
        for finding in self.findings.drain(..) {
            let finding = with_text(finding, &self.state.miner);
            self.loose.push(sinks.announce(&id, finding, None)?);
        }
        Ok(())
    }
}

/// What the miner knows of a template's former ids.
struct Former<'a>(&'a Miner);

impl Lineage for Former<'_> {
    fn former(&self, template: u64) -> &[u64] {
        self.0.former(TemplateId(template))
    }
}

/// The detectors know a template by its id and by one of its lines: here is its text.
fn with_text(mut finding: Finding, miner: &Miner) -> Finding {
    if let Some(template) = &mut finding.subject.template
        && let Some(known) = miner.describe(TemplateId(template.id))
    {
        template.text = known.text;
    }
    finding
}

/// As in the tables, where 0 stands for lines that were not mined. No line is known that has it.
fn stored_id(id: TemplateId) -> u64 {
    id.0.max(1)
}

fn ever_known(state: &PartitionState) -> u64 {
    state.miner.len() as u64 + state.miner.evicted()
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

fn count_oddities(metrics: &Metrics, seen: Arrival, reading: &Reading<'_>) {
    let Reading { line, source, .. } = reading;
    let source = *source;
    let is_kafkas = |why: NoTime| source == TimestampSource::Kafka && line.no_time == why;
    let odd = [
        (seen == Arrival::Late, Oddity::Late),
        (seen == Arrival::Ahead, Oddity::Ahead),
        (is_kafkas(NoTime::Absent), Oddity::NoTimestamp),
        (is_kafkas(NoTime::Unreadable), Oddity::UnreadableTimestamp),
        (is_kafkas(NoTime::Implausible), Oddity::ImplausibleTimestamp),
        (source == TimestampSource::Clamped, Oddity::Clamped),
        (line.service_from != ServiceFrom::Name, Oddity::NoService),
        (!reading.has_key, Oddity::NoKey),
    ];
    for (_, oddity) in odd.into_iter().filter(|(is_so, _)| *is_so) {
        metrics.oddities.at(oddity).inc();
    }
}
