//! How time passes on a partition: the measure by which silent services move on.
//!
//! Nobody's clock is trusted alone. Records are taken in *rounds*; at the end of a round each service
//! that wrote in it says how far it has come, and the pace goes as far as half of them agree. What a
//! single service says counts as far as Kafka's timestamps agree with it.
//!
//! Invariants:
//! - it never goes back;
//! - no single service moves it, whatever its lines and their Kafka timestamps say, while others write;
//! - it is a function of the records in order.
//!
//! A service's clock may be off by any amount: it is how far the clock *went on* that counts, and what
//! lies between the clock and the pace is kept as the service's offset.

use crate::{
    codec::{Loaded, Reader, Writer},
    config::Config,
    record::time::MOST_MS,
};

/// Records of a round at the least.
const LEAST_RECORDS: u32 = 6;
/// And for each service that wrote lately, so that most of them have a say in each round.
const RECORDS_PER_SERVICE: u32 = 2;
/// Where records come fast, rounds are so many times longer: they cost less, and end soon all the same.
const FAST: u32 = 8;
const MOST_RECORDS: u32 = 4096;
/// Rounds after which a service that writes alone is measured anew: nobody is there to contradict it, and
/// where it has jumped to, it goes on from.
const MOST_ALONE: u32 = 8;
/// Rounds without a jump of Kafka's time that bear out one before them, and what counts as one, in
/// windows.
const CALM_ROUNDS: u32 = 4;
const WINDOWS_OF_JUMP: i64 = 6;
/// Kafka timestamps before 2000 are no clock's: −1 where a producer set none, seconds taken for
/// milliseconds.
const LEAST_KAFKA_MS: i64 = 946_684_800_000;

/// Where a service stands at the end of a round, ms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vote {
    /// Event time that its lines have reached, and what fewer of them say.
    pub(crate) reached: i64,
    pub(crate) perhaps: i64,
    /// All that it wrote lately is ahead of where it stands, and not enough to move it: it has nothing to say
    /// of the time yet.
    pub(crate) is_in_doubt: bool,
    /// Of its clock against the pace.
    pub(crate) offset: i64,
    /// Usually between two of its lines.
    pub(crate) gap: i64,
}

/// Windows that a service may have the pace go on by at once while nobody else writes.
const MOST_WINDOWS_ALONE: i64 = 2;

#[derive(Debug, Clone, Default)]
pub(crate) struct Pace {
    /// How far time has come, ms; `None` before the first record.
    now: Option<i64>,
    /// The last time that it went on by, ms: a line of the round may be that much older.
    step: i64,
    round: u32,
    records: u32,
    /// Records with which the round may end, when some time has passed, and with which it ends.
    may_end_at: u32,
    ends_at: u32,
    /// Kafka's time when it began.
    begun: i64,
    /// Slots of the services that wrote in this round, in order.
    voters: Vec<u32>,
    /// The least of the round's Kafka timestamps: one that is ahead moves nothing.
    least_kafka: i64,
    /// How far whole rounds' Kafka timestamps have come.
    kafka: Option<i64>,
    /// The newest record's, whether it was a jump anywhere in the round, and rounds since without one.
    newest_kafka: i64,
    jumped: bool,
    calm_rounds: u32,
    /// What is a jump, ms.
    jump: i64,
    /// Services that wrote in a round lately, decaying.
    usual: u32,
    /// Rounds in a row in which a single service wrote.
    alone: u32,
}

/// What a round came to.
pub(crate) struct Decided {
    /// Whether the services' clocks are to be measured anew against the pace.
    pub(crate) is_agreed: bool,
    /// How far the pace went on, ms.
    pub(crate) step: i64,
}

impl Pace {
    pub(crate) fn now(&self) -> i64 {
        self.now.unwrap_or(0)
    }

    /// How much older than the pace a line may be that was written at the same moment.
    pub(crate) const fn step(&self) -> i64 {
        self.step
    }

    pub(crate) const fn round(&self) -> u32 {
        self.round
    }

    /// Kafka's time, ms, as far as whole rounds have reached it.
    pub(crate) const fn kafka(&self) -> Option<i64> {
        self.kafka
    }

    pub(crate) fn voters(&self) -> &[u32] {
        &self.voters
    }

    /// A service is seen for the first time: before anybody else was, it sets the pace.
    pub(crate) fn begin(&mut self, time: i64, kafka_time: i64, config: &Config) -> i64 {
        if self.now.is_none() {
            self.newest_kafka = kafka_time;
            self.calm_rounds = CALM_ROUNDS;
            self.jump = config.window_ms * WINDOWS_OF_JUMP;
            self.round = 1;
            self.may_end_at = LEAST_RECORDS;
            self.ends_at = LEAST_RECORDS;
            self.begun = kafka_time;
            self.least_kafka = i64::MAX;
        }
        *self.now.get_or_insert(time)
    }

    /// The service in `slot` wrote for the first time in this round.
    pub(crate) fn join(&mut self, slot: u32) {
        self.voters.push(slot);
    }

    /// Counts a record; the answer is whether the round is over.
    pub(crate) fn count(&mut self, kafka_time: i64) -> bool {
        if is_clock(kafka_time) {
            self.least_kafka = self.least_kafka.min(kafka_time);
            self.jumped |= kafka_time.abs_diff(self.newest_kafka) > self.jump.unsigned_abs();
            self.newest_kafka = kafka_time;
        }
        self.records += 1;
        self.records >= self.may_end_at
            && (self.records >= self.ends_at
                || kafka_time.abs_diff(self.begun) >= self.jump.unsigned_abs() / 32)
    }

    /// How far the round has come that is under way, at the least.
    pub(crate) fn so_far(&self, votes: &[Vote], known: usize, config: &Config) -> i64 {
        let now = self.now();
        let claims = votes.iter().map(|vote| vote.reached - vote.offset);
        match claims.min() {
            Some(least) if known == 1 => least.max(now),
            Some(least) if votes.len() > 1 => least.clamp(now, now + config.window_ms),
            _ => now,
        }
    }

    /// Ends the round. `votes`: of those who wrote in it; `known`: services of the partition.
    pub(crate) fn decide(&mut self, votes: &[Vote], known: usize, config: &Config) -> Decided {
        let before = self.now();
        let kafka_step = self.pass_kafka();
        let small = before + config.window_ms;
        let mut claims = claims(votes, small, tolerance(config) + self.step);
        claims.sort_unstable();
        let usual = self.usual.max(votes.len() as u32);
        let (Some(least), Some(middle)) = (
            claims.first(),
            claims.get(claims.len().saturating_sub(1) / 2),
        ) else {
            self.next_round();
            return Decided {
                is_agreed: false,
                step: 0,
            };
        };
        let (to, is_agreed) = if claims.len() > 1 {
            // All that most of those who write agree about may pass at once; a few may only be fast, or
            // stand still.
            let is_jump_agreed = *middle > small && claims.len() as u32 * 2 >= usual;
            let to = if is_jump_agreed {
                claims[claims.partition_point(|claim| *claim <= small)]
            } else {
                (*middle).min(small)
            };
            // Of two that contradict each other, one may have stopped: while time stands still with it,
            // nobody knows whose clock is off.
            (to, claims.len() > 2 || to > before)
        } else {
            let perhaps = votes
                .first()
                .map_or(*least, |vote| vote.perhaps - vote.offset);
            let alone = perhaps.max(*least) - before;
            let alone = alone.min(kafka_step);
            // Others may write at any moment: a jump that they have not borne out is not theirs yet.
            let gap = votes.first().map_or(0, |vote| vote.gap);
            let usual = gap.saturating_mul(2 * i64::from(self.records));
            let most = usual.max(config.window_ms * MOST_WINDOWS_ALONE);
            let alone = if known > 1 { alone.min(most) } else { alone };
            self.alone += 1;
            (before + alone, known == 1 || self.alone >= MOST_ALONE)
        };
        if is_agreed {
            self.alone = 0;
        }
        let to = to.clamp(before, MOST_MS);
        self.now = Some(to);
        self.step = (to - before).max(self.step / 2);
        self.usual = usual - usual / 8;
        self.next_round();
        Decided {
            is_agreed,
            step: to - before,
        }
    }

    /// Kafka's time goes on by the round's least timestamp, further than a little only where it went there
    /// steadily: half of the records may be of one producer. The answer: by how much. Where it was led
    /// astray by one that wrote alone, it is taken back in the same way.
    fn pass_kafka(&mut self) -> i64 {
        let calm_rounds = if self.jumped { 0 } else { self.calm_rounds + 1 };
        self.calm_rounds = calm_rounds.min(CALM_ROUNDS);
        self.jumped = false;
        if self.least_kafka == i64::MAX {
            return 0;
        }
        let before = *self.kafka.get_or_insert(self.least_kafka);
        let step = (self.least_kafka - before).max(0);
        let is_calm = self.calm_rounds >= CALM_ROUNDS;
        if step > self.jump && !is_calm {
            return 0;
        }
        if is_calm && before - self.newest_kafka > self.jump {
            self.kafka = Some(self.least_kafka);
            return 0;
        }
        self.kafka = Some(before + step);
        step
    }

    fn next_round(&mut self) {
        self.round = (self.round + 1) % (u32::MAX / 2);
        self.records = 0;
        self.voters.clear();
        self.least_kafka = i64::MAX;
        self.may_end_at =
            (self.usual.saturating_mul(RECORDS_PER_SERVICE)).clamp(LEAST_RECORDS, MOST_RECORDS);
        self.ends_at = self.may_end_at * FAST;
        self.begun = self.newest_kafka;
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        to.maybe(self.now, |now, to| to.i64(now));
        to.i64(self.step);
        to.u32(self.round);
        to.u32(self.records);
        to.u32(self.may_end_at);
        to.u32(self.ends_at);
        to.i64(self.begun);
        // A slot that changed hands is there twice, and counts once.
        let mut voters = self.voters.clone();
        voters.sort_unstable();
        voters.dedup();
        to.u64(voters.len() as u64);
        for slot in voters {
            to.u32(slot);
        }
        let least = (self.least_kafka < i64::MAX).then_some(self.least_kafka);
        to.maybe(least, |least, to| to.i64(least));
        to.maybe(self.kafka, |kafka, to| to.i64(kafka));
        to.i64(self.newest_kafka);
        to.flag(self.jumped);
        to.u32(self.calm_rounds);
        to.i64(self.jump);
        to.u32(self.usual);
        to.u32(self.alone);
    }

    pub(crate) fn load(from: &mut Reader<'_>, services: usize) -> Loaded<Self> {
        let now = from.maybe(Reader::millis)?;
        let step = from.millis()?;
        let (round, records) = (from.u32()?, from.u32()?);
        let (may_end_at, ends_at) = (from.u32()?, from.u32()?);
        let begun = from.millis()?;
        let voters = (0..from.length(services, 1)?)
            .map(|_| from.u32())
            .collect::<Loaded<Vec<_>>>()?;
        if voters.iter().any(|slot| *slot as usize >= services) {
            return Err("a round with a service that there is not");
        }
        Ok(Self {
            now,
            step,
            round,
            records,
            may_end_at: may_end_at.min(MOST_RECORDS),
            ends_at: ends_at.clamp(u32::from(now.is_some()), MOST_RECORDS * FAST),
            begun,
            voters,
            least_kafka: from.maybe(Reader::millis)?.unwrap_or(i64::MAX),
            kafka: from.maybe(Reader::millis)?,
            newest_kafka: from.millis()?,
            jumped: from.flag()?,
            calm_rounds: from.u32()?.min(CALM_ROUNDS),
            jump: from.millis()?,
            usual: from.u32()?,
            alone: from.u32()?.min(MOST_ALONE),
        })
    }
}

/// Whether a Kafka timestamp, ms, can be of a clock at all.
pub const fn is_clock(kafka_time: i64) -> bool {
    kafka_time >= LEAST_KAFKA_MS
}

/// What a clock may be off the pace by before it is measured anew, ms.
pub(crate) const fn tolerance(config: &Config) -> i64 {
    config.window_ms * 3
}

/// How far each service says that the pace has come. Who is behind what others have reached already,
/// catching up perhaps, knows nothing of how time passes now. `small`: up to where time may pass within a
/// round; who is beyond may only be fast.
fn claims(votes: &[Vote], small: i64, tolerance: i64) -> Vec<i64> {
    let claim = |vote: &Vote| vote.reached - vote.offset;
    let are_all_in_doubt = votes.iter().all(|vote| vote.is_in_doubt);
    let votes = votes
        .iter()
        .filter(|vote| are_all_in_doubt || !vote.is_in_doubt);
    let (mut first, mut second) = (i64::MIN, i64::MIN);
    for vote in votes.clone().filter(|vote| claim(vote) <= small) {
        if vote.reached > first {
            (first, second) = (vote.reached, first);
        } else {
            second = second.max(vote.reached);
        }
    }
    // The furthest of many may be the one that is off.
    let reached = if votes.clone().count() > 2 {
        second
    } else {
        first
    };
    let current = votes.filter(|vote| vote.reached >= reached.saturating_sub(tolerance));
    current.map(claim).collect()
}
