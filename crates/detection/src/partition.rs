//! The detectors of one Kafka partition: its services, each with its own stream time.
//!
//! Invariants:
//! - the answer depends on the records in order and on the idle ticks, on nothing else;
//! - services are bounded: past the bound the one seen longest ago is forgotten, and counted.

use hashbrown::HashMap;

use crate::{
    Config,
    finding::{Finding, SampleLine},
    service::Service,
    time::EventTime,
};

/// One record, as the detectors see it.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    pub service: &'a str,
    pub time: EventTime,
    /// The Kafka record's own time, ms: the pace of the partition, whatever the clocks of the
    /// services say.
    pub kafka_time: i64,
    pub offset: i64,
    pub is_error: bool,
    /// The level's number on the wire, for samples.
    pub level: u8,
    pub message: &'a str,
    pub trace_id: &'a str,
}

/// Whether a record came in time to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    InTime,
    Late,
}

/// Bytes of a sample line's message that are kept.
const SAMPLE_BYTES: usize = 1024;
/// Bytes of a sample line's trace id that are kept: whatever a sender puts there, samples stay small.
const TRACE_ID_BYTES: usize = 128;
/// How often, in ms of Kafka time, silent services are looked for.
const SWEEP_MS: i64 = 1000;

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

impl Observation<'_> {
    pub(crate) fn line(&self) -> SampleLine {
        SampleLine {
            time: self.time,
            offset: self.offset,
            level: self.level,
            message: cut(self.message, SAMPLE_BYTES).to_owned(),
            trace_id: cut(self.trace_id, TRACE_ID_BYTES).to_owned(),
        }
    }

    /// Keeps the newest `most` lines, oldest first, reusing their buffers.
    pub(crate) fn keep_in(&self, lines: &mut Vec<SampleLine>, most: usize) {
        if lines.len() < most {
            lines.push(self.line());
            return;
        }
        lines.rotate_left(1);
        if let Some(line) = lines.last_mut() {
            line.time = self.time;
            line.offset = self.offset;
            line.level = self.level;
            line.message.clear();
            line.message.push_str(cut(self.message, SAMPLE_BYTES));
            line.trace_id.clear();
            line.trace_id.push_str(cut(self.trace_id, TRACE_ID_BYTES));
        }
    }
}

#[derive(Debug, Clone)]
pub struct PartitionDetectors {
    config: Config,
    /// Looked up by name; walked only through `names`, in order.
    services: HashMap<Box<str>, Service>,
    /// In order of first sight: every walk over the services is in this order.
    names: Vec<Box<str>>,
    /// Newest Kafka time seen, ms.
    kafka_time: i64,
    swept_at: i64,
    evicted: u64,
}

impl PartitionDetectors {
    pub fn new(config: Config) -> Self {
        Self {
            config,
            services: HashMap::new(),
            names: Vec::new(),
            kafka_time: i64::MIN,
            swept_at: i64::MIN,
            evicted: 0,
        }
    }

    /// Feeds one record; findings are appended.
    pub fn observe(&mut self, seen: &Observation<'_>, findings: &mut Vec<Finding>) -> Seen {
        if seen.kafka_time > self.kafka_time {
            self.kafka_time = seen.kafka_time;
            if self.swept_at == i64::MIN {
                self.swept_at = seen.kafka_time;
            }
            if seen.kafka_time - self.swept_at >= SWEEP_MS {
                self.sweep(seen.kafka_time, findings);
            }
        }
        if let Some(service) = self.services.get_mut(seen.service) {
            return service.observe(seen, findings);
        }
        if self.services.len() >= self.config.max_services {
            self.evict();
        }
        let mut service = Service::first_seen(seen.time, seen.kafka_time, &self.config);
        let answer = service.observe(seen, findings);
        self.services.insert(seen.service.into(), service);
        self.names.push(seen.service.into());
        answer
    }

    /// The partition is at its end and the broker answers: `kafka_now` ms have come without a
    /// record. What this closes, a replay closes by the same times.
    pub fn idle(&mut self, kafka_now: i64, findings: &mut Vec<Finding>) {
        if self.kafka_time != i64::MIN && kafka_now > self.kafka_time {
            self.kafka_time = kafka_now;
            self.sweep(kafka_now, findings);
        }
    }

    pub fn services(&self) -> usize {
        self.services.len()
    }

    /// Services forgotten because there were too many.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// A service that has been silent while its neighbours wrote for longer than window and grace
    /// moves on with them: silence is a fact about time, not about the next record.
    fn sweep(&mut self, kafka_now: i64, findings: &mut Vec<Finding>) {
        self.swept_at = kafka_now;
        let patience = self.config.window_ms + self.config.grace_ms;
        for name in &self.names {
            if let Some(service) = self.services.get_mut(name)
                && kafka_now - service.kafka_time > patience
            {
                service.advance(name, kafka_now - self.config.grace_ms, findings);
            }
        }
    }

    fn evict(&mut self) {
        let oldest = self
            .names
            .iter()
            .enumerate()
            .min_by_key(|(_, name)| {
                self.services
                    .get(*name)
                    .map(|service| (service.is_anomalous(), service.kafka_time))
            })
            .map(|(at, _)| at);
        if let Some(at) = oldest {
            let name = self.names.remove(at);
            self.services.remove(&name);
            self.evicted += 1;
        }
    }
}
