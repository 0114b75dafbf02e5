//! Where a service stands in time, and which lines may move it.
//!
//! An ordinary line lies near the service's stream time and moves it on. One that is further away is
//! believed when others bear it out: the partition's pace, Kafka's time, or lines of the same service
//! that agree with it for a while. Until then it moves nothing: one line, or one host among others, has
//! no say about the time of the rest.
//!
//! Invariant: a jump that nobody but the service's own lines bears out is no time that passed: windows
//! in between were seen by nobody.

use super::pace::{Pace, Vote};
use crate::{
    codec::{Loaded, Reader, Writer},
    config::Config,
    record::{Observation, time::EventTime},
};

/// Lines after which a service has a time of its own that a single line does not move.
pub(crate) const SETTLED: u16 = 8;
/// Lines in a row that bear each other out: where Kafka's time agrees, and where nothing else does.
const LINES_WITH_KAFKA: u32 = 3;
const LINES_ALONE: u32 = 8;
/// What takes more: lines that outnumber those near the stream time by two to one, and in a backlog, where
/// Kafka's time tells nothing, going back.
const LINES_OF_MANY: u32 = 32;
/// Whatever else is said: so many lines are not off their service's time, it is off them.
const LINES_IN_ANY_CASE: u32 = 1024;
/// Event times further behind Kafka's than this are a backlog's: Kafka's time does not tell its pace.
const BACKLOG_MS: i64 = 300_000;
/// A gap of so many times the usual one between two lines is nothing out of the ordinary.
const USUAL_GAPS: i64 = 8;

/// What becomes of the service's time with a line that is not near it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// The line is left where it is; the service's time too.
    None,
    /// Time has passed: the stream time goes to this moment, and every window in between counts.
    On(EventTime),
    /// The clock was set: the service begins anew at this moment.
    Anew(EventTime),
}

/// Lines away from the stream time, on one side of it.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    /// Less two for each line near the stream time in between.
    lines: u32,
    /// Whether there was none.
    is_pure: bool,
    /// The least and the greatest of their times, ms, and the newest line's.
    least: i64,
    greatest: i64,
    newest: i64,
    /// Where pace and Kafka's time were at the first of them.
    pace: i64,
    kafka: i64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    /// The service's clock less the partition's pace, ms.
    offset: i64,
    ahead: Run,
    behind: Run,
}

/// How far a line may lie before the stream time and still move it by itself, ms.
pub(crate) fn near(config: &Config) -> i64 {
    config.grace_ms.max(config.window_ms)
}

impl Standing {
    pub(crate) fn first_seen(time: EventTime, pace: i64, config: &Config) -> Self {
        let off = time.0 - pace;
        let offset = if off.abs() > near(config) { off } else { 0 };
        Self {
            offset,
            ..Self::default()
        }
    }

    pub(crate) const fn offset(&self) -> i64 {
        self.offset
    }

    pub(crate) const fn is_unsettled(&self) -> bool {
        self.ahead.lines > 0 || self.behind.lines > 0
    }

    /// A line near the stream time came: what is away from it is in the minority, or has to show it.
    pub(crate) fn near(&mut self) {
        for run in [&mut self.ahead, &mut self.behind] {
            run.lines = run.lines.saturating_sub(2);
            run.is_pure = false;
        }
    }

    fn settle(&mut self) {
        self.ahead.lines = 0;
        self.behind.lines = 0;
    }

    /// The service begins anew at `time`.
    pub(crate) fn restart(&mut self, time: EventTime, pace: i64, config: &Config) {
        *self = Self::first_seen(time, pace, config);
    }

    /// What the service says at the end of a round.
    pub(crate) fn vote(&self, stream_time: EventTime, gap: i64) -> Vote {
        let ahead = |lines| {
            let is_borne_out = self.ahead.is_pure && self.ahead.lines >= lines;
            if is_borne_out {
                self.ahead.newest
            } else {
                stream_time.0
            }
        };
        Vote {
            // One host among others may be fast: many lines in a row are not its alone.
            reached: ahead(LINES_ALONE).max(stream_time.0),
            perhaps: ahead(LINES_WITH_KAFKA).max(stream_time.0),
            is_in_doubt: self.ahead.is_pure && (1..LINES_ALONE).contains(&self.ahead.lines),
            offset: self.offset,
            gap,
        }
    }

    /// The pace was decided: a clock that is off it is measured anew. `true`: it was.
    ///
    /// Not while lines are ahead of the stream time: that it has stayed behind says nothing of the clock.
    pub(crate) fn measure(&mut self, stream_time: EventTime, pace: i64, tolerance: i64) -> bool {
        let off = stream_time.0 - self.offset - pace;
        if off.abs() <= tolerance || self.ahead.lines > 0 {
            return false;
        }
        self.offset += off;
        true
    }

    /// Lines were ahead when the pace was not there yet: where it has got to them, they move time.
    pub(crate) fn caught_up(&mut self, pace: &Pace, config: &Config) -> Option<EventTime> {
        let run = self.ahead;
        let is_borne_out =
            run.lines > 0 && run.is_pure && run.newest - self.offset <= pace.now() + near(config);
        is_borne_out.then(|| {
            self.settle();
            EventTime(run.newest)
        })
    }

    /// A line further ahead of the stream time than [`near`]. `usual_gap`: between two lines, ms.
    pub(crate) fn ahead(
        &mut self,
        seen: &Observation<'_>,
        stream_time: EventTime,
        usual_gap: i64,
        pace: &Pace,
        config: &Config,
    ) -> Move {
        let (time, near) = (seen.time.0, near(config));
        if time - self.offset <= pace.now() + near {
            self.settle();
            return Move::On(seen.time);
        }
        let kafka_now = pace.kafka().unwrap_or(seen.kafka_time);
        let jump = time - stream_time.0;
        let is_backlog = seen.kafka_time - stream_time.0 > BACKLOG_MS;
        let kafka_agrees = seen.kafka_time - kafka_now >= jump - near;
        if jump <= usual_gap.saturating_mul(USUAL_GAPS) && (is_backlog || kafka_agrees) {
            self.settle();
            return Move::On(seen.time);
        }
        let before = self.ahead.newest;
        self.ahead.add(time, pace.now(), kafka_now);
        let run = self.ahead;
        // One odd line among them does not decide how far.
        let to = EventTime(if run.lines > 1 {
            time.min(before)
        } else {
            time
        });
        if run.lines >= LINES_WITH_KAFKA && kafka_now - run.kafka >= to - stream_time - near {
            self.settle();
            return Move::On(to);
        }
        let agree = time - before <= near && before - time <= near;
        let enough = if run.is_pure {
            LINES_ALONE
        } else {
            LINES_OF_MANY
        };
        if agree && run.lines >= enough && run.greatest - run.least >= 2 * near {
            return Move::Anew(to);
        }
        Move::None
    }

    /// A line whose window is closed.
    pub(crate) fn behind(
        &mut self,
        seen: &Observation<'_>,
        stream_time: EventTime,
        pace: &Pace,
        config: &Config,
    ) -> Move {
        let kafka_now = pace.kafka().unwrap_or(seen.kafka_time);
        let before = self.behind.newest;
        self.behind.add(seen.time.0, pace.now(), kafka_now);
        let run = self.behind;
        let passed = (pace.now() - run.pace).max(kafka_now - run.kafka);
        let enough = if run.is_pure {
            LINES_ALONE
        } else {
            LINES_OF_MANY
        };
        let time_passed = run.lines >= enough && passed >= 2 * near(config);
        let is_backlog = seen.kafka_time - stream_time.0 > BACKLOG_MS;
        let went_on = is_backlog
            && run.lines >= LINES_OF_MANY
            && run.greatest - run.least >= 6 * near(config);
        // One odd line among them does not decide how far.
        let agree = (run.newest - before).abs() <= near(config);
        if agree && (time_passed || went_on || run.lines >= LINES_IN_ANY_CASE) {
            return Move::Anew(EventTime(run.newest.max(before)));
        }
        Move::None
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        to.i64(self.offset);
        self.ahead.save(to);
        self.behind.save(to);
    }

    pub(crate) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        Ok(Self {
            offset: from.millis()?,
            ahead: Run::load(from)?,
            behind: Run::load(from)?,
        })
    }
}

impl Run {
    fn add(&mut self, time: i64, pace: i64, kafka: i64) {
        if self.lines == 0 {
            *self = Self {
                lines: 0,
                is_pure: true,
                least: time,
                greatest: time,
                newest: time,
                pace,
                kafka,
            };
        }
        self.lines = self.lines.saturating_add(1);
        self.least = self.least.min(time);
        self.greatest = self.greatest.max(time);
        self.newest = time;
    }

    fn save(&self, to: &mut Writer) {
        to.u32(self.lines);
        if self.lines > 0 {
            to.flag(self.is_pure);
            for millis in [
                self.least,
                self.greatest,
                self.newest,
                self.pace,
                self.kafka,
            ] {
                to.i64(millis);
            }
        }
    }

    fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let lines = from.u32()?;
        if lines == 0 {
            return Ok(Self::default());
        }
        Ok(Self {
            lines,
            is_pure: from.flag()?,
            least: from.millis()?,
            greatest: from.millis()?,
            newest: from.millis()?,
            pace: from.millis()?,
            kafka: from.millis()?,
        })
    }
}
