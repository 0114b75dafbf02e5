//! Offsets that an operator sets with Kafka's own tools.

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
};
use test_kit::{Message, Space};

use crate::stack;

/// As `kafka-consumer-groups --reset-offsets` does: a number, and no metadata. The group is empty.
fn set_offset(space: &Space, to: i64) -> anyhow::Result<()> {
    let mut config = space.connection.config();
    config.set("group.id", &space.group);
    let consumer: BaseConsumer = config.create()?;
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&space.logs, 0, Offset::Offset(to))?;
    Ok(consumer.commit(&offsets, CommitMode::Sync)?)
}

fn lines(from: u64, count: u64) -> Vec<Message> {
    let line = |at| Message::of("operated", format!("{{\"message\":\"line {at}\"}}"));
    (from..from + count).map(line).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_stored_once_whoever_sets_the_groups_offset() -> anyhow::Result<()> {
    let space = stack().await?.space_of("operator", 1).await?;
    let mut sent = 0;
    // To the earliest, back and forth by some, past the end.
    for (round, to) in [None, Some(0), Some(120), Some(350), Some(10_000)]
        .into_iter()
        .enumerate()
    {
        if let Some(to) = to {
            set_offset(&space, to)?;
        }
        space.produce(lines(sent, 100)).await?;
        sent += 100;
        let processor = space.processor(&format!("operator-{round}"))?;
        let counts = space.all_arrived(&processor).await?;
        assert_eq!((counts.rows, counts.in_windows), (sent, sent), "{to:?}");
        let different = "SELECT uniqExact(kafka_partition, kafka_offset) FROM logs";
        assert_eq!(space.number(different).await?, sent, "{to:?}");
        let (_, metrics) = processor.get("/metrics").await?;
        let told = format!("barograph_foreign_offsets_total {}", u8::from(to.is_some()));
        assert!(metrics.contains(&told), "{to:?}: {metrics}");
        processor.stop().await;
    }
    Ok(())
}
