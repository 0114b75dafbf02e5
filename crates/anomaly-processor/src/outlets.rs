//! From what a lane says to Kafka and ClickHouse.

use std::sync::Arc;

use contracts::dead_letter::Reason;
use detection::Finding;
use kafka_io::{
    dead_letters::{self, DeadLetter},
    producer::Producer,
};
use pipeline::{LaneId, block::Acknowledgement, ports::Record};
use tokio::sync::oneshot;

use crate::{
    announce::Announcer,
    lane::{OutletError, Outlets},
    metrics::{Ending, Metrics, Why},
};

/// The real outlets.
pub struct Doors {
    pub producer: Arc<Producer>,
    pub announcer: Announcer,
    pub dead_letter_topic: String,
    pub topic: String,
    pub metrics: Metrics,
}

impl Outlets for Doors {
    fn dead_letter(
        &mut self,
        lane: &LaneId,
        record: &Record<'_>,
        reason: Reason,
        error: &str,
    ) -> Result<Acknowledgement, OutletError> {
        self.metrics.records.at(Ending::DeadLettered).inc();
        self.metrics.dead_letters.at(why(reason)).inc();
        let letter = DeadLetter {
            topic: &self.topic,
            partition: lane.assignment.partition,
            offset: record.offset,
            key: record.key,
            payload: record.payload,
            reason,
            error,
            traceparent: record.traceparent.map(str::as_bytes),
        };
        dead_letters::send(&self.producer, &self.dead_letter_topic, &letter)
            .map_err(|error| OutletError(format!("dead letter: {error}")))
    }

    fn announce(
        &mut self,
        lane: &LaneId,
        finding: Finding,
        traceparent: Option<&str>,
    ) -> Result<Acknowledgement, OutletError> {
        self.announcer
            .announce(finding, &self.topic, *lane, traceparent)
    }
}

const fn why(reason: Reason) -> Why {
    match reason {
        Reason::Empty => Why::Empty,
        Reason::NotUtf8 => Why::NotUtf8,
        Reason::BrokenJson => Why::BrokenJson,
        Reason::NoMessage => Why::NoMessage,
        Reason::RejectedRow => Why::RejectedRow,
    }
}

/// Nobody listens and nothing is ever acknowledged: for measuring and testing a lane by itself.
pub struct Closed;

impl Outlets for Closed {
    fn dead_letter(
        &mut self,
        _: &LaneId,
        _: &Record<'_>,
        _: Reason,
        _: &str,
    ) -> Result<Acknowledgement, OutletError> {
        Ok(oneshot::channel().1)
    }

    fn announce(
        &mut self,
        _: &LaneId,
        _: Finding,
        _: Option<&str>,
    ) -> Result<Acknowledgement, OutletError> {
        Ok(oneshot::channel().1)
    }
}
