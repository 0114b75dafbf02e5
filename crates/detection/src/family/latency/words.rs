//! Latency in words.

use super::{Known, QUESTIONS};
use crate::{
    episode::{Account, Ended, Judged, Telling},
    finding::{
        Part, Subject,
        words::{self, percent, rounded},
    },
    record::time::EventTime,
};

impl Known {
    pub(super) fn tell_end(&self, at: usize, ended: &Ended, telling: &mut Telling<'_>) {
        let episode = &ended.episode;
        let mut account = self.account(at, episode.start, &episode.worst, telling.service);
        account.title = format!(
            "{}: {} over after {}, {} of requests slow at its worst, {} expected",
            telling.service,
            episode.kind.words(),
            words::lasting(episode.last_anomalous - episode.start),
            percent(episode.worst.level),
            percent(self.share(at)),
        );
        account.samples.clear();
        telling.tell_end(ended, account);
    }

    /// Of requests that are usually slow, as the question has it.
    fn share(&self, at: usize) -> f64 {
        self.usual.slowest(QUESTIONS[at].slowest).1
    }

    pub(super) fn account(
        &self,
        at: usize,
        start: EventTime,
        judged: &Judged,
        service: &str,
    ) -> Account {
        let question = &QUESTIONS[at];
        let share = self.share(at);
        let limit = self.usual.quantile(1.0 - question.slowest);
        let expected = share * judged.records as f64;
        let seconds = (judged.to - judged.from) / 1000;
        Account {
            subject: Subject::default(),
            window: (judged.from, judged.to),
            observed: judged.observed,
            expected,
            limits: (
                0.0,
                super::least_share(question, share) * judged.records as f64,
            ),
            title: format!(
                "{service}: {}, {} of {} requests in {seconds} s took {} ms or more, {} expected, since {}",
                question.kind.words(),
                percent(judged.level),
                judged.records,
                rounded(limit),
                percent(share),
                words::time_of_day(start)
            ),
            summary: format!(
                "{} of the requests of {service} take longer than {} of them usually do.",
                percent(judged.level),
                percent(1.0 - share)
            ),
            baseline: format!(
                "Durations of {:.0} recent lines of this service by weight (half-life 69 windows): half within {} ms, 99% within {} ms.",
                self.usual.weight(),
                rounded(self.usual.quantile(0.5)),
                rounded(self.usual.quantile(0.99))
            ),
            parts: vec![Part {
                name: "slow requests",
                text: format!(
                    "{} slow requests more than expected",
                    rounded((judged.observed - expected).max(0.0))
                ),
                share: 1.0,
            }],
            samples: self.lines.clone(),
        }
    }
}
