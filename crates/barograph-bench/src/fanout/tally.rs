//! What clients counted: frames and how old they were when they came.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What an anomaly of this measurement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// For one group of clients.
    Group,
    /// For every client that reads.
    Broadcast,
    /// For clients that do not read.
    Flood,
    /// For every client that reads: the flood is behind them.
    Begin,
}

impl Phase {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Broadcast => "broadcast",
            Self::Flood => "flood",
            Self::Begin => "begin",
        }
    }

    fn of(text: &str) -> Option<Self> {
        [Self::Group, Self::Broadcast, Self::Flood, Self::Begin]
            .into_iter()
            .find(|phase| phase.as_str() == text)
    }
}

/// Begins the title of every anomaly; phase and moment follow.
const TITLE: &str = "bench ";

/// The title says when it was sent: µs since the epoch.
pub(super) fn title(phase: Phase, sent: u64) -> String {
    format!("{TITLE}{} {sent}", phase.as_str())
}

/// Phase and moment, from a frame's text; `None` for frames that are no anomalies. Does not read
/// the JSON: the clients are to cost little beside the gateway.
pub(super) fn read(frame: &str) -> Option<(Phase, u64)> {
    const KEY: &str = "\"title\":\"";
    let title = &frame[frame.find(KEY)? + KEY.len()..];
    let title = title[..title.find('"')?].strip_prefix(TITLE)?;
    let (phase, sent) = title.split_once(' ')?;
    Some((Phase::of(phase)?, sent.parse().ok()?))
}

/// Ages in steps of a tenth of a millisecond.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Ages(BTreeMap<u32, u64>);

const STEP_US: u64 = 100;

impl Ages {
    pub(super) fn add(&mut self, age_us: u64) {
        let step = u32::try_from(age_us / STEP_US).unwrap_or(u32::MAX);
        *self.0.entry(step).or_default() += 1;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (step, count) in &other.0 {
            *self.0.entry(*step).or_default() += count;
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// Upper end of the step that holds the quantile, ms.
    pub(super) fn quantile_ms(&self, q: f64) -> f64 {
        let rank = (q * self.count() as f64).ceil() as u64;
        let mut seen = 0;
        for (step, count) in &self.0 {
            seen += count;
            if seen >= rank {
                return (f64::from(*step) + 1.0) * STEP_US as f64 / 1e3;
            }
        }
        0.0
    }
}

/// Of all clients of one process, or of all processes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) group: Ages,
    pub(super) broadcast: Ages,
    /// Clients that the flood is behind.
    pub(super) begun: u64,
    /// When the last frame of a broadcast came, µs since the epoch.
    pub(super) last_broadcast: u64,
    /// Of clients that read: frames that say that they lag, and connections that ended.
    pub(super) disturbed: u64,
    /// Of clients that did not read: told that they lag, once they read again.
    pub(super) stuck_told: u64,
    /// Of clients that did not read: dropped.
    pub(super) stuck_dropped: u64,
    /// Of clients that did not read: neither, within the time they have.
    pub(super) stuck_neither: u64,
}

impl Tally {
    pub(super) fn stuck_settled(&self) -> u64 {
        self.stuck_told + self.stuck_dropped + self.stuck_neither
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.group.merge(&other.group);
        self.broadcast.merge(&other.broadcast);
        self.begun += other.begun;
        self.last_broadcast = self.last_broadcast.max(other.last_broadcast);
        self.disturbed += other.disturbed;
        self.stuck_told += other.stuck_told;
        self.stuck_dropped += other.stuck_dropped;
        self.stuck_neither += other.stuck_neither;
    }
}

/// µs since the epoch: one clock for all processes of this machine.
pub(super) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_title_says_is_read_from_a_frame() {
        let title = title(Phase::Group, 1_795_244_400_123_456);
        let frame = format!(r#"{{"type":"anomaly","anomaly":{{"title":"{title}","score":2}}}}"#);
        assert_eq!(read(&frame), Some((Phase::Group, 1_795_244_400_123_456)));
        assert_eq!(read(r#"{"type":"ping"}"#), None);
        assert_eq!(read(r#"{"title":"something else"}"#), None);
    }

    #[test]
    fn a_quantile_is_the_end_of_its_step() {
        let mut ages = Ages::default();
        for age in [50, 150, 250, 99_950] {
            ages.add(age);
        }
        assert_eq!(ages.quantile_ms(0.5), 0.2);
        assert_eq!(ages.quantile_ms(1.0), 100.0);
        let mut sum = Ages::default();
        sum.merge(&ages);
        sum.merge(&ages);
        assert_eq!(sum.count(), 8);
    }
}
