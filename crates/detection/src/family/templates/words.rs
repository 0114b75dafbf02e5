//! Templates that surge, or are missing, in words.

use super::Known;
use crate::{
    episode::{Account, Ended, Episode, Judged, Telling},
    finding::{
        Kind, Part,
        words::{self, rounded},
    },
};

impl Known {
    pub(super) fn tell_end(&self, ended: &Ended, telling: &mut Telling<'_>) {
        let episode = &ended.episode;
        let mut account = self.account(episode, &episode.worst, self.expected, telling);
        let lasted = words::lasting(telling.now - episode.start);
        account.title = match episode.kind {
            Kind::TemplateVanished => format!(
                "{}: {} was missing for {lasted}, {} lines expected",
                telling.service,
                self.subject.quoted(),
                rounded(self.expected),
            ),
            _ => format!(
                "{}: surge of {} over after {lasted}, {} lines in {} at its worst, {} expected",
                telling.service,
                self.subject.quoted(),
                episode.worst.records,
                words::lasting(episode.worst.to - episode.worst.from),
                rounded(self.expected),
            ),
        };
        telling.tell_end(ended, account);
    }

    pub(super) fn account(
        &self,
        episode: &Episode,
        judged: &Judged,
        expected: f64,
        telling: &Telling<'_>,
    ) -> Account {
        let service = telling.service;
        let since = words::time_of_day(episode.start);
        let span = words::lasting(judged.to - judged.from);
        let usual = self
            .table
            .row(self.place)
            .map_or(0.0, |row| 100.0 * row.share(self.all.mean()));
        let (title, summary, limits, text) = match episode.kind {
            Kind::TemplateVanished => (
                format!(
                    "{service} says no more {}: none in {span}, {} expected, since {since}",
                    self.subject.quoted(),
                    rounded(expected)
                ),
                format!(
                    "It is {usual:.1}% of what {service} says usually, and the service goes on with the rest."
                ),
                // One line is enough to be there.
                (1.0, expected.max(1.0)),
                format!("{} lines missing", rounded(expected)),
            ),
            _ => (
                format!(
                    "{service} says far more often {}: {} lines in {span}, {} expected, since {since}",
                    self.subject.quoted(),
                    judged.records,
                    rounded(expected)
                ),
                format!(
                    "It is {usual:.1}% of what {service} says usually; the other lines account for {} of these.",
                    rounded(expected)
                ),
                (0.0, expected * super::surging::FACTOR),
                format!(
                    "{} lines more than expected of this template",
                    rounded((judged.observed - expected).max(0.0))
                ),
            ),
        };
        Account {
            subject: self.subject.clone(),
            window: (judged.from, judged.to),
            observed: judged.observed,
            expected,
            limits,
            title,
            summary,
            baseline: format!(
                "Share of this template among the lines of {service} that are neither errors nor of level DEBUG, half-life 69 windows, and what it varies by itself in a window, a minute and five; {} windows with nothing told.",
                self.table.row(self.place).map_or(0, |row| row.learned)
            ),
            parts: vec![Part {
                name: "template",
                text,
                share: 1.0,
            }],
            samples: self.samples.clone(),
        }
    }
}
