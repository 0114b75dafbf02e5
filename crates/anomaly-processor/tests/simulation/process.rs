//! One simulated process: the shipped consumer loop, tasks, writers and starts, between simulated ports.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anomaly_processor::{
    consumer_loop::{Answer, ConsumerLoop, Ends, Request, Settings, Shares, State},
    metrics::{Memory, Metrics},
    startup::{Starter, Watch},
};
use futures::{FutureExt as _, future::select};
use pipeline::{
    Assignment, Fence, LeaderEpoch, Limits, NextOffset, Partition,
    ports::{Bare, Change, Polled, Record, RecordSource, SourceError, Trouble},
    resume::Start,
    writer::{Ended, Writer},
};
use service_kit::{lifecycle::Readiness, metrics::Registry};
use tokio::sync::mpsc;

use crate::{
    mutants::Mutant,
    ports::{Link, Outside, Sending, incarnation_of},
    world::{News, PARTITIONS},
};

/// What the client library keeps for its process.
#[derive(Default)]
pub(crate) struct Client {
    changes: VecDeque<Change>,
    /// Position of each partition that was given to us; `None` until a task begins.
    positions: BTreeMap<i32, Position>,
    /// Revoked, and not given back yet: the group is not heard before that.
    revoking: Vec<i32>,
    releases: VecDeque<Vec<i32>>,
    /// A callback is told what the group has decided, and waits for a commit.
    is_told: bool,
    /// The life of the topic that is being fetched.
    topic_id: uuid::Uuid,
}

#[derive(Debug, Clone, Copy)]
struct Position {
    next: Option<i64>,
    paused: bool,
    told_end: bool,
    /// Of the records before it; none: not known.
    epoch: Option<LeaderEpoch>,
    /// Who led when the log was last looked at.
    leader: LeaderEpoch,
}

const FRESH: Position = Position {
    next: None,
    paused: true,
    told_end: false,
    epoch: None,
    leader: LeaderEpoch::UNKNOWN,
};

#[derive(Clone)]
pub(crate) struct Source {
    link: Link,
    fence: Fence,
    client: Arc<Mutex<Client>>,
}

impl Source {
    fn client(&self) -> MutexGuard<'_, Client> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread that polls is inside a call of the client library.
    fn is_busy(&self) -> bool {
        let client = self.client();
        client.is_told || !client.releases.is_empty()
    }

    /// Nobody commits in this moment: a call that takes the lock returns at once.
    fn is_free(&self) -> bool {
        self.fence.is_free()
    }

    /// As KIP-320 has it: after a change of the leader, whether the log reaches so far in that epoch.
    fn is_valid(&self, partition: i32, next: usize, position: &mut Position) -> bool {
        let world = self.link.world();
        let leader = world.leader_of(partition);
        let Some(epoch) = position.epoch.filter(|_| leader != position.leader) else {
            return true;
        };
        if world.mutant == Some(Mutant::LostLogUnseen) {
            return true;
        }
        position.leader = leader;
        let log = world.log.get(&partition).map_or(&[][..], Vec::as_slice);
        log.iter()
            .take_while(|record| record.epoch <= epoch)
            .count()
            >= next
    }

    /// Heartbeats, and what the group decides: the client library's own thread and its callbacks.
    async fn be_a_member(self) {
        loop {
            let releasing = self.client().releases.front().cloned();
            if let Some(partitions) = releasing {
                let list: Vec<Partition> = partitions.iter().copied().map(Partition).collect();
                self.fence.shut(&list).await;
                let mut client = self.client();
                client.releases.pop_front();
                client
                    .revoking
                    .retain(|partition| !partitions.contains(partition));
                for partition in &partitions {
                    client.positions.remove(partition);
                }
                drop(client);
                let member = self.link.member;
                self.link.world().group.released(member, &partitions);
                continue;
            }
            self.link.handle.sleep(Duration::from_millis(15)).await;
            if self.client().revoking.is_empty() {
                let member = self.link.member;
                let news = self
                    .link
                    .world()
                    .group
                    .news
                    .get_mut(&member)
                    .and_then(VecDeque::pop_front);
                if let Some(news) = news {
                    self.hear(news).await;
                }
            }
        }
    }

    async fn hear(&self, news: News) {
        match news {
            News::Assigned(partitions) => {
                let list: Vec<Partition> = partitions.iter().copied().map(Partition).collect();
                self.client().is_told = true;
                let assigned = self.fence.admit(&list).await;
                let mut client = self.client();
                client.is_told = false;
                for partition in partitions {
                    client.positions.insert(partition, FRESH);
                }
                client.changes.push_back(Change::Assigned(assigned));
            }
            News::Revoking(partitions) => {
                let list = partitions.iter().copied().map(Partition).collect();
                let mut client = self.client();
                client.revoking = partitions;
                client.changes.push_back(Change::Revoking(list));
            }
            News::Kicked(_) => {
                let all: Vec<Partition> = self
                    .client()
                    .positions
                    .keys()
                    .copied()
                    .map(Partition)
                    .collect();
                self.client().is_told = true;
                self.fence.shut(&all).await;
                let mut client = self.client();
                client.is_told = false;
                client.positions.clear();
                client.changes.push_back(Change::Lost(all));
                drop(client);
                self.link.world().group.join(self.link.member);
            }
        }
    }
}

impl RecordSource for Source {
    fn poll(&self, _wait: Duration, take: &mut dyn FnMut(Polled<'_>)) {
        let changed = |why: &str| Polled::Trouble(Trouble::Changed(why.to_owned()));
        let now_there = self.link.world().topic_id;
        let mut client = self.client();
        if client.topic_id != now_there {
            client.topic_id = now_there;
            drop(client);
            return take(changed("unknown topic"));
        }
        let flowing: Vec<i32> = client
            .positions
            .iter()
            .filter(|(_, position)| !position.paused && position.next.is_some())
            .map(|(partition, _)| *partition)
            .collect();
        if flowing.is_empty() {
            return;
        }
        let partition = flowing[self.link.dice(flowing.len())];
        let Some(position) = client.positions.get_mut(&partition) else {
            return;
        };
        let next = position.next.unwrap_or_default() as usize;
        if next > self.link.world().log.get(&partition).map_or(0, Vec::len) {
            *position = FRESH;
            return take(changed("offset out of range"));
        }
        if !self.is_valid(partition, next, position) {
            *position = FRESH;
            return take(changed("log truncation"));
        }
        let some = 1 + self.link.dice(40);
        let batch: Vec<_> = {
            let world = self.link.world();
            let log = world.log.get(&partition).map_or(&[][..], Vec::as_slice);
            log.iter().skip(next).take(some).cloned().collect()
        };
        position.next = Some((next + batch.len()) as i64);
        position.epoch = batch.last().map(|last| last.epoch).or(position.epoch);
        let at_end = batch.is_empty() && !position.told_end;
        position.told_end = batch.is_empty();
        drop(client);
        for (at, produced) in batch.iter().enumerate() {
            let record = Record {
                offset: pipeline::Offset::new((next + at) as i64),
                leader_epoch: produced.epoch,
                kafka_time: produced.kafka_time,
                key: Some(&produced.key),
                value: Some(&produced.payload),
                rest: &Bare,
            };
            take(Polled::Record(Partition(partition), &record));
        }
        if at_end {
            take(Polled::End(Partition(partition)));
        }
    }

    fn changes(&self) -> VecDeque<Change> {
        std::mem::take(&mut self.client().changes)
    }

    fn start_at(
        &self,
        partition: Partition,
        next: NextOffset,
        epoch: LeaderEpoch,
    ) -> Result<(), SourceError> {
        if self.link.dice(8) == 0 {
            return Err(SourceError("erroneous state".to_owned()));
        }
        if let Some(position) = self.client().positions.get_mut(&partition.0) {
            position.epoch = (epoch != LeaderEpoch::UNKNOWN).then_some(epoch);
            position.leader = LeaderEpoch::UNKNOWN;
            position.next = Some(next.raw());
            position.paused = false;
            position.told_end = false;
        }
        Ok(())
    }

    fn pause(&self, partition: Partition) -> Result<(), SourceError> {
        if let Some(position) = self.client().positions.get_mut(&partition.0) {
            position.paused = true;
            // librdkafka's own idea of it may be past records that it has thrown away.
            position.next = None;
        }
        Ok(())
    }

    fn release(&self, partitions: &[Partition]) {
        let partitions = partitions.iter().map(|partition| partition.0).collect();
        self.client().releases.push_back(partitions);
    }

    fn begin_anew(
        &self,
        partitions: &[Partition],
        _others: &[(Partition, NextOffset)],
    ) -> Vec<Assignment> {
        let mut client = self.client();
        for partition in partitions {
            if let Some(position) = client.positions.get_mut(&partition.0) {
                *position = FRESH;
            }
        }
        drop(client);
        self.fence
            .admit(partitions)
            .now_or_never()
            .expect("polled only while nobody commits")
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        limits: Limits {
            rows: 24,
            bytes: 1 << 20,
            age: Duration::from_millis(300),
            age_behind: Duration::from_millis(900),
        },
        in_flight_bytes: 900,
        idle_timeout: Duration::from_secs(2),
        release_within: Duration::from_millis(800),
        snapshot_every: Duration::from_secs(2),
        rules: None,
    }
}

pub(crate) fn detection() -> detection::Config {
    detection::Config {
        window_ms: 1000,
        grace_ms: 1000,
        warm_up_windows: 4,
        ..detection::Config::default()
    }
}

/// So few templates that they are forgotten again and again.
pub(crate) fn mining() -> template_mining::Limits {
    template_mining::Limits {
        templates: 24,
        ..template_mining::Limits::default()
    }
}

/// Starts a process: it joins the group and works until its group of tasks is killed.
pub(crate) fn start(link: &Link) {
    let (requests, asked) = mpsc::unbounded_channel();
    let (answers, heard) = mpsc::unbounded_channel();
    let fence = Fence::default();
    let client = Client {
        topic_id: link.world().topic_id,
        ..Client::default()
    };
    let source = Source {
        link: link.clone(),
        fence: fence.clone(),
        client: Arc::new(Mutex::new(client)),
    };
    link.world().group.join(link.member);
    let origin = Instant::now();
    let metrics = Metrics::new(&Registry::new());
    let consumer_loop = ConsumerLoop {
        source: source.clone(),
        sinks: Sending(link.clone()),
        metrics: metrics.clone(),
        settings: settings(),
        latch: Readiness::new().latch("kafka"),
        partitions: Readiness::new().partitions(),
        shares: Shares::default(),
        requests,
        answers: heard,
        state: State::at(origin),
    };
    let handle = link.handle.clone();
    handle.spawn(link.group, source.clone().be_a_member());
    handle.spawn(
        link.group,
        poll(consumer_loop, source, link.clone(), origin),
    );
    let outside = Outside {
        link: link.clone(),
        fence,
        standings: Arc::default(),
    };
    handle.spawn(
        link.group,
        serve(asked, answers, outside, Arc::new(metrics)),
    );
}

async fn poll(
    mut consumer_loop: ConsumerLoop<Source, Sending>,
    source: Source,
    link: Link,
    origin: Instant,
) {
    let mut leaving = false;
    loop {
        let pause = Duration::from_millis(5 + link.dice(25) as u64);
        link.handle.sleep(pause).await;
        if source.is_busy() || !source.is_free() {
            continue;
        }
        let now = origin + link.handle.now();
        if link.is_leaving() && !leaving {
            leaving = true;
            consumer_loop.stop(now);
        }
        if leaving && consumer_loop.is_idle() {
            let mut world = link.world();
            world.group.remove(link.member);
            // What it has not heard yet would have it join again.
            world.group.news.remove(&link.member);
            drop(world);
            link.left();
            return;
        }
        if let Err(error) = consumer_loop.step(now, Duration::ZERO) {
            link.fail(format!("process {} ended: {error}", link.member));
            return;
        }
    }
}

async fn serve(
    mut asked: mpsc::UnboundedReceiver<Request>,
    answers: mpsc::UnboundedSender<Answer>,
    outside: Outside,
    metrics: Arc<Metrics>,
) {
    let link = outside.link.clone();
    while let Some(request) = asked.recv().await {
        let (answers, outside) = (answers.clone(), outside.clone());
        match request {
            Request::Start {
                assignment,
                after,
                wanted,
            } => {
                let handle = link.handle.clone();
                let resume = begin(link.clone(), outside, assignment, answers);
                handle.clone().spawn(link.group, async move {
                    handle.sleep(after).await;
                    // Begun anew in the meantime, or not ours any more.
                    select(Box::pin(resume), wanted).await;
                });
            }
            Request::Write { id, ledger, work } => {
                let writer = Writer {
                    id,
                    store: Arc::new(outside.clone()),
                    commits: Arc::new(outside.clone()),
                    dead_letters: Arc::new(outside.clone()),
                    clock: Arc::new(outside),
                    metrics: Arc::clone(&metrics),
                    ledger: *ledger,
                    lease: Duration::from_secs(3),
                };
                let (finished, mut notes) = mpsc::unbounded_channel();
                let forward = answers.clone();
                link.handle.spawn(link.group, async move {
                    while let Some(note) = notes.recv().await {
                        let _gone = forward.send(Answer::Finished(note));
                    }
                });
                link.handle.spawn(link.group, async move {
                    let _gone = match writer.run(work, finished).await {
                        Ok(()) | Err(Ended::Fenced(_)) => answers.send(Answer::WriterEnded(id)),
                        Err(ended) => answers.send(Answer::Broken(ended.to_string())),
                    };
                });
            }
            Request::Examine(_) => {}
            Request::Ends {
                partitions,
                asked_at,
                ..
            } => {
                let handle = link.handle.clone();
                let link = link.clone();
                handle.spawn(link.group, async move {
                    let ends = link
                        .call(move |world| {
                            let length = |partition: &Partition| {
                                world.log.get(&partition.0).map_or(0, Vec::len) as i64
                            };
                            partitions.iter().map(|at| (*at, (0, length(at)))).collect()
                        })
                        .await;
                    let _gone = answers.send(Answer::Ends(Ends {
                        asked_at,
                        ends,
                        committed: std::collections::BTreeMap::new(),
                    }));
                });
            }
            Request::Look => link.handle.spawn(link.group, look(link.clone(), answers)),
        }
    }
}

async fn look(link: Link, answers: mpsc::UnboundedSender<Answer>) {
    let incarnation = link.call(|world| incarnation_of(world.topic_id)).await;
    let _gone = answers.send(Answer::Topic {
        incarnation,
        partitions: PARTITIONS,
        leaderless: BTreeSet::new(),
    });
}

async fn begin(
    link: Link,
    sources: Outside,
    assignment: Assignment,
    answers: mpsc::UnboundedSender<Answer>,
) {
    let starter = Starter {
        sources,
        start: Start::Earliest,
        on_gap: anomaly_processor::options::OnGap::Stop,
        on_lost_state: anomaly_processor::options::OnLostState::Stop,
        replay_records: 1_000_000,
        detection: detection(),
        mining: mining(),
        watch: Watch::default(),
    };
    loop {
        match starter.start(assignment).await {
            Ok(mut started) => {
                let mut world = link.world();
                world.tally.intents_found += u64::from(started.resume.announced.is_some());
                world.tally.foreign += u64::from(started.foreign.is_some());
                world.tally.unsettled += u64::from(started.resume.unsettled.is_some());
                world.tally.restored += u64::from(started.memory == Memory::Restored);
                if world.loses_miners && link.dice(3) == 0 {
                    started.state.miner = template_mining::Miner::new(mining());
                    started.state.forget_kept();
                    world.tally.mined_anew += 1;
                }
                match world.mutant {
                    Some(Mutant::EndGrownOnRetry) => {
                        let high = world.log.get(&assignment.partition.0).map_or(0, Vec::len);
                        if let Some(announced) = &mut started.resume.announced {
                            let grown = (announced.end.raw() + 5).min(high as i64);
                            announced.end = NextOffset::resume_at(pipeline::Offset::new(grown));
                        }
                    }
                    Some(Mutant::DayTakenAnew) => {
                        if let Some(announced) = &mut started.resume.announced {
                            announced.day = Some(link.today());
                        }
                    }
                    Some(Mutant::ForeignTrusted) => {
                        if let Some(foreign) = started.foreign {
                            let resume = &mut started.resume;
                            resume.take_from = foreign;
                            resume.replay_from = resume.replay_from.min(foreign);
                            resume.unsettled = None;
                        }
                    }
                    Some(Mutant::ReplaySkipped) => {
                        started.resume.replay_from = started.resume.take_from;
                    }
                    _ => {}
                }
                drop(world);
                let _gone = answers.send(Answer::Started(Box::new(started)));
                return;
            }
            Err(_) => link.handle.sleep(Duration::from_millis(200)).await,
        }
    }
}
