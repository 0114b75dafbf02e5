//! The ports of one simulated process, and what can go wrong on the way to the other side.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anomaly_processor::{
    announce, partition_state,
    partition_task::{SinkError, Sinks},
    startup::{RecoverySources, StartError},
};
use clickhouse_store::{LogRows, accounts::Life, deadline::DEADLINES};
use contracts::dead_letter::Reason;
use detection::Finding;
use futures::future::{Either, select};
use pipeline::{
    Assignment, Batch, Day, Days, Epoch, Fence, Incarnation, LeaderEpoch, Line, Mark, NextOffset,
    Offset, Partition, Snapshot, StateId, TaskId,
    batch::Acknowledgement,
    ports::{
        Accounts, Clock, CommitError, Commits, DeadLetters, Kind, Record, RowStore, Snapshots,
        Standing, StoreError,
    },
    resume::{Accounted, KafkaState},
    snapshot::{self, Lost},
};
use rand::{RngExt as _, rngs::StdRng};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    executor::{Group, Handle},
    mutants::Mutant,
    process::{detection, mining},
    templates::Templates,
    world::{Inserted, World},
};

/// Virtual time 0, in ms since the epoch.
const EPOCH_MS: i64 = 1_790_000_000_000;
/// Sessions end fifteen times as soon here, and everything that waits is scaled alike: after this the
/// shipped client takes a request for lost.
fn patience() -> Duration {
    const SCALE: f64 = 1.0 / 30.0;
    DEADLINES.scaled(SCALE).answer_to(0)
}
/// In percent: requests to the store that get no answer, ever, and half of them have no effect.
const NEVER_ANSWERED: usize = 1;

/// A process's way to everything else.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) world: Arc<Mutex<World>>,
    pub(crate) handle: Handle,
    pub(crate) rng: Arc<Mutex<StdRng>>,
    pub(crate) group: Group,
    pub(crate) member: u32,
    pub(crate) leaving: Arc<AtomicBool>,
    pub(crate) gone: Arc<AtomicBool>,
    pub(crate) failure: Arc<Mutex<Option<String>>>,
}

pub(crate) fn incarnation_of(topic_id: Uuid) -> Incarnation {
    Incarnation::of(topic_id, "group")
}

impl Link {
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// 0 to `sides` − 1.
    pub(crate) fn dice(&self, sides: usize) -> usize {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        rng.random_range(0..sides)
    }

    fn chance(&self, percent: usize) -> bool {
        self.dice(100) < percent
    }

    fn millis(&self, most: usize) -> Duration {
        Duration::from_millis(self.dice(most) as u64)
    }

    pub(crate) fn wall_ms(&self) -> i64 {
        EPOCH_MS + self.handle.now().as_millis() as i64
    }

    /// Days are short here, so that many batches are stored on another one than they were announced.
    pub(crate) fn today(&self) -> Day {
        Day::new(20_000 + (self.handle.now().as_millis() / 1500) as u16)
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    pub(crate) fn left(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    pub(crate) fn fail(&self, why: String) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// A request: once it is sent it takes effect, whether or not its sender still lives.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        apply: impl FnOnce(&mut World) -> T + Send + 'static,
    ) -> T {
        let (there, back) = if self.chance(4) {
            (self.millis(3000), self.millis(200))
        } else {
            (self.millis(8), self.millis(8))
        };
        let (answer, answered) = oneshot::channel();
        let (world, handle) = (Arc::clone(&self.world), self.handle.clone());
        self.handle.spawn(0, async move {
            handle.sleep(there).await;
            let result = apply(&mut world.lock().unwrap_or_else(PoisonError::into_inner));
            handle.sleep(back).await;
            // Its sender may be gone.
            let _unheard = answer.send(result);
        });
        answered.await.expect("the network does not end")
    }

    /// The same, given up after a while: whether it took effect is then unknown.
    async fn call_impatiently<T: Send + 'static>(
        &self,
        apply: impl FnOnce(&mut World) -> T + Send + 'static,
    ) -> Option<T> {
        if self.chance(NEVER_ANSWERED) {
            // The other side was stopped, or the cable is cut: before it was heard, or after.
            if self.chance(50) {
                self.call(apply).await;
            }
            self.handle.sleep(patience()).await;
            let mut world = self.world();
            world.tally.lost_answers += 1;
            world.tally.deadlines += 1;
            return None;
        }
        let calling = Box::pin(self.call(apply));
        match select(calling, self.handle.sleep(patience())).await {
            Either::Left((result, _)) => (!self.loses_answer()).then_some(result),
            Either::Right(((), _)) => {
                self.world().tally.lost_answers += 1;
                None
            }
        }
    }

    fn loses_answer(&self) -> bool {
        let loses = self.chance(3);
        self.world().tally.lost_answers += u64::from(loses);
        loses
    }
}

/// By incarnation, partition and assignment.
type Standings = BTreeMap<(u64, i32, Epoch), Standing>;

/// Everything but the poll loop: store, commits, starts.
#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) link: Link,
    pub(crate) fence: Fence,
    /// What the writers told the audit last.
    pub(crate) standings: Arc<Mutex<Standings>>,
}

fn unsure(message: &str) -> StoreError {
    StoreError {
        kind: Kind::Transient,
        uncertain: true,
        message: message.to_owned(),
    }
}

/// Offset and template of each row.
fn rows_of(batch: &Batch<LogRows>) -> Vec<(i64, u64)> {
    let rows = &batch.rows;
    rows.offsets().zip(rows.template_ids()).collect()
}

impl Outside {
    /// Whether nobody said that something of the partition is under way, although somebody speaks of it.
    fn stands_still(&self, (life, partition): (u64, i32)) -> bool {
        let standings = self
            .standings
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut own = standings.range((life, partition, Epoch(0))..);
        let is_own = |of: &(u64, i32, Epoch)| (of.0, of.1) == (life, partition);
        let own: Vec<_> = own
            .by_ref()
            .take_while(|(of, _)| is_own(of))
            .map(|(_, standing)| standing)
            .collect();
        !own.is_empty() && own.iter().all(|standing| !standing.under_way)
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.link.world().mutant == Some(mutant)
    }

    async fn insert_rows(
        &self,
        id: TaskId,
        days: Days,
        rows: Vec<(i64, u64)>,
        token: String,
    ) -> Result<(), StoreError> {
        let place = (id.incarnation.raw(), id.assignment.partition.0);
        let token = match self.link.world().mutant {
            Some(Mutant::NoToken) => None,
            Some(Mutant::TokenWithoutIncarnation) => {
                token.split_once('-').map(|(_, rest)| rest.to_owned())
            }
            _ => Some(token),
        };
        // Tokens are of one day's part of the table.
        let token = token.map(|token| format!("{}/{token}", days.own));
        let answer = self.link.call_impatiently(move |world| {
            let answer = world.store.insert(place, days.own, &rows, token);
            match answer {
                Inserted::Deduplicated => world.tally.deduplicated += 1,
                Inserted::Rejected => world.tally.rejected += 1,
                Inserted::Died => {
                    world.tally.lost_parts += 1;
                    world.store.is_down = true;
                }
                Inserted::Done | Inserted::Down => {}
            }
            answer
        });
        let mut answer = answer.await;
        if answer == Some(Inserted::Died) {
            let link = self.link.clone();
            self.link.handle.spawn(0, async move {
                link.handle.sleep(Duration::from_millis(700)).await;
                link.world().store.is_down = false;
            });
            // Its machine is gone, too: nobody closes the connection.
            if self.link.chance(50) {
                self.link.handle.sleep(patience()).await;
                self.link.world().tally.deadlines += 1;
                answer = None;
            }
        }
        match answer {
            Some(Inserted::Done | Inserted::Deduplicated) => Ok(()),
            Some(Inserted::Down) => Err(StoreError {
                kind: Kind::Transient,
                uncertain: false,
                message: "cannot be reached".to_owned(),
            }),
            Some(Inserted::Rejected) => Err(StoreError {
                kind: Kind::Rejected,
                uncertain: false,
                message: "violates a constraint".to_owned(),
            }),
            None if self.is(Mutant::TimedOutTakenForNotSent) => Err(StoreError {
                uncertain: false,
                ..unsure("no answer")
            }),
            Some(Inserted::Died) | None => Err(unsure("no answer")),
        }
    }

    /// Texts, then merges: as the store is sent them.
    async fn take_templates(&self, batch: &Batch<LogRows>) -> Result<(), StoreError> {
        for take in [Templates::take_texts, Templates::take_merges] {
            let news = batch.rows.templates.clone();
            if news.is_empty() {
                return Ok(());
            }
            let taken = self.link.call_impatiently(move |world| {
                let is_up = !world.store.is_down;
                if is_up {
                    take(&mut world.store.templates, &news);
                }
                is_up.then_some(())
            });
            taken.await.flatten().ok_or_else(|| unsure("no answer"))?;
        }
        Ok(())
    }

    async fn stored(&self, batch: &Batch<LogRows>, days: Days) -> Result<Vec<i64>, StoreError> {
        let place = (batch.id.incarnation.raw(), batch.id.assignment.partition.0);
        let (first, end) = (batch.first.raw(), batch.end.raw());
        let asked = self.link.call_impatiently(move |world| {
            (!world.store.is_down).then(|| {
                world
                    .store
                    .stored(place, first, end, days.since.min(days.own))
            })
        });
        let stored = asked.await.flatten().ok_or_else(|| unsure("no answer"))?;
        Ok(stored.into_iter().collect())
    }
}

impl RowStore<LogRows> for Outside {
    async fn prepare(&self, batch: &Batch<LogRows>) -> Result<(), StoreError> {
        if self.is(Mutant::TemplatesAfterRows) {
            return Ok(());
        }
        self.take_templates(batch).await
    }

    async fn insert(&self, batch: &Batch<LogRows>, days: Days) -> Result<(), StoreError> {
        self.insert_rows(batch.id, days, rows_of(batch), batch.token())
            .await?;
        if self.is(Mutant::TemplatesAfterRows) {
            self.take_templates(batch).await?;
        }
        Ok(())
    }

    async fn count(&self, batch: &Batch<LogRows>, days: Days) -> Result<u64, StoreError> {
        if self.is(Mutant::CountSkipped) {
            // What the token answers is believed.
            self.insert(batch, days).await?;
            return Ok(batch.row_count());
        }
        Ok(self.stored(batch, days).await?.len() as u64)
    }

    async fn repair(
        &self,
        batch: &Batch<LogRows>,
        days: Days,
        round: u32,
    ) -> Result<u64, StoreError> {
        let there = self.stored(batch, days).await?;
        let mut missing = rows_of(batch);
        missing.retain(|(offset, _)| !there.contains(offset));
        let count = missing.len() as u64;
        let offsets: Vec<i64> = missing.iter().map(|(offset, _)| *offset).collect();
        let token = format!("{}-repair-{round}-{offsets:?}", batch.token());
        self.insert_rows(batch.id, days, missing, token).await?;
        Ok(count)
    }
}

impl Snapshots for Outside {
    async fn keep(&self, id: TaskId, snapshot: Snapshot) -> Result<(), StoreError> {
        let place = (id.incarnation.raw(), id.assignment.partition.0);
        if self.is(Mutant::ChangesOfOtherStates) && self.link.dice(3) == 0 {
            return Ok(());
        }
        let last = (snapshot.next, snapshot.id);
        let kept = self
            .link
            .call_impatiently(move |world| world.store.keep(place, snapshot));
        kept.await.ok_or_else(|| unsure("no answer"))?;
        // Runs are too short for so many changes that somebody would ask for it.
        if self.link.dice(4) == 0 {
            self.fold(id, last, Lost::default());
        }
        Ok(())
    }

    fn fold(&self, id: TaskId, last: (NextOffset, StateId), lost: Lost) {
        let place = (id.incarnation.raw(), id.assignment.partition.0);
        let (next, last) = last;
        let link = self.link.clone();
        self.link.handle.spawn(self.link.group, async move {
            let found = link.call(move |world| world.store.newest_snapshot(place, next));
            let Some((whole, changes)) = found.await else {
                return lost.note();
            };
            let changes = snapshot::linked(whole.id, changes);
            match partition_state::fold(&whole, &changes, last, detection(), mining()) {
                Ok(folded) => {
                    link.call(move |world| {
                        world.tally.folded += u64::from(!changes.is_empty());
                        world.store.keep(place, folded);
                    })
                    .await;
                }
                Err(_) => lost.note(),
            }
        });
    }
}

impl Accounts for Outside {
    async fn keep_account(&self, id: TaskId, lines: &[Line]) -> Result<(), StoreError> {
        let place = (id.incarnation.raw(), id.assignment.partition.0);
        let lines = lines.to_vec();
        if self.stands_still(place) {
            self.link.world().lines_counted_twice += 1;
        }
        if self.is(Mutant::AccountNotKept) && self.link.dice(4) == 0 {
            return Ok(());
        }
        let kept = self.link.call_impatiently(move |world| {
            let is_up = !world.store.is_down;
            if is_up {
                world.store.keep_account(place, &lines);
            }
            is_up.then_some(())
        });
        kept.await.flatten().ok_or_else(|| unsure("no answer"))
    }

    fn stands(&self, id: TaskId, standing: Option<Standing>) {
        let assignment = id.assignment;
        let place = (
            id.incarnation.raw(),
            assignment.partition.0,
            assignment.epoch,
        );
        let mut standings = self
            .standings
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match standing {
            Some(standing) => drop(standings.insert(place, standing)),
            None => drop(standings.remove(&place)),
        }
    }
}

impl DeadLetters for Outside {
    async fn set_aside(&self, id: TaskId, offset: Offset, _error: &str) -> Result<(), String> {
        let position = (
            id.incarnation.raw(),
            id.assignment.partition.0,
            offset.raw(),
        );
        let sent = self.link.call_impatiently(move |world| {
            *world.letters.entry(position).or_default() += 1;
        });
        sent.await.ok_or_else(|| "no answer".to_owned())
    }
}

impl Commits for Outside {
    async fn commit(&self, at: Assignment, mut mark: Mark) -> Result<(), CommitError> {
        if self.is(Mutant::CommitBeforeInsert)
            && let Some(end) = mark.intent.take()
        {
            mark.next = end.end;
        }
        let entered = self.fence.enter(at).await;
        self.link.world().tally.stale_commits_refused += u64::from(entered.is_err());
        let mut pass = Some(entered?);
        if self.is(Mutant::EpochOutsideLock) {
            pass = None;
            // The thread is not scheduled for a moment, as any thread may not be.
            let moment = self.link.millis(400);
            self.link.handle.sleep(moment).await;
        }
        let member = self.link.member;
        let answer = self
            .link
            .call(move |world| world.group.commit(member, at.partition.0, &mark))
            .await;
        drop(pass);
        let lost = self.link.chance(3).then(|| "no answer".to_owned());
        match (answer, lost) {
            (Ok(()), None) => Ok(()),
            (Err(reason), _) | (Ok(()), Some(reason)) => Err(CommitError::Transient(reason)),
        }
    }
}

impl Clock for Outside {
    async fn sleep(&self, how_long: Duration) {
        self.link.handle.sleep(how_long).await;
    }

    fn now(&self) -> Duration {
        self.link.handle.now()
    }

    fn today(&self) -> Day {
        self.link.today()
    }
}

impl RecoverySources for Outside {
    async fn known(&self, partition: Partition) -> Result<(Incarnation, KafkaState), StartError> {
        let asked = self.link.call(move |world| {
            let committed = world.group.committed.get(&partition.0);
            let known = KafkaState {
                committed: committed.map(|(next, metadata)| {
                    (NextOffset::resume_at(Offset::new(*next)), metadata.clone())
                }),
                low: 0,
                high: world.log.get(&partition.0).map_or(0, Vec::len) as i64,
            };
            (incarnation_of(world.topic_id), known)
        });
        Ok(asked.await)
    }

    async fn life(
        &self,
        topic: Incarnation,
        partition: Partition,
    ) -> Result<Option<Life>, StartError> {
        let place = (topic.raw(), partition.0);
        let found = self
            .link
            .call(move |world| world.store.lives.get(&place).copied());
        Ok(found.await)
    }

    async fn begin_life(
        &self,
        topic: Incarnation,
        partition: Partition,
        life: Life,
    ) -> Result<(), StartError> {
        let place = (topic.raw(), partition.0);
        let begun = self.link.call(move |world| {
            world.tally.lives += 1;
            // The highest stays.
            let newest = world.store.lives.entry(place).or_insert(life);
            if life.life > newest.life {
                *newest = life;
            }
        });
        begun.await;
        Ok(())
    }

    async fn record_at(
        &self,
        partition: Partition,
        offset: Offset,
    ) -> Result<Option<(Offset, LeaderEpoch)>, StartError> {
        if self.is(Mutant::LostLogUnseen) {
            return Ok(None);
        }
        let found = self.link.call(move |world| {
            let log = world.log.get(&partition.0)?;
            let record = log.get(usize::try_from(offset.raw()).ok()?)?;
            Some((offset, record.epoch))
        });
        Ok(found.await)
    }

    async fn accounted(
        &self,
        incarnation: Incarnation,
        partition: Partition,
    ) -> Result<Option<Accounted>, StartError> {
        let place = (incarnation.raw(), partition.0);
        let found = self.link.call(move |world| world.store.accounted(place));
        Ok(found.await)
    }

    async fn stored(
        &self,
        incarnation: Incarnation,
        partition: Partition,
        from: NextOffset,
        below: NextOffset,
        since: Day,
    ) -> Result<(Option<NextOffset>, u64), StartError> {
        let place = (incarnation.raw(), partition.0);
        let (from, below) = (from.raw(), below.raw());
        let found = self
            .link
            .call(move |world| world.store.stored_from(place, from, below, since));
        Ok(found.await)
    }

    async fn snapshot(
        &self,
        incarnation: Incarnation,
        partition: Partition,
        at_most: NextOffset,
    ) -> Result<Option<(Snapshot, Vec<Snapshot>)>, StartError> {
        let place = (incarnation.raw(), partition.0);
        let found = self
            .link
            .call(move |world| world.store.newest_snapshot(place, at_most));
        let Some((whole, changes)) = found.await else {
            return Ok(None);
        };
        let changes = if self.is(Mutant::ChangesOfOtherStates) {
            changes
        } else {
            snapshot::linked(whole.id, changes)
        };
        Ok(Some((whole, changes)))
    }
}

/// The producer: what is sent waits in the process for a moment, and dies with it.
pub(crate) struct Sending(pub(crate) Link);

impl Sending {
    fn send(&self, apply: impl FnOnce(&mut World) + Send + 'static) -> Acknowledgement {
        let (answer, acknowledgement) = oneshot::channel();
        let link = self.0.clone();
        self.0.handle.spawn(self.0.group, async move {
            let moment = link.millis(300);
            link.handle.sleep(moment).await;
            link.call(apply).await;
            // A partition that went away is somebody else's to finish.
            let _unheard = answer.send(Ok(()));
        });
        acknowledgement
    }
}

impl Sinks for Sending {
    fn dead_letter(
        &mut self,
        task: &TaskId,
        record: &Record<'_>,
        _reason: Reason,
        _error: &str,
    ) -> Result<Acknowledgement, SinkError> {
        let position = (
            task.incarnation.raw(),
            task.assignment.partition.0,
            record.offset.raw(),
        );
        Ok(self.send(move |world| *world.letters.entry(position).or_default() += 1))
    }

    fn announce(
        &mut self,
        task: &TaskId,
        finding: Finding,
        _traceparent: Option<&str>,
    ) -> Result<Acknowledgement, SinkError> {
        let mut id = announce::id_of(&finding, task.incarnation, task.assignment.partition);
        let mutant = self.0.world().mutant;
        if mutant == Some(Mutant::WallClockInId) {
            id = Uuid::from_u128(id.as_u128() ^ self.0.wall_ms() as u128);
        }
        let version = finding.version;
        let said = format!("{finding:?}");
        let acknowledgement = self.send(move |world| {
            world
                .anomalies
                .entry((id, version))
                .or_default()
                .insert(said);
        });
        if mutant == Some(Mutant::AcknowledgementNotAwaited) {
            let (answer, at_once) = oneshot::channel();
            let _heard = answer.send(Ok(()));
            return Ok(at_once);
        }
        Ok(acknowledgement)
    }
}
