//! Everything that is known of one service on one partition.
//!
//! Invariant: what an ordinary line touches is small and lies together; the detectors behind it are
//! asked when a window closes, on an error, and on a line that may cross a threshold.

mod name_tag;
mod state;

pub(crate) use name_tag::NameTag;

use crate::{
    clock::{Move, Pace, SETTLED, Standing, Vote, near},
    config::Config,
    episode::Telling,
    family::Families,
    finding::{Finding, SampleLine},
    record::{
        Arrival, Observation,
        time::{EventTime, MOST_MS},
    },
    window::{OtherWindows, Recent, Slots, Window, Windows},
};

/// Bytes of the least that is kept of a service, its families apart.
pub(crate) const LEAST_BYTES: usize = 40;

/// Two cache lines, beside each other.
#[derive(Debug, Clone)]
#[repr(align(128))]
pub(crate) struct Service {
    pub(crate) name: NameTag,
    is_bursting: bool,
    /// A line away from the stream time came, and none near it since.
    is_unsettled: bool,
    /// Its lines go to another partition: it is not silent here.
    is_gone: bool,
    /// Lines seen, as far as it matters.
    lines: u16,
    /// The partition's round in which it wrote last.
    pub(crate) round: u32,
    /// The partition's pace at its newest record, ms, or how far its silence was followed.
    seen: i64,
    windows: Windows,
    recent: Recent,
    /// A window with fewer lines than this is no spike.
    spike_at: u64,
    history: Box<History>,
}

/// What its lines have left behind, and an ordinary line hardly touches.
#[derive(Debug, Clone)]
struct History {
    /// Its lines go to another partition by and by.
    is_moving: bool,
    standing: Standing,
    others: OtherWindows,
    slots: Slots,
    families: Families,
    /// The window in which the service's time began began before it, and so did one in which its clock
    /// was set: it says nothing.
    first_window: EventTime,
    /// Offset of the last line in a closed window.
    last_offset: i64,
    /// The first line of the window that began last.
    line: Option<SampleLine>,
}

impl Service {
    pub(crate) fn first_seen(seen: &Observation<'_>, pace: i64, config: &Config) -> Self {
        let (windows, others) = Windows::starting_at(seen.time, config);
        let (recent, slots) = Recent::starting_at(seen.time, config);
        Self {
            name: NameTag::of(seen.service),
            is_bursting: false,
            is_unsettled: false,
            is_gone: false,
            lines: 0,
            round: 0,
            seen: pace,
            windows,
            recent,
            spike_at: u64::MAX,
            history: Box::new(History {
                is_moving: false,
                standing: Standing::first_seen(seen.time, pace, config),
                others,
                slots,
                families: Families::new(config),
                first_window: seen.time.start_of_window(config.window_ms),
                last_offset: -1,
                line: None,
            }),
        }
    }

    pub(crate) fn observe(
        &mut self,
        seen: &Observation<'_>,
        pace: &Pace,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) -> Arrival {
        if self.is_gone {
            let is_moving = self.is_moving();
            *self = Self::first_seen(seen, pace.now(), config);
            self.set_moving(is_moving);
        }
        self.seen = self.seen.max(pace.now());
        self.lines = self.lines.saturating_add(1);
        let is_near = seen.time - self.windows.stream_time() <= near(config);
        let admitted = if is_near && !self.is_unsettled {
            self.admit(seen, config)
        } else {
            None
        };
        let (records, answer) = match admitted {
            Some(records) => (records, Arrival::InTime),
            None => self.admit_from_afar(seen, pace, config, findings),
        };
        if answer == Arrival::InTime {
            self.history.families.observe_in_time(seen, config);
        }
        if self.windows.is_closing() {
            self.close_windows(seen.service, config, findings);
        }
        let mut telling = Telling {
            service: seen.service,
            now: self.windows.stream_time(),
            config,
            findings: &mut *findings,
        };
        self.history.families.observe_line(seen, &mut telling);
        if records == 1 {
            self.keep_line(seen);
        }
        // A burst is judged on the lines as they come: those of a shipper that is behind, or of a host
        // whose clock is off, are as much part of it as the others.
        let now = self.windows.stream_time();
        if seen.is_error || self.is_bursting {
            self.observe_burst(seen, now, config, findings);
        } else {
            self.recent.count(now, &mut self.history.slots, config);
        }
        if records >= self.spike_at {
            self.observe_rate(seen, config, findings);
        }
        answer
    }

    /// Counts a line in its window; the answer is how many the window has now, `None` if it is closed.
    #[inline]
    fn admit(&mut self, seen: &Observation<'_>, config: &Config) -> Option<u64> {
        let others = &mut self.history.others;
        self.windows
            .admit(seen.time, seen.is_error, seen.offset, others, config)
    }

    /// A line that is not near the stream time, or the first after one that was not. The answer: lines
    /// of its window, where that may be a spike.
    #[cold]
    fn admit_from_afar(
        &mut self,
        seen: &Observation<'_>,
        pace: &Pace,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) -> (u64, Arrival) {
        let stream_time = self.windows.stream_time();
        let ahead = seen.time - stream_time;
        let moved = if ahead > near(config) {
            let gap = self.history.families.usual_gap(config);
            self.history
                .standing
                .ahead(seen, stream_time, gap, pace, config)
        } else if ahead >= -near(config) {
            // One that stands where time stands bears nothing out: its clock may have stopped.
            if ahead != 0 {
                self.history.standing.near();
            }
            self.is_unsettled = self.history.standing.is_unsettled();
            return match self.admit(seen, config) {
                Some(records) => (records, Arrival::InTime),
                None => (0, Arrival::Late),
            };
        } else if let Some(records) = self.admit(seen, config) {
            return (records, Arrival::InTime);
        } else {
            self.history
                .standing
                .behind(seen, stream_time, pace, config)
        };
        let is_new = self.lines <= SETTLED;
        match moved {
            Move::On(to) => self.pass_on(to, config),
            Move::Anew(to) => self.begin_anew(seen.service, to, pace, config, findings),
            Move::None if is_new => {
                self.begin_anew(seen.service, seen.time, pace, config, findings);
            }
            Move::None => {}
        }
        self.is_unsettled = self.history.standing.is_unsettled();
        let stream_time = self.windows.stream_time();
        if seen.time - stream_time <= near(config) {
            return match self.admit(seen, config) {
                Some(records) => (records, Arrival::InTime),
                None => (0, Arrival::Late),
            };
        }
        let others = &mut self.history.others;
        let (time, is_error, offset) = (seen.time, seen.is_error, seen.offset);
        let is_kept = self
            .windows
            .admit_ahead(time, is_error, offset, others, config);
        (
            0,
            if is_kept {
                Arrival::InTime
            } else {
                Arrival::Ahead
            },
        )
    }

    fn pass_on(&mut self, to: EventTime, config: &Config) {
        self.windows.advance(to, &mut self.history.others, config);
    }

    /// The service's clock was set: what time had passed is judged, and the rest begins anew. What is
    /// usual for the service stays so.
    #[cold]
    fn begin_anew(
        &mut self,
        service: &str,
        at: EventTime,
        pace: &Pace,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) {
        self.close_windows(service, config, findings);
        while let Some(window) = self.history.others.take_complete() {
            self.close(service, &window, config, findings);
        }
        self.windows.restart(at, &mut self.history.others, config);
        let History {
            standing,
            slots,
            families,
            first_window,
            ..
        } = &mut *self.history;
        *first_window = at.start_of_window(config.window_ms);
        standing.restart(at, pace.now(), config);
        self.recent.restart(at, slots, config);
        families.clock_set(at);
        self.is_unsettled = false;
        self.note_what_lines_ask();
    }

    /// What an ordinary line is asked, after the detectors have changed.
    fn note_what_lines_ask(&mut self) {
        self.is_bursting = self.history.families.is_bursting();
        self.spike_at = self.history.families.spike_at();
    }

    #[inline(never)]
    fn observe_burst(
        &mut self,
        seen: &Observation<'_>,
        now: EventTime,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) {
        let History {
            slots, families, ..
        } = &mut *self.history;
        if seen.is_error {
            self.recent.count_error(now, seen.offset, slots, config);
        } else {
            self.recent.count(now, slots, config);
        }
        let recent = (self.recent.sum(slots), slots.first_error());
        let mut telling = Telling {
            service: seen.service,
            now,
            config,
            findings,
        };
        families.observe_burst(seen, recent, &mut telling);
        self.is_bursting = families.is_bursting();
    }

    #[cold]
    fn observe_rate(
        &mut self,
        seen: &Observation<'_>,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) {
        let History {
            others, families, ..
        } = &mut *self.history;
        if let Some(window) = self.windows.at(seen.time, others, config) {
            let mut telling = Telling {
                service: seen.service,
                now: self.windows.stream_time(),
                config,
                findings,
            };
            families.observe_rate(seen, window, &mut telling);
            self.spike_at = families.spike_at();
        }
    }

    /// Up to where, by the partition's pace, ms, its lines have come, or its silence was followed.
    pub(crate) fn followed_to(&self) -> i64 {
        let reached = self.windows.stream_time().0 - self.history.standing.offset();
        self.seen.max(reached)
    }

    /// Time goes on although the service is silent: `pace` is how far its neighbours, or the
    /// clock of an idle partition, have got.
    pub(crate) fn advance(
        &mut self,
        service: &str,
        pace: i64,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) {
        let silent_for = pace - self.followed_to();
        if silent_for > 0 {
            let time = self.windows.stream_time() + silent_for;
            self.seen = pace;
            self.pass_on(time.min(EventTime(MOST_MS)), config);
            self.close_windows(service, config, findings);
        }
    }

    /// What the service says of the time at the end of a round.
    pub(crate) fn vote(&self, config: &Config) -> Vote {
        let gap = self.history.families.usual_gap(config);
        self.history.standing.vote(self.windows.stream_time(), gap)
    }

    /// The pace was decided: lines that were ahead of it may not be so any more. `tolerance`, ms, where
    /// clocks are measured anew; `true` if this one was off.
    pub(crate) fn follow(
        &mut self,
        service: &str,
        pace: &Pace,
        tolerance: Option<i64>,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) -> bool {
        if self.is_unsettled
            && let Some(to) = self.history.standing.caught_up(pace, config)
        {
            self.pass_on(to, config);
            self.close_windows(service, config, findings);
            self.is_unsettled = self.history.standing.is_unsettled();
        }
        let stream_time = self.windows.stream_time();
        let standing = &mut self.history.standing;
        tolerance.is_some_and(|tolerance| standing.measure(stream_time, pace.now(), tolerance))
    }

    /// Offset of its newest line that was counted.
    pub(crate) fn newest_offset(&self) -> i64 {
        let open = self.windows.last_offset(&self.history.others);
        open.unwrap_or(self.history.last_offset)
    }

    /// Its lines may go to another partition from now on: what was under way is over, and what was learned
    /// of all of its lines says nothing about some of them.
    pub(crate) fn leave(&mut self, service: &str, config: &Config, findings: &mut Vec<Finding>) {
        let before = findings.len();
        let mut telling = Telling {
            service,
            now: self.windows.stream_time(),
            config,
            findings: &mut *findings,
        };
        self.history.families.give_up(&mut telling);
        for finding in findings.iter_mut().skip(before) {
            finding.summary.push_str(
                " The topic has more partitions now, and its lines may go to another one.",
            );
        }
        self.is_gone = true;
        self.is_bursting = false;
    }

    pub(crate) fn is_moving(&self) -> bool {
        self.history.is_moving
    }

    pub(crate) fn set_moving(&mut self, is_moving: bool) {
        self.history.is_moving = is_moving;
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Whether all that [`Self::advance`] could close is silence that was judged already.
    pub(crate) fn is_judged_silent(&self) -> bool {
        self.windows.is_judged_silent(&self.history.others)
    }

    /// Every window that closes by `moment` at the latest is closed.
    pub(crate) fn has_passed(&self, moment: EventTime, config: &Config) -> bool {
        self.windows
            .has_passed(moment, &self.history.others, config)
    }

    /// The window in which its time began: another one after its clock was set.
    pub(crate) fn time_began(&self) -> EventTime {
        self.history.first_window
    }

    pub(crate) fn stream_time(&self) -> EventTime {
        self.windows.stream_time()
    }

    pub(crate) fn is_anomalous(&self) -> bool {
        self.history.families.is_anomalous()
    }

    #[cold]
    fn keep_line(&mut self, seen: &Observation<'_>) {
        match &mut self.history.line {
            Some(line) => line.become_line(seen),
            line => *line = Some(SampleLine::of(seen)),
        }
    }

    #[cold]
    fn close_windows(&mut self, service: &str, config: &Config, findings: &mut Vec<Finding>) {
        while let Some(window) = self.windows.next_closed(&mut self.history.others, config) {
            self.close(service, &window, config, findings);
        }
        self.note_what_lines_ask();
    }

    fn close(
        &mut self,
        service: &str,
        window: &Window,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) {
        if let Some((_, last)) = window.offsets() {
            self.history.last_offset = last;
        }
        if window.start > self.history.first_window {
            let telling = Telling {
                service,
                now: window.closes_at(config),
                config,
                findings,
            };
            let last_line = (self.history.line.as_ref(), self.history.last_offset);
            self.history
                .families
                .window_closed(window, last_line, telling);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_ordinary_line_touches_is_two_cache_lines() {
        assert_eq!(size_of::<Service>(), 128);
    }
}
