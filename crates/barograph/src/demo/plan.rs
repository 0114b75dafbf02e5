//! What a demo will do: how much history, which anomalies when, how fine the windows.

use std::time::Duration;

use contracts::truth::Fault;
use local_stack::Service;

/// History is bounded by lines, so that a fast fleet does not write for an hour first.
const MOST_HISTORY: Duration = Duration::from_secs(3 * 3600);
const MOST_HISTORY_LINES: u64 = 3_000_000;
/// What shows in several windows, or in lines enough, is in a demo that has both.
const LONG: Duration = Duration::from_secs(45);
const MANY: u32 = 200;

#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) live: Duration,
    pub(super) rate: u32,
    pub(super) seed: u64,
    pub(super) history: Duration,
    pub(super) injections: Vec<Injection>,
    /// Base window of the detectors: a short demo needs short windows to show a drop at all.
    pub(super) window: Duration,
}

/// One anomaly to inject; times counted from going live.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Injection {
    pub(super) kind: Fault,
    pub(super) service: &'static str,
    pub(super) at: Duration,
    pub(super) lasts: Duration,
    pub(super) magnitude: Option<f64>,
}

impl Plan {
    pub(super) fn of(live: Duration, rate: u32, seed: u64, calm: bool) -> Self {
        let history = MOST_HISTORY.min(Duration::from_secs(MOST_HISTORY_LINES / u64::from(rate)));
        let part = |share: f64| Duration::from_secs_f64((live.as_secs_f64() * share).round());
        let injection = |kind, service, at, lasts, magnitude| Injection {
            kind,
            service,
            at: part(at),
            lasts: part(lasts).max(Duration::from_secs(3)),
            magnitude,
        };
        let mut injections = vec![
            injection(Fault::ErrorBurst, "checkout", 0.20, 0.12, Some(0.6)),
            injection(Fault::RateSpike, "search", 0.35, 0.12, Some(6.0)),
            injection(Fault::RateDrop, "catalog", 0.50, 0.20, Some(0.05)),
            injection(Fault::ErrorBurst, "payments", 0.60, 0.12, Some(0.5)),
            injection(Fault::Silence, "gateway", 0.72, 0.18, None),
        ];
        if live >= LONG && rate >= MANY {
            injections.extend([
                injection(Fault::FailedLogins, "auth", 0.15, 0.30, Some(10.0)),
                injection(Fault::LatencyShift, "orders", 0.25, 0.35, Some(5.0)),
                injection(Fault::StatusShift, "cart", 0.30, 0.45, Some(0.6)),
                injection(Fault::NewTemplate, "inventory", 0.45, 0.20, Some(5.0)),
            ]);
        }
        let window = Duration::from_secs((live.as_secs() / 30).clamp(1, 10));
        Self {
            live,
            rate,
            seed,
            history,
            injections: if calm { Vec::new() } else { injections },
            window,
        }
    }

    /// Settings of the processor's detectors.
    pub(super) fn detection(&self) -> Vec<(&'static str, String)> {
        let millis = |duration: Duration| format!("{}ms", duration.as_millis());
        vec![
            ("DETECTION_WINDOW", millis(self.window)),
            (
                "DETECTION_GRACE",
                millis(self.window.max(Duration::from_millis(500)) / 2),
            ),
            (
                "DETECTION_IDLE_TIMEOUT",
                millis((2 * self.window).max(Duration::from_secs(2))),
            ),
        ]
    }

    pub(super) fn generator(&self, admin: String) -> Service {
        let seconds = |duration: Duration| format!("{}s", duration.as_secs());
        let service = Service::new("log-generator")
            .env("ADMIN_LISTEN", admin)
            .arg("--json")
            .arg("--rate")
            .arg(self.rate.to_string())
            .arg("--seed")
            .arg(self.seed.to_string())
            .arg("--history")
            .arg(seconds(self.history))
            .arg("--duration")
            .arg(seconds(self.live));
        self.injections.iter().fold(service, |service, injection| {
            service.arg("--inject").arg(injection.text())
        })
    }
}

impl Injection {
    /// As the generator's `--inject` takes it.
    fn text(&self) -> String {
        let (kind, service) = (self.kind.as_str(), self.service);
        let (at, lasts) = (self.at.as_secs(), self.lasts.as_secs());
        let magnitude = self
            .magnitude
            .map(|magnitude| format!(" x{magnitude}"))
            .unwrap_or_default();
        format!("{kind}:{service}@{at}s+{lasts}s{magnitude}")
    }
}

/// A duration of a demo: seconds, minutes or hours, 20 s at the least.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let expected = || "expected a duration of at least 20s, such as 20s, 5m or 1h".to_owned();
    let (number, unit) = text.split_at(
        text.find(|letter: char| letter.is_ascii_alphabetic())
            .unwrap_or(text.len()),
    );
    let number: u64 = number.trim().parse().map_err(|_| expected())?;
    let seconds = match unit {
        "s" | "" => number,
        "m" => number.checked_mul(60).ok_or_else(expected)?,
        "h" => number.checked_mul(3600).ok_or_else(expected)?,
        _ => return Err(expected()),
    };
    if !(20..=86_400).contains(&seconds) {
        return Err(expected());
    }
    Ok(Duration::from_secs(seconds))
}

/// A duration as a person says it.
pub(super) fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_injection_ends_before_the_demo_does() {
        for seconds in [20, 30, 60, 600] {
            let plan = Plan::of(Duration::from_secs(seconds), 300, 1, false);
            for injection in &plan.injections {
                assert!(
                    injection.at + injection.lasts <= plan.live,
                    "{seconds} s: {injection:?}"
                );
            }
        }
    }

    #[test]
    fn durations_are_read_and_bounded() {
        for (text, seconds) in [
            ("20s", Some(20)),
            ("2m", Some(120)),
            ("1h", Some(3600)),
            ("60", Some(60)),
        ] {
            assert_eq!(
                duration(text).ok().map(|duration| duration.as_secs()),
                seconds,
                "{text}"
            );
        }
        for text in ["19s", "", "s", "-5s", "1d", "99999999999999999999s", "25h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn history_is_bounded_by_time_and_by_lines() {
        let history = |rate| {
            Plan::of(Duration::from_secs(60), rate, 1, false)
                .history
                .as_secs()
        };
        assert_eq!((history(100), history(20_000)), (10_800, 150));
    }
}
