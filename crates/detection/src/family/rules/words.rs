//! Rules that are met, in words.

use super::Row;
use crate::{
    episode::{Account, Ended, Judged, Telling},
    finding::{
        Part, Subject,
        words::{self, quoted},
    },
    record::time::EventTime,
};

impl Row {
    pub(super) fn tell_end(&self, ended: &Ended, telling: &mut Telling<'_>) {
        let episode = &ended.episode;
        let mut account = self.account(&episode.worst, episode.start, telling.service);
        account.title = format!(
            "{}: rule {} no longer met after {}, {} lines in {} at its worst",
            telling.service,
            quoted(&self.name),
            words::lasting(episode.last_anomalous - episode.start),
            episode.worst.records,
            words::lasting(self.within_ms),
        );
        telling.tell_end(ended, account);
    }

    pub(super) fn account(&self, judged: &Judged, start: EventTime, service: &str) -> Account {
        let (name, within) = (quoted(&self.name), words::lasting(self.within_ms));
        Account {
            subject: Subject {
                rule: Some(self.name.to_string()),
                ..Subject::default()
            },
            window: (judged.from, judged.to),
            observed: judged.observed,
            expected: f64::from(self.above),
            limits: (0.0, f64::from(self.above)),
            title: format!(
                "{service}: rule {name} is met, {} lines in {within}, {} are let pass, since {}",
                judged.records,
                self.above,
                words::time_of_day(start)
            ),
            summary: format!(
                "More than {} lines of {service} within {within} match the rule {name}.",
                self.above
            ),
            baseline: "A limit that is set, whatever is usual.".to_owned(),
            parts: vec![Part {
                name: "rule",
                text: format!("{} matching lines", judged.records),
                share: 1.0,
            }],
            samples: self.samples.clone(),
        }
    }
}
