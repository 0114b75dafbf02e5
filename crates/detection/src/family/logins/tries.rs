//! Users or addresses, and how often each has failed in a row.

use primitives::splitmix::{self, hash};

use crate::{
    codec::{Loaded, Reader, Writer},
    config::Config,
    record::time::EventTime,
    stat::Handfuls,
};

/// Names at once; of more those are forgotten who failed least, the eldest of them first.
const MOST_NAMES: usize = 64;
/// Of a name: what is longer is cut.
pub(super) const NAME_BYTES: usize = 64;

/// Whose tries are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    User = 0,
    Address = 1,
}

#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) name: Box<str>,
    /// Of the name: most are told apart without reading them.
    hash: u64,
    pub(super) failed: u64,
    /// Since its first failure.
    pub(super) succeeded: u64,
    /// Who else: the addresses of a user, the users of an address, each as a bit of its hash.
    seen: u64,
    pub(super) since: EventTime,
    last: EventTime,
    pub(super) offsets: (i64, i64),
    pub(super) is_told: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Tries {
    rows: Vec<Row>,
    pub(super) handfuls: Handfuls,
    /// Names that failed for the first time since the last window closed.
    begun: u64,
    /// So many in a row are out of the question.
    pub(super) critical: u64,
}

impl Row {
    /// How many others, more or less: by the bits that are not set, some 200 at the most.
    ///
    /// Source: linear counting (Whang, Vander-Zanden and Taylor, ACM TODS 1990).
    pub(super) fn others(&self) -> u64 {
        let zeros = f64::from(self.seen.count_zeros()).max(0.5);
        (64.0 * (64.0 / zeros).ln()).round() as u64
    }

    pub(super) fn is_named(&self, name: Name<'_>) -> bool {
        self.hash == name.hash && *self.name == *name.text
    }

    /// Nothing came for `gap` ms.
    pub(super) fn is_over(&self, now: EventTime, gap: i64) -> bool {
        now - self.last >= gap
    }

    fn sees(&mut self, other: Name<'_>) {
        if !other.is_empty() {
            self.seen |= 1 << (splitmix::mix(other.hash) >> 58);
        }
    }
}

/// A user or an address, as far as it is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a> {
    pub(super) text: &'a str,
    hash: u64,
}

impl<'a> Name<'a> {
    pub(super) fn of(whole: &'a str) -> Self {
        let text = &whole[..whole.floor_char_boundary(NAME_BYTES)];
        Self {
            text,
            hash: hash(text.as_bytes()),
        }
    }

    /// Nobody says.
    fn is_empty(self) -> bool {
        self.text.is_empty()
    }
}

impl Tries {
    pub(super) fn new(mean: f64) -> Self {
        Self {
            rows: Vec::new(),
            handfuls: Handfuls::of_mean(mean),
            begun: 0,
            critical: u64::MAX,
        }
    }

    pub(super) fn arm(&mut self, least: u64, config: &Config) {
        self.critical = self.handfuls.critical(config.alpha()).max(least);
    }

    pub(super) fn row_mut(&mut self, name: Name<'_>) -> Option<&mut Row> {
        self.rows.iter_mut().find(|row| row.is_named(name))
    }

    pub(super) fn told(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_told)
    }

    /// `name` has failed once more. `None`: nobody was named.
    pub(super) fn failed(
        &mut self,
        name: Name<'_>,
        other: Name<'_>,
        offset: i64,
        now: EventTime,
        config: &Config,
    ) -> Option<&Row> {
        if name.is_empty() {
            return None;
        }
        let known = self.rows.iter().position(|row| row.is_named(name));
        let at = if let Some(at) = known {
            at
        } else {
            self.make_room(config);
            self.begun += 1;
            self.rows.push(Row {
                name: name.text.into(),
                hash: name.hash,
                failed: 0,
                succeeded: 0,
                seen: 0,
                since: now,
                last: now,
                offsets: (offset, offset),
                is_told: false,
            });
            self.rows.len() - 1
        };
        let row = self.rows.get_mut(at)?;
        row.failed += 1;
        row.sees(other);
        row.last = row.last.max(now);
        row.offsets.0 = row.offsets.0.min(offset);
        row.offsets.1 = row.offsets.1.max(offset);
        Some(row)
    }

    /// A user got in, and had only mistyped: so often. One who is told of stays.
    pub(super) fn forgive(&mut self, user: Name<'_>, config: &Config) -> u64 {
        let untold = |row: &Row| row.is_named(user) && !row.is_told;
        let Some(at) = self.rows.iter().position(untold) else {
            return 0;
        };
        let row = self.rows.remove(at);
        self.learn(&row, config);
        row.failed
    }

    /// Somebody got in from an address, who had failed so often: that is not held against the address.
    pub(super) fn succeeded(&mut self, address: Name<'_>, forgiven: u64, config: &Config) {
        let Some(row) = self.row_mut(address) else {
            return;
        };
        row.succeeded += 1;
        if row.is_told || forgiven == 0 {
            return;
        }
        row.failed = row.failed.saturating_sub(forgiven);
        if row.failed == 0 {
            self.rows.retain(|row| row.failed > 0);
            self.handfuls.ended(forgiven, config.alpha());
        }
    }

    #[cold]
    fn make_room(&mut self, config: &Config) {
        if self.rows.len() < MOST_NAMES {
            return;
        }
        let rows = self.rows.iter().enumerate();
        let least = rows.min_by_key(|(_, row)| (row.is_told, row.failed, row.last));
        if let Some((at, _)) = least {
            let row = self.rows.remove(at);
            self.learn(&row, config);
        }
    }

    /// What was told is no example of what is usual.
    fn learn(&mut self, row: &Row, config: &Config) {
        if !row.is_told {
            self.handfuls.ended(row.failed, config.alpha());
        }
    }

    pub(super) fn window_closed(&mut self, now: EventTime, gap: i64, config: &Config) {
        let begun = std::mem::take(&mut self.begun);
        self.handfuls.window(begun);
        while let Some(at) = self.rows.iter().position(|row| row.is_over(now, gap)) {
            let row = self.rows.remove(at);
            self.learn(&row, config);
        }
    }

    /// What is over is no part of what comes next.
    pub(super) fn forget_all(&mut self) {
        self.rows.clear();
    }

    pub(super) fn clock_set(&mut self, to: EventTime) {
        for row in &mut self.rows {
            row.since = to;
            row.last = to;
        }
    }

    pub(super) fn save(&self, to: &mut Writer) {
        to.u64(self.rows.len() as u64);
        for row in &self.rows {
            row.save(to);
        }
        self.handfuls.save(to);
        to.u64(self.begun);
    }

    pub(super) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        Ok(Self {
            rows: (0..from.length(MOST_NAMES, 8)?)
                .map(|_| Row::load(from))
                .collect::<Loaded<_>>()?,
            handfuls: Handfuls::load(from)?,
            begun: from.count()?,
            critical: u64::MAX,
        })
    }
}

impl Row {
    fn save(&self, to: &mut Writer) {
        to.text(&self.name);
        to.u64(self.failed);
        to.u64(self.succeeded);
        to.u64(self.seen);
        to.moment(self.since);
        to.moment(self.last);
        to.i64(self.offsets.0);
        to.i64(self.offsets.1);
        to.flag(self.is_told);
    }

    fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let name = from.text(NAME_BYTES)?;
        Ok(Self {
            name: name.into(),
            hash: Name::of(name).hash,
            failed: from.count()?,
            succeeded: from.count()?,
            seen: from.u64()?,
            since: from.moment()?,
            last: from.moment()?,
            offsets: (from.i64()?, from.i64()?),
            is_told: from.flag()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(tries: &mut Tries, name: &str, other: &str, at: i64) {
        tries.failed(
            Name::of(name),
            Name::of(other),
            at,
            EventTime(at),
            &Config::default(),
        );
    }

    #[test]
    fn of_too_many_names_those_stay_who_failed_most() {
        let mut tries = Tries::new(2.0);
        for at in 0..3 {
            fail(&mut tries, "slow", "somebody", at);
        }
        for at in 0..100_000 {
            fail(&mut tries, &format!("u{at}"), "somebody", at);
        }
        assert_eq!(tries.rows.len(), MOST_NAMES);
        assert_eq!(tries.row_mut(Name::of("slow")).unwrap().failed, 3);
        assert!(tries.row_mut(Name::of("u99999")).is_some());
    }

    #[test]
    fn others_are_told_apart_well_enough() {
        for many in [1_u64, 2, 5, 20, 60, 120] {
            let mut tries = Tries::new(2.0);
            for other in 0..many {
                fail(&mut tries, "x", &format!("203.0.113.{other}"), 1);
            }
            let others = tries.row_mut(Name::of("x")).unwrap().others();
            let off = others.abs_diff(many) as f64;
            assert!(off <= 1.0 + many as f64 * 0.3, "{others} of {many}");
        }
    }

    #[test]
    fn who_gets_in_had_mistyped_and_who_is_long_gone_is_forgotten() {
        let config = Config::default();
        let mut tries = Tries::new(2.0);
        tries.arm(10, &config);
        fail(&mut tries, "bob", "", 1);
        assert_eq!(tries.forgive(Name::of("bob"), &config), 1);
        assert!(tries.row_mut(Name::of("bob")).is_none());
        fail(&mut tries, "eve", "", 1);
        tries.row_mut(Name::of("eve")).unwrap().is_told = true;
        assert_eq!(
            tries.forgive(Name::of("eve"), &config),
            0,
            "who is told of stays"
        );
        tries.window_closed(EventTime(600_001), 600_000, &config);
        assert!(tries.row_mut(Name::of("eve")).is_none());
    }

    #[test]
    fn an_office_in_which_all_get_in_at_last_has_nothing_against_it() {
        let config = Config::default();
        let mut office = Tries::new(2.0);
        for user in 0..1000 {
            fail(&mut office, "198.51.100.1", &format!("u{user}"), 1);
            fail(&mut office, "198.51.100.1", &format!("u{user}"), 1);
            office.succeeded(Name::of("198.51.100.1"), 2, &config);
        }
        assert!(office.row_mut(Name::of("198.51.100.1")).is_none());
        fail(&mut office, "198.51.100.1", "mallory", 1);
        office.succeeded(Name::of("198.51.100.1"), 0, &config);
        assert_eq!(office.row_mut(Name::of("198.51.100.1")).unwrap().failed, 1);
    }
}
