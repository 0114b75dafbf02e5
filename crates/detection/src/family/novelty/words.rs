//! New templates in words.

use super::Known;
use crate::{
    episode::{Account, Ended, Episode, Telling},
    finding::{
        Part,
        words::{self, rounded},
    },
};

impl Known {
    pub(super) fn tell_end(&self, ended: &Ended, telling: &mut Telling<'_>) {
        let episode = &ended.episode;
        let mut account = self.account(episode, telling.service);
        account.title = format!(
            "{}: {} over, {} lines in {}, {}",
            telling.service,
            episode.kind.words(),
            episode.worst.records,
            words::lasting(episode.last_anomalous - episode.start),
            self.subject.quoted(),
        );
        telling.tell_end(ended, account);
    }

    pub(super) fn account(&self, episode: &Episode, service: &str) -> Account {
        let judged = &episode.worst;
        let (lines, templates) = self.during;
        let critical = self.critical.min(lines) as f64;
        let what = match templates {
            0 | 1 => "something".to_owned(),
            many => format!("{many} things"),
        };
        Account {
            subject: self.subject.clone(),
            window: (judged.from, judged.to.max(judged.from)),
            observed: judged.observed,
            expected: self.handfuls.mean() * templates.max(1) as f64,
            limits: (0.0, critical),
            title: format!(
                "{service} warns of {what} new: {lines} lines in {}, {}, since {}",
                words::lasting(judged.to - judged.from),
                self.subject.quoted(),
                words::time_of_day(episode.start)
            ),
            summary: format!(
                "{service} has not said this before, as far as it is remembered (15 days). What is new comes here as {} lines usually; {} would have been let pass.",
                rounded(self.handfuls.mean()),
                rounded((critical - 1.0).max(0.0)),
            ),
            baseline: format!(
                "Warnings of this service that were new, over {} windows, half-life 19 h: how often they came, and how many lines each.",
                self.windows
            ),
            parts: vec![Part {
                name: "new lines",
                text: format!("{lines} lines of {templates} new templates"),
                share: 1.0,
            }],
            samples: self.samples.clone(),
        }
    }
}
