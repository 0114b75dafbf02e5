//! What is normal for every service, and what is not.
//!
//! One [`PartitionDetectors`] belongs to one Kafka partition. It is fed that partition's records in
//! order and answers with findings. Invariant: what it says is a pure function of those records: no
//! clock, no randomness, no I/O, so that a replay gives the same findings with the same identities.
//! Idle ticks only let it speak earlier. It can be taken down as bytes and go on from them.

mod burst;
mod episode;
mod error_rate;
pub mod finding;
mod moving;
mod order;
mod pace;
pub mod partition;
mod provisional;
mod rate;
mod ratio;
mod recent;
mod service;
mod standing;
mod state;
mod tail;
pub mod time;
mod window;

pub use finding::{Finding, Kind, Phase, SampleLine};
pub use moving::Moves;
pub use pace::is_clock;
pub use partition::{Observation, PartitionDetectors, Seen};
pub use state::{FORMAT, SnapshotError};
pub use time::{EventTime, Score};

/// Version of what the detectors answer. Raised with every change that lets them answer otherwise to
/// the same records, or keep something else: a snapshot of others is not gone on from.
const BEHAVIOUR: u32 = 4;

/// What a snapshot can be gone on from: the same number for the same behaviour and configuration.
pub fn compatibility(config: &Config) -> u64 {
    // Named one by one, so that a new field cannot be left out.
    let Config {
        window_ms,
        grace_ms,
        false_alerts_per_week,
        warm_up_windows,
        adopt_after_windows,
        max_services,
        max_provisional,
        samples,
    } = *config;
    let mut to = state::Writer::default();
    to.u32(BEHAVIOUR);
    to.i64(window_ms);
    to.i64(grace_ms);
    to.f64(false_alerts_per_week);
    to.u32(warm_up_windows);
    to.u32(adopt_after_windows);
    to.u64(max_services as u64);
    to.u64(max_provisional as u64);
    to.u64(samples as u64);
    state::hash(to.bytes())
}

/// Parameters of the detectors. Times in milliseconds of event time.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Length of the tumbling base window. Range 1,000 to 600,000, default 10,000.
    pub window_ms: i64,
    /// How long a window takes records after its end. Default 10,000.
    pub grace_ms: i64,
    /// Expected false alerts per service and week, over all detectors. Default 1.
    pub false_alerts_per_week: f64,
    /// Closed windows before the rate of a service is judged. Default 18.
    pub warm_up_windows: u32,
    /// Windows after which a lasting change is taken for the new normal. Default 180.
    pub adopt_after_windows: u32,
    /// Services kept at once; past it the least recently seen goes, counted. Default 10,000.
    pub max_services: usize,
    /// Services that an idle partition may follow ahead of its records, and episodes remembered as
    /// told that way. Default 1,000.
    pub max_provisional: usize,
    /// Sample lines of one finding. Default 5.
    pub samples: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window_ms: 10_000,
            grace_ms: 10_000,
            false_alerts_per_week: 1.0,
            warm_up_windows: 18,
            adopt_after_windows: 180,
            max_services: 10_000,
            max_provisional: 1000,
            samples: 5,
        }
    }
}

impl Config {
    /// Probability of a false alert that one judgement may have: the budget shared out over the
    /// judgements of a week (windows × four questions asked of each).
    pub fn alpha(&self) -> f64 {
        let windows_per_week = 7.0 * 86_400_000.0 / self.window_ms as f64;
        (self.false_alerts_per_week / (windows_per_week * 4.0)).min(1e-3)
    }
}
