//! Holds what ClickHouse has against what became of each offset, all the time.
//!
//! Invariants: it changes nothing; what it costs is bounded: looks that read no row are cheap, and rows
//! are counted only for a fraction of the time that passes, or because a look found something odd; a
//! difference is told once it has been seen twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use clickhouse_store::{
    Client, Error,
    audit::{self, Difference, Kept, OfDay},
};
use pipeline::{
    Day, Incarnation, LaneId, Partition,
    account::STRETCH,
    ports::{Clock as _, Standing},
};
use service_kit::lifecycle::{Latch, Tasks};

use crate::{clock::BootClock, metrics::Metrics, run::RunError};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(15);
/// Until a difference is looked at once more before it is told.
const AGAIN: Duration = Duration::from_secs(4);
/// Rows are counted for one part in so many of the time that passes.
const SHARE: u32 = 500;
/// Looks that may fail one after the other before that is said: ClickHouse may be away for a moment,
/// which others notice.
const MOST_FAILED: u32 = 4;

/// What the writers of this process have under way and in no line.
#[derive(Clone, Default)]
pub struct Books(Arc<Mutex<BTreeMap<(Incarnation, Partition), Standing>>>);

type Standings = BTreeMap<(Incarnation, Partition), Standing>;

impl Books {
    fn with<T>(&self, act: impl FnOnce(&mut Standings) -> T) -> T {
        // What is noted is whole, whoever panicked meanwhile.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn note(&self, id: LaneId, standing: Option<Standing>) {
        let of = (id.incarnation, id.assignment.partition);
        self.with(|books| match standing {
            Some(standing) => drop(books.insert(of, standing)),
            None => drop(books.remove(&of)),
        });
    }

    fn now(&self) -> Standings {
        self.with(|books| books.clone())
    }
}

/// Rows that are missing, or that nobody accounts for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Odd {
    missing: u64,
    surplus: u64,
    /// Offsets that the account says nothing of.
    unexplained: u64,
}

impl Odd {
    const fn rows(&self) -> u64 {
        self.missing + self.surplus + self.unexplained
    }

    fn add(&mut self, other: Self) {
        self.missing += other.missing;
        self.surplus += other.surplus;
        self.unexplained += other.unexplained;
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
        let kept = audit::kept_for(&self.client).await?;
        let since = since(&kept, today);
        if self.seen.kept.as_ref() != Some(&kept) {
            if let Kept::Unclear(rule) = &kept {
                tracing::warn!(
                    rule,
                    "the audit cannot tell how long rows are kept, and looks only at today's"
                );
            }
            self.seen.kept = Some(kept);
        }
        let changes = audit::changes(&self.client).await?;
        let days = audit::days(&self.client, since).await?;
        let open = open_days(&books, today);
        let mut suspects = BTreeSet::new();
        if self.seen.changes.as_ref() != Some(&changes) {
            suspects.extend(open.iter().copied());
        }
        let found: BTreeSet<Day> = self.seen.odd.keys().map(|(_, _, day, _)| *day).collect();
        for of_day in &days {
            let day = of_day.day();
            if !found.contains(&day) && self.is_odd(of_day, open.contains(&day)) {
                suspects.insert(day);
            }
        }
        if self.seen.next_count.is_none_or(|at| Instant::now() >= at) {
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
        self.explain().await?;
        let known: BTreeSet<_> = self.books.now().into_keys().collect();
        self.seen.odd.retain(|(incarnation, partition, day, _), _| {
            known.contains(&(*incarnation, *partition)) && *day >= since
        });
        self.seen.changes = Some(changes);
        self.seen.days = days.into_iter().map(|one| (one.day(), one)).collect();
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
            // Blocks are on their way: there may be more rows than lines speak of.
            return fewer || of_day.is_short();
        }
        fewer || of_day.is_short() || of_day.there > of_day.accounted
    }

    /// Counts the rows of a day, and once more what differs.
    async fn count(&mut self, day: Day) -> Result<(), Error> {
        let started = Instant::now();
        let mut found = self.count_once(day).await?;
        let took = started.elapsed();
        self.seen.next_count = Some(Instant::now() + (took * SHARE).max(EVERY * 4));
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
        let mut odd = BTreeMap::new();
        for difference in found {
            let of = before.iter().find(|((life, partition), _)| {
                partition.0 == difference.partition && life.to_string() == difference.incarnation
            });
            // Somebody else's partition is somebody else's to look at.
            let Some((of, standing)) = of else { continue };
            let stood_still = after.get(of) == Some(standing);
            if let Some(what) = judge(&difference, standing, stood_still) {
                odd.insert((of.0, of.1, day, difference.first), what);
            }
        }
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
        for ((_, partition, _, _), odd) in &self.seen.odd {
            by_partition.entry(*partition).or_default().add(*odd);
            all.add(*odd);
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

/// The first day whose rows are surely all kept: what expires while one looks is no difference.
fn since(kept: &Kept, today: Day) -> Day {
    match kept {
        Kept::Days(days) => today.before(days.saturating_sub(2)),
        Kept::Forever => Day::default(),
        Kept::Unclear(_) => today,
    }
}

/// Days into which blocks may still come.
fn open_days(books: &Standings, today: Day) -> BTreeSet<Day> {
    let lines = books.values().filter_map(|standing| standing.open);
    // A block that is on its way may have been announced before midnight.
    let under_way = books.values().any(|standing| standing.under_way);
    let yesterday = under_way.then(|| today.before(1));
    lines
        .map(|line| line.day)
        .chain([today])
        .chain(yesterday)
        .collect()
}

/// What a difference means, given what the writer has in no line. `None`: nothing can be said yet.
fn judge(found: &Difference, standing: &Standing, stood_still: bool) -> Option<Odd> {
    let missing = |expected: u64| {
        let odd = Odd {
            missing: found.missing_of(expected),
            ..Odd::default()
        };
        (odd.missing > 0).then_some(odd)
    };
    let surplus = |expected: u64| {
        let odd = Odd {
            surplus: found.surplus_over(expected),
            ..Odd::default()
        };
        (odd.surplus > 0).then_some(odd)
    };
    let accounted = found.accounted;
    let frontier = standing
        .open
        .map_or(standing.done.raw(), |line| line.first.raw());
    if found.first / STRETCH < frontier / STRETCH {
        return missing(accounted).or_else(|| surplus(accounted));
    }
    if !stood_still || standing.under_way {
        // More may have come, and lines may have been kept, while it was asked.
        return missing(accounted);
    }
    let open = standing.open.filter(|line| {
        line.day.raw() == found.day && line.first.raw() / STRETCH == found.first / STRETCH
    });
    let expected = accounted + open.map_or(0, |line| line.rows);
    missing(expected).or_else(|| surplus(expected))
}

#[cfg(test)]
mod tests {
    use pipeline::{Line, NextOffset, Offset};

    use super::*;

    /// An open line `[65_700, 65_800)` with 90 rows of day 7, in the second stretch.
    fn standing(under_way: bool) -> Standing {
        let end = NextOffset::resume_at(Offset::new(65_800));
        Standing {
            done: end,
            open: Some(Line {
                first: Offset::new(65_700),
                end,
                day: Day::new(7),
                rows: 90,
                dead_letters: 10,
                holes: [0; 3],
                last: None,
            }),
            under_way,
        }
    }

    /// Rows missing and too many of a stretch, as numbers.
    #[track_caller]
    fn check(
        (first, there, accounted): (i64, u64, u64),
        standing: &Standing,
        stood_still: bool,
        expected: Option<(u64, u64)>,
    ) {
        let found = Difference {
            incarnation: String::new(),
            partition: 0,
            first,
            day: 7,
            there,
            erased: 0,
            accepted: 0,
            accounted,
            is_over: 0,
        };
        let odd = judge(&found, standing, stood_still);
        assert_eq!(odd.map(|odd| (odd.missing, odd.surplus)), expected);
    }

    #[test]
    fn a_stretch_that_is_over_has_exactly_its_rows() {
        for still in [true, false] {
            check((0, 9, 10), &standing(true), still, Some((1, 0)));
            check((0, 11, 10), &standing(true), still, Some((0, 1)));
        }
    }

    #[test]
    fn rows_that_are_in_no_line_yet_count_too() {
        check((65_536, 254, 164), &standing(false), true, None);
        check((65_536, 253, 164), &standing(false), true, Some((1, 0)));
        check((65_536, 255, 164), &standing(false), true, Some((0, 1)));
    }

    #[test]
    fn what_was_declared_may_be_missing_and_need_not_be() {
        let found = |there| Difference {
            incarnation: String::new(),
            partition: 0,
            first: 0,
            day: 7,
            there,
            erased: 3,
            accepted: 0,
            accounted: 10,
            is_over: 1,
        };
        let missing = |there| judge(&found(there), &standing(false), true).map(|odd| odd.missing);
        assert_eq!([missing(10), missing(7)], [None, None]);
        assert_eq!(missing(6), Some(1));
    }

    #[test]
    fn what_expires_is_not_looked_for() {
        let today = Day::new(100);
        assert_eq!(since(&Kept::Days(30), today), Day::new(72));
        assert_eq!(since(&Kept::Days(1), today), today);
        assert_eq!(since(&Kept::Forever, today), Day::new(0));
        assert_eq!(since(&Kept::Unclear(String::new()), today), today);
    }

    #[test]
    fn while_a_block_is_on_its_way_only_what_is_kept_can_be_missed() {
        for (under_way, still) in [(true, true), (false, false)] {
            let standing = standing(under_way);
            check((65_536, 300, 164), &standing, still, None);
            check((65_536, 170, 164), &standing, still, None);
            check((65_536, 163, 164), &standing, still, Some((1, 0)));
            // A large block reaches into the next stretch.
            check((131_072, 500, 0), &standing, still, None);
        }
    }
}
