//! A topic that is deleted and made anew under a processor, with as many partitions, more and fewer.

use std::time::Duration;

use kafka_io::topics;
use rdkafka::{
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};
use test_kit::{Running, Space, wait};

use crate::{crashes::load, heavy, stack};

/// Partitions before and after, and seconds in between.
const TRIALS: [(i32, i32, u64); 6] = [
    (8, 8, 4),
    (24, 2, 0),
    (2, 24, 0),
    (8, 8, 0),
    (3, 1, 4),
    (8, 8, 12),
];
const AFTER: u64 = 20;
/// Rows have to come within seconds; the machine may be busy.
const SOON: Duration = Duration::from_secs(45);

async fn delete(space: &Space) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> = space.connection.config().create()?;
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
    for answer in admin.delete_topics(&[&space.logs], &options).await? {
        answer.map_err(|(topic, code)| anyhow::anyhow!("{topic} cannot be deleted: {code}"))?;
    }
    Ok(())
}

/// It is gone only a moment after it was deleted.
async fn make_anew(space: &Space, partitions: i32) -> anyhow::Result<()> {
    wait::until("the topic is made anew", wait::LONG, async || {
        let layout = topics::layout(&space.logs, &space.anomalies, partitions, 1);
        let created = topics::ensure(&space.connection, &layout).await;
        Ok(created
            .is_ok_and(|created| !created.is_empty())
            .then_some(()))
    })
    .await
}

fn threads_of(processor: &Running) -> anyhow::Result<usize> {
    let Some(pid) = processor.child.pid() else {
        anyhow::bail!("the processor has ended");
    };
    Ok(std::fs::read_dir(format!("/proc/{pid}/task"))?.count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_records_are_stored_within_seconds_and_nothing_runs_wild() -> anyhow::Result<()> {
    let _alone = heavy().await?;
    let stack = stack().await?;
    for (trial, (before, after, between)) in TRIALS.into_iter().enumerate() {
        let mut space = stack
            .space_of(&format!("recreated-{trial}"), before)
            .await?;
        let processor = space.processor("processor")?;
        space.produce(load(500)).await?;
        processor.ready().await?;
        space.all_arrived(&processor).await?;
        let rows = space.number("SELECT count() FROM logs").await?;

        delete(&space).await?;
        // Long enough for errors to come and come again.
        tokio::time::sleep(Duration::from_secs(between)).await;
        make_anew(&space, after).await?;
        space.forget_the_topic()?;
        space.produce(load(AFTER)).await?;
        let what = format!("{AFTER} rows of a topic of {after} partitions that had {before}");
        wait::until(&what, SOON, async || {
            let now = space.number("SELECT count() FROM logs").await?;
            Ok((now >= rows + AFTER).then_some(()))
        })
        .await
        .map_err(|error| processor.with_log(error))?;
        processor.ready().await?;
        let threads = threads_of(&processor)?;
        assert!(threads < 100, "{threads} threads");
        let log = std::fs::read_to_string(processor.child.log())?;
        let lines = log.lines().count();
        assert!(lines < 400, "{lines} lines: {log}");
        assert!(processor.stop().await.is_success());
    }
    Ok(())
}
