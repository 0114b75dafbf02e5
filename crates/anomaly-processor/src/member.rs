//! One member of the group: a consumer, the thread that polls it, and what that asks for.
//!
//! Invariant: the members of a process end together, whichever ends first and however.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use clickhouse_store::Client;
use kafka_io::{
    Connection,
    consumer::{GroupConsumer, Membership},
    insist::Insisting,
    producer::Producer,
    set_aside::SetAside,
    witness::Witness,
};
use service_kit::lifecycle::{Latch, Partitions, Tasks};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::{
    announce::Announcer,
    consumer_loop::{self, ConsumerLoop, ConsumerLoopError, Settings, Shares},
    metrics::Metrics,
    options::Options,
    outside::Outside,
    rules::InForce,
    run::RunError,
    sinks::KafkaSinks,
    startup::{KafkaAndClickHouse, Starter, Watch},
    store::Store,
};

/// The longest that a member's end waits for who still asks the brokers something, which takes some
/// milliseconds. Short: the members end one after the other, in what is left of the budget.
const LONGEST_QUESTION: Duration = Duration::from_millis(100);
/// The longest that the consumer loop waits for a record.
const LONGEST_POLL: Duration = Duration::from_millis(20);
/// A step that takes longer waits for a broker, in a call that ought not to.
const LONGEST_STEP: Duration = Duration::from_secs(8);
/// How often it is looked at, and after how many looks at the same step nobody believes any more that it ends:
/// two minutes. Looks, not time: a process that was stopped has not been looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const LAST_LOOK: u32 = 60;

/// What the members of the group in this process share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) connection: Connection,
    pub(crate) client: Client,
    pub(crate) store: Store,
    pub(crate) metrics: Metrics,
    pub(crate) tasks: Tasks,
    pub(crate) producer: Arc<Producer>,
    pub(crate) insisting: Insisting,
    pub(crate) witness: Arc<Witness>,
    /// Leave to ask Kafka where a partition begins.
    pub(crate) asking: Arc<Semaphore>,
    pub(crate) shares: Shares,
    /// What somebody wants to be told of.
    pub(crate) rules: Option<InForce>,
    /// One of them has ended: so do all.
    pub(crate) halt: Arc<AtomicBool>,
    pub(crate) members: usize,
}

pub(crate) struct Member {
    consumer: GroupConsumer,
    service: tokio::task::JoinHandle<()>,
    thread: std::thread::JoinHandle<()>,
    end: oneshot::Receiver<Result<(), ConsumerLoopError>>,
}

/// Ends all members when one ends, however it does.
struct Halting(Arc<AtomicBool>);

impl Drop for Halting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Member {
    pub(crate) fn start(
        shared: &Shared,
        number: usize,
        latch: Latch,
        partitions: Partitions,
    ) -> Result<Self, RunError> {
        let options = &shared.options;
        let metrics = shared.metrics.of_member();
        let consumer =
            GroupConsumer::join(&shared.connection, &membership(options, shared.members))?;
        let (requests, request_queue) = mpsc::unbounded_channel();
        let (answers, answer_queue) = mpsc::unbounded_channel();
        let topic = options.kafka.kafka_topic.as_str().to_owned();
        let group = options.kafka.kafka_group_id.as_str().to_owned();
        let consumer_loop = ConsumerLoop {
            source: consumer.clone(),
            sinks: KafkaSinks {
                producer: shared.insisting.clone(),
                announcer: Announcer::new(
                    shared.insisting.clone(),
                    shared.client.clone(),
                    options.kafka_anomalies_topic.as_str(),
                    metrics.clone(),
                ),
                dead_letter_topic: options.dead_letter_topic(),
                topic: topic.clone(),
                metrics: metrics.clone(),
            },
            metrics: metrics.clone(),
            settings: settings(shared),
            latch: latch.clone(),
            partitions,
            shares: shared.shares.another(),
            requests,
            answers: answer_queue,
            state: consumer_loop::State::at(Instant::now()),
        };
        let starter = Starter {
            sources: KafkaAndClickHouse {
                consumer: consumer.clone(),
                store: shared.client.clone(),
                group: group.clone(),
                asking: Arc::clone(&shared.asking),
                witness: Arc::clone(&shared.witness),
            },
            start: options.start(),
            on_gap: options.processor_on_gap,
            on_lost_state: options.processor_on_lost_state,
            replay_records: options.processor_replay_records.get(),
            detection: options.detection(),
            mining: options.mining(),
            watch: Watch::default(),
        };
        let outside = Outside {
            connection: shared.connection.clone(),
            answers,
            store: Arc::new(shared.store.of_member(number)),
            dead_letters: Arc::new(SetAside {
                connection: shared.connection.clone(),
                producer: shared.insisting.clone(),
                topic,
                dead_letter_topic: options.dead_letter_topic(),
            }),
            consumer: consumer.clone(),
            starter: Arc::new(starter),
            group,
            metrics: Arc::new(metrics),
            lease: options.insert_lease.get(),
        };
        let service = tokio::spawn(outside.serve(request_queue));

        let pulse = Arc::new(Mutex::new(Instant::now()));
        shared.tasks.spawn(
            "poll-watch",
            watch_pulse(Arc::clone(&pulse), latch, shared.tasks.clone()),
        );
        let polling = Polling {
            consumer_loop,
            tasks: shared.tasks.clone(),
            halting: Halting(Arc::clone(&shared.halt)),
            producer: Arc::clone(&shared.producer),
            budget: options.service.shutdown_budget.get().mul_f64(0.75),
            pulse,
        };
        let (ended, end) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name(format!("consumer-{number}"))
            .spawn(move || {
                let outcome = polling.until_stopped();
                // The receiver waits for nothing else.
                let _heard = ended.send(outcome);
            })
            .map_err(|error| RunError::Thread(format!("cannot be started: {error}")))?;
        Ok(Self {
            consumer,
            service,
            thread,
            end,
        })
    }

    pub(crate) async fn ended(self) -> Result<(), RunError> {
        let panicked = || RunError::Thread("panicked".to_owned());
        let outcome = self.end.await.map_err(|_| panicked());
        self.consumer.leave();
        self.service.abort();
        // Aborted, or it had ended.
        let _ended = self.service.await;
        self.thread.join().map_err(|_| panicked())?;
        // The group is left with the last hold on the consumer. Somebody may still ask the brokers something:
        // the process must not end before that, or the partitions are nobody's until the session is over.
        let deadline = Instant::now() + LONGEST_QUESTION;
        while !self.consumer.is_held_once() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(outcome??)
    }
}

/// What a member's thread does.
struct Polling {
    consumer_loop: ConsumerLoop<GroupConsumer, KafkaSinks>,
    tasks: Tasks,
    halting: Halting,
    producer: Arc<Producer>,
    budget: Duration,
    pulse: Arc<Mutex<Instant>>,
}

impl Polling {
    /// Steps until it is told to stop, then until its batches are complete.
    fn until_stopped(self) -> Result<(), ConsumerLoopError> {
        let Self {
            mut consumer_loop,
            tasks,
            halting,
            producer,
            budget,
            pulse,
        } = self;
        while !tasks.is_stopping() && !halting.0.load(Ordering::Acquire) {
            let now = Instant::now();
            *pulse.lock().unwrap_or_else(PoisonError::into_inner) = now;
            consumer_loop.step(now, LONGEST_POLL)?;
        }
        let deadline = Instant::now() + budget;
        consumer_loop.stop(Instant::now());
        while !consumer_loop.is_idle() && Instant::now() < deadline {
            consumer_loop.step(Instant::now(), Duration::from_millis(5))?;
        }
        if !consumer_loop.is_idle() {
            tracing::warn!(
                writers = consumer_loop.writers(),
                "stopped before everything was stored; it will be read again"
            );
        }
        let left = deadline
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(200));
        if let Err(error) = producer.flush(left) {
            tracing::warn!(%error, "stopped before every message was acknowledged; they will be sent again");
        }
        Ok(())
    }
}

/// The loop says how everything else is; that it does not come round, it cannot say.
async fn watch_pulse(
    pulse: Arc<Mutex<Instant>>,
    latch: Latch,
    tasks: Tasks,
) -> Result<(), RunError> {
    let mut stood_still = false;
    let (mut beat, mut looks) = (Instant::now(), 0);
    loop {
        tokio::select! {
            () = tasks.stopping() => return Ok(()),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let last = *pulse.lock().unwrap_or_else(PoisonError::into_inner);
        looks = if last == beat { looks + 1 } else { 0 };
        beat = last;
        let since = last.elapsed();
        if looks >= LAST_LOOK {
            // The thread cannot be ended. Whoever starts the process again has all it needs.
            return Err(RunError::StandsStill(since.as_secs()));
        }
        let stands_still = since >= LONGEST_STEP;
        if stands_still {
            latch.set_unready(format!(
                "the poll loop has been waiting for kafka for {} s",
                since.as_secs()
            ));
        }
        if stands_still && !stood_still {
            tracing::warn!(seconds = since.as_secs(), "the poll loop waits for kafka");
        }
        stood_still = stands_still;
    }
}

fn settings(shared: &Shared) -> Settings {
    let options = &shared.options;
    Settings {
        limits: options.limits(),
        in_flight_bytes: options.inflight_bytes.as_usize(),
        idle_timeout: options.detection_idle_timeout.get(),
        release_within: options.release_within.get(),
        snapshot_every: options.snapshot_interval.get(),
        rules: shared.rules.clone(),
    }
}

fn membership(options: &Options, members: usize) -> Membership {
    Membership {
        topic: options.kafka.kafka_topic.as_str().to_owned(),
        group: options.kafka.kafka_group_id.as_str().to_owned(),
        session_timeout: options.kafka_session_timeout.get(),
        assignor: options.kafka_assignor.text().to_owned(),
        protocol: options.kafka_group_protocol.text().to_owned(),
        members,
    }
}

#[cfg(test)]
mod tests {
    use service_kit::lifecycle::Readiness;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_step_that_does_not_end_ends_the_service_and_one_that_is_slow_does_not() {
        let pulse = Arc::new(Mutex::new(Instant::now()));
        let (readiness, tasks) = (Readiness::new(), Tasks::detached());
        let watch = watch_pulse(Arc::clone(&pulse), readiness.latch("kafka"), tasks);
        let watch = tokio::spawn(watch);
        tokio::time::sleep(LOOK_EVERY * (LAST_LOOK - 2)).await;
        *pulse.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        tokio::time::sleep(LOOK_EVERY * (LAST_LOOK - 2)).await;
        assert!(!watch.is_finished());
        tokio::time::sleep(LOOK_EVERY * 4).await;
        assert!(watch.is_finished());
        assert!(matches!(watch.await, Ok(Err(RunError::StandsStill(_)))));
    }
}
