//! What the consumer loop asks for, done beside it.
//!
//! Invariants: every question has an end; of the questions that block a thread, a bounded number is under
//! way; a start that nobody waits for any more ends.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use kafka_io::{Connection, consumer::GroupConsumer, probe, set_aside::SetAside, topic_id};
use pipeline::{
    Assignment, Incarnation, NextOffset, Partition, TaskId, Work,
    backoff::Backoff,
    writer::{self, Ledger},
};
use tokio::sync::{Notify, Semaphore, mpsc};

use crate::{
    clock::BootClock,
    consumer_loop::{Answer, Ends, Request},
    metrics::Metrics,
    startup::{KafkaAndClickHouse, Starter},
    store::Store,
};

/// How often it is asked what the topic is.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// For that answer.
const LOOK_LIMIT: Duration = Duration::from_secs(5);
/// For the ends of one partition, and of all of them.
const END_LIMIT: Duration = Duration::from_millis(500);
const ENDS_LIMIT: Duration = Duration::from_secs(5);

pub(crate) struct Outside {
    pub(crate) answers: mpsc::UnboundedSender<Answer>,
    pub(crate) store: Arc<Store>,
    pub(crate) dead_letters: Arc<SetAside>,
    pub(crate) consumer: GroupConsumer,
    pub(crate) starter: Arc<Starter<KafkaAndClickHouse>>,
    pub(crate) group: String,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) lease: Duration,
    pub(crate) connection: Connection,
}

impl Outside {
    pub(crate) async fn serve(self, mut requests: mpsc::UnboundedReceiver<Request>) {
        let look = Arc::new(Notify::new());
        let watching = tokio::spawn(watch_topic(
            self.consumer.clone(),
            self.group.clone(),
            self.answers.clone(),
            Arc::clone(&look),
        ));
        let asking_ends = Arc::new(AskingEnds {
            turn: Arc::new(Semaphore::new(1)),
            first: AtomicUsize::new(0),
        });
        while let Some(request) = requests.recv().await {
            match request {
                Request::Start {
                    assignment,
                    after,
                    wanted,
                } => {
                    let (starter, answers) = (Arc::clone(&self.starter), self.answers.clone());
                    tokio::spawn(async move {
                        tokio::select! {
                            () = start(&starter, assignment, after, answers) => {}
                            // Dropped: it was begun anew, or is not ours any more.
                            _ = wanted => {}
                        }
                    });
                }
                Request::Write { id, ledger, work } => self.write(id, *ledger, work),
                Request::Ends {
                    partitions,
                    unread,
                    asked_at,
                } => {
                    // While the last question has no answer there is no other: it comes again.
                    let Ok(turn) = Arc::clone(&asking_ends.turn).try_acquire_owned() else {
                        continue;
                    };
                    let (consumer, answers) = (self.consumer.clone(), self.answers.clone());
                    let first = asking_ends.first.fetch_add(1, Ordering::Relaxed);
                    tokio::task::spawn_blocking(move || {
                        ask_ends(&consumer, partitions, first, &unread, asked_at, &answers);
                        drop(turn);
                    });
                }
                Request::Examine(suspects) => {
                    let (connection, answers) = (self.connection.clone(), self.answers.clone());
                    let topic = self.consumer.topic().to_owned();
                    tokio::task::spawn_blocking(move || {
                        examine(&connection, &topic, suspects, &answers);
                    });
                }
                Request::Look => look.notify_one(),
            }
        }
        watching.abort();
    }

    fn write(
        &self,
        id: TaskId,
        ledger: Ledger,
        work: mpsc::Receiver<Work<clickhouse_store::LogRows>>,
    ) {
        let writer = writer::Writer {
            id,
            store: Arc::clone(&self.store),
            commits: Arc::new(self.consumer.clone()),
            dead_letters: Arc::clone(&self.dead_letters),
            clock: Arc::new(BootClock),
            metrics: Arc::clone(&self.metrics),
            ledger,
            lease: self.lease,
        };
        let (finished, mut notes) = mpsc::unbounded_channel();
        let (answers, metrics) = (self.answers.clone(), Arc::clone(&self.metrics));
        tokio::spawn(async move {
            let writing = writer.run(work, finished);
            let forwarding = async {
                while let Some(note) = notes.recv().await {
                    // Nobody waits for the budget of a consumer loop that has ended.
                    let _gone = answers.send(Answer::Finished(note));
                }
            };
            let (outcome, ()) = tokio::join!(writing, forwarding);
            metrics.troubles.forget(id);
            match outcome {
                Ok(()) => {}
                Err(writer::Ended::Fenced(fenced)) => tracing::info!(%fenced, "writer ended"),
                Err(ended) => drop(answers.send(Answer::Broken(ended.to_string()))),
            }
            drop(answers.send(Answer::WriterEnded(id)));
        });
    }
}

/// One question about ends at a time; each begins with another partition, so that some whose broker
/// does not answer don't use up the time of the same others every time.
struct AskingEnds {
    turn: Arc<Semaphore>,
    first: AtomicUsize,
}

async fn start(
    starter: &Starter<KafkaAndClickHouse>,
    assignment: Assignment,
    after: Duration,
    answers: mpsc::UnboundedSender<Answer>,
) {
    let mut backoff = Backoff::new(
        Duration::from_millis(200),
        Duration::from_secs(5),
        assignment.partition.0.cast_unsigned().into(),
    );
    let mut said = String::new();
    tokio::time::sleep(after).await;
    while !answers.is_closed() {
        match starter.start(assignment).await {
            Ok(started) => {
                // The consumer loop may have ended.
                let _gone = answers.send(Answer::Started(Box::new(started)));
                return;
            }
            Err(error) => {
                let why = error.to_string();
                // Once per reason: the state of the partition says it for as long as it lasts.
                if said != why {
                    tracing::warn!(partition = %assignment.partition, error = why, "cannot begin yet");
                    said.clone_from(&why);
                }
                let _gone = answers.send(Answer::CannotBegin(assignment, why));
                tokio::time::sleep(backoff.delay()).await;
            }
        }
    }
}

/// One after the other: each may unpack a batch that is as large as can be.
fn examine(
    connection: &Connection,
    topic: &str,
    suspects: Vec<(TaskId, NextOffset)>,
    answers: &mpsc::UnboundedSender<Answer>,
) {
    for (id, next) in suspects {
        let found = probe::examine(connection, topic, id.assignment.partition, next);
        let Some(found) = found else { continue };
        // The consumer loop may have ended.
        let _gone = answers.send(Answer::Unreadable {
            id,
            first: next,
            end: found.end,
            reason: found.reason,
        });
    }
    let _gone = answers.send(Answer::Examined);
}

/// What is not known is left out. No answer is an answer too: the consumer loop asks again.
fn ask_ends(
    consumer: &GroupConsumer,
    mut partitions: Vec<Partition>,
    first: usize,
    unread: &[Partition],
    asked_at: Instant,
    answers: &mpsc::UnboundedSender<Answer>,
) {
    let deadline = Instant::now() + ENDS_LIMIT;
    let mut ends = BTreeMap::new();
    let middle = first % partitions.len().max(1);
    partitions.rotate_left(middle);
    for partition in partitions {
        if Instant::now() >= deadline {
            break;
        }
        match consumer.watermarks(partition, END_LIMIT) {
            Ok(found) => drop(ends.insert(partition, found)),
            Err(error) => tracing::debug!(%partition, %error, "its end is not known"),
        }
    }
    let committed = if unread.is_empty() {
        BTreeMap::new()
    } else {
        consumer
            .committed_offsets(unread, END_LIMIT)
            .unwrap_or_default()
    };
    // The consumer loop may have ended.
    let _gone = answers.send(Answer::Ends(Ends {
        asked_at,
        ends,
        committed,
    }));
}

/// Notices a topic that was made anew while its offsets still look right, partitions that were added or
/// are gone, and brokers that accept and never answer.
async fn watch_topic(
    consumer: GroupConsumer,
    group: String,
    answers: mpsc::UnboundedSender<Answer>,
    look: Arc<Notify>,
) {
    while !answers.is_closed() {
        // Asked for or not, it is asked once a second at the most: the consumer loop asks no more often.
        let _either = tokio::time::timeout(LOOK_EVERY, look.notified()).await;
        let asking = consumer.clone();
        let asked = tokio::task::spawn_blocking(move || {
            topic_id::describe(asking.client(), asking.topic(), LOOK_LIMIT)
        });
        let Ok(described) = asked.await else { return };
        // The consumer loop may have ended.
        let _gone = answers.send(match described {
            Ok(topic) => Answer::Topic {
                incarnation: Incarnation::of(topic.id, &group),
                partitions: topic.partitions,
                leaderless: topic.leaderless,
            },
            Err(kafka_io::Error::Missing { .. }) => Answer::NoTopic,
            Err(error) => Answer::NoAnswer(error.to_string()),
        });
    }
}
