//! Holds the rows of `logs` against the account of what became of each offset.
//!
//! What costs next to nothing is asked often: how many rows each day's part of the table has (the
//! engine knows that without reading a row), how many lines say it should, and whether anything has
//! changed rows in place. Rows are read and counted only where one of these says that something is odd.

use pipeline::{Day, account::STRETCH};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{Client, Error};

/// Lines older than that may be deleted already.
const LINES_KEPT: u16 = 390;

/// The answer to a question that may take its time. It leaves the others theirs: one thread, and the
/// lowest priority of all.
async fn rows<T: DeserializeOwned>(client: &Client, question: &str) -> Result<Vec<T>, Error> {
    let settings = [
        ("default_format", "JSONEachRow"),
        ("output_format_json_quote_64bit_integers", "0"),
        // An exception is an exception, not the end of an answer.
        ("wait_end_of_query", "1"),
        ("max_threads", "1"),
        ("priority", "10"),
    ];
    let answer = client.patient().execute(question, &settings).await?;
    answer
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            serde_json::from_slice(line).map_err(|error| {
                Error::Unexpected(format!("{error}: {}", String::from_utf8_lossy(line)))
            })
        })
        .collect()
}

/// One day's part of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct OfDay {
    pub day: u16,
    /// Rows of `logs`.
    pub there: u64,
    /// Rows that may be missing.
    pub erased: u64,
    /// Rows by the lines that are kept.
    pub accounted: u64,
}

impl OfDay {
    pub fn day(&self) -> Day {
        Day::new(self.day)
    }

    pub const fn is_short(&self) -> bool {
        self.there + self.erased < self.accounted
    }
}

/// What the days have, since `since`.
pub async fn days(client: &Client, since: Day) -> Result<Vec<OfDay>, Error> {
    // The day is filtered outside: with a filter inside, the engine would read rows.
    let question = format!(
        "SELECT toUInt16(block_day) AS day, sum(there) AS there, sum(erased) AS erased, \
         sum(accounted) AS accounted FROM \
         (SELECT block_day, count() AS there, 0::UInt64 AS erased, 0::UInt64 AS accounted FROM logs GROUP BY block_day \
          UNION ALL \
          SELECT block_day, 0, sum(rows), 0 FROM erased_rows FINAL GROUP BY block_day \
          UNION ALL \
          SELECT block_day, 0, 0, sum(rows) FROM row_accounts FINAL WHERE rows > 0 GROUP BY block_day) \
         WHERE block_day >= toDate({since}) GROUP BY day ORDER BY day"
    );
    rows(client, &question).await
}

#[derive(Deserialize)]
struct Changes {
    changes: String,
}

/// Changes when rows were deleted or changed in place or declared erased, also when nothing else shows it.
pub async fn changes(client: &Client) -> Result<String, Error> {
    let of = |table: &str, what: &str| {
        format!(
            "(SELECT {what} FROM system.{table} WHERE database = currentDatabase() AND table = 'logs')"
        )
    };
    let question = format!(
        "SELECT concat(toString({}), '/', toString({}), '/', toString({}), '/', \
         toString((SELECT (count(), sum(rows)) FROM erased_rows))) AS changes",
        of(
            "mutations",
            "countIf(command LIKE '%DELETE%' OR command LIKE '%UPDATE%')"
        ),
        of(
            "parts",
            "countIf(active AND (has_lightweight_delete OR name LIKE 'patch%'))"
        ),
        of("detached_parts", "count()"),
    );
    let found = rows::<Changes>(client, &question).await?;
    Ok(found.into_iter().map(|found| found.changes).collect())
}

/// A stretch of a partition's offsets on a day, of which there are not as many rows as there should.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Difference {
    pub incarnation: String,
    pub partition: i32,
    /// First offset of it.
    pub first: i64,
    pub day: u16,
    pub there: u64,
    /// Rows that may be missing.
    pub erased: u64,
    /// Those of them that were accepted for the whole stretch.
    pub accepted: u64,
    pub accounted: u64,
    /// The account goes past it: no more rows are on their way.
    pub is_over: u8,
}

impl Difference {
    /// Of whatever day.
    pub fn is_same_stretch(&self, other: &Self) -> bool {
        (self.partition, self.first) == (other.partition, other.first)
            && self.incarnation == other.incarnation
    }

    /// Rows that should be there.
    pub fn missing_of(&self, expected: u64) -> u64 {
        expected.saturating_sub(self.there + self.erased)
    }

    /// Rows that nobody accounts for.
    pub fn surplus_over(&self, expected: u64) -> u64 {
        self.there.saturating_sub(expected)
    }
}

/// Rows of each stretch, those that may be missing, and those of the account, in three pieces that are still
/// to be added up. `only`: what is asked for, given the column that has the offset.
fn by_stretch(only: impl Fn(&str) -> String) -> String {
    let accepted = format!("sumIf(rows, end_offset - first_offset = {STRETCH})");
    let pieces = [
        (
            "logs",
            "kafka_offset",
            "count() AS there, 0::UInt64 AS erased, 0::UInt64 AS accepted, 0::UInt64 AS accounted"
                .to_owned(),
        ),
        (
            "erased_rows FINAL",
            "first_offset",
            format!("0, sum(rows), {accepted}, 0"),
        ),
        (
            "row_accounts FINAL",
            "first_offset",
            "0, 0, 0, sum(rows)".to_owned(),
        ),
    ];
    let pieces = pieces.map(|(table, offset, sums)| {
        let only = only(offset);
        format!(
            "SELECT incarnation, kafka_partition AS partition, intDiv({offset}, {STRETCH}) AS stretch, {sums} \
             FROM {table} WHERE {only} GROUP BY incarnation, partition, stretch"
        )
    });
    pieces.join(" UNION ALL ")
}

/// Reads and counts the rows of a day, of these incarnations or of all, and gives the stretches that differ
/// from the account. Stretches that the account does not reach yet differ too: who knows of them has to
/// leave them out.
pub async fn differences(
    client: &Client,
    day: Day,
    incarnations: Option<&[String]>,
) -> Result<Vec<Difference>, Error> {
    let only = incarnations.map_or_else(String::new, |names| {
        let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
        format!("AND incarnation IN ({})", names.join(", "))
    });
    let sums = by_stretch(|_| format!("block_day = toDate({day}) {only}"));
    // What was stored before there were accounts is in no line, and may share the first stretch of one.
    let question = format!(
        "SELECT found.incarnation AS incarnation, partition, stretch * {STRETCH} AS first, toUInt16({day}) AS day, \
         sum(there) AS there, sum(erased) AS erased, sum(accepted) AS accepted, sum(accounted) AS accounted, \
         any(ends) >= first + {STRETCH} AS is_over FROM \
         ({sums}) AS found \
         INNER JOIN (SELECT incarnation, kafka_partition AS partition, min(first_offset) AS begins, \
          max(end_offset) AS ends FROM row_accounts GROUP BY incarnation, partition) AS accounts \
         USING (incarnation, partition) \
         WHERE first >= intDiv(begins, {STRETCH}) * {STRETCH} \
         GROUP BY incarnation, partition, stretch HAVING (there > accounted AND first >= any(begins)) OR there + erased < accounted \
         ORDER BY incarnation, partition, first LIMIT 1000"
    );
    rows(client, &question).await
}

/// The same stretches, each once, with all that stands in them and is said of them, of whatever day. A batch that
/// was made again is in the account under the first day on which its rows may have been stored.
pub async fn of_all_days(client: &Client, found: &[Difference]) -> Result<Vec<Difference>, Error> {
    let stretches: Vec<String> = found
        .iter()
        .map(|one| {
            let Difference {
                incarnation,
                partition,
                first,
                ..
            } = one;
            format!("('{incarnation}', {partition}, {})", first / STRETCH)
        })
        .collect();
    if stretches.is_empty() {
        return Ok(Vec::new());
    }
    let stretches = stretches.join(", ");
    let sums = by_stretch(|offset| {
        format!("(incarnation, kafka_partition, intDiv({offset}, {STRETCH})) IN ({stretches})")
    });
    let question = format!(
        "SELECT incarnation, partition, stretch * {STRETCH} AS first, 0::UInt16 AS day, sum(there) AS there, \
         sum(erased) AS erased, sum(accepted) AS accepted, sum(accounted) AS accounted, 0::UInt8 AS is_over \
         FROM ({sums}) GROUP BY incarnation, partition, stretch"
    );
    let mut all = rows::<Difference>(client, &question).await?;
    for one in &mut all {
        if let Some(same) = found.iter().find(|found| found.is_same_stretch(one)) {
            (one.day, one.is_over) = (same.day, same.is_over);
        }
    }
    Ok(all)
}

/// Takes what is missing there for erased, from now on.
pub async fn accept(client: &Client, found: &[Difference], why: &str) -> Result<(), Error> {
    let mut lines = String::new();
    for difference in found {
        let row = serde_json::json!({
            "incarnation": difference.incarnation,
            "kafka_partition": difference.partition,
            "first_offset": difference.first,
            "end_offset": difference.first + STRETCH,
            "block_day": difference.day,
            // What was declared row by row stays; what was accepted here before is replaced.
            "rows": difference.accepted + difference.missing_of(difference.accounted),
            "why": why,
        });
        lines.push_str(&row.to_string());
        lines.push('\n');
    }
    let statement = "INSERT INTO erased_rows FORMAT JSONEachRow";
    let settings = [("async_insert", "0"), ("wait_end_of_query", "1")];
    client.insert(statement, &settings, lines.into()).await
}

/// Offsets of a partition that no line speaks of, or that lines explain by nothing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Unexplained {
    pub incarnation: String,
    pub partition: i32,
    pub offsets: u64,
}

/// Every offset between a partition's first and last line is a row, a dead letter, or in a hole.
pub async fn unexplained(client: &Client, today: Day) -> Result<Vec<Unexplained>, Error> {
    let since = today.before(LINES_KEPT);
    let question = format!(
        "SELECT incarnation, kafka_partition AS partition, \
         toUInt64(abs(max(end_offset) - min(first_offset) \
         - toInt64(sum(rows + dead_letters + absent + unreadable + deleted)))) AS offsets \
         FROM row_accounts FINAL WHERE block_day >= toDate({since}) \
         GROUP BY incarnation, partition HAVING offsets > 0 LIMIT 100"
    );
    rows(client, &question).await
}

/// For how long rows of `logs` are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// At the least.
    Days(u16),
    Forever,
    /// The table says it in a way that is not understood.
    Unclear(String),
}

#[derive(Deserialize)]
struct Engine {
    engine: String,
}

impl Kept {
    /// The first day whose rows are surely all kept: what expires while one looks is no difference.
    pub fn first_day(&self, today: Day) -> Day {
        match self {
            Self::Days(days) => today.before(days.saturating_sub(2)),
            Self::Forever => Day::default(),
            Self::Unclear(_) => today,
        }
    }
}

/// For how long the table keeps rows: somebody may have changed it.
pub async fn kept_for(client: &Client) -> Result<Kept, Error> {
    let question = "SELECT engine_full AS engine FROM system.tables \
                    WHERE database = currentDatabase() AND name = 'logs'";
    let found = rows::<Engine>(client, question).await?;
    let Some(found) = found.first() else {
        return Err(Error::Unexpected("there is no table logs".to_owned()));
    };
    Ok(read_ttl(&found.engine))
}

/// What a table's engine says after `TTL`. Of several rules that delete, the shortest; rules that only move
/// or pack rows keep them.
fn read_ttl(engine: &str) -> Kept {
    let Some((_, ttl)) = engine.split_once(" TTL ") else {
        return Kept::Forever;
    };
    let ttl = ttl.split(" SETTINGS ").next().unwrap_or_default();
    // Intervals have parentheses of their own, and no comma.
    let deleting = ttl.split(", ").filter(|rule| {
        ![" TO DISK ", " TO VOLUME ", " RECOMPRESS "]
            .iter()
            .any(|other| rule.contains(other))
    });
    let mut shortest = Kept::Forever;
    for rule in deleting {
        let Some(days) = days_of(rule) else {
            return Kept::Unclear(rule.to_owned());
        };
        shortest = match shortest {
            Kept::Days(other) => Kept::Days(other.min(days)),
            _ => Kept::Days(days),
        };
    }
    shortest
}

/// Of `<column> + toInterval<Unit>(<number>)`, whole days that surely pass.
fn days_of(rule: &str) -> Option<u16> {
    let (_, interval) = rule.split_once(" + toInterval")?;
    let (unit, rest) = interval.split_once('(')?;
    let (number, _) = rest.split_once(')')?;
    let number: u64 = number.parse().ok()?;
    let days = match unit {
        "Second" => number / 86_400,
        "Minute" => number / 1440,
        "Hour" => number / 24,
        "Day" => number,
        "Week" => number * 7,
        "Month" => number * 28,
        "Quarter" => number * 90,
        "Year" => number * 365,
        _ => return None,
    };
    Some(u16::try_from(days).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_expires_is_not_looked_for() {
        let today = Day::new(100);
        assert_eq!(Kept::Days(30).first_day(today), Day::new(72));
        assert_eq!(Kept::Days(1).first_day(today), today);
        assert_eq!(Kept::Forever.first_day(today), Day::new(0));
        assert_eq!(Kept::Unclear(String::new()).first_day(today), today);
    }

    #[test]
    fn how_long_rows_are_kept_is_read_from_the_table() {
        let begin = "MergeTree PARTITION BY block_day ORDER BY (service, timestamp)";
        let end = "SETTINGS index_granularity = 8192";
        for (ttl, expected) in [
            ("", Kept::Forever),
            ("TTL stored_at + toIntervalDay(30)", Kept::Days(30)),
            ("TTL block_day + toIntervalMonth(3)", Kept::Days(84)),
            ("TTL stored_at + toIntervalHour(36)", Kept::Days(1)),
            (
                "TTL stored_at + toIntervalDay(7) TO VOLUME 'cold', stored_at + toIntervalDay(90)",
                Kept::Days(90),
            ),
            (
                "TTL stored_at + toIntervalWeek(2) WHERE level = 'DEBUG', stored_at + toIntervalYear(1)",
                Kept::Days(14),
            ),
            (
                "TTL stored_at + toIntervalDay(7) TO DISK 'cold'",
                Kept::Forever,
            ),
            (
                "TTL toStartOfDay(stored_at)",
                Kept::Unclear("toStartOfDay(stored_at)".to_owned()),
            ),
        ] {
            assert_eq!(read_ttl(&format!("{begin} {ttl} {end}")), expected, "{ttl}");
        }
    }
}
