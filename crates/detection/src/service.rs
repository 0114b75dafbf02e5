//! Everything that is known of one service on one partition.

use crate::{
    Config,
    burst::ErrorBurst,
    error_rate::ErrorRate,
    finding::{Finding, SampleLine},
    partition::{Observation, Seen},
    rate::Rate,
    time::EventTime,
    window::{Admitted, Window, Windows},
};

#[derive(Debug, Clone)]
pub struct Service {
    windows: Windows,
    burst: ErrorBurst,
    error_rate: ErrorRate,
    rate: Rate,
    /// The service's first window began before it was first seen: it says nothing.
    first_window: EventTime,
    last_offset: i64,
    /// Kafka's time of its newest record, ms.
    pub(crate) kafka_time: i64,
    /// One line of the newest window.
    line: Option<SampleLine>,
    line_of: EventTime,
}

impl Service {
    pub fn first_seen(at: EventTime, kafka_time: i64, config: &Config) -> Self {
        let windows = Windows::starting_at(at, config.window_ms, config.grace_ms);
        Self {
            first_window: windows.start_of(at),
            windows,
            burst: ErrorBurst::new(config),
            error_rate: ErrorRate::new(config),
            rate: Rate::new(config),
            last_offset: -1,
            kafka_time,
            line: None,
            line_of: EventTime(i64::MIN),
        }
    }

    pub fn observe(&mut self, seen: &Observation<'_>, findings: &mut Vec<Finding>) -> Seen {
        self.kafka_time = self.kafka_time.max(seen.kafka_time);
        let admitted = self.windows.admit(seen.time, seen.is_error, seen.offset);
        if admitted == Admitted::Late {
            return Seen::Late;
        }
        self.close_windows(seen.service, findings);
        self.last_offset = seen.offset;
        let now = self.windows.stream_time();
        let start = self.windows.start_of(seen.time);
        if start > self.line_of {
            self.line_of = start;
            self.line = Some(seen.line());
        }
        self.burst.observe(seen, now, start, findings);
        if let Some(window) = self.windows.at(seen.time) {
            self.rate.observe(seen, window, now, findings);
        }
        Seen::InTime
    }

    /// Time goes on although the service is silent: `kafka_now` is how far its neighbours, or the
    /// clock of an idle partition, have got.
    pub fn advance(&mut self, service: &str, kafka_now: i64, findings: &mut Vec<Finding>) {
        let silent_for = kafka_now - self.kafka_time;
        if silent_for > 0 {
            self.kafka_time = kafka_now;
            self.windows
                .advance(self.windows.stream_time() + silent_for);
            self.close_windows(service, findings);
        }
    }

    pub fn is_anomalous(&self) -> bool {
        self.burst.is_open() || self.rate.is_open()
    }

    fn close_windows(&mut self, service: &str, findings: &mut Vec<Finding>) {
        while let Some(window) = self.windows.next_closed() {
            if window.start > self.first_window {
                self.judge(service, &window, findings);
            }
        }
    }

    fn judge(&mut self, service: &str, window: &Window, findings: &mut Vec<Finding>) {
        let now = self.windows.stream_time();
        let burst = self.burst.is_open();
        self.burst
            .window_closed(service, now, window.records, window.errors, findings);
        self.error_rate
            .window_closed(service, window, burst, self.burst.lines(), now, findings);
        self.rate.window_closed(
            service,
            window,
            self.line.as_ref(),
            self.last_offset,
            now,
            findings,
        );
    }
}
