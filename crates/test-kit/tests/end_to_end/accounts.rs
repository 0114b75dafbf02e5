//! Rows are stored once and all of them are there, whatever clocks say and whatever a
//! broker loses; and a row that goes missing is told.

use std::time::Duration;

use rdkafka::{
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
    producer::{FutureProducer, FutureRecord},
};
use test_kit::{Message, Running, Stack, lines::now, wait};

use crate::{crashes::rows_reach, heavy, space};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// Kafka's times as producers write them: none, in seconds, of files that are read again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_time_of_a_producer_decides_how_long_rows_live() -> anyhow::Result<()> {
    let space = crate::stack().await?.space_of("times", 1).await?;
    // Kafka itself lets their times decide: soon after its start it deletes what is older than that.
    let admin: AdminClient<DefaultClientContext> = space.connection.config().create()?;
    let keep = AlterConfig::new(ResourceSpecifier::Topic(&space.logs)).set("retention.ms", "-1");
    for altered in admin.alter_configs([&keep], &AdminOptions::new()).await? {
        altered.map_err(|(topic, code)| anyhow::anyhow!("{topic:?}: {code}"))?;
    }
    let producer: FutureProducer = space.connection.config().create()?;
    let times = [
        now() / 1000,
        -1,
        now() - 31 * DAY,
        now() - 400 * DAY,
        now(),
        1,
    ];
    for (at, time) in times.iter().cycle().take(30).enumerate() {
        let payload = format!("line {at}");
        let record = FutureRecord::to(&space.logs).key("s").payload(&payload);
        let sent = producer.send(record.timestamp(*time), Duration::from_secs(30));
        sent.await.map_err(|(error, _)| error)?;
    }
    let processor = space.processor("processor")?;
    rows_reach(&space, 30)
        .await
        .map_err(|error| processor.with_log(error))?;
    // What would be deleted is deleted by a merge, at the latest.
    space
        .client
        .execute("OPTIMIZE TABLE logs FINAL", &[])
        .await?;
    assert_eq!(space.number("SELECT count() FROM logs").await?, 30);
    let days = "SELECT DISTINCT block_day - today() FROM logs";
    assert_eq!(space.rows(days).await?, ["0"]);
    Ok(())
}

/// Until `/ready` names the audit, or no longer does.
async fn audit_says(processor: &Running, wanted: &str) -> anyhow::Result<()> {
    let said = wait::until(wanted, Duration::from_secs(60), async || {
        let (_, report) = processor.get("/ready").await?;
        Ok(report.contains(wanted).then_some(()))
    });
    said.await.map_err(|error| processor.with_log(error))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_deleted_by_hand_is_told_unless_it_was_declared() -> anyhow::Result<()> {
    let space = space("by-hand").await?;
    let processor = space.processor("processor")?;
    space.produce(vec![Message::of("s", "line"); 200]).await?;
    rows_reach(&space, 200)
        .await
        .map_err(|error| processor.with_log(error))?;
    let where_it_is = "kafka_offset = 7";
    let settings = [("lightweight_deletes_sync", "2")];
    let delete = format!("DELETE FROM logs WHERE {where_it_is}");
    space.client.execute(&delete, &settings).await?;
    audit_says(&processor, "1 rows are missing").await?;
    let (status, _) = processor.get("/ready").await?;
    assert_eq!(status, 503);
    // Whoever says what is erased is not told of it.
    let partition = space
        .rows("SELECT DISTINCT kafka_partition FROM logs")
        .await?;
    let declare = format!(
        "INSERT INTO erased_rows (incarnation, kafka_partition, first_offset, end_offset, block_day, rows, why) \
         SELECT any(incarnation), {}, 7, 8, any(block_day), 1, 'asked for' FROM logs",
        partition[0]
    );
    space.client.execute(&declare, &[]).await?;
    wait::until("the audit is content", 2 * wait::LONG, async || {
        let (status, _) = processor.get("/ready").await?;
        Ok((status == 200).then_some(()))
    })
    .await
    .map_err(|error| processor.with_log(error))
}

/// The directory of the partition is gone when the broker comes back, under the same topic id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_a_broker_lost_is_told_and_the_new_one_is_stored_apart() -> anyhow::Result<()> {
    let _alone = heavy().await?;
    for grown in [40_usize, 160] {
        let stack = Stack::start().await?;
        let space = stack.space_of("disk", 1).await?;
        let processor = space.processor("processor")?;
        space.produce(vec![Message::of("s", "before"); 100]).await?;
        rows_reach(&space, 100)
            .await
            .map_err(|error| processor.with_log(error))?;
        assert!(processor.stop().await.is_success());
        let kafka = &stack.local().kafka;
        kafka.child().stop().await;
        let name = format!("{}-0", space.logs);
        let found = find_dir(stack.local().data_dir(), &name);
        let dir = found.ok_or_else(|| anyhow::anyhow!("no directory {name}"))?;
        std::fs::remove_dir_all(dir)?;
        kafka.start_again().await?;
        space
            .produce(vec![Message::of("s", "after"); grown])
            .await?;
        processor.child.start_again()?;
        let rows = 100 + grown as u64;
        rows_reach(&space, rows)
            .await
            .map_err(|error| processor.with_log(error))?;
        let lives = "SELECT count() FROM logs GROUP BY incarnation ORDER BY min(kafka_timestamp)";
        assert_eq!(
            space.rows(lives).await?,
            ["100".to_owned(), grown.to_string()]
        );
        let (_, metrics) = processor.get("/metrics").await?;
        let told = metrics.contains("barograph_lost_log_records_total 100");
        assert!(told, "{metrics}");
    }
    Ok(())
}

fn find_dir(root: &std::path::Path, name: &str) -> Option<std::path::PathBuf> {
    let entries = std::fs::read_dir(root).ok()?.flatten();
    for path in entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
    {
        if path.file_name().is_some_and(|found| found == name) {
            return Some(path);
        }
        if let Some(found) = find_dir(&path, name) {
            return Some(found);
        }
    }
    None
}
