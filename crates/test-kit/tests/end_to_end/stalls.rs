//! Parts that accept and never answer, because they are stopped: it is said within seconds, waited out,
//! and in nobody's way to an orderly end.

use std::{sync::Arc, time::Duration};

use local_stack::Ending;
use test_kit::Stack;

use crate::{
    crashes::{load, nothing_lost_or_doubled, rows_reach},
    heavy,
};

const SAID_WITHIN: Duration = Duration::from_secs(15);
const RECORDS: u64 = 20_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clickhouse_that_is_stopped_is_said_and_in_nobodys_way() -> anyhow::Result<()> {
    let _alone = heavy().await?;
    let stack: Arc<Stack> = Stack::start().await?;
    let space = stack.space_of("clickhouse-stopped", 4).await?;
    let service = space
        .service("anomaly-processor", "processor")
        .env("BATCH_ROWS", "500");
    let processor = stack.spawn(service)?;
    let (gateway, _) = space.gateway("gateway")?;
    processor.ready().await?;
    gateway.ready().await?;
    let clickhouse = &stack.local().clickhouse;
    let (produced, seen) = tokio::join!(space.produce(load(RECORDS)), async {
        rows_reach(&space, 2000).await?;
        clickhouse.child().pause();
        processor.says_unready("clickhouse", SAID_WITHIN).await?;
        processor.says_unready("partitions", SAID_WITHIN).await?;
        gateway.says_unready("clickhouse", SAID_WITHIN).await
    });
    produced?;
    let ending = processor.stop().await;
    clickhouse.child().resume();
    seen?;
    assert_eq!(
        ending,
        Ending::Exited(0),
        "{:#?}",
        processor.child.last_lines(10)
    );
    processor.child.start_again()?;
    rows_reach(&space, RECORDS - RECORDS / 1000)
        .await
        .map_err(|error| processor.with_log(error))?;
    processor.ready().await?;
    gateway.ready().await?;
    processor.stop().await;
    nothing_lost_or_doubled(&space, RECORDS).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kafka_that_is_stopped_is_said_and_in_nobodys_way() -> anyhow::Result<()> {
    let _alone = heavy().await?;
    let stack: Arc<Stack> = Stack::start().await?;
    let space = stack.space_of("kafka-stopped", 4).await?;
    let processor = space.processor("processor")?;
    let (gateway, _) = space.gateway("gateway")?;
    space.produce(load(RECORDS / 2)).await?;
    processor.ready().await?;
    gateway.ready().await?;
    let kafka = &stack.local().kafka;
    kafka.child().pause();
    let seen = async {
        processor.says_unready("kafka", SAID_WITHIN).await?;
        gateway.says_unready("kafka", SAID_WITHIN).await
    }
    .await;
    let ending = processor.stop().await;
    kafka.child().resume();
    seen?;
    let Ending::Exited(_) = ending else {
        anyhow::bail!("{ending}: {:#?}", processor.child.last_lines(10));
    };
    processor.child.start_again()?;
    processor.ready().await?;
    gateway.ready().await?;
    // What was not committed before it was stopped is set aside again: a letter says whose it is.
    let sent = RECORDS / 2;
    rows_reach(&space, sent - sent / 1000)
        .await
        .map_err(|error| processor.with_log(error))?;
    nothing_lost_or_doubled(&space, sent).await
}
