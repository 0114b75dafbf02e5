//! What can be set.

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
