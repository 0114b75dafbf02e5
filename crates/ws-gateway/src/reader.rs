//! Kafka to the log: every partition of the topic of anomalies, from as far back as is kept.
//!
//! Invariants: the log gets each partition's records in order and without a gap that Kafka did not
//! make itself; a topic that was deleted and made anew starts a new life of the log; Kafka being away
//! is waited out, and a consumer that has stopped without a word is replaced.

mod progress;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::{Anomaly, anomaly::SCHEMA_VERSION, topics::TRACEPARENT};
use kafka_io::{Connection, headers, probe, reader, refusal::Asker};
use pipeline::backoff::Backoff;
use rdkafka::consumer::StreamConsumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::types::RDKafkaErrorCode as Code;
use service_kit::{Tasks, telemetry};

use crate::health::Health;
use crate::log::{Appended, Log, Plan, Record, SharedLog};
use crate::metrics::{self, Metrics};
use crate::survey::{Survey, survey};
use progress::{Due, PATIENCE, Progress};

/// How often the topic's identity is looked at; sooner while something is wrong.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const LOOK_SOON: Duration = Duration::from_secs(1);
/// Somebody waits for it.
const LOOK_NOW: Duration = Duration::from_millis(100);

const STOPPED: &str = "anomalies that are in kafka do not arrive; the topic is read anew";

pub struct Reader {
    pub connection: Connection,
    pub client: Arc<Asker>,
    pub topic: String,
    pub keep: usize,
    pub log: Arc<SharedLog>,
    pub health: Health,
    pub metrics: Metrics,
}

/// Why reading has to begin again.
enum Interrupted {
    /// The topic is another, or has more partitions, or what we read next is gone, or nothing comes any more.
    Moved,
    Stopping,
}

impl Reader {
    /// Ends when the service stops.
    pub async fn run(mut self, tasks: Tasks) -> Result<(), Infallible> {
        let seed = u64::from(std::process::id());
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(2), seed);
        loop {
            let surveyed = tokio::select! {
                () = tasks.stopping() => return Ok(()),
                surveyed = survey(Arc::clone(&self.client), self.topic.clone()) => surveyed,
            };
            let opened = match surveyed {
                Ok(survey) => self.open(&survey).map(|consumer| (consumer, survey)),
                Err(error) => {
                    self.health.unwell(error.reason(), &error);
                    self.log.change(|log| {
                        let number = log.look();
                        log.looked(number, None);
                    });
                    None
                }
            };
            if let Some((consumer, survey)) = opened {
                backoff.reset();
                if let Interrupted::Stopping = self.follow(&consumer, survey, &tasks).await {
                    return Ok(());
                }
            }
            tokio::select! {
                () = tasks.stopping() => return Ok(()),
                () = tokio::time::sleep(backoff.delay()) => {}
            }
        }
    }

    fn open(&mut self, survey: &Survey) -> Option<StreamConsumer> {
        let from = self.log.change(|log| resume(log, survey, self.keep));
        match reader::open_with_ends(&self.connection, &self.topic, &from) {
            Ok(consumer) => Some(consumer),
            Err(error) => {
                self.health.unwell("the topic cannot be read", &error);
                None
            }
        }
    }

    async fn follow(
        &mut self,
        consumer: &StreamConsumer,
        survey: Survey,
        tasks: &Tasks,
    ) -> Interrupted {
        let mut goal = Some(survey.ends());
        let mut progress = Progress::of(self.log.read().next_offsets());
        self.check_goal(&mut goal, &progress);
        let mut look = pin!(self.look_after(LOOK_SOON));
        let mut is_looking_now = false;
        loop {
            tokio::select! {
                biased;
                () = tasks.stopping() => return Interrupted::Stopping,
                looked = &mut look => {
                    let (number, looked) = looked;
                    let ends = looked.as_ref().ok().map(Survey::ends);
                    self.log.change(|log| log.looked(number, ends));
                    let due = self.due(&mut progress, looked.as_ref().ok());
                    if due.waited >= PATIENCE {
                        let words = format!("{} offsets are there", due.offsets);
                        self.health.unwell(STOPPED, &words);
                        return Interrupted::Moved;
                    }
                    let wait = match looked {
                        Ok(now) if has_moved(&survey, &now) => return Interrupted::Moved,
                        Ok(_same) if goal.is_none() => {
                            self.health.well();
                            if due.offsets > 0 { LOOK_SOON } else { LOOK_EVERY }
                        }
                        Ok(_same) => LOOK_SOON,
                        Err(error) => {
                            self.health.unwell(error.reason(), &error);
                            LOOK_SOON
                        }
                    };
                    // Whoever came while it was being looked needs another one.
                    is_looking_now = self.log.is_doubted();
                    look.set(self.look_after(if is_looking_now { LOOK_NOW } else { wait }));
                }
                () = self.log.doubted(), if !is_looking_now => {
                    is_looking_now = true;
                    look.set(self.look_after(LOOK_NOW));
                }
                received = consumer.recv() => match received {
                    Ok(message) => {
                        self.take(&message, goal.is_none());
                        self.check_goal(&mut goal, &progress);
                    }
                    Err(KafkaError::PartitionEOF(partition)) => {
                        progress.is_at_end(partition);
                        self.check_goal(&mut goal, &progress);
                    }
                    Err(error) => {
                        if error.rdkafka_error_code().is_some_and(probe::is_about_a_batch) {
                            let passed = tokio::select! {
                                () = tasks.stopping() => return Interrupted::Stopping,
                                passed = self.pass_unreadable(survey.watermarks.len()) => passed,
                            };
                            if passed {
                                return Interrupted::Moved;
                            }
                            continue;
                        }
                        if is_out_of_range(&error) {
                            tracing::warn!(%error, "what was to be read next is gone, looking again");
                            return Interrupted::Moved;
                        }
                        self.health.unwell("kafka does not answer", &error);
                        if !is_looking_now {
                            look.set(self.look_after(LOOK_SOON));
                        }
                    }
                },
            }
        }
    }

    /// What is due after a look; of a look that nobody answered nothing is known.
    fn due(&self, progress: &mut Progress, looked: Option<&Survey>) -> Due {
        let Some(now) = looked else {
            progress.nobody_answered();
            return Due::default();
        };
        let due = progress.looked(self.log.read().next_offsets(), &now.ends(), Instant::now());
        self.metrics.due.set(due.offsets as f64);
        due
    }

    /// Finds the batch that cannot be decoded, and passes it. `false`: every one can be.
    async fn pass_unreadable(&self, partitions: usize) -> bool {
        let next = self.log.read().next_offsets().to_vec();
        let (connection, topic) = (self.connection.clone(), self.topic.clone());
        let looking = tokio::task::spawn_blocking(move || {
            let each = next.iter().take(partitions).enumerate();
            let examined = each.filter_map(|(partition, next)| {
                let place = (
                    pipeline::Partition(partition as i32),
                    pipeline::NextOffset::resume_at(pipeline::Offset::new(*next)),
                );
                probe::examine(&connection, &topic, place.0, place.1)
                    .map(|found| (partition, found))
            });
            examined.collect::<Vec<_>>()
        });
        let found = looking.await.unwrap_or_default();
        for (partition, batch) in &found {
            let offsets = (batch.end.raw() - batch.first.raw()).max(0);
            tracing::error!(partition, first = %batch.first, end = %batch.end, offsets, reason = batch.reason, "a batch of anomalies cannot be decoded and is passed");
            self.log.change(|log| log.pass(*partition, batch.end.raw()));
            let counted = self.metrics.records.at(metrics::Record::Undecodable);
            counted.inc_by(offsets.cast_unsigned());
        }
        !found.is_empty()
    }

    fn look_after(
        &self,
        wait: Duration,
    ) -> impl Future<Output = (u64, Result<Survey, crate::survey::SurveyError>)> + use<> {
        let (client, topic) = (Arc::clone(&self.client), self.topic.clone());
        let log = Arc::clone(&self.log);
        async move {
            tokio::time::sleep(wait).await;
            let number = log.change(Log::look);
            (number, survey(client, topic).await)
        }
    }

    /// Ready once everything is read that was there when reading began.
    fn check_goal(&mut self, goal: &mut Option<Vec<i64>>, progress: &Progress) {
        let Some(wanted) = goal else {
            return;
        };
        if !progress.has_read(self.log.read().next_offsets(), wanted) {
            return;
        }
        *goal = None;
        let kept = self.log.change(|log| {
            log.set_loaded();
            log.end() - log.base()
        });
        tracing::info!(kept, "the topic of anomalies is read up to its end");
        self.health.well();
    }

    fn take(&self, message: &BorrowedMessage<'_>, is_live: bool) {
        let partition = usize::try_from(message.partition()).unwrap_or(0);
        let offset = message.offset();
        let counted = match decode(message.payload()) {
            Ok((anomaly, document)) => {
                let header = traceparent_of(message).or(anomaly.traceparent.as_deref());
                // History was traced when it was new.
                let span = if is_live {
                    tracing::info_span!("fan out", id = %anomaly.id, partition, offset)
                } else {
                    tracing::Span::none()
                };
                if let Some(header) = header {
                    telemetry::link_parent(&span, header);
                }
                let _entered = span.enter();
                let ours = if is_live {
                    telemetry::current_traceparent()
                } else {
                    None
                };
                let record = Record {
                    partition,
                    offset,
                    anomaly: &anomaly,
                    document: &document,
                    traceparent: ours.as_deref().or(header),
                };
                match self.log.change(|log| log.append(&record)) {
                    Appended::Kept if anomaly.schema_version > SCHEMA_VERSION => {
                        metrics::Record::KeptNewer
                    }
                    Appended::Kept => metrics::Record::Kept,
                    Appended::Duplicate => metrics::Record::Duplicate,
                    Appended::Remembered => return,
                }
            }
            Err(error) => {
                tracing::warn!(partition, offset, %error, "not an anomaly, left out");
                self.log.change(|log| log.pass(partition, offset + 1));
                match error {
                    Unreadable::Newer(_) => metrics::Record::Newer,
                    Unreadable::Empty | Unreadable::Json(_) | Unreadable::NotText => {
                        metrics::Record::Unreadable
                    }
                }
            }
        };
        self.metrics.records.at(counted).inc();
        let log = self.log.read();
        self.metrics.kept.set((log.end() - log.base()) as f64);
        self.metrics.kept_bytes.set(log.bytes() as f64);
    }
}

/// Where to read on. A topic that is not the one of the log begins a new life.
fn resume(log: &mut Log, survey: &Survey, keep: usize) -> Vec<i64> {
    let is_known = log.generation() > 0 && log.topic() == survey.topic;
    let next = |partition: usize| log.next_offsets().get(partition).copied().unwrap_or(0);
    // A broker that lost its disk gives offsets a second time: that is another topic, too.
    let was_cut = is_known
        && survey
            .watermarks
            .iter()
            .enumerate()
            .any(|(partition, (_, high))| next(partition) > *high);
    if !is_known || was_cut {
        let plans: Vec<Plan> = survey
            .watermarks
            .iter()
            .map(|(low, high)| Plan::of(*low, *high, keep))
            .collect();
        let keep_from: Vec<i64> = plans.iter().map(|plan| plan.keep_from).collect();
        log.begin(survey.topic, &keep_from);
        tracing::info!(
            topic = format!("{:x}", survey.topic),
            partitions = plans.len(),
            "reading"
        );
        return plans.iter().map(|plan| plan.read_from).collect();
    }
    log.widen(survey.watermarks.len());
    for (partition, (low, _)) in survey.watermarks.iter().enumerate() {
        log.pass(partition, *low);
    }
    log.next_offsets().to_vec()
}

fn has_moved(before: &Survey, now: &Survey) -> bool {
    before.topic != now.topic || before.watermarks.len() != now.watermarks.len()
}

fn is_out_of_range(error: &KafkaError) -> bool {
    matches!(
        error,
        KafkaError::MessageConsumption(Code::OffsetOutOfRange | Code::AutoOffsetReset)
    )
}

fn traceparent_of<'a>(message: &'a BorrowedMessage<'_>) -> Option<&'a str> {
    std::str::from_utf8(headers::first(message.headers()?, TRACEPARENT)?).ok()
}

#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("it has no value")]
    Empty,
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("it is not UTF-8")]
    NotText,
    #[error(
        "its schema_version is {0}, and {SCHEMA_VERSION} is the newest that is known here: \
         this gateway is older than the processor"
    )]
    Newer(u64),
}

/// All that is asked of what may be anything.
#[derive(serde::Deserialize)]
struct Versioned {
    schema_version: u64,
}

impl Unreadable {
    fn of(text: &str, error: serde_json::Error) -> Self {
        match serde_json::from_str(text) {
            Ok(Versioned { schema_version }) if schema_version > u64::from(SCHEMA_VERSION) => {
                Self::Newer(schema_version)
            }
            _ => Self::Json(error),
        }
    }
}

/// The anomaly, and its JSON on one line.
fn decode(payload: Option<&[u8]>) -> Result<(Anomaly, std::borrow::Cow<'_, str>), Unreadable> {
    let payload = payload.ok_or(Unreadable::Empty)?;
    let text = std::str::from_utf8(payload).map_err(|_| Unreadable::NotText)?;
    let anomaly: Anomaly =
        serde_json::from_str(text).map_err(|error| Unreadable::of(text, error))?;
    // As it came, so that what a newer processor adds is passed on; line breaks would end an event.
    let document = if text.contains(['\n', '\r']) {
        serde_json::to_string(&anomaly)?.into()
    } else {
        text.trim().into()
    };
    Ok((anomaly, document))
}

#[cfg(test)]
mod tests;
