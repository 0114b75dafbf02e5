//! What became of a partition's offsets, as it is kept beside the rows.
//!
//! Invariant: of two lines that begin at the same offset the one that goes further is the later one,
//! so that keeping a line again, or a longer one in its place, changes nothing that was said before.

use std::fmt::Write as _;

use clickhouse::Row;
use pipeline::{
    Day, HoleReason, LeaderEpoch, Line, NextOffset, Offset, batch::Last, resume::Accounted,
};
use serde::Deserialize;

use crate::{Client, Error};

/// Keeps the lines of one partition.
pub async fn keep(
    client: &Client,
    incarnation: &str,
    partition: i32,
    lines: &[Line],
) -> Result<(), Error> {
    let mut rows = String::new();
    for line in lines {
        let [absent, unreadable, deleted] = [
            HoleReason::Absent,
            HoleReason::Unreadable,
            HoleReason::Deleted,
        ]
        .map(|why| line.holes[why.at()]);
        let last = line.last.unwrap_or(Last {
            offset: Offset::new(-1),
            epoch: LeaderEpoch::UNKNOWN,
        });
        // Writing to a string does not fail.
        let _ = writeln!(
            rows,
            "{incarnation}\t{partition}\t{}\t{}\t{}\t{}\t{}\t{absent}\t{unreadable}\t{deleted}\t{}\t{}",
            line.first,
            line.end,
            date(line.day),
            line.rows,
            line.dead_letters,
            last.offset,
            last.epoch.0,
        );
    }
    let statement = "INSERT INTO row_accounts (incarnation, kafka_partition, first_offset, end_offset, \
                     block_day, rows, dead_letters, absent, unreadable, deleted, last_offset, leader_epoch) \
                     FORMAT TabSeparated";
    let settings = [("async_insert", "0"), ("wait_end_of_query", "1")];
    client.insert(statement, &settings, rows.into()).await
}

/// As the engine reads it in text; it takes no number for a day there.
fn date(day: Day) -> jiff::civil::Date {
    let days = jiff::Span::new().days(i64::from(day.raw()));
    jiff::civil::date(1970, 1, 1).saturating_add(days)
}

#[derive(Row, Deserialize)]
struct LastLine {
    end_offset: i64,
    day: u16,
    last_offset: i64,
    leader_epoch: i32,
}

/// How far the account of a partition goes.
pub async fn accounted(
    client: &Client,
    incarnation: &str,
    partition: i32,
) -> Result<Option<Accounted>, Error> {
    let line = client
        .typed()
        .query(
            "SELECT end_offset, toUInt16(block_day) AS day, last_offset, leader_epoch FROM row_accounts FINAL \
             WHERE incarnation = ? AND kafka_partition = ? ORDER BY end_offset DESC LIMIT 1",
        )
        .bind(incarnation)
        .bind(partition)
        .fetch_optional::<LastLine>()
        .await?;
    Ok(line.map(|line| Accounted {
        end: NextOffset::resume_at(Offset::new(line.end_offset)),
        day: Day::new(line.day),
        last: (line.last_offset >= 0).then_some(Last {
            offset: Offset::new(line.last_offset),
            epoch: LeaderEpoch(line.leader_epoch),
        }),
    }))
}

/// One past the highest stored offset that is not below `from`, and how many different ones there
/// are below `below`, of rows stored since that day.
pub async fn stored(
    client: &Client,
    incarnation: &str,
    partition: i32,
    (from, below): (i64, i64),
    since: Day,
) -> Result<(Option<i64>, u64), Error> {
    let (next, rows, below) = client
        .typed()
        .query(
            "SELECT max(kafka_offset) + 1, count(), uniqExactIf(kafka_offset, kafka_offset < ?) FROM logs \
             WHERE incarnation = ? AND kafka_partition = ? AND kafka_offset >= ? AND block_day >= toDate(?)",
        )
        .bind(below)
        .bind(incarnation)
        .bind(partition)
        .bind(from)
        .bind(since.raw())
        .fetch_one::<(i64, u64, u64)>()
        .await?;
    Ok(((rows > 0).then_some(next), below))
}

/// A partition's log that was lost while its topic kept its id, and began anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Row, Deserialize)]
pub struct Life {
    /// How often that has happened.
    pub life: u32,
    /// First offset of the records of this life.
    pub begins_at: i64,
    /// Up to where records of the life before had been stored.
    pub stored_to: i64,
}

/// The newest life of a partition; `None`: its log was never lost. `topic`: the incarnation of the
/// first life.
pub async fn life(client: &Client, topic: &str, partition: i32) -> Result<Option<Life>, Error> {
    Ok(client
        .typed()
        .query(
            "SELECT life, begins_at, stored_to FROM partition_lives FINAL \
             WHERE incarnation = ? AND kafka_partition = ? ORDER BY life DESC LIMIT 1",
        )
        .bind(topic)
        .bind(partition)
        .fetch_optional::<Life>()
        .await?)
}

/// From now on the partition lives this life.
pub async fn begin_life(
    client: &Client,
    topic: &str,
    partition: i32,
    life: Life,
) -> Result<(), Error> {
    let Life {
        life,
        begins_at,
        stored_to,
    } = life;
    let row = format!("{topic}\t{partition}\t{life}\t{begins_at}\t{stored_to}\n");
    let statement = "INSERT INTO partition_lives (incarnation, kafka_partition, life, begins_at, stored_to) \
                     FORMAT TabSeparated";
    let settings = [("async_insert", "0"), ("wait_end_of_query", "1")];
    client.insert(statement, &settings, row.into()).await
}

/// A partition whose log was lost.
#[derive(Debug, Clone, PartialEq, Eq, Row, Deserialize)]
pub struct Lost {
    pub incarnation: String,
    pub partition: i32,
    pub begins_at: i64,
    pub stored_to: i64,
    /// As text.
    pub found_at: String,
}

/// Logs that were lost in the last `days`, the newest first.
pub async fn lost(client: &Client, days: u32) -> Result<Vec<Lost>, Error> {
    Ok(client
        .typed()
        .query(
            "SELECT incarnation, kafka_partition AS partition, begins_at, stored_to, toString(found_at) AS found_at FROM partition_lives FINAL \
             WHERE partition_lives.found_at >= now() - INTERVAL ? DAY ORDER BY partition_lives.found_at DESC LIMIT 100",
        )
        .bind(days)
        .fetch_all::<Lost>()
        .await?)
}
