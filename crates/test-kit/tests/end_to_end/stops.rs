//! SIGTERM under load: an orderly end in time, and nothing lost.

use local_stack::Ending;
use test_kit::wait;

use crate::{
    crashes::{load, nothing_lost_or_doubled, rows_reach},
    heavy, stack,
};

// A service that takes longer than 10 s is killed, and then its ending is another one.
const ORDERLY: Ending = Ending::Exited(0);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_processor_that_is_stopped_under_load_leaves_nothing_undone() -> anyhow::Result<()> {
    const RECORDS: u64 = 150_000;
    let _alone = heavy().await?;
    let space = stack().await?.space("stopped").await?;
    let service = space
        .service("anomaly-processor", "processor")
        .env("BATCH_ROWS", "2000");
    let processor = space.stack.spawn(service)?;
    let (produced, ending) = tokio::join!(space.produce(load(RECORDS)), async {
        rows_reach(&space, 10_000).await?;
        anyhow::Ok(processor.stop().await)
    });
    produced?;
    let ending = ending.map_err(|error| processor.with_log(error))?;
    assert_eq!(ending, ORDERLY, "{:#?}", processor.child.last_lines(10));
    let stored = space.number("SELECT count() FROM logs").await?;
    assert!(stored < RECORDS - RECORDS / 1000, "it was not under load");
    processor.child.start_again()?;
    rows_reach(&space, RECORDS - RECORDS / 1000)
        .await
        .map_err(|error| processor.with_log(error))?;
    assert_eq!(processor.stop().await, ORDERLY);
    nothing_lost_or_doubled(&space, RECORDS).await?;
    // An orderly end repeats nothing: each dead letter is there once, too.
    assert_eq!(space.counts().await?.dead_letters, RECORDS / 1000);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_stopped_with_clients_ends_in_time() -> anyhow::Result<()> {
    let space = stack().await?.space("gateway-stopped").await?;
    let (gateway, address) = space.gateway("gateway")?;
    gateway.ready().await?;
    let mut watchers = Vec::new();
    for _ in 0..20 {
        watchers.push(space.watch(&address).await?);
    }
    assert_eq!(gateway.stop().await, ORDERLY);
    gateway.child.start_again()?;
    wait::until("all clients are back", wait::LONG, async || {
        let back = watchers.iter().all(|watcher| watcher.connections() > 1);
        Ok(back.then_some(()))
    })
    .await?;
    for watcher in &watchers {
        assert!(watcher.trouble().is_empty(), "{:?}", watcher.trouble());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generator_that_is_stopped_has_delivered_what_it_reports() -> anyhow::Result<()> {
    let _alone = heavy().await?;
    let space = stack().await?.space("generator").await?;
    let service = space
        .service("log-generator", "generator")
        .arg("--json")
        .arg("--rate")
        .arg("5000");
    let generator = space.stack.spawn(service)?;
    wait::until("records flow", wait::LONG, async || {
        Ok((space.records_in(&space.logs).await? > 1000).then_some(()))
    })
    .await
    .map_err(|error| generator.with_log(error))?;
    assert_eq!(generator.stop().await, ORDERLY);
    let lines = generator.child.last_lines(50);
    let report = lines
        .iter()
        .rev()
        .find_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let produced = report.and_then(|report| report["produced"].as_u64());
    assert_eq!(produced, Some(space.records_in(&space.logs).await?));
    Ok(())
}
