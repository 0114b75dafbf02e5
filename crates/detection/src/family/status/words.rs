//! Answers in words.

use super::{
    Known,
    counted::{Counted, class_words},
};
use crate::{
    episode::{Account, Ended, Judged, Telling},
    finding::{
        Part, Subject,
        words::{self, percent, rounded},
    },
    record::time::EventTime,
};

/// Codes that are named.
const NAMED: usize = 3;

impl Known {
    pub(super) fn tell_end(&self, ended: &Ended, telling: &mut Telling<'_>) {
        let episode = &ended.episode;
        let mut account = self.account(episode.start, &episode.worst, &self.worst, telling.service);
        account.title = format!(
            "{}: {} over after {}, {} of answers {} at its worst, {} expected",
            telling.service,
            episode.kind.words(),
            words::lasting(episode.last_anomalous - episode.start),
            percent(episode.worst.level),
            class_words(self.class),
            percent(self.share(self.class)),
        );
        telling.tell_end(ended, account);
    }

    pub(super) fn account(
        &self,
        start: EventTime,
        judged: &Judged,
        counted: &Counted,
        service: &str,
    ) -> Account {
        let (share, class) = (self.share(self.class), class_words(self.class));
        let expected = share * judged.records as f64;
        let codes = counted.codes(self.class);
        let part = |(code, count): &(u16, u64)| Part {
            name: "status",
            text: format!("{code}: {count} answers"),
            share: *count as f64 / judged.observed.max(1.0),
        };
        Account {
            subject: Subject::default(),
            window: (judged.from, judged.to),
            observed: judged.observed,
            expected,
            limits: (0.0, self.matters_at(self.class, judged.records)),
            title: format!(
                "{service} answers far more often {}: {} of {} answers in {} are {class}, {} expected, since {}",
                codes
                    .first()
                    .map_or_else(|| class.to_owned(), |(code, _)| code.to_string()),
                judged.observed,
                judged.records,
                words::lasting(judged.to - judged.from),
                rounded(expected),
                words::time_of_day(start)
            ),
            summary: format!(
                "{} of the answers of {service} are {class}; {} is usual.",
                percent(judged.level),
                percent(share)
            ),
            baseline: format!(
                "Share of {class} among the lines of {service} with an HTTP status, half-life 35 minutes, and what it varies by itself in a window, a minute and five; {} windows with nothing told.",
                self.learned
            ),
            parts: codes.iter().take(NAMED).map(part).collect(),
            samples: self.lines[self.class].clone(),
        }
    }
}
