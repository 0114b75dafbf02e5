//! What ClickHouse and the dead-letter topic tell, asked once for everybody.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use clickhouse_store::{Client, questions};
use contracts::rest::{Summary, Volume, VolumePoint};
use kafka_io::{refusal::Asker, topics};

use crate::cached::Cached;
use crate::refusal::Refusal;
use crate::turns::Turns;

/// A question that takes longer is answered with 503.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const KAFKA_WITHIN: Duration = Duration::from_secs(2);

pub struct Stored {
    clickhouse: Client,
    turns: Turns,
    dead_letters: Arc<DeadLetters>,
    summary: Cached<(), Summary>,
    points: Cached<(u32, String), Arc<Vec<VolumePoint>>>,
    services: Cached<u32, Arc<Vec<String>>>,
}

impl Stored {
    /// `most`: questions under way at a time.
    pub fn new(clickhouse: &Client, most: usize, dead_letters: DeadLetters) -> Self {
        Self {
            clickhouse: clickhouse.for_questions(ANSWER_WITHIN),
            turns: Turns::new(most),
            dead_letters: Arc::new(dead_letters),
            summary: Cached::default(),
            points: Cached::default(),
            services: Cached::default(),
        }
    }

    pub async fn summary(&self) -> Result<Summary, Refusal> {
        let ask = || {
            let dead_letters = Arc::clone(&self.dead_letters);
            let stored = self.ask(async |client| questions::summary(&client).await);
            async move {
                let (summary, dead_lettered) = futures::join!(stored, dead_letters.count());
                Ok(Summary {
                    dead_lettered: dead_lettered?,
                    ..summary?
                })
            }
        };
        self.summary.get((), fresh_for(0), ask).await
    }

    pub async fn volume(&self, minutes: u32, service: &str) -> Result<Volume, Refusal> {
        let (points, services) =
            futures::join!(self.points(minutes, service), self.services(minutes));
        Ok(Volume {
            bucket_seconds: bucket_seconds(minutes),
            points: points?.to_vec(),
            services: services?.to_vec(),
        })
    }

    async fn points(&self, minutes: u32, service: &str) -> Result<Arc<Vec<VolumePoint>>, Refusal> {
        let key = (minutes, service.to_owned());
        let ask = || {
            let service = service.to_owned();
            self.ask(async move |client| {
                let of = Some(service.as_str()).filter(|service| !service.is_empty());
                let bucket = bucket_seconds(minutes);
                let points = questions::volume(&client, minutes, bucket, of).await?;
                Ok(Arc::new(points))
            })
        };
        self.points.get(key, fresh_for(minutes), ask).await
    }

    /// Those of the last hour at least.
    async fn services(&self, minutes: u32) -> Result<Arc<Vec<String>>, Refusal> {
        let minutes = minutes.max(60);
        let ask = || {
            self.ask(async move |client| questions::services(&client, minutes).await.map(Arc::new))
        };
        self.services.get(minutes, fresh_for(minutes), ask).await
    }

    /// A question, when it is its turn. It is ClickHouse's no more when this is dropped.
    fn ask<T, F, Q>(&self, question: Q) -> impl Future<Output = Result<T, Refusal>> + use<T, F, Q>
    where
        Q: FnOnce(Client) -> F,
        F: Future<Output = Result<T, clickhouse_store::Error>>,
    {
        let (turns, question) = (self.turns.clone(), question(self.clickhouse.clone()));
        async move {
            let turn = turns.take().await?;
            let answer = in_time(question).await;
            drop(turn);
            answer
        }
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

/// The longer a span is, the less a moment changes, and the more asking costs.
fn fresh_for(minutes: u32) -> Duration {
    Duration::from_secs(match minutes {
        ..=60 => 2,
        61..=360 => 5,
        _ => 15,
    })
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
    client: Arc<Asker>,
    topic: String,
    /// One look at a time, also when nobody waits for it any more: it holds a thread.
    looking: Arc<tokio::sync::Semaphore>,
    /// The count stands still while Kafka is away, rather than taking the rest of the answer along.
    last: std::sync::Mutex<Option<u64>>,
}

impl DeadLetters {
    pub fn new(client: Arc<Asker>, topic: String) -> Self {
        Self {
            client,
            topic,
            looking: Arc::new(tokio::sync::Semaphore::new(1)),
            last: std::sync::Mutex::default(),
        }
    }

    async fn count(&self) -> Result<u64, Refusal> {
        let (client, topic) = (Arc::clone(&self.client), self.topic.clone());
        let looking = Arc::clone(&self.looking).acquire_owned().await;
        let asked = tokio::task::spawn_blocking(move || {
            let _looking = looking;
            topics::watermarks(&client, &topic, KAFKA_WITHIN)
        });
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
