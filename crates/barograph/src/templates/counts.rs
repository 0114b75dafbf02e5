//! How often each template was seen: in a period, in one before it, and since when.
//!
//! Invariants: what is counted are the rows of `logs`, exactly, whatever the bounds; the whole hours
//! among them are answered from its projection, only the rest line by line; a merged id is counted
//! for the one that it is now.

use contracts::Timestamp;
use serde::Deserialize;

use super::{
    database::Database,
    id::{Id, NOT_MINED},
};
use crate::moment::HOUR;

/// From the first moment up to the second one, which is not part of it; milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) from: Option<i64>,
    pub(super) until: Option<i64>,
}

/// What is asked about.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Question<'a> {
    pub(super) service: Option<&'a str>,
    pub(super) period: Period,
    pub(super) before: Option<Period>,
}

/// One template, by the id it has now.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Counted {
    pub(super) id: Id,
    known: u8,
    text: String,
    /// In the period.
    pub(super) lines: u64,
    pub(super) errors: u64,
    /// In the one before it.
    pub(super) lines_before: u64,
    pub(super) errors_before: u64,
    first: i64,
    last: i64,
    /// With their lines in both periods, most first.
    pub(super) services: Vec<(String, u64)>,
}

impl Counted {
    /// `None`: none is stored.
    pub(super) fn text(&self) -> Option<&str> {
        (self.known > 0).then_some(self.text.as_str())
    }

    /// Of all lines that are stored, of the service that was asked about.
    pub(super) fn first_seen(&self) -> Timestamp {
        Timestamp::from_millis(self.first)
    }

    pub(super) fn last_seen(&self) -> Timestamp {
        Timestamp::from_millis(self.last)
    }
}

/// An answer, taken apart.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Of all that are stored, those without a line in either period included.
    pub(super) templates: Vec<Counted>,
    /// Lines that were stored before templates were mined.
    pub(super) not_mined: Option<Counted>,
}

pub(super) async fn ask(database: &Database, question: Question<'_>) -> anyhow::Result<Counts> {
    let parameters: Vec<_> = question
        .service
        .map(|name| ("service", name))
        .into_iter()
        .collect();
    let mut rows: Vec<Counted> = database.rows(&statement(question), &parameters).await?;
    for row in &mut rows {
        row.services
            .sort_by(|(a, most), (b, least)| least.cmp(most).then_with(|| a.cmp(b)));
    }
    let not_mined = rows.iter().position(|row| row.id == NOT_MINED);
    Ok(Counts {
        not_mined: not_mined.map(|place| rows.swap_remove(place)),
        templates: rows,
    })
}

fn statement(question: Question<'_>) -> String {
    let one_service = question.service.is_some();
    let mut parts = seen(
        question.period,
        "records AS n, failed AS e, 0 AS b, 0 AS f",
        one_service,
    );
    if let Some(before) = question.before {
        parts.extend(seen(
            before,
            "0 AS n, 0 AS e, records AS b, failed AS f",
            one_service,
        ));
    }
    if question.period != Period::default() {
        parts.extend(seen(
            Period::default(),
            "0 AS n, 0 AS e, 0 AS b, 0 AS f",
            one_service,
        ));
    }
    let parts = parts.join("\nUNION ALL\n");
    format!(
        "SELECT totals.id AS id, texts.known AS known, texts.text AS text, lines, errors, lines_before, \
         errors_before, first, last, services
FROM (
    SELECT id, sum(n) AS lines, sum(e) AS errors, sum(b) AS lines_before, sum(f) AS errors_before,
        toUnixTimestamp64Milli(min(first_at)) AS first, toUnixTimestamp64Milli(max(last_at)) AS last,
        groupArrayIf((service, n + b), n + b > 0) AS services
    FROM (
        SELECT if(merged.current_id = 0, seen.template_id, merged.current_id) AS id, seen.service AS service,
            sum(seen.n) AS n, sum(seen.e) AS e, sum(seen.b) AS b, sum(seen.f) AS f,
            min(seen.first_at) AS first_at, max(seen.last_at) AS last_at
        FROM ({parts}) AS seen
        LEFT JOIN template_ids AS merged ON merged.template_id = seen.template_id
        GROUP BY id, service
    )
    GROUP BY id
) AS totals
LEFT JOIN (
    SELECT template_id, 1 AS known, argMax(template_texts.text, (open_places, recorded_at)) AS text
    FROM template_texts GROUP BY template_id
) AS texts ON texts.template_id = totals.id"
    )
}

/// Lines per id and service of a period, as `SELECT`s to be taken together; `columns` are made of their
/// number `records` and that of the errors among them, `failed`.
fn seen(period: Period, columns: &str, one_service: bool) -> Vec<String> {
    conditions(period)
        .into_iter()
        .map(|mut condition| {
            if one_service {
                condition.push_str(" AND service = {service:String}");
            }
            format!(
                "SELECT template_id, service, {columns}, first_at, last_at FROM (\
                 SELECT template_id, service, count() AS records, countIf(is_error) AS failed, \
                 min(timestamp) AS first_at, max(timestamp) AS last_at \
                 FROM logs WHERE {condition} GROUP BY template_id, service)"
            )
        })
        .collect()
}

/// The whole hours of a period, which the projection knows, and what is left of it at its ends.
fn conditions(period: Period) -> Vec<String> {
    let Period { from, until } = period;
    let first_hour = from.map(|from| from.div_euclid(HOUR) + i64::from(from.rem_euclid(HOUR) > 0));
    let end_hour = until.map(|until| until.div_euclid(HOUR));
    if let (Some(from), Some(until), Some(first), Some(end)) = (from, until, first_hour, end_hour)
        && first >= end
    {
        return vec![between(from, until)];
    }
    let mut hours = vec!["true".to_owned()];
    let mut conditions = Vec::new();
    if let (Some(from), Some(first)) = (from, first_hour) {
        hours.push(format!(
            "toStartOfHour(timestamp, 'UTC') >= {}",
            hour(first)
        ));
        conditions.push(between(from, first * HOUR));
    }
    if let (Some(until), Some(end)) = (until, end_hour) {
        hours.push(format!("toStartOfHour(timestamp, 'UTC') < {}", hour(end)));
        conditions.push(between(end * HOUR, until));
    }
    conditions.push(hours.join(" AND "));
    conditions
}

fn between(from: i64, until: i64) -> String {
    format!(
        "timestamp >= {} AND timestamp < {}",
        moment(from),
        moment(until)
    )
}

/// In SQL.
pub(super) fn moment(millis: i64) -> String {
    format!("fromUnixTimestamp64Milli({millis}, 'UTC')")
}

/// In SQL; hours since the epoch.
pub(super) fn hour(number: i64) -> String {
    format!("toDateTime({}, 'UTC')", number * HOUR / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_hours_are_asked_for_as_such() {
        let ends = |from, until| {
            conditions(Period {
                from: Some(from),
                until: Some(until),
            })
        };
        assert_eq!(conditions(Period::default()), ["true"]);
        assert_eq!(ends(5, 10), [between(5, 10)]);
        assert_eq!(ends(HOUR - 5, HOUR + 5), [between(HOUR - 5, HOUR + 5)]);
        assert_eq!(
            ends(HOUR - 5, 3 * HOUR + 5),
            [
                between(HOUR - 5, HOUR),
                between(3 * HOUR, 3 * HOUR + 5),
                format!(
                    "true AND toStartOfHour(timestamp, 'UTC') >= {} AND toStartOfHour(timestamp, 'UTC') < {}",
                    hour(1),
                    hour(3)
                )
            ]
        );
    }
}
