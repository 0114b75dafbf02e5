//! Who tries to get in and cannot: failed logins of one user, or from one address, in a row.
//!
//! Invariants: people mistype, and an office stands behind one address: what is usual of users and of
//! addresses is learned apart, and an address from which as many get in as fail is none of ours. It never is
//! the new normal. Names are bounded: of more those are forgotten who failed least.

mod tries;
mod words;

use tries::{Name, Tries, Whose};

use super::{
    closing::Closing,
    on_heap::{Kept, OnHeap},
};
use crate::{
    budget::Score,
    codec::{Loaded, Reader, Writer},
    config::Config,
    episode::{Anomalous, Asked, Episodes, Judged, Manner, Telling},
    finding::{Kind, SampleLine, Subject},
    record::{Login, Observation, Who, time::EventTime},
    window::{Beside, Window},
};

/// Fewer are never told.
const LEAST_FAILED: u64 = 10;
/// What people mistype, before it is known.
const USUAL_FAILED: f64 = 2.0;
/// So many more or less together are several: of users from one address, of addresses for one user.
const SEVERAL: u64 = 4;
/// Who has failed so often is no longer part of the usual lines, while something is told.
const PART_OF_IT: u64 = 3;
/// Windows without a try after which it is over: slow ones belong together too.
const GAP: i64 = 60;
const KINDS: [Kind; 3] = [
    Kind::FailedLogins,
    Kind::PasswordSpray,
    Kind::DistributedBruteForce,
];
const MANNER: Manner = Manner {
    asked: Asked::OnLines,
    calm_windows: 1,
    empty_windows_count: true,
    calm_comes_first: true,
    adopts: false,
};

#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// By [`Whose`].
    tries: [Tries; 2],
    windows: u32,
    /// Lines of those who have failed more than a few times, for each open window.
    lines: Beside<u64>,
    /// By [`KINDS`]; one is open at the most.
    episodes: [Episodes; 3],
    subject: Subject,
    samples: Vec<SampleLine>,
    /// Failed and successful logins of those it is about, since it opened.
    during: (u64, u64),
}

pub(crate) type Logins = OnHeap<Known>;

impl Logins {
    /// See [`super::Family::version`].
    pub(super) const VERSION: u32 = 2;

    /// A login, whatever its line's time. `is_told`: something more telling is open.
    #[cold]
    pub(crate) fn observe(
        &mut self,
        seen: &Observation<'_>,
        login: Login,
        is_told: bool,
        telling: &mut Telling<'_>,
    ) {
        if login == Login::Succeeded && self.kept().is_none() {
            return;
        }
        let config = telling.config;
        let known = self.begun(config);
        known.observe(seen, login, is_told, telling);
    }

    /// Lines of a window that an open episode accounts for.
    pub(crate) fn accounts_for(&self, window: &Window) -> u64 {
        let known = self.kept().filter(|known| known.open().is_some());
        known.map_or(0, |known| {
            let lines = known.lines.get(window.start).copied().unwrap_or(0);
            lines.min(window.records)
        })
    }
}

impl Kept for Known {
    fn new(config: &Config) -> Self {
        let mut known = Self {
            tries: [Tries::new(USUAL_FAILED), Tries::new(USUAL_FAILED)],
            windows: 0,
            lines: Beside::default(),
            episodes: KINDS.map(|kind| Episodes::new(kind, MANNER)),
            subject: Subject::default(),
            samples: Vec::new(),
            during: (0, 0),
        };
        known.arm(config);
        known
    }

    fn is_open(&self) -> bool {
        self.open().is_some()
    }

    fn window_closed(&mut self, closing: &mut Closing<'_>, _: bool) {
        let (window, now, config) = (closing.window, closing.telling.now, closing.telling.config);
        self.lines.take(window.start);
        self.windows = self.windows.saturating_add(1);
        let gap = GAP * config.window_ms;
        // It goes on as long as anybody does whom it is about.
        let mut told = self.tries.iter().flat_map(Tries::told);
        let is_calm = told.all(|row| row.is_over(now, gap));
        drop(told);
        for at in 0..KINDS.len() {
            if let Some(ended) = self.episodes[at].window_closed(window, is_calm, config) {
                self.tell_end(&ended, &mut closing.telling);
                self.samples = Vec::new();
                self.tries.iter_mut().for_each(Tries::forget_all);
            }
        }
        for tries in &mut self.tries {
            tries.window_closed(now, gap, config);
        }
        self.arm(config);
    }

    fn clock_set(&mut self, to: EventTime) {
        self.lines.clear();
        for episodes in &mut self.episodes {
            episodes.clock_set(to);
        }
        for tries in &mut self.tries {
            tries.clock_set(to);
        }
    }

    fn give_up(&mut self, telling: &mut Telling<'_>) {
        for at in 0..KINDS.len() {
            if let Some(ended) = self.episodes[at].give_up() {
                self.tell_end(&ended, telling);
            }
        }
    }

    fn save(&self, to: &mut Writer) {
        for tries in &self.tries {
            tries.save(to);
        }
        to.u32(self.windows);
        self.lines.save(to, |lines, to| to.u64(*lines));
        for episodes in &self.episodes {
            episodes.save(to);
        }
        to.maybe(self.subject.user.as_ref(), |user, to| to.text(user));
        to.maybe(self.subject.address.as_ref(), |address, to| {
            to.text(address);
        });
        SampleLine::save_all(&self.samples, to);
        to.u64(self.during.0);
        to.u64(self.during.1);
    }

    fn load(from: &mut Reader<'_>, config: &Config) -> Loaded<Self> {
        let name = |from: &mut Reader<'_>| -> Loaded<Option<String>> {
            let name = from.maybe(|from| from.text(tries::NAME_BYTES))?;
            Ok(name.map(str::to_owned))
        };
        let mut known = Self {
            tries: [Tries::load(from)?, Tries::load(from)?],
            windows: from.u32()?,
            lines: Beside::load(from, Reader::count)?,
            episodes: [
                Episodes::load(KINDS[0], MANNER, from)?,
                Episodes::load(KINDS[1], MANNER, from)?,
                Episodes::load(KINDS[2], MANNER, from)?,
            ],
            subject: Subject {
                user: name(from)?,
                address: name(from)?,
                ..Subject::default()
            },
            samples: SampleLine::load_all(from, config.samples)?,
            during: (from.count()?, from.count()?),
        };
        known.arm(config);
        Ok(known)
    }
}

impl Known {
    fn arm(&mut self, config: &Config) {
        for tries in &mut self.tries {
            tries.arm(LEAST_FAILED, config);
        }
    }

    fn open(&self) -> Option<usize> {
        self.episodes.iter().position(Episodes::is_open)
    }

    fn observe(
        &mut self,
        seen: &Observation<'_>,
        login: Login,
        is_told: bool,
        telling: &mut Telling<'_>,
    ) {
        let fields = Who {
            user: seen.user,
            address: seen.address,
        };
        let who = Who::of(fields, seen.message);
        if login == Login::Succeeded {
            self.succeeded(who, telling.config);
            return;
        }
        let names = [Name::of(who.user), Name::of(who.address)];
        let (mut is_told_of, mut most_failed) = (false, 0);
        for whose in [Whose::User, Whose::Address] {
            let (name, other) = (names[whose as usize], names[1 - whose as usize]);
            let tries = &mut self.tries[whose as usize];
            let row = tries.failed(name, other, seen.offset, telling.now, telling.config);
            if let Some(row) = row {
                is_told_of |= row.is_told;
                most_failed = most_failed.max(row.failed);
            }
        }
        if most_failed > PART_OF_IT {
            let start = seen.time.start_of_window(telling.config.window_ms);
            if let Some(lines) = self.lines.of(start) {
                *lines += 1;
            }
        }
        if is_told_of && let Some(open) = self.open() {
            self.during.0 += 1;
            self.too_many(open, seen, (seen.offset, seen.offset), Score::NONE, telling);
        }
        for whose in [Whose::User, Whose::Address] {
            self.judge(whose, names[whose as usize], (seen, is_told), telling);
        }
    }

    fn succeeded(&mut self, who: Who<'_>, config: &Config) {
        let (user, address) = (Name::of(who.user), Name::of(who.address));
        let [users, addresses] = &mut self.tries;
        let mut told = users.told().chain(addresses.told());
        let is_told_of = told.any(|row| row.is_named(user) || row.is_named(address));
        drop(told);
        self.during.1 += u64::from(is_told_of);
        let forgiven = users.forgive(user, config);
        addresses.succeeded(address, forgiven, config);
    }

    /// Whether one name has failed too often.
    fn judge(
        &mut self,
        whose: Whose,
        name: Name<'_>,
        (seen, is_told): (&Observation<'_>, bool),
        telling: &mut Telling<'_>,
    ) {
        let config = telling.config;
        let open = self.open();
        let tries = &mut self.tries[whose as usize];
        let critical = tries.critical;
        let Some(row) = tries.row_mut(name) else {
            return;
        };
        let gets_in = row.succeeded >= row.failed;
        if row.is_told || row.failed < critical || (whose == Whose::Address && gets_in) {
            return;
        }
        if open.is_none() && is_told {
            // Told when that is over, should it go on.
            return;
        }
        row.is_told = true;
        let (failed, others, offsets) = (row.failed, row.others(), row.offsets);
        let score = Score::of(tries.handfuls.expected(failed), config.alpha());
        let at = open.unwrap_or_else(|| {
            let name = Some(name.text.to_owned());
            let (at, subject) = match whose {
                Whose::User => (
                    if others >= SEVERAL { 2 } else { 0 },
                    Subject {
                        user: name,
                        ..Subject::default()
                    },
                ),
                Whose::Address => (
                    usize::from(others >= SEVERAL),
                    Subject {
                        address: name,
                        ..Subject::default()
                    },
                ),
            };
            self.subject = subject;
            self.during = (0, 0);
            self.samples.clear();
            at
        });
        // Of one who joins, the last line counts already where it belongs to another one too.
        self.during.0 = if open.is_some() {
            self.during.0.max(failed)
        } else {
            failed
        };
        self.too_many(at, seen, offsets, score, telling);
    }

    fn too_many(
        &mut self,
        at: usize,
        seen: &Observation<'_>,
        offsets: (i64, i64),
        score: Score,
        telling: &mut Telling<'_>,
    ) {
        let config = telling.config;
        SampleLine::keep_newest(seen, &mut self.samples, config.samples);
        let (failed, _) = self.during;
        let since = self.began().unwrap_or(telling.now).min(telling.now);
        let judged = Judged {
            from: since.start_of_window(config.window_ms),
            to: telling.now,
            records: failed,
            errors: 0,
            observed: failed as f64,
            // All of it, up to the last line.
            level: 0.0,
        };
        let anomalous = Anomalous {
            start: judged.from,
            now: telling.now,
            score,
            size: failed as f64,
            offsets,
            judged,
        };
        let phase = self.episodes[at].anomalous(anomalous, config);
        if let Some((phase, episode)) = phase.zip(self.episodes[at].current()) {
            let account = self.account(episode, telling.service);
            telling.tell(episode, phase, account);
        }
    }

    /// The first try of those it is about.
    fn began(&self) -> Option<EventTime> {
        let rows = self.tries.iter().flat_map(Tries::told);
        rows.map(|row| row.since).min()
    }
}
