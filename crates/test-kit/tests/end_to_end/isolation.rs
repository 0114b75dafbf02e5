//! Stacks and spaces beside each other.

use test_kit::{Message, Stack};

use crate::{heavy, stack};

/// Same topics, same group, same database name, another stack: neither sees the other's records.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stacks_side_by_side_do_not_mix() -> anyhow::Result<()> {
    let _alone = heavy().await?;
    let (one, other) = tokio::try_join!(stack(), Stack::start())?;
    let (one, other) = tokio::try_join!(one.space("beside"), other.space("beside"))?;
    let (first, second) = (one.processor("processor")?, other.processor("processor")?);
    one.produce(vec![Message::of("one", "of one"); 100]).await?;
    other
        .produce(vec![Message::of("other", "of the other"); 70])
        .await?;
    let (first, second) = tokio::try_join!(one.all_arrived(&first), other.all_arrived(&second))?;
    assert_eq!((first.produced, first.rows), (100, 100));
    assert_eq!((second.produced, second.rows), (70, 70));
    let services = "SELECT DISTINCT service FROM logs";
    assert_eq!(one.rows(services).await?, ["one"]);
    assert_eq!(other.rows(services).await?, ["other"]);
    Ok(())
}

/// Two groups read one topic: each has its own rows, told apart by the incarnation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_groups_on_one_topic_have_rows_of_their_own() -> anyhow::Result<()> {
    let space = stack().await?.space("groups").await?;
    let first = space.processor("first")?;
    let service = space
        .service("anomaly-processor", "second")
        .env("KAFKA_GROUP_ID", "groups-second");
    let _second = space.stack.spawn(service)?;
    space.produce(vec![Message::of("s", "line"); 50]).await?;
    crate::crashes::rows_reach(&space, 100)
        .await
        .map_err(|error| first.with_log(error))?;
    let by_incarnation = "SELECT count() FROM logs GROUP BY incarnation";
    assert_eq!(space.rows(by_incarnation).await?, ["50", "50"]);
    Ok(())
}
