//! What a run came to.
//! Invariant: with `--json`, this is the only line on standard output.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use contracts::truth::Truth;
use serde::Serialize;

use super::sink::Totals;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Acknowledged.
    produced: u64,
    failed: u64,
    /// Handed over, and neither acknowledged nor failed when it ended.
    unacknowledged: u64,
    seconds: f64,
    records_per_second: f64,
    bytes: u64,
    injected: Vec<Truth>,
}

impl Report {
    pub(super) fn new(
        totals: Totals,
        unacknowledged: u64,
        took: Duration,
        injected: Vec<Truth>,
    ) -> Self {
        let thousandths = |value: f64| (value * 1000.0).round() / 1000.0;
        let seconds = took.as_secs_f64();
        Self {
            produced: totals.acknowledged,
            failed: totals.failed,
            unacknowledged,
            seconds: thousandths(seconds),
            records_per_second: thousandths(totals.acknowledged as f64 / seconds.max(1e-3)),
            bytes: totals.bytes,
            injected,
        }
    }

    pub(super) fn log(&self) {
        tracing::info!(
            produced = self.produced,
            failed = self.failed,
            unacknowledged = self.unacknowledged,
            seconds = self.seconds,
            records_per_second = self.records_per_second,
            bytes_per_record = self.bytes / self.produced.max(1),
            injected = self.injected.len(),
            "done"
        );
    }

    pub(super) fn print(&self) -> io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        io::stdout().lock().write_all(&line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_has_what_a_script_asks_for() {
        let totals = Totals {
            acknowledged: 1000,
            failed: 2,
            bytes: 252_000,
        };
        let report = Report::new(totals, 3, Duration::from_millis(2_500), Vec::new());
        let expected = serde_json::json!({
            "produced": 1000, "failed": 2, "unacknowledged": 3, "seconds": 2.5,
            "records_per_second": 400.0, "bytes": 252_000, "injected": [],
        });
        assert_eq!(serde_json::to_value(report).unwrap(), expected);
    }
}
