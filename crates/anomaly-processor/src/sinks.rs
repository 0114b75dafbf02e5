//! From what a task says to Kafka and ClickHouse.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use contracts::dead_letter::Reason;
use detection::Finding;
use kafka_io::{
    dead_letters::{self, DeadLetter},
    insist::{Insisting, Witness},
};
use pipeline::{TaskId, batch::Acknowledgement, ports::Record};
use service_kit::lifecycle::Latch;
use tokio::sync::oneshot;

use crate::{
    announce::Announcer,
    metrics::{Ending, Metrics, Why},
    partition_task::{SinkError, Sinks},
};

/// The real ones.
pub struct KafkaSinks {
    pub producer: Insisting,
    pub announcer: Announcer,
    pub dead_letter_topic: String,
    pub topic: String,
    pub metrics: Metrics,
}

impl Sinks for KafkaSinks {
    fn dead_letter(
        &mut self,
        task: &TaskId,
        record: &Record<'_>,
        reason: Reason,
        error: &str,
    ) -> Result<Acknowledgement, SinkError> {
        self.metrics.records.at(Ending::DeadLettered).inc();
        self.metrics.dead_letters.at(why(reason)).inc();
        let letter = DeadLetter {
            topic: &self.topic,
            partition: task.assignment.partition,
            record,
            reason,
            error,
        };
        Ok(dead_letters::send(
            &self.producer,
            &self.dead_letter_topic,
            &letter,
        ))
    }

    fn announce(
        &mut self,
        task: &TaskId,
        finding: Finding,
        traceparent: Option<&str>,
    ) -> Result<Acknowledgement, SinkError> {
        self.announcer
            .announce(finding, &self.topic, *task, traceparent)
    }
}

/// Shows what Kafka refuses: it waits, and the partitions that it belongs to with it.
pub struct Refusals {
    latch: Latch,
    metrics: Metrics,
    said: Mutex<Option<Instant>>,
}

/// Between two lines in the log, however many messages wait.
const SAY_EVERY: Duration = Duration::from_secs(10);

impl Refusals {
    pub fn new(latch: Latch, metrics: Metrics) -> Self {
        Self {
            latch,
            metrics,
            said: Mutex::default(),
        }
    }

    fn is_to_be_said(&self) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let due = said.is_none_or(|at| at.elapsed() >= SAY_EVERY);
        if due {
            *said = Some(Instant::now());
        }
        due
    }
}

impl Witness for Refusals {
    fn cut(&self, topic: &str) {
        self.metrics.cut.inc();
        tracing::warn!(topic, "a message was cut: the topic takes none of its size");
    }

    fn waiting(&self, messages: usize, reason: Option<&str>) {
        self.metrics.refused.at(()).set(messages as f64);
        match reason {
            None => self.latch.set_ready(),
            Some(reason) => {
                self.latch
                    .set_unready(format!("{messages} messages wait: {reason}"));
                if self.is_to_be_said() {
                    tracing::error!(
                        messages,
                        reason,
                        "kafka refuses messages; they are sent again until it takes them, and what they belong to waits"
                    );
                }
            }
        }
    }
}

const fn why(reason: Reason) -> Why {
    match reason {
        Reason::Empty => Why::Empty,
        Reason::NotUtf8 => Why::NotUtf8,
        Reason::BrokenJson => Why::BrokenJson,
        Reason::NoMessage => Why::NoMessage,
        Reason::SeveralRecords => Why::SeveralRecords,
        Reason::TooLarge => Why::TooLarge,
        Reason::RejectedRow => Why::RejectedRow,
    }
}

/// Nobody listens and nothing is ever acknowledged: for measuring and testing a task by itself.
pub struct Closed;

impl Sinks for Closed {
    fn dead_letter(
        &mut self,
        _: &TaskId,
        _: &Record<'_>,
        _: Reason,
        _: &str,
    ) -> Result<Acknowledgement, SinkError> {
        Ok(oneshot::channel().1)
    }

    fn announce(
        &mut self,
        _: &TaskId,
        _: Finding,
        _: Option<&str>,
    ) -> Result<Acknowledgement, SinkError> {
        Ok(oneshot::channel().1)
    }
}
