//! What ClickHouse and the dead-letter topic tell, asked once for everybody.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use clickhouse_store::{Client, questions};
use contracts::rest::{Summary, Volume};
use kafka_io::topics;
use rdkafka::consumer::BaseConsumer;

use crate::cached::Cached;
use crate::refusal::Refusal;

const FRESH_FOR: Duration = Duration::from_secs(2);
/// A question that takes longer is answered with 503.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const KAFKA_WITHIN: Duration = Duration::from_secs(2);

pub struct Stored {
    clickhouse: Client,
    dead_letters: DeadLetters,
    summary: Cached<(), Summary>,
    volume: Cached<(u32, String), Arc<Volume>>,
}

impl Stored {
    pub fn new(clickhouse: Client, dead_letters: DeadLetters) -> Self {
        Self {
            clickhouse,
            dead_letters,
            summary: Cached::new(FRESH_FOR),
            volume: Cached::new(FRESH_FOR),
        }
    }

    pub async fn summary(&self) -> Result<Summary, Refusal> {
        let ask = async || {
            let (summary, dead_lettered) = futures::join!(
                in_time(questions::summary(&self.clickhouse)),
                self.dead_letters.count()
            );
            Ok(Summary {
                dead_lettered: dead_lettered?,
                ..summary?
            })
        };
        self.summary.get((), ask).await
    }

    pub async fn volume(&self, minutes: u32, service: &str) -> Result<Arc<Volume>, Refusal> {
        let ask = async || {
            let of = Some(service).filter(|service| !service.is_empty());
            let bucket = bucket_seconds(minutes);
            in_time(questions::volume(&self.clickhouse, minutes, bucket, of))
                .await
                .map(Arc::new)
        };
        self.volume.get((minutes, service.to_owned()), ask).await
    }
}

async fn in_time<T>(
    question: impl Future<Output = Result<T, clickhouse_store::Error>>,
) -> Result<T, Refusal> {
    match tokio::time::timeout(ANSWER_WITHIN, question).await {
        Ok(answer) => answer.map_err(Refusal::from),
        Err(_late) => Err(Refusal::Unavailable {
            code: "clickhouse_unavailable",
            message: format!(
                "ClickHouse did not answer within {} s",
                ANSWER_WITHIN.as_secs()
            ),
        }),
    }
}

/// So that a chart has some hundred points.
fn bucket_seconds(minutes: u32) -> u32 {
    match minutes {
        ..=60 => 10,
        61..=360 => 60,
        _ => 300,
    }
}

/// Counts the dead letters by their offsets: nothing is read.
pub struct DeadLetters {
    client: Arc<BaseConsumer>,
    topic: String,
    /// The count stands still while Kafka is away, rather than taking the rest of the answer along.
    last: std::sync::Mutex<Option<u64>>,
}

impl DeadLetters {
    pub fn new(client: Arc<BaseConsumer>, topic: String) -> Self {
        Self {
            client,
            topic,
            last: std::sync::Mutex::default(),
        }
    }

    async fn count(&self) -> Result<u64, Refusal> {
        let (client, topic) = (Arc::clone(&self.client), self.topic.clone());
        let asked =
            tokio::task::spawn_blocking(move || topics::watermarks(&client, &topic, KAFKA_WITHIN));
        let counted = match asked.await {
            // A topic that does not exist holds nothing.
            Ok(Ok(watermarks)) => {
                let lengths = watermarks
                    .unwrap_or_default()
                    .into_iter()
                    .map(|(low, high)| high - low);
                Some(
                    lengths
                        .map(|length| u64::try_from(length).unwrap_or(0))
                        .sum(),
                )
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "dead letters were not counted");
                None
            }
            Err(_stopping) => None,
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.is_some() {
            *last = counted;
        }
        last.ok_or_else(|| Refusal::Unavailable {
            code: "kafka_unavailable",
            message: "Kafka does not answer, so dead letters cannot be counted; try again"
                .to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_spans_have_wider_buckets() {
        for (minutes, seconds) in [
            (1, 10),
            (60, 10),
            (61, 60),
            (360, 60),
            (361, 300),
            (10_080, 300),
        ] {
            assert_eq!(bucket_seconds(minutes), seconds, "{minutes}");
        }
    }
}
