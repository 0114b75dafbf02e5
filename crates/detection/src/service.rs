//! Everything that is known of one service on one partition.
//!
//! Invariant: what an ordinary line touches is small and lies together; the detectors behind it are
//! asked when a window closes, on an error, and on a line that may cross a threshold.

use crate::{
    Config,
    burst::ErrorBurst,
    error_rate::ErrorRate,
    finding::{Finding, SampleLine},
    partition::{Observation, Seen},
    rate::Rate,
    recent::{Past, Recent},
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
    /// Kafka's time of its newest record, ms, or how far its silence was followed.
    pub(crate) kafka_time: i64,
    windows: Windows,
    recent: Recent,
    /// A window with fewer lines than this is no spike.
    spike_at: u64,
    cold: Box<Cold>,
}

#[derive(Debug, Clone)]
struct Cold {
    behind: Behind,
    past: Past,
    burst: ErrorBurst,
    error_rate: ErrorRate,
    rate: Rate,
    /// The service's first window began before it was first seen: it says nothing.
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
    pub(crate) fn first_seen(seen: &Observation<'_>, config: &Config) -> Self {
        let (windows, behind) = Windows::starting_at(seen.time, config);
        let (recent, past) = Recent::starting_at(seen.time, config);
        Self {
            name: NameTag::of(seen.service),
            is_bursting: false,
            kafka_time: seen.kafka_time,
            windows,
            recent,
            spike_at: u64::MAX,
            cold: Box::new(Cold {
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
        config: &Config,
        findings: &mut Vec<Finding>,
    ) -> Seen {
        self.kafka_time = self.kafka_time.max(seen.kafka_time);
        let (time, offset) = (seen.time, seen.offset);
        let behind = &mut self.cold.behind;
        let admitted = self
            .windows
            .admit(time, seen.is_error, offset, behind, config);
        let Some(records) = admitted else {
            return Seen::Late;
        };
        if self.windows.is_closing() {
            self.close_windows(seen.service, config, findings);
        }
        if records == 1 {
            self.keep_line(seen);
        }
        if seen.is_error || self.is_bursting {
            self.observe_burst(seen, config, findings);
        } else {
            self.recent.count(time, &mut self.cold.past, config);
        }
        if records >= self.spike_at {
            self.observe_rate(seen, config, findings);
        }
        Seen::InTime
    }

    #[inline(never)]
    fn observe_burst(
        &mut self,
        seen: &Observation<'_>,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) {
        let Cold { past, burst, .. } = &mut *self.cold;
        if seen.is_error {
            self.recent
                .count_error(seen.time, seen.offset, past, config);
        } else {
            self.recent.count(seen.time, past, config);
        }
        let recent = (self.recent.sum(past), past.first_error());
        let now = self.windows.stream_time();
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

    /// Time goes on although the service is silent: `kafka_now` is how far its neighbours, or the
    /// clock of an idle partition, have got.
    pub(crate) fn advance(
        &mut self,
        service: &str,
        kafka_now: i64,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) {
        if kafka_now > self.kafka_time {
            let time = self.windows.stream_time() + (kafka_now - self.kafka_time);
            self.kafka_time = kafka_now;
            let behind = &mut self.cold.behind;
            self.windows
                .advance(time.min(EventTime(MOST_MS)), behind, config);
            self.close_windows(service, config, findings);
        }
    }

    /// Whether all that [`Self::advance`] could close is silence that was judged already.
    pub(crate) fn is_judged_silent(&self) -> bool {
        self.windows.is_judged_silent(&self.cold.behind)
    }

    /// Every window that closes by `moment` at the latest is closed.
    pub(crate) fn has_passed(&self, moment: EventTime) -> bool {
        self.windows.has_passed(moment)
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
            if let Some((_, last)) = window.offsets() {
                self.cold.last_offset = last;
            }
            if window.start > self.cold.first_window {
                self.cold.judge(service, &window, config, findings);
            }
        }
        self.is_bursting = self.cold.burst.is_open();
        self.spike_at = self.cold.rate.spike_at();
    }

    pub(crate) fn save(&self, to: &mut Writer, config: &Config) {
        let Cold {
            behind,
            past,
            burst,
            error_rate,
            rate,
            first_window,
            last_offset,
            line,
        } = &*self.cold;
        to.i64(self.kafka_time);
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
        let kafka_time = from.millis()?;
        let (windows, behind) = Windows::load(from, config)?;
        let (recent, past) = Recent::load(from, config)?;
        let cold = Box::new(Cold {
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
            kafka_time,
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
        self.burst
            .window_closed(service, window, now, config, findings);
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
