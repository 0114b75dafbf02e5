//! Failed logins in words.

use super::{Known, Tries, Whose};
use crate::{
    episode::{Account, Ended, Episode, Telling},
    finding::{
        Part,
        words::{self, rounded},
    },
};

/// Names that are told one by one.
const MOST_PARTS: usize = 5;

impl Known {
    pub(super) fn tell_end(&self, ended: &Ended, telling: &mut Telling<'_>) {
        let episode = &ended.episode;
        let mut account = self.account(episode, telling.service);
        account.title = format!(
            "{}: {} over, {} failed logins{} in {}",
            telling.service,
            episode.kind.words(),
            episode.worst.records,
            self.whose(),
            words::lasting(episode.last_anomalous - episode.start),
        );
        telling.tell_end(ended, account);
    }

    pub(super) fn account(&self, episode: &Episode, service: &str) -> Account {
        let judged = &episode.worst;
        let (failed, succeeded) = self.during;
        let whose = if self.subject.user.is_some() {
            Whose::User
        } else {
            Whose::Address
        };
        let tries = &self.tries[whose as usize];
        let got_in = match succeeded {
            0 => "None of them got in.".to_owned(),
            1 => "One login from there or of that user succeeded meanwhile.".to_owned(),
            many => format!("{many} logins from there or of that user succeeded meanwhile."),
        };
        Account {
            subject: self.subject.clone(),
            window: (judged.from, judged.to.max(judged.from)),
            observed: judged.observed,
            expected: tries.handfuls.mean(),
            limits: (0.0, tries.critical as f64),
            title: format!(
                "{service}: {failed} failed logins{} in {}{}, since {}",
                self.whose(),
                words::lasting(judged.to - judged.from),
                if succeeded > 0 {
                    ", and some got in"
                } else {
                    ""
                },
                words::time_of_day(episode.start)
            ),
            summary: format!(
                "Who fails here fails {} times in a row usually; {} would have been let pass. {got_in}",
                rounded(tries.handfuls.mean()),
                tries.critical.saturating_sub(1),
            ),
            baseline: format!(
                "Failed logins in a row, of users and of addresses of this service, over {} windows, half-life 19 h.",
                self.windows
            ),
            parts: self.parts(),
            samples: self.samples.clone(),
        }
    }

    /// As in ` of user root from 14 addresses`.
    fn whose(&self) -> String {
        let others = |whose: Whose, name: &str, one: &str, many: &str| {
            let mut told = self.tries[whose as usize].told();
            let row = told.find(|row| row.name.as_ref() == name);
            match row.map_or(0, super::tries::Row::others) {
                0 => String::new(),
                1 => format!(" {one}"),
                others => format!(
                    " {} {others} {many}",
                    if one.starts_with("from") {
                        "from"
                    } else {
                        "as"
                    }
                ),
            }
        };
        if let Some(user) = &self.subject.user {
            let others = others(Whose::User, user, "from one address", "addresses");
            format!(" of user {user}{others}")
        } else if let Some(address) = &self.subject.address {
            let others = others(Whose::Address, address, "as one user", "users");
            format!(" from {address}{others}")
        } else {
            String::new()
        }
    }

    fn parts(&self) -> Vec<Part> {
        let named = [(Whose::User, "user"), (Whose::Address, "address")];
        let rows = named.into_iter().flat_map(|(whose, name)| {
            let rows: Vec<_> = Tries::told(&self.tries[whose as usize]).collect();
            rows.into_iter().map(move |row| (name, row))
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.failed));
        let all = rows
            .iter()
            .map(|(_, row)| row.failed)
            .max()
            .unwrap_or(1)
            .max(self.during.0);
        rows.truncate(MOST_PARTS);
        let part = |(name, row): (&'static str, &super::tries::Row)| Part {
            name,
            text: format!("{}: {} failed", row.name, row.failed),
            share: (row.failed as f64 / all as f64).min(1.0),
        };
        rows.into_iter().map(part).collect()
    }
}
