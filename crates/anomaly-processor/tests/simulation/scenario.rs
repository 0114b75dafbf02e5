//! One run: what a seed makes happen, and what must hold at its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anomaly_processor::{
    announce,
    metrics::Metrics,
    partition_state::PartitionState,
    partition_task::{PartitionTask, SinkError, Sinks},
};
use contracts::dead_letter::Reason;
use detection::Finding;
use log_records::{RecordContext, decode};
use pipeline::{
    Assignment, Day, Epoch, Limits, NextOffset, Offset, Partition, TaskId,
    batch::Acknowledgement,
    intent::{self, CommitMetadata},
    ports::{Bare, Record},
    resume::ResumePoint,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use service_kit::metrics::Registry;
use uuid::Uuid;

use crate::{
    executor::Executor,
    mutants::Mutant,
    ports::{Link, incarnation_of},
    process,
    templates::Templates,
    world::{PARTITIONS, Produced, Tally, World},
};

/// Faults and load end here; then everything must come to rest.
const TROUBLE: Duration = Duration::from_secs(40);
const REST: Duration = Duration::from_secs(120);
const SESSION: Duration = Duration::from_secs(3);
const STEP: Duration = Duration::from_millis(200);

struct Process {
    link: Link,
    /// Stopped (SIGSTOP) until then.
    stopped_until: Option<(Duration, Duration)>,
}

struct Run {
    executor: Executor,
    world: Arc<Mutex<World>>,
    rng: Arc<Mutex<StdRng>>,
    /// Decides about faults and load, apart from what the network decides.
    fate: StdRng,
    clock: Clock,
    processes: Vec<Process>,
    last_group: u32,
    /// An operator has stopped all processes and sets offsets then.
    operator_until: Option<Duration>,
    failure: Arc<Mutex<Option<String>>>,
}

/// One service's clock, and what is wrong with it.
#[derive(Debug, Clone, Copy)]
enum Clock {
    Right,
    /// Event and Kafka's time are off by so many ms, after so many ms of the run.
    Off(i64, i64),
    /// Event time alone is.
    EventOff(i64, i64),
    /// It gains or loses so many ms a second.
    Drifts(i64),
    /// No Kafka time, or one in seconds.
    NoKafka,
    KafkaInSeconds,
}

impl Clock {
    fn of(fate: &mut StdRng) -> Self {
        let off = [-3_600_000, -30_000, -3000, 3000, 30_000, 3_600_000][fate.random_range(0..6)];
        let after = fate.random_range(0..40_000);
        match fate.random_range(0..8) {
            0 | 1 => Self::Off(off, after),
            2 | 3 => Self::EventOff(off, after),
            4 => Self::Drifts(off.signum() * 40),
            5 => Self::NoKafka,
            6 => Self::KafkaInSeconds,
            _ => Self::Right,
        }
    }

    /// Event time and Kafka's of a line of `service`; the first one has this clock.
    fn times(self, service: i32, wall: i64) -> (i64, i64) {
        let run = wall - 1_790_000_000_000;
        match self {
            _ if service != 0 => (wall, wall),
            Self::Off(off, after) if run >= after => (wall + off, wall + off),
            Self::EventOff(off, after) if run >= after => (wall + off, wall),
            Self::Drifts(gain) => (wall + run / 1000 * gain, wall + run / 1000 * gain),
            Self::NoKafka => (wall, -1),
            Self::KafkaInSeconds => (wall, wall / 1000),
            Self::Right | Self::Off(..) | Self::EventOff(..) => (wall, wall),
        }
    }
}

/// Runs one seed. `Err` says what does not hold.
pub(crate) fn run(seed: u64, mutant: Option<Mutant>) -> Result<Tally, String> {
    let world = World {
        mutant,
        loses_miners: mutant.is_none() && seed.is_multiple_of(4),
        topic_id: Uuid::from_u128(u128::from(seed) << 64 | 1),
        ..World::default()
    };
    let mut run = Run {
        executor: Executor::new(seed),
        world: Arc::new(Mutex::new(world)),
        rng: Arc::new(Mutex::new(StdRng::seed_from_u64(seed ^ 0x5eed))),
        fate: StdRng::seed_from_u64(seed ^ 0xfa7e),
        clock: Clock::of(&mut StdRng::seed_from_u64(seed ^ 0xc10c)),
        processes: Vec::new(),
        last_group: 0,
        operator_until: None,
        failure: Arc::new(Mutex::new(None)),
    };
    run.start_process();
    run.start_process();
    let mut now = Duration::ZERO;
    while now < TROUBLE {
        now += STEP;
        run.produce();
        run.strike(now);
        run.operate(now, false);
        run.watch_sessions(now);
        run.executor.run_until(now);
        run.bury();
    }
    run.calm(now);
    while now < TROUBLE + REST {
        now += STEP;
        run.watch_sessions(now);
        run.executor.run_until(now);
        run.bury();
        // Silences are told only after a while.
        if now > TROUBLE + Duration::from_secs(15) && run.is_complete() {
            break;
        }
    }
    let failure = run.failure.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(failure) = failure.as_ref() {
        return Err(failure.clone());
    }
    drop(failure);
    run.check()
}

impl Run {
    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_process(&mut self) {
        self.last_group += 1;
        let link = Link {
            world: Arc::clone(&self.world),
            handle: self.executor.handle.clone(),
            rng: Arc::clone(&self.rng),
            group: self.last_group,
            member: self.last_group,
            leaving: Arc::new(AtomicBool::new(false)),
            gone: Arc::new(AtomicBool::new(false)),
            failure: Arc::clone(&self.failure),
        };
        process::start(&link);
        self.processes.push(Process {
            link,
            stopped_until: None,
        });
    }

    /// Some services, each with a calm and sometimes a storm; some lines that can't be read.
    fn produce(&mut self) {
        // Now and then nobody writes for some seconds.
        let second = self.executor.handle.now().as_secs();
        if second % 13 > 9 {
            return;
        }
        self.produce_lines();
    }

    fn produce_lines(&mut self) {
        let wall = 1_790_000_000_000 + self.executor.handle.now().as_millis() as i64;
        let clock = self.clock;
        for partition in 0..PARTITIONS {
            let lines = self.fate.random_range(0..4);
            let storm = self.fate.random_range(0..40) == 0;
            let mut batch = Vec::new();
            for _ in 0..lines {
                let service = self.fate.random_range(0..3);
                let level = if self.fate.random_range(0..60) == 0 {
                    "ERROR"
                } else {
                    "INFO"
                };
                batch.push((service, level));
            }
            if storm {
                let service = self.fate.random_range(0..3);
                batch.extend(std::iter::repeat_n((service, "ERROR"), 14));
            }
            let mut world = self.world();
            let topic = incarnation_of(world.topic_id);
            let life = world.life_of(topic, Partition(partition)).raw();
            let epoch = world.leader_of(partition);
            let mut poisoned = Vec::new();
            let log = world.log.entry(partition).or_default();
            for (service, level) in batch {
                let n = log.len();
                let (time, kafka_time) = clock.times(service, wall);
                let payload = if n % 41 == 17 {
                    format!("{{\"broken\":{n}")
                } else if n.is_multiple_of(4) {
                    let message = message(n);
                    format!("{{\"level\":\"{level}\",\"message\":\"{message}\"}}")
                } else {
                    let message = message(n);
                    format!(
                        "{{\"timestamp\":{time},\"level\":\"{level}\",\"message\":\"{message}\"}}"
                    )
                };
                // Which life this is, nobody has noticed yet, after a log was lost.
                if n % 97 == 60 && epoch.0 == 0 {
                    poisoned.push((life, partition, n as i64));
                }
                log.push(Produced {
                    kafka_time,
                    epoch,
                    key: format!("service-{partition}-{service}").into_bytes(),
                    payload: payload.into_bytes(),
                });
            }
            world.store.poison.extend(poisoned);
        }
    }

    fn strike(&mut self, now: Duration) {
        let which = self.fate.random_range(0..1000);
        let victim = self.fate.random_range(0..self.processes.len().max(1));
        match which {
            0..12 => self.crash(victim),
            12..20 => {
                let long = Duration::from_millis(self.fate.random_range(500..9000));
                if let Some(process) = self.processes.get_mut(victim)
                    && process.stopped_until.is_none()
                {
                    process.stopped_until = Some((now, now + long));
                    let group = process.link.group;
                    self.executor.stop(group);
                    self.world().tally.stalls += 1;
                }
            }
            20..28 if self.processes.len() < 3 && self.operator_until.is_none() => {
                self.start_process();
            }
            28..34 if self.processes.len() > 1 => {
                self.processes[victim]
                    .link
                    .leaving
                    .store(true, Ordering::Relaxed);
            }
            34..40 => self.world().store.dies_at_next_insert = true,
            40..44 => {
                self.world().store.is_down = true;
                let (world, handle) = (Arc::clone(&self.world), self.executor.handle.clone());
                let long = Duration::from_millis(self.fate.random_range(300..6000));
                self.executor.handle.spawn(0, async move {
                    handle.sleep(long).await;
                    world
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .store
                        .is_down = false;
                });
            }
            44..46 => {
                let mut world = self.world();
                let id = world.topic_id.as_u128() + 1;
                world.topic_id = Uuid::from_u128(id);
                world.log.clear();
                world.leaders.clear();
                world.group.committed.clear();
                world.tally.remade_topics += 1;
            }
            // A new leader, with the same log or with an empty one, which may grow past what was read of
            // the old one before anybody looks.
            46..50 => {
                let partition = self.fate.random_range(0..PARTITIONS);
                *self.world().leaders.entry(partition).or_default() += 1;
                self.world().tally.leader_changes += 1;
            }
            50..53 => {
                let partition = self.fate.random_range(0..PARTITIONS);
                let mut world = self.world();
                *world.leaders.entry(partition).or_default() += 1;
                world.tally.lost_logs += 1;
                let old = world.log.insert(partition, Vec::new());
                drop(world);
                let old = old.map_or(0, |old| old.len());
                let grown = if self.fate.random_bool(0.5) {
                    old + 40
                } else {
                    0
                };
                for _ in 0..10_000 {
                    if self.world().log[&partition].len() >= grown {
                        break;
                    }
                    self.produce_lines();
                }
            }
            53..56 if self.operator_until.is_none() => {
                for _ in 0..self.processes.len() {
                    self.kill(0);
                }
                // Its members are gone, and whatever they had sent has come.
                self.operator_until = Some(now + SESSION + Duration::from_secs(4));
            }
            _ => {}
        }
    }

    /// Processes that have left are over; somebody is always there.
    fn bury(&mut self) {
        let left = |process: &Process| process.link.gone.load(Ordering::Relaxed);
        for process in self.processes.iter().filter(|process| left(process)) {
            self.executor.kill(process.link.group);
        }
        self.processes.retain(|process| !left(process));
        if self.processes.is_empty() && self.operator_until.is_none() {
            self.start_process();
        }
    }

    /// What an operator's tools can do to the offsets of a group without members.
    fn operate(&mut self, now: Duration, finally: bool) {
        // At the end there is no time to wait for what is on its way: the offsets stay as they are.
        if finally && self.operator_until.take().is_some() {
            return;
        }
        if self.operator_until.is_none_or(|at| now < at) {
            return;
        }
        self.operator_until = None;
        for partition in 0..PARTITIONS {
            let what = self.fate.random_range(0..5);
            let any = self.fate.random_range(0.0..1.0);
            let mut world = self.world();
            let end = world.log.get(&partition).map_or(0, Vec::len) as i64;
            let offset = match what {
                0 => 0,
                1 => end,
                2 => (end as f64 * any) as i64,
                3 => {
                    world.group.committed.remove(&partition);
                    continue;
                }
                _ => continue,
            };
            // Where nothing is known of the partition at all, the operator says where it begins.
            let life = world.life_of(incarnation_of(world.topic_id), Partition(partition));
            if world.store.accounted((life.raw(), partition)).is_some() {
                let metadata = if any < 0.8 { "" } else { "somebody" };
                world
                    .group
                    .committed
                    .insert(partition, (offset, metadata.to_owned()));
                world.tally.offsets_set += 1;
            }
        }
        self.start_process();
        self.start_process();
    }

    /// The coordinator misses its heartbeats only after a while.
    fn crash(&mut self, victim: usize) {
        if victim >= self.processes.len() {
            return;
        }
        self.kill(victim);
        self.start_process();
    }

    fn kill(&mut self, victim: usize) {
        let process = self.processes.swap_remove(victim);
        self.executor.kill(process.link.group);
        self.world().tally.crashes += 1;
        let (world, handle) = (Arc::clone(&self.world), self.executor.handle.clone());
        let member = process.link.member;
        self.executor.handle.spawn(0, async move {
            handle.sleep(SESSION).await;
            let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
            world.group.remove(member);
        });
    }

    fn watch_sessions(&mut self, now: Duration) {
        let mut woken = Vec::new();
        for process in &mut self.processes {
            let Some((since, until)) = process.stopped_until else {
                continue;
            };
            let member = process.link.member;
            let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
            if now >= since + SESSION && world.group.members.contains_key(&member) {
                world.group.kick(member);
                world.tally.kicked += 1;
            }
            drop(world);
            if now >= until {
                process.stopped_until = None;
                woken.push(process.link.group);
            }
        }
        for group in woken {
            self.executor.go_on(group);
        }
    }

    fn calm(&mut self, now: Duration) {
        self.operate(now, true);
        for process in &mut self.processes {
            process.stopped_until = None;
            self.executor.go_on(process.link.group);
        }
        self.world().store.is_down = false;
        self.world().store.dies_at_next_insert = false;
    }

    fn is_complete(&self) -> bool {
        let world = self.world();
        (0..PARTITIONS).all(|partition| {
            let length = world.log.get(&partition).map_or(0, Vec::len) as i64;
            let committed = world.group.committed.get(&partition);
            length == 0
                || committed
                    .is_some_and(|(next, metadata)| *next == length && metadata.ends_with(':'))
        })
    }

    fn check(&self) -> Result<Tally, String> {
        let world = self.world();
        if world.lines_counted_twice > 0 {
            return Err("the audit would count a line twice, and miss its rows".to_owned());
        }
        for (position, row) in &world.store.rows {
            if row.copies != 1 {
                return Err(format!("{position:?} is stored {} times", row.copies));
            }
        }
        for (partition, log) in &world.log {
            let topic = incarnation_of(world.topic_id);
            let life = world.life_of(topic, Partition(*partition)).raw();
            check_account(&world, *partition, log.len())?;
            for (offset, produced) in log.iter().enumerate() {
                let position = (life, *partition, offset as i64);
                let stored = world.store.rows.contains_key(&position);
                let aside = world.letters.contains_key(&position);
                let readable = decode(&produced.payload, &RecordContext::UNKNOWN).is_ok();
                let expected = readable && !world.store.poison.contains(&position);
                if stored != expected || aside == expected {
                    return Err(format!(
                        "{position:?} of {}: stored {stored}, set aside {aside}, readable {readable}; committed {:?}, {:?}, {:?}",
                        log.len(),
                        world.group.committed.get(partition),
                        world.group,
                        self.processes
                            .iter()
                            .map(|process| (
                                process.link.member,
                                process.link.is_leaving(),
                                process.stopped_until
                            ))
                            .collect::<Vec<_>>(),
                    ));
                }
            }
        }
        drop(world);
        if !self.is_complete() {
            return Err("it did not come to rest with everything committed".to_owned());
        }
        self.check_templates()?;
        self.check_anomalies()
    }

    /// Every row's template has a text, whatever was merged; and is the one that a task which reads
    /// the whole topic undisturbed gives it.
    fn check_templates(&self) -> Result<(), String> {
        let mut world = self.world();
        if let Some(position) = world.store.without_text.first() {
            return Err(format!("{position:?} was stored before its template"));
        }
        let templates = &world.store.templates;
        if let Some(led) = templates.dead_ends().first() {
            return Err(format!("a template leads to one without a text: {led:?}"));
        }
        let topic = incarnation_of(world.topic_id);
        let mut merges = Templates::default();
        for (partition, log) in &world.log {
            if world.loses_miners {
                break;
            }
            let undisturbed = undisturbed(&world, *partition, log, Duration::ZERO);
            let life = world.life_of(topic, Partition(*partition)).raw();
            for (offset, id) in undisturbed.ids {
                let stored = world.store.rows.get(&(life, *partition, offset));
                if let Some(stored) = stored
                    && stored.template != id
                {
                    return Err(format!(
                        "line {offset} of partition {partition} is of template {id} and stored as of {}",
                        stored.template
                    ));
                }
            }
            merges.merges.extend(undisturbed.templates.merges);
        }
        if let Some(missing) = merges.merges.difference(&templates.merges).next() {
            return Err(format!("that templates became one was lost: {missing:?}"));
        }
        if world.tally.remade_topics + world.tally.lost_logs == 0
            && !world.loses_miners
            && merges.merges != templates.merges
        {
            return Err("templates became one that are not".to_owned());
        }
        world.tally.merges = templates.merges.len() as u64;
        Ok(())
    }

    /// Against tasks that read the whole topic undisturbed.
    fn check_anomalies(&self) -> Result<Tally, String> {
        let world = self.world();
        let mut by_records = Told::new();
        let mut with_silence = Told::new();
        for (partition, log) in &world.log {
            let undisturbed = undisturbed(&world, *partition, log, self.executor.handle.now());
            by_records.extend(undisturbed.by_records);
            with_silence.extend(undisturbed.with_silence);
        }
        let lives: BTreeMap<Uuid, u32> = world
            .anomalies
            .keys()
            .map(|(id, version)| (*id, *version))
            .collect();
        let all_of = |id: Uuid| -> Vec<_> {
            let versions = world.anomalies.range((id, 0)..=(id, u32::MAX));
            versions.collect()
        };
        let mut told_otherwise = 0;
        // What docs/delivery.md says nobody can notice.
        let has_unnoticed =
            world.tally.lost_logs > world.tally.lives && world.tally.offsets_set > 0;
        for (id, said) in &by_records {
            let Some(told) = world.anomalies.get(id) else {
                return Err(format!("anomaly {id:?} was never told"));
            };
            // What was told of a log that was lost before anything of it was stored is told as of the next.
            let is_told = if world.tally.lost_logs > 0 {
                told.contains(said)
            } else {
                told.iter().all(|told| told == said)
            };
            if is_told {
                continue;
            }
            // Idle time may tell a version ahead that the records do not bear out. They then tell it once
            // more, above those that were told, or, after a crash, under the same number.
            let bears_out = |(other, version): (&(Uuid, u32), &BTreeSet<String>)| {
                let same = |text: &String| contents(text) == contents(said);
                other.0 == id.0 && other.1 >= id.1 && version.iter().any(same)
            };
            if !has_unnoticed && !world.anomalies.iter().any(bears_out) {
                let of_it = all_of(id.0);
                return Err(format!(
                    "anomaly {id:?} was told as {of_it:#?} and is {said}"
                ));
            }
            told_otherwise += 1;
        }
        // What an earlier life of the topic told is its own.
        if world.tally.remade_topics + world.tally.lost_logs == 0 {
            let known: BTreeSet<Uuid> = with_silence.keys().map(|(id, _)| *id).collect();
            // What idle time told and the records do not bear out is taken back.
            let is_taken_back = |(id, version): &(&Uuid, &u32)| {
                let newest = world.anomalies.get(&(**id, **version));
                newest.is_some_and(|said| said.iter().all(|said| said.contains(" withdrawn, ")))
            };
            let mut untrue = lives.iter().filter(|(id, _)| !known.contains(*id));
            if let Some((id, _)) = untrue.find(|told| !is_taken_back(told)) {
                let of_it = all_of(*id);
                return Err(format!("anomaly {id} was told, and is none: {of_it:#?}"));
            }
        }
        let mut tally = world.tally;
        tally.anomalies = by_records.len() as u64;
        tally.told_otherwise = told_otherwise;
        tally.records = world.log.values().map(Vec::len).sum::<usize>() as u64;
        Ok(tally)
    }
}

/// The lines, and what is committed beside them, speak of every offset once, and have the rows.
fn check_account(world: &World, partition: i32, length: usize) -> Result<(), String> {
    let life = world.life_of(incarnation_of(world.topic_id), Partition(partition));
    let place = (life.raw(), partition);
    let mut lines = world
        .store
        .accounts
        .get(&place)
        .cloned()
        .unwrap_or_default();
    if let Some((next, metadata)) = world.group.committed.get(&partition) {
        let next = NextOffset::resume_at(Offset::new(*next));
        if let Ok(CommitMetadata::Ours(mark)) = intent::read(metadata, next, life)
            && let Some(line) = mark.account
        {
            lines.insert(line.first.raw(), line);
        }
    }
    let mut next = 0;
    let mut rows = 0;
    for line in lines.values() {
        if line.first.raw() != next || line.unexplained() != 0 {
            return Err(format!(
                "the account of {place:?} breaks at {next}: {lines:#?}"
            ));
        }
        next = line.end.raw();
        rows += line.rows;
        let there = world
            .store
            .stored(place, line.first.raw(), next, Day::new(0))
            .len() as u64;
        if there != line.rows {
            return Err(format!("{line:?} of {place:?} has {there} rows"));
        }
    }
    if next != length as i64 {
        return Err(format!(
            "the account of {place:?} ends at {next} of {length}, {rows} rows"
        ));
    }
    Ok(())
}

struct Listening(Told);

impl Sinks for Listening {
    fn dead_letter(
        &mut self,
        _task: &TaskId,
        _record: &Record<'_>,
        _reason: Reason,
        _error: &str,
    ) -> Result<Acknowledgement, SinkError> {
        Ok(tokio::sync::oneshot::channel().1)
    }

    fn announce(
        &mut self,
        task: &TaskId,
        finding: Finding,
        _traceparent: Option<&str>,
    ) -> Result<Acknowledgement, SinkError> {
        let id = announce::id_of(&finding, task.incarnation, task.assignment.partition);
        let said = format!("{finding:?}");
        self.0.insert((id, finding.version), said);
        Ok(tokio::sync::oneshot::channel().1)
    }
}

/// What is said, whatever the version's number.
fn contents(said: &str) -> String {
    let mut words: Vec<_> = said.split(", ").collect();
    words.retain(|word| !word.starts_with("version: "));
    words.join(", ")
}

/// What is said of each version of each anomaly.
type Told = BTreeMap<(Uuid, u32), String>;

/// What is said of a partition that is read from its beginning to its end.
struct Undisturbed {
    /// By the records alone.
    by_records: Told,
    /// And with the silence after them.
    with_silence: Told,
    /// The template of each row, by offset.
    ids: Vec<(i64, u64)>,
    templates: Templates,
}

/// `idle`: how long nothing comes after the last record.
fn undisturbed(world: &World, partition: i32, log: &[Produced], idle: Duration) -> Undisturbed {
    let id = TaskId {
        assignment: Assignment {
            partition: Partition(partition),
            epoch: Epoch(0),
        },
        incarnation: world.life_of(incarnation_of(world.topic_id), Partition(partition)),
    };
    let start = NextOffset::resume_at(Offset::new(0));
    let resume = ResumePoint {
        replay_from: start,
        take_from: start,
        announced: None,
        unsettled: None,
    };
    let now = Instant::now();
    let mut task = PartitionTask::new(
        id,
        Limits {
            rows: usize::MAX,
            bytes: usize::MAX,
            ..Limits::default()
        },
        PartitionState::none(process::detection(), process::mining()),
        resume,
        Duration::MAX,
        now,
    );
    let metrics = Metrics::new(&Registry::new());
    let mut told = Listening(Told::new());
    for (offset, produced) in log.iter().enumerate() {
        let record = Record {
            offset: Offset::new(offset as i64),
            leader_epoch: produced.epoch,
            kafka_time: produced.kafka_time,
            key: Some(&produced.key),
            value: Some(&produced.payload),
            rest: &Bare,
        };
        task.take(&record, now, &metrics, &mut told)
            .expect("nothing is sent");
    }
    let by_records = told.0.clone();
    task.idle(idle, &mut told).expect("nothing is sent");
    let rows = task.close().map(|batch| batch.rows).unwrap_or_default();
    let mut templates = Templates::default();
    templates.take_merges(&rows.templates);
    Undisturbed {
        by_records,
        with_silence: told.0,
        ids: rows.offsets().zip(rows.template_ids()).collect(),
        templates,
    }
}

/// Lines of some templates, of which some turn out to be one, and some come once and never again.
fn message(n: usize) -> String {
    const NAMES: [&str; 12] = [
        "ada", "bela", "cleo", "dora", "emil", "fritz", "greta", "hugo", "ida", "jakob", "karla",
        "lena",
    ];
    let name = NAMES[n / 8 % NAMES.len()];
    match n % 8 {
        0 => String::new(),
        1 => format!("user {name} logged in"),
        2 => format!("the cache of {name} was emptied after {n} ms"),
        3 => format!("{name} asked for page {n} of the report"),
        4 => format!("state {name} {}", NAMES[n / 11 % NAMES.len()]),
        _ => format!("line {n}"),
    }
}
