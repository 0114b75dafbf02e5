//! A batch whose insert had no clear answer is counted, inserted again and made whole.

use clickhouse_store::{LogRow, LogRows, log_rows::TimestampSource, logs::LogStore};
use contracts::Level;
use pipeline::ports::RowStore as _;
use pipeline::{
    Assignment, Batch, Day, DayOf, Days, Epoch, Incarnation, NextOffset, Offset, Partition, TaskId,
};
use test_kit::{Space, lines::now};

use crate::space;

const ROWS: i64 = 100;
/// 2099-12-31: nothing expires.
const DAY: Day = Day::new(47_481);
const DAYS: Days = Days {
    own: DAY,
    since: DAY,
};

/// Offsets 0 to 99 of one partition; the times lie in several windows.
fn batch(partition: i32) -> Batch<LogRows> {
    let start = now();
    let mut rows = LogRows::default();
    for offset in 0..ROWS {
        let message = format!("line {offset}");
        let row = LogRow {
            timestamp: start - offset * 1000,
            timestamp_source: TimestampSource::Record,
            service: "s",
            level: Level::Info,
            is_error: false,
            message: &message,
            template_id: 0,
            host: "",
            trace_id: "",
            span_id: "",
            latency_ms: Some(1.0),
            status: 200,
            client_ip: "",
            user: "",
            late: false,
            kafka_timestamp: start,
            kafka_offset: offset,
        };
        rows.push(&row, [("a", "b")]);
    }
    Batch {
        id: TaskId {
            assignment: Assignment {
                partition: Partition(partition),
                epoch: Epoch(1),
            },
            incarnation: Incarnation::of(uuid::Uuid::from_u128(7), "group"),
        },
        first: Offset::new(0),
        end: NextOffset::resume_at(Offset::new(ROWS)),
        bytes: rows.size(),
        rows,
        letters: Vec::new(),
        holes: Vec::new(),
        last: None,
        day: DayOf::Nobody,
        since: None,
        acknowledgements: Vec::new(),
        uncertain: true,
    }
}

/// Rows, different offsets among them, and the sum over the windows.
async fn stands(space: &Space) -> anyhow::Result<(u64, u64, u64)> {
    Ok((
        space.number("SELECT count() FROM logs").await?,
        space
            .number("SELECT uniqExact(kafka_partition, kafka_offset) FROM logs")
            .await?,
        space.number("SELECT sum(records) FROM log_windows").await?,
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_block_twice_is_stored_and_counted_once() -> anyhow::Result<()> {
    let space = space("twice").await?;
    let store = LogStore::new(space.client.clone());
    let batch = batch(3);
    for _ in 0..3 {
        store.insert(&batch, DAYS).await?;
    }
    assert_eq!(stands(&space).await?, (100, 100, 100));
    assert_eq!(store.count(&batch, DAYS).await?, batch.row_count());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_went_missing_are_put_back_once() -> anyhow::Result<()> {
    for (name, delete) in [
        (
            "mutated",
            "ALTER TABLE logs DELETE WHERE kafka_offset % 3 = 0",
        ),
        ("deleted", "DELETE FROM logs WHERE kafka_offset % 3 = 0"),
        ("emptied", "DELETE FROM logs WHERE kafka_offset >= 0"),
    ] {
        let space = space(name).await?;
        let store = LogStore::new(space.client.clone());
        let batch = batch(0);
        store.insert(&batch, DAYS).await?;
        space
            .client
            .execute(
                delete,
                &[("mutations_sync", "2"), ("lightweight_deletes_sync", "2")],
            )
            .await?;
        let left = store.count(&batch, DAYS).await?;
        assert!(left < batch.row_count(), "{name}: {left}");
        // The token is known still, so that inserting again does nothing.
        store.insert(&batch, DAYS).await?;
        assert_eq!(store.count(&batch, DAYS).await?, left, "{name}");
        assert_eq!(
            store.repair(&batch, DAYS, 0).await?,
            batch.row_count() - left,
            "{name}"
        );
        assert_eq!(store.repair(&batch, DAYS, 0).await?, 0, "{name}");
        let (rows, different, _) = stands(&space).await?;
        assert_eq!((rows, different), (100, 100), "{name}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_of_two_partitions_with_the_same_offsets_are_both_stored() -> anyhow::Result<()> {
    let space = space("partitions").await?;
    let store = LogStore::new(space.client.clone());
    store.insert(&batch(0), DAYS).await?;
    store.insert(&batch(1), DAYS).await?;
    assert_eq!(stands(&space).await?, (200, 200, 200));
    assert_eq!(store.count(&batch(1), DAYS).await?, 100);
    Ok(())
}
