//! Machines that are missing, in words.

use super::Known;
use crate::{
    episode::{Account, Ended, Episode, Judged, Telling},
    finding::{Part, words},
};

impl Known {
    pub(super) fn tell_end(&self, ended: &Ended, telling: &mut Telling<'_>) {
        let episode = &ended.episode;
        let mut account = self.account(episode, &episode.worst, telling);
        let lasted = words::lasting(episode.worst.to - episode.worst.from);
        account.title = if self.is_missing() {
            format!(
                "{}: {} has not come back for {lasted}, and is missed no longer",
                telling.service,
                self.host()
            )
        } else {
            format!(
                "{}: {} wrote nothing for {lasted}, and is back",
                telling.service,
                self.host()
            )
        };
        telling.tell_end(ended, account);
    }

    fn host(&self) -> &str {
        self.subject.host.as_deref().unwrap_or_default()
    }

    fn is_missing(&self) -> bool {
        self.missing() > 0
    }

    pub(super) fn account(
        &self,
        episode: &Episode,
        judged: &Judged,
        telling: &Telling<'_>,
    ) -> Account {
        let (service, host) = (telling.service, self.host());
        let window_s = telling.config.window_ms as f64 / 1000.0;
        let row = self.rows.get(self.place);
        let (longest, gaps) = row.map_or((1, 0), |row| (row.rhythm.longest(), row.rhythm.gaps()));
        let longest = f64::from(longest) * window_s;
        let others = self.rows.iter().filter(|row| row.rhythm.missing() == 0);
        let (others, all) = (others.count(), self.rows.len());
        Account {
            subject: self.subject.clone(),
            window: (judged.from, judged.to),
            observed: judged.observed,
            expected: longest,
            limits: (0.0, longest * f64::from(super::LONGER)),
            title: format!(
                "{service}: {host} is silent, no line for {}, never more than {} before, since {}",
                words::lasting(judged.to - judged.from),
                words::lasting((longest * 1000.0) as i64),
                words::time_of_day(episode.start)
            ),
            summary: format!("{others} of the {all} machines of {service} write as usual."),
            baseline: format!(
                "The last {gaps} times from one of its lines to the next, in windows of {window_s} s."
            ),
            parts: vec![Part {
                name: "host",
                text: format!("{host} wrote nothing"),
                share: 1.0,
            }],
            samples: Vec::new(),
        }
    }
}
