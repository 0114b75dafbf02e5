//! Everything that is known of one service on one partition.
//!
//! Invariant: what an ordinary line touches is small and lies together; the detectors behind it are
//! asked when a window closes, on an error, and on a line that may cross a threshold.

use crate::{
    Config,
    burst::ErrorBurst,
    error_rate::ErrorRate,
    finding::{Finding, SampleLine},
    pace::{Pace, Vote},
    partition::{Observation, Seen},
    rate::Rate,
    recent::{Past, Recent},
    standing::{Move, SETTLED, Standing, near},
    state::{Loaded, Reader, Writer},
    time::{EventTime, MOST_MS},
    window::{Behind, Window, Windows},
};

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
    cold: Box<Cold>,
}

#[derive(Debug, Clone)]
struct Cold {
    /// Its lines go to another partition by and by.
    is_moving: bool,
    standing: Standing,
    behind: Behind,
    past: Past,
    burst: ErrorBurst,
    error_rate: ErrorRate,
    rate: Rate,
    /// The window in which the service's time began began before it, and so did one in which its clock
    /// was set: it says nothing.
    first_window: EventTime,
    /// Offset of the last line in a closed window.
    last_offset: i64,
    /// The first line of the window that began last.
    line: Option<SampleLine>,
}

/// A name's length and beginning: enough to tell most names apart without looking elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NameTag([u8; Self::BYTES + 1]);

impl NameTag {
    const BYTES: usize = 22;

    pub(crate) fn of(name: &str) -> Self {
        let mut tag = [0; Self::BYTES + 1];
        let (length, beginning) = tag.split_at_mut(1);
        let kept = name.len().min(Self::BYTES);
        length.fill(name.len().min(Self::BYTES + 1) as u8);
        for (into, byte) in beginning.iter_mut().zip(name.as_bytes()).take(kept) {
            *into = *byte;
        }
        Self(tag)
    }

    /// Whether the whole name is in the tag.
    pub(crate) const fn is_whole(&self) -> bool {
        self.0[0] as usize <= Self::BYTES
    }
}

impl Service {
    pub(crate) fn first_seen(seen: &Observation<'_>, pace: i64, config: &Config) -> Self {
        let (windows, behind) = Windows::starting_at(seen.time, config);
        let (recent, past) = Recent::starting_at(seen.time, config);
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
            cold: Box::new(Cold {
                is_moving: false,
                standing: Standing::first_seen(seen.time, pace, config),
                behind,
                past,
                burst: ErrorBurst::new(config),
                error_rate: ErrorRate::new(config),
                rate: Rate::new(),
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
    ) -> Seen {
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
            Some(records) => (records, Seen::InTime),
            None => self.admit_from_afar(seen, pace, config, findings),
        };
        if self.windows.is_closing() {
            self.close_windows(seen.service, config, findings);
        }
        if records == 1 {
            self.keep_line(seen);
        }
        // A burst is judged on the lines as they come: those of a shipper that is behind, or of a host
        // whose clock is off, are as much part of it as the others.
        let now = self.windows.stream_time();
        if seen.is_error || self.is_bursting {
            self.observe_burst(seen, now, config, findings);
        } else {
            self.recent.count(now, &mut self.cold.past, config);
        }
        if records >= self.spike_at {
            self.observe_rate(seen, config, findings);
        }
        answer
    }

    /// Counts a line in its window; the answer is how many the window has now, `None` if it is closed.
    #[inline]
    fn admit(&mut self, seen: &Observation<'_>, config: &Config) -> Option<u64> {
        let behind = &mut self.cold.behind;
        self.windows
            .admit(seen.time, seen.is_error, seen.offset, behind, config)
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
    ) -> (u64, Seen) {
        let stream_time = self.windows.stream_time();
        let ahead = seen.time - stream_time;
        let moved = if ahead > near(config) {
            let gap = self.cold.rate.usual_gap(config);
            self.cold
                .standing
                .ahead(seen, stream_time, gap, pace, config)
        } else if ahead >= -near(config) {
            // One that stands where time stands bears nothing out: its clock may have stopped.
            if ahead != 0 {
                self.cold.standing.near();
            }
            self.is_unsettled = self.cold.standing.is_unsettled();
            return match self.admit(seen, config) {
                Some(records) => (records, Seen::InTime),
                None => (0, Seen::Late),
            };
        } else if let Some(records) = self.admit(seen, config) {
            return (records, Seen::InTime);
        } else {
            self.cold.standing.behind(seen, stream_time, pace, config)
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
        self.is_unsettled = self.cold.standing.is_unsettled();
        let stream_time = self.windows.stream_time();
        if seen.time - stream_time <= near(config) {
            return match self.admit(seen, config) {
                Some(records) => (records, Seen::InTime),
                None => (0, Seen::Late),
            };
        }
        let behind = &mut self.cold.behind;
        let (time, is_error, offset) = (seen.time, seen.is_error, seen.offset);
        let is_kept = self
            .windows
            .admit_ahead(time, is_error, offset, behind, config);
        (0, if is_kept { Seen::InTime } else { Seen::Ahead })
    }

    fn pass_on(&mut self, to: EventTime, config: &Config) {
        self.windows.advance(to, &mut self.cold.behind, config);
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
        while let Some(window) = self.cold.behind.take_complete() {
            self.close(service, &window, config, findings);
        }
        self.windows.restart(at, &mut self.cold.behind, config);
        let Cold {
            standing,
            past,
            burst,
            error_rate,
            rate,
            first_window,
            ..
        } = &mut *self.cold;
        *first_window = at.start_of_window(config.window_ms);
        standing.restart(at, pace.now(), config);
        self.recent.restart(at, past, config);
        burst.clock_set(at);
        error_rate.clock_set(at);
        rate.clock_set(at);
        self.is_unsettled = false;
        self.note_what_lines_ask();
    }

    /// What an ordinary line is asked, after the detectors have changed.
    fn note_what_lines_ask(&mut self) {
        self.is_bursting = self.cold.burst.is_open();
        self.spike_at = self.cold.rate.spike_at();
    }

    #[inline(never)]
    fn observe_burst(
        &mut self,
        seen: &Observation<'_>,
        now: EventTime,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) {
        let Cold { past, burst, .. } = &mut *self.cold;
        if seen.is_error {
            self.recent.count_error(now, seen.offset, past, config);
        } else {
            self.recent.count(now, past, config);
        }
        let recent = (self.recent.sum(past), past.first_error());
        burst.observe(seen, recent, now, config, findings);
        self.is_bursting = burst.is_open();
    }

    #[cold]
    fn observe_rate(
        &mut self,
        seen: &Observation<'_>,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) {
        let Cold {
            behind,
            burst,
            rate,
            ..
        } = &mut *self.cold;
        if let Some(window) = self.windows.at(seen.time, behind, config) {
            let now = self.windows.stream_time();
            let lines = burst.unexplained(window);
            rate.observe(seen, window, lines, now, config, findings);
            self.spike_at = rate.spike_at();
        }
    }

    /// Up to where, by the partition's pace, ms, its lines have come, or its silence was followed.
    pub(crate) fn followed_to(&self) -> i64 {
        let reached = self.windows.stream_time().0 - self.cold.standing.offset();
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
        let gap = self.cold.rate.usual_gap(config);
        self.cold.standing.vote(self.windows.stream_time(), gap)
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
            && let Some(to) = self.cold.standing.caught_up(pace, config)
        {
            self.pass_on(to, config);
            self.close_windows(service, config, findings);
            self.is_unsettled = self.cold.standing.is_unsettled();
        }
        let stream_time = self.windows.stream_time();
        let standing = &mut self.cold.standing;
        tolerance.is_some_and(|tolerance| standing.measure(stream_time, pace.now(), tolerance))
    }

    /// Offset of its newest line that was counted.
    pub(crate) fn newest_offset(&self) -> i64 {
        let open = self.windows.last_offset(&self.cold.behind);
        open.unwrap_or(self.cold.last_offset)
    }

    /// Its lines may go to another partition from now on: what was under way is over, and what was learned
    /// of all of its lines says nothing about some of them.
    pub(crate) fn leave(&mut self, service: &str, config: &Config, findings: &mut Vec<Finding>) {
        let now = self.windows.stream_time();
        let Cold {
            burst,
            error_rate,
            rate,
            ..
        } = &mut *self.cold;
        let before = findings.len();
        burst.give_up(service, now, config, findings);
        error_rate.give_up(service, now, findings);
        rate.give_up(service, now, config, findings);
        for finding in findings.iter_mut().skip(before) {
            finding.summary.push_str(
                " The topic has more partitions now, and its lines may go to another one.",
            );
        }
        self.is_gone = true;
        self.is_bursting = false;
    }

    pub(crate) fn is_moving(&self) -> bool {
        self.cold.is_moving
    }

    pub(crate) fn set_moving(&mut self, is_moving: bool) {
        self.cold.is_moving = is_moving;
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Whether all that [`Self::advance`] could close is silence that was judged already.
    pub(crate) fn is_judged_silent(&self) -> bool {
        self.windows.is_judged_silent(&self.cold.behind)
    }

    /// Every window that closes by `moment` at the latest is closed.
    pub(crate) fn has_passed(&self, moment: EventTime, config: &Config) -> bool {
        self.windows.has_passed(moment, &self.cold.behind, config)
    }

    pub(crate) fn stream_time(&self) -> EventTime {
        self.windows.stream_time()
    }

    pub(crate) fn is_anomalous(&self) -> bool {
        let Cold {
            burst,
            error_rate,
            rate,
            ..
        } = &*self.cold;
        burst.is_open() || error_rate.is_open() || rate.is_open()
    }

    #[cold]
    fn keep_line(&mut self, seen: &Observation<'_>) {
        match &mut self.cold.line {
            Some(line) => line.become_line(seen),
            line => *line = Some(SampleLine::of(seen)),
        }
    }

    #[cold]
    fn close_windows(&mut self, service: &str, config: &Config, findings: &mut Vec<Finding>) {
        while let Some(window) = self.windows.next_closed(&mut self.cold.behind, config) {
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
            self.cold.last_offset = last;
        }
        if window.start > self.cold.first_window {
            self.cold.judge(service, window, config, findings);
        }
    }

    pub(crate) fn save(&self, to: &mut Writer, config: &Config) {
        let Cold {
            // Who goes on from the snapshot says it again.
            is_moving: _,
            standing,
            behind,
            past,
            burst,
            error_rate,
            rate,
            first_window,
            last_offset,
            line,
        } = &*self.cold;
        to.flag(self.is_gone);
        to.u32(u32::from(self.lines.min(SETTLED + 1)));
        to.u32(self.round);
        to.i64(self.seen);
        standing.save(to);
        self.windows.save(behind, to);
        self.recent.save(past, to, config);
        burst.save(to);
        error_rate.save(to);
        rate.save(to);
        to.moment(*first_window);
        to.i64(*last_offset);
        to.maybe(line.as_ref(), SampleLine::save);
    }

    pub(crate) fn load(name: &str, from: &mut Reader<'_>, config: &Config) -> Loaded<Self> {
        let is_gone = from.flag()?;
        let lines = from.u32()?.min(u32::from(SETTLED) + 1) as u16;
        let (round, seen) = (from.u32()?, from.millis()?);
        let standing = Standing::load(from)?;
        let (windows, behind) = Windows::load(from, config)?;
        let (recent, past) = Recent::load(from, config)?;
        let cold = Box::new(Cold {
            is_moving: false,
            standing,
            behind,
            past,
            burst: ErrorBurst::load(from, config)?,
            error_rate: ErrorRate::load(from, config)?,
            rate: Rate::load(from, config)?,
            first_window: from.moment()?,
            last_offset: from.i64()?,
            line: from.maybe(SampleLine::load)?,
        });
        Ok(Self {
            name: NameTag::of(name),
            is_bursting: cold.burst.is_open(),
            is_unsettled: cold.standing.is_unsettled(),
            is_gone,
            lines,
            round,
            seen,
            windows,
            recent,
            spike_at: cold.rate.spike_at(),
            cold,
        })
    }
}

impl Cold {
    /// Whenever it is noticed that the window is closed, it is judged at the moment it closes.
    fn judge(
        &mut self,
        service: &str,
        window: &Window,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) {
        let now = window.closes_at(config);
        let bursting = self.burst.is_open();
        // Before the burst may end with this window.
        let unexplained = self.burst.unexplained(window);
        if self
            .burst
            .window_closed(service, window, now, config, findings)
        {
            self.error_rate.forget();
        }
        self.error_rate.window_closed(
            service,
            window,
            bursting,
            self.burst.lines(),
            now,
            config,
            findings,
        );
        self.rate.window_closed(
            service,
            window,
            unexplained,
            self.line.as_ref(),
            self.last_offset,
            now,
            config,
            findings,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_ordinary_line_touches_is_two_cache_lines() {
        assert_eq!(size_of::<Service>(), 128);
    }

    #[test]
    fn tags_tell_names_apart_or_say_that_they_cannot() {
        let long = "a-name-that-is-longer-than-its-tag";
        assert!(NameTag::of("api").is_whole() && !NameTag::of(long).is_whole());
        assert_ne!(NameTag::of("api"), NameTag::of("api2"));
        assert_ne!(NameTag::of("a\0"), NameTag::of("a"));
        assert_ne!(NameTag::of(&long[..22]), NameTag::of(&long[..23]));
    }
}
