//! Holds what ClickHouse has against what became of each offset, all the time.
//!
//! Invariants: it changes nothing; what it costs is bounded: looks that read no row are cheap, and rows
//! are counted only for a fraction of the time that passes, or because a look found something odd; a
//! difference is told once it has been seen twice.

mod judging;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use clickhouse_store::{
    Client, Error,
    audit::{self, Difference, Kept, OfDay},
};
use judging::{Odd, judge, open_days};
use pipeline::{
    Day, Epoch, Incarnation, Partition, TaskId,
    ports::{Clock as _, Standing},
};
use service_kit::lifecycle::{Latch, Tasks};

use crate::{clock::BootClock, metrics::Metrics, run::RunError};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(25);
/// Until a difference is looked at once more before it is told.
const AGAIN: Duration = Duration::from_secs(4);
/// Rows are counted for one part in so many of the time that passes.
const SHARE: u32 = 1000;
/// The same while something is odd: whoever mends it waits to see that it is mended.
const SHARE_WHILE_ODD: u32 = 50;
/// Looks that may fail one after the other before that is said: ClickHouse may be away for a moment,
/// which others notice.
const MOST_FAILED: u32 = 3;

/// What the writers of this process have under way and in no line. Each member of the group has a page of
/// its own, and each of its assignments an entry: a writer that was fenced, or goes on after its partition
/// was taken away and given back, speaks for nobody but itself.
#[derive(Clone, Default)]
pub struct Books {
    pages: Arc<Mutex<Vec<Page>>>,
    page: usize,
}

type Page = BTreeMap<(Incarnation, Partition, Epoch), Standing>;
type Standings = BTreeMap<(Incarnation, Partition), Standing>;

impl Books {
    fn with<T>(&self, act: impl FnOnce(&mut Vec<Page>) -> T) -> T {
        // What is noted is whole, whoever panicked meanwhile.
        act(&mut self.pages.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same books, to be written by this member.
    #[must_use]
    pub fn of_member(&self, page: usize) -> Self {
        self.with(|pages| pages.resize(pages.len().max(page + 1), Page::new()));
        Self {
            pages: Arc::clone(&self.pages),
            page,
        }
    }

    pub fn note(&self, id: TaskId, standing: Option<Standing>) {
        let of = (id.incarnation, id.assignment.partition, id.assignment.epoch);
        self.with(|pages| {
            let page = &mut pages[self.page];
            match standing {
                Some(standing) => drop(page.insert(of, standing)),
                None => drop(page.remove(&of)),
            }
        });
    }

    /// Of a partition that two writers speak of, because it went from one to the other in this moment,
    /// what has got further; under way is what is so of either.
    fn now(&self) -> Standings {
        self.with(|pages| {
            let mut all = Standings::new();
            for ((life, partition, _), standing) in pages.iter().flatten() {
                let known = all
                    .entry((*life, *partition))
                    .or_insert_with(|| standing.clone());
                let under_way = known.under_way || standing.under_way;
                if standing.done > known.done {
                    known.clone_from(standing);
                }
                known.under_way = under_way;
            }
            all
        })
    }
}

/// A stretch of a partition's offsets on a day.
type Place = (Incarnation, Partition, Day, i64);

pub struct Auditor {
    client: Client,
    books: Books,
    metrics: Metrics,
    latch: Latch,
    seen: Seen,
}

/// What earlier looks have found.
#[derive(Default)]
struct Seen {
    changes: Option<String>,
    days: BTreeMap<Day, OfDay>,
    /// Days whose rows were counted, and what they had then.
    counted: BTreeMap<Day, OfDay>,
    odd: BTreeMap<Place, Odd>,
    /// Rows of today are counted again then.
    next_count: Option<Instant>,
    told: bool,
    /// Looks that failed since the last one that did not.
    failed: u32,
    /// What the table says about how long it keeps rows.
    kept: Option<Kept>,
}

impl Seen {
    /// What is odd of each stretch, once: it may differ on two days, and has its numbers of all days on either.
    fn by_stretch(&self) -> BTreeMap<(Incarnation, Partition, i64), Odd> {
        let odd = self.odd.iter();
        odd.map(|((life, partition, _, first), odd)| ((*life, *partition, *first), *odd))
            .collect()
    }
}

impl Auditor {
    pub fn new(client: Client, books: Books, metrics: Metrics, latch: Latch) -> Self {
        latch.set_ready();
        Self {
            client,
            books,
            metrics,
            latch,
            seen: Seen::default(),
        }
    }

    pub async fn run(mut self, tasks: Tasks) -> Result<(), RunError> {
        loop {
            tokio::select! {
                () = tasks.stopping() => return Ok(()),
                () = tokio::time::sleep(EVERY) => {}
            }
            let looking = async {
                let started = Instant::now();
                let outcome = self.look().await;
                (started.elapsed(), outcome)
            };
            let (took, outcome) = tokio::select! {
                () = tasks.stopping() => return Ok(()),
                looked = looking => looked,
            };
            match outcome {
                Ok(()) => {
                    self.metrics.audits.observe(took.as_secs_f64());
                    self.seen.failed = 0;
                    self.tell();
                }
                Err(error) => self.cannot_look(&error),
            }
        }
    }

    /// What is not looked at must not seem to be in order.
    fn cannot_look(&mut self, error: &Error) {
        self.metrics.audits_failed.inc();
        self.seen.failed += 1;
        if self.seen.failed == MOST_FAILED {
            tracing::error!(%error, "the audit cannot hold what clickhouse has against the account");
        }
        if self.seen.failed >= MOST_FAILED {
            self.latch.set_unready(format!(
                "what clickhouse has cannot be held against what was stored: {error}"
            ));
        }
    }

    async fn look(&mut self) -> Result<(), Error> {
        let books = self.books.now();
        if books.is_empty() {
            self.seen.odd.clear();
            return Ok(());
        }
        let today = BootClock.today();
        let changes = audit::changes(&self.client).await?;
        let has_changed = self.seen.changes.as_ref() != Some(&changes);
        let is_due = self.seen.next_count.is_none_or(|at| Instant::now() >= at);
        // Half of the questions are asked only as often as rows are counted.
        let is_thorough = is_due || has_changed;
        if is_thorough {
            self.ask_how_long_rows_are_kept().await?;
        }
        let first_day = |seen: &Seen| {
            seen.kept
                .as_ref()
                .map_or(today, |kept| kept.first_day(today))
        };
        let mut since = first_day(&self.seen);
        let days = audit::days(&self.client, since).await?;
        let open = open_days(&books, today);
        let mut suspects = BTreeSet::new();
        let found: BTreeSet<Day> = self.seen.odd.keys().map(|(_, _, day, _)| *day).collect();
        for of_day in &days {
            let day = of_day.day();
            if !found.contains(&day) && self.is_odd(of_day, open.contains(&day)) {
                suspects.insert(day);
            }
        }
        if !suspects.is_empty() && !is_thorough {
            // Somebody may have had rows expire earlier a moment ago.
            self.ask_how_long_rows_are_kept().await?;
            since = first_day(&self.seen);
        }
        if is_thorough {
            suspects.extend(open.iter().copied());
            // What was found before may be healed.
            suspects.extend(found);
        }
        for day in suspects.into_iter().filter(|day| *day >= since) {
            self.count(day).await?;
            if let Some(of_day) = days.iter().find(|one| one.day() == day) {
                self.seen.counted.insert(day, *of_day);
            }
        }
        if is_thorough {
            self.explain().await?;
        }
        let known: BTreeSet<_> = self.books.now().into_keys().collect();
        self.seen.odd.retain(|(incarnation, partition, day, _), _| {
            known.contains(&(*incarnation, *partition)) && *day >= since
        });
        self.seen.changes = Some(changes);
        self.seen.days = days.into_iter().map(|one| (one.day(), one)).collect();
        Ok(())
    }

    async fn ask_how_long_rows_are_kept(&mut self) -> Result<(), Error> {
        let kept = audit::kept_for(&self.client).await?;
        if self.seen.kept.as_ref() != Some(&kept) {
            if let Kept::Unclear(rule) = &kept {
                tracing::warn!(
                    rule,
                    "the audit cannot tell how long rows are kept, and looks only at today's"
                );
            }
            self.seen.kept = Some(kept);
        }
        Ok(())
    }

    /// Whether the numbers of a day say that its rows have to be counted.
    fn is_odd(&self, of_day: &OfDay, is_open: bool) -> bool {
        if self.seen.counted.get(&of_day.day()) == Some(of_day) {
            return false;
        }
        let before = self.seen.days.get(&of_day.day());
        let fewer = before.is_some_and(|before| of_day.there < before.there);
        if is_open {
            // Batches are on their way: there may be more rows than lines speak of.
            return fewer || of_day.is_short();
        }
        fewer || of_day.is_short() || of_day.there > of_day.accounted
    }

    /// Counts the rows of a day, and once more what differs.
    async fn count(&mut self, day: Day) -> Result<(), Error> {
        let started = Instant::now();
        let mut found = self.count_once(day).await?;
        let took = started.elapsed();
        let share = if found.is_empty() {
            SHARE
        } else {
            SHARE_WHILE_ODD
        };
        self.seen.next_count = Some(Instant::now() + (took * share).max(EVERY * 4));
        let is_news = found
            .iter()
            .any(|(place, odd)| self.seen.odd.get(place) != Some(odd));
        if is_news {
            tokio::time::sleep(AGAIN).await;
            let again = self.count_once(day).await?;
            found.retain(|place, _| again.contains_key(place));
            for (place, odd) in &mut found {
                *odd = again.get(place).copied().unwrap_or_default();
            }
        }
        let of_the_day = |place: &Place| place.2 == day && place.3 >= 0;
        self.seen.odd.retain(|place, _| !of_the_day(place));
        self.seen.odd.extend(found);
        Ok(())
    }

    async fn count_once(&self, day: Day) -> Result<BTreeMap<Place, Odd>, Error> {
        let before = self.books.now();
        let lives: BTreeSet<String> = before.keys().map(|(life, _)| life.to_string()).collect();
        let lives: Vec<String> = lives.into_iter().collect();
        let found = audit::differences(&self.client, day, Some(&lives)).await?;
        let after = self.books.now();
        let judged = |difference: &Difference, of_day: Option<u16>| {
            let (of, standing) = before.iter().find(|((life, partition), _)| {
                partition.0 == difference.partition && life.to_string() == difference.incarnation
            })?;
            // Somebody else's partition is somebody else's to look at.
            let stood_still = after.get(of) == Some(standing);
            let what = judge(difference, of_day, standing, stood_still)?;
            Some(((of.0, of.1, day, difference.first), what))
        };
        let found: Vec<_> = found
            .into_iter()
            .filter(|one| judged(one, Some(one.day)).is_some())
            .collect();
        let odd = audit::of_all_days(&self.client, &found).await?;
        let odd = odd.iter().filter_map(|one| judged(one, None)).collect();
        Ok(odd)
    }

    /// Offsets that no line speaks of.
    async fn explain(&mut self) -> Result<(), Error> {
        let books = self.books.now();
        self.seen.odd.retain(|place, _| place.3 >= 0);
        for found in audit::unexplained(&self.client, BootClock.today()).await? {
            let of = books.keys().find(|(life, partition)| {
                partition.0 == found.partition && life.to_string() == found.incarnation
            });
            if let Some((life, partition)) = of {
                let odd = Odd {
                    unexplained: found.offsets,
                    ..Odd::default()
                };
                let place = (*life, *partition, BootClock.today(), -1);
                self.seen.odd.insert(place, odd);
            }
        }
        Ok(())
    }

    fn tell(&mut self) {
        let mut by_partition: BTreeMap<Partition, Odd> = BTreeMap::new();
        for (_, partition) in self.books.now().into_keys() {
            by_partition.entry(partition).or_default();
        }
        let mut all = Odd::default();
        for ((_, partition, _), odd) in self.seen.by_stretch() {
            by_partition.entry(partition).or_default().add(odd);
            all.add(odd);
        }
        for (partition, odd) in &by_partition {
            let gauge = self.metrics.audit_difference.of(&partition.to_string());
            gauge.set(odd.rows() as f64);
        }
        if all.rows() == 0 {
            self.latch.set_ready();
            if std::mem::take(&mut self.seen.told) {
                tracing::info!("clickhouse has what the account says again");
            }
            return;
        }
        let partitions: Vec<String> = by_partition
            .iter()
            .filter(|(_, odd)| odd.rows() > 0)
            .map(|(partition, _)| partition.to_string())
            .collect();
        let partitions = partitions.join(", ");
        let Odd {
            missing,
            surplus,
            unexplained,
        } = all;
        self.latch.set_unready(format!(
            "clickhouse does not have what was stored: {missing} rows are missing, {surplus} are too many, \
             {unexplained} offsets are unexplained; partitions {partitions}"
        ));
        if !std::mem::replace(&mut self.seen.told, true) {
            let first = self.seen.odd.iter().next();
            tracing::error!(
                missing,
                surplus,
                unexplained,
                partitions,
                ?first,
                "clickhouse does not have what was stored: see the audit in docs/delivery.md"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_that_differs_on_two_days_is_told_once() {
        let mut seen = Seen::default();
        let life = Incarnation::of(uuid::Uuid::from_u128(1), "group");
        let odd = Odd {
            missing: 3,
            ..Odd::default()
        };
        for (day, first) in [(1, 0), (2, 0), (2, 65_536)] {
            let place = (life, Partition(0), Day::new(day), first);
            seen.odd.insert(place, odd);
        }
        assert_eq!(
            seen.by_stretch()
                .values()
                .map(|odd| odd.missing)
                .sum::<u64>(),
            6
        );
    }
}
