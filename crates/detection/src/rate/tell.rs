//! A spike or a drop in words.

use super::{Judged, Rate};
use crate::{
    Config,
    burst::rounded,
    episode::Episode,
    finding::{Finding, Kind, Part, Phase},
    time::{EventTime, Score},
};

impl Rate {
    #[expect(
        clippy::too_many_arguments,
        reason = "gathers what its three callers know; a struct would only move the names"
    )]
    pub(super) fn tell(
        &self,
        service: &str,
        kind: Kind,
        phase: Phase,
        episode: &Episode,
        Judged {
            window,
            span,
            observed,
        }: Judged,
        now: EventTime,
        score: Score,
        config: &Config,
    ) -> Finding {
        let expected = self.mean * span as f64;
        let told_by_burst = match kind {
            Kind::RateSpike => window.records as f64 - observed,
            _ => 0.0,
        };
        let seconds = config.window_ms / 1000 * span as i64;
        let spread = 3.0 * self.variance_over(span).sqrt();
        let title = match phase {
            Phase::Closed => {
                let lasted = ((episode.last_anomalous - episode.start) / 1000).max(1);
                let what = if kind == Kind::RateSpike {
                    "spike"
                } else {
                    "drop"
                };
                format!(
                    "{service}: {what} of the log rate over after {lasted} s, {} lines in {seconds} s at its worst, {} expected",
                    rounded(observed),
                    rounded(expected)
                )
            }
            _ if observed == 0.0 => format!(
                "{service}: silent for {seconds} s, {} lines expected",
                rounded(expected)
            ),
            _ => format!(
                "{service}: {} lines in {seconds} s, {} expected",
                rounded(observed),
                rounded(expected)
            ),
        };
        Finding {
            kind,
            service: service.to_owned(),
            episode_start: episode.start,
            ordinal: episode.ordinal,
            version: episode.version,
            phase,
            window_start: window.start + -(config.window_ms * (span as i64 - 1)),
            window_end: window.start + config.window_ms,
            detected_at: now,
            score: if score > episode.peak {
                score
            } else {
                episode.peak
            },
            observed,
            expected,
            lower: (expected - spread).max(0.0),
            upper: if kind == Kind::RateSpike {
                self.critical(config) as f64
            } else {
                expected + spread
            },
            title,
            summary: summary(service, kind, observed, expected, told_by_burst),
            baseline: format!(
                "Moving average of {} lines per {} s and deviation {} over the last windows (half-life 20 windows, {} learned); anomalous windows are not learned.",
                rounded(self.mean),
                config.window_ms / 1000,
                rounded(self.variance().sqrt()),
                self.learned
            ),
            parts: vec![Part {
                name: "volume",
                text: difference(observed, expected),
                share: 1.0,
            }],
            samples: self.lines.clone(),
            offsets: (episode.first_offset, episode.last_offset),
        }
    }
}

fn summary(service: &str, kind: Kind, observed: f64, expected: f64, told_by_burst: f64) -> String {
    if expected <= 0.0 {
        return format!("{service} usually writes nothing.");
    }
    let factor = observed / expected;
    match kind {
        Kind::RateSpike if told_by_burst > 0.0 => format!(
            "{service} writes {factor:.1} times as many lines as expected; {} errors beyond the usual share, told as a burst, are not counted here.",
            rounded(told_by_burst)
        ),
        Kind::RateSpike => format!("{service} writes {factor:.1} times as many lines as expected."),
        _ => format!(
            "{service} writes {:.0}% of the lines expected.",
            100.0 * factor
        ),
    }
}

fn difference(observed: f64, expected: f64) -> String {
    if observed >= expected {
        format!("{} lines more than expected", rounded(observed - expected))
    } else {
        format!("{} lines fewer than expected", rounded(expected - observed))
    }
}
