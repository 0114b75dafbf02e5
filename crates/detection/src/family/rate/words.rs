//! A spike or a drop in words.

use super::Rate;
use crate::{
    episode::{Account, Ended, Episode, Judged, Telling},
    finding::{
        Kind, Part, Subject,
        words::{self, rounded},
    },
};

impl Rate {
    pub(super) fn tell_end(&self, ended: &Ended, telling: &mut Telling<'_>) {
        let episode = &ended.episode;
        let mut account = self.account(episode, &episode.worst, telling);
        let lasted = words::lasting(episode.last_anomalous - episode.start);
        let (service, span) = (telling.service, seconds(&episode.worst, telling));
        let expected = rounded(account.expected);
        account.title = if account.observed == 0.0 {
            format!(
                "{service}: silent for {lasted}, over now, {expected} lines in {span} s expected"
            )
        } else {
            format!(
                "{service}: {} over after {lasted}, {} lines in {span} s at its worst, {expected} expected",
                episode.kind.words(),
                rounded(account.observed),
            )
        };
        telling.tell_end(ended, account);
    }

    pub(super) fn account(
        &self,
        episode: &Episode,
        judged: &Judged,
        telling: &Telling<'_>,
    ) -> Account {
        let (service, config, kind) = (telling.service, telling.config, episode.kind);
        let span = span(judged, telling);
        let observed = judged.observed;
        let expected = self.expected(kind, span);
        let told_by_burst = match kind {
            Kind::RateSpike if span == 1 => judged.records as f64 - observed,
            _ => 0.0,
        };
        let seconds = seconds(judged, telling);
        let spread = 3.0 * self.baseline.variance_over(span).sqrt();
        let since = words::time_of_day(episode.start);
        let title = if observed == 0.0 && self.quiet.is_all_there_is {
            format!(
                "{service}: nothing above DEBUG since {since}, {} lines in {seconds} s expected",
                rounded(expected)
            )
        } else if observed == 0.0 {
            format!(
                "{service}: silent since {since}, {} lines in {seconds} s expected",
                rounded(expected)
            )
        } else {
            format!(
                "{service}: {}, {} lines in {seconds} s, {} expected, since {since}",
                kind.words(),
                rounded(observed),
                rounded(expected)
            )
        };
        let upper = if kind == Kind::RateSpike && span == 1 {
            self.critical(config) as f64
        } else {
            expected + spread
        };
        Account {
            subject: Subject::default(),
            window: (judged.from, judged.to),
            observed,
            expected,
            limits: ((expected - spread).max(0.0), upper),
            title,
            summary: summary(service, kind, observed, expected, told_by_burst),
            baseline: format!(
                "Moving average of {} lines per {} s and deviation {} over the last windows (half-life 20 windows, {} learned); anomalous windows are not learned{}.",
                rounded(self.baseline.mean()),
                config.window_ms / 1000,
                rounded(self.baseline.variance().sqrt()),
                self.baseline.learned(),
                if self.quiet.counts() {
                    ""
                } else {
                    ", and DEBUG lines are not counted"
                }
            ),
            parts: vec![Part {
                name: "volume",
                text: difference(observed, expected),
                share: 1.0,
            }],
            samples: self.lines.clone(),
        }
    }
}

/// Windows that were judged together.
fn span(judged: &Judged, telling: &Telling<'_>) -> usize {
    ((judged.to - judged.from) / telling.config.window_ms) as usize
}

fn seconds(judged: &Judged, telling: &Telling<'_>) -> i64 {
    telling.config.window_ms / 1000 * span(judged, telling) as i64
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
