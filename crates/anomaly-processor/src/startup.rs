//! Where a newly assigned partition begins. Everything here asks Kafka or ClickHouse and may take
//! its time: it runs beside the poll loop, never inside the rebalance callback.

use std::time::Duration;

use clickhouse_store::{Client, questions};
use kafka_io::{consumer::GroupConsumer, topic_id};
use pipeline::{Assignment, Incarnation, Intent, NextOffset, Offset, intent::BadIntent};

use crate::{
    lane::Beginning,
    options::{OnGap, Start},
};

const LIMIT: Duration = Duration::from_secs(10);

/// What the start of a partition found.
#[derive(Debug, Clone)]
pub struct Started {
    pub assignment: Assignment,
    pub incarnation: Incarnation,
    pub beginning: Beginning,
    /// Records that were deleted before anybody read them.
    pub gap: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Kafka(#[from] kafka_io::Error),
    #[error("kafka: {0}")]
    Client(#[from] rdkafka::error::KafkaError),
    #[error(transparent)]
    Store(#[from] clickhouse_store::Error),
    #[error(transparent)]
    Intent(#[from] BadIntent),
    #[error("{0} records were deleted before they were read, and PROCESSOR_ON_GAP is stop")]
    Gap(i64),
}

/// What decides where to begin.
#[derive(Clone)]
pub struct Starter {
    pub consumer: GroupConsumer,
    pub store: Client,
    pub group: String,
    pub start: Start,
    pub on_gap: OnGap,
    pub replay_records: i64,
}

impl Starter {
    pub async fn start(&self, assignment: Assignment) -> Result<Started, StartError> {
        let consumer = self.consumer.clone();
        let partition = assignment.partition;
        let asked = tokio::task::spawn_blocking(move || {
            let topic_id = topic_id::fetch(consumer.client(), consumer.topic(), LIMIT)?;
            let committed = consumer.committed(partition, LIMIT)?;
            let watermarks = consumer.watermarks(partition, LIMIT)?;
            Ok::<_, StartError>((topic_id, committed, watermarks))
        })
        .await;
        let (topic_id, committed, (low, high)) = match asked {
            Ok(answer) => answer?,
            Err(_) => {
                return Err(StartError::Client(rdkafka::error::KafkaError::Canceled));
            }
        };
        let incarnation = Incarnation::of(topic_id, &self.group);
        let facts = match committed {
            Some(committed) if committed.next.raw() <= high => Facts {
                from: Some(committed.next.raw()),
                intent: Intent::decode(&committed.metadata, committed.next)?,
                low,
                high,
            },
            // None, or one that lies past the end (another life of the topic): the store knows.
            _ => Facts {
                from: questions::next_offset(&self.store, &incarnation.to_string(), partition.0)
                    .await?,
                intent: None,
                low,
                high,
            },
        };
        let (beginning, gap) = decide(facts, self.start, self.replay_records);
        if gap > 0 && self.on_gap == OnGap::Stop {
            return Err(StartError::Gap(gap));
        }
        Ok(Started {
            assignment,
            incarnation,
            beginning,
            gap,
        })
    }
}

/// What Kafka and the store say of a partition.
#[derive(Debug, Clone, Copy)]
struct Facts {
    /// Where the work stands: committed, or past what is stored. `None`: nobody was here before.
    from: Option<i64>,
    intent: Option<Intent>,
    low: i64,
    high: i64,
}

/// The beginning, and how many records are gone for good. A pure function of the facts.
fn decide(facts: Facts, start: Start, replay_records: i64) -> (Beginning, i64) {
    let next = |raw| NextOffset::resume_at(Offset::new(raw));
    let from = facts.from.unwrap_or(match start {
        Start::Earliest => facts.low,
        Start::Latest => facts.high,
    });
    let gap = (facts.low - from).max(0);
    let take_from = from.clamp(facts.low, facts.high.max(facts.low));
    // An announced block whose first records are gone can't be made again as it was; what is left
    // of it is settled by its own count.
    let announced_end = facts
        .intent
        .map(|intent| intent.end)
        .filter(|end| gap == 0 && end.raw() <= facts.high);
    let replay_from = (take_from - replay_records).max(facts.low).min(take_from);
    (
        Beginning {
            replay_from: next(replay_from),
            take_from: next(take_from),
            announced_end,
        },
        gap,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        from: Option<i64>,
        intent: Option<i64>,
        low: i64,
        high: i64,
        start: Start,
        expected: (i64, i64, Option<i64>, i64),
    ) {
        let end = |raw| Intent {
            end: NextOffset::resume_at(Offset::new(raw)),
        };
        let (beginning, gap) = decide(
            Facts {
                from,
                intent: intent.map(end),
                low,
                high,
            },
            start,
            100,
        );
        let told = (
            beginning.replay_from.raw(),
            beginning.take_from.raw(),
            beginning.announced_end.map(NextOffset::raw),
            gap,
        );
        assert_eq!(told, expected);
    }

    #[test]
    fn begins_where_the_work_stands_and_says_what_is_gone() {
        // from, intent, low, high → replay from, take from, announced end, gap
        check(None, None, 0, 500, Start::Earliest, (0, 0, None, 0));
        check(None, None, 20, 500, Start::Earliest, (20, 20, None, 0));
        check(None, None, 0, 500, Start::Latest, (400, 500, None, 0));
        check(
            Some(300),
            None,
            0,
            500,
            Start::Earliest,
            (200, 300, None, 0),
        );
        check(
            Some(300),
            Some(350),
            0,
            500,
            Start::Earliest,
            (200, 300, Some(350), 0),
        );
        check(Some(50), None, 0, 500, Start::Earliest, (0, 50, None, 0));
        check(
            Some(50),
            Some(90),
            80,
            500,
            Start::Earliest,
            (80, 80, None, 30),
        );
        check(Some(0), None, 0, 0, Start::Earliest, (0, 0, None, 0));
    }
}
