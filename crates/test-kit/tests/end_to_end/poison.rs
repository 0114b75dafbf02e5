//! Whatever lies in a topic is passed, and its neighbours are stored: records that are larger than any
//! topic takes, batches that the client cannot decode, topics that will not have a dead letter.

use std::time::Duration;

use contracts::dead_letter::{REASON, SOURCE_OFFSET, VALUE_LENGTH, VALUE_SHA256};
use rdkafka::{
    Message as _,
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
    producer::{FutureProducer, FutureRecord},
};
use test_kit::{Message, Space, header, wait};

use crate::{heavy, stack};

/// Sends each as a batch of its own, packed so well that it passes the broker's limit.
async fn send_packed(space: &Space, topic: &str, payloads: Vec<Vec<u8>>) -> anyhow::Result<()> {
    let producer: FutureProducer = space
        .connection
        .config()
        .set("compression.type", "zstd")
        .set("message.max.bytes", "1000000000")
        .set("batch.num.messages", "1")
        .set("message.timeout.ms", "120000")
        .create()?;
    for payload in payloads {
        let record = FutureRecord::<str, _>::to(topic)
            .key("packed")
            .payload(&payload);
        let sent = producer.send(record, Duration::from_secs(60)).await;
        sent.map_err(|(error, _)| error)?;
    }
    Ok(())
}

fn line(text: &str) -> Message {
    Message::of("neighbour", format!(r#"{{"message":"{text}"}}"#))
}

async fn messages(space: &Space) -> anyhow::Result<Vec<String>> {
    space
        .rows("SELECT message FROM logs WHERE service = 'neighbour' ORDER BY kafka_offset")
        .await
}

async fn metric(service: &test_kit::Running, name: &str) -> anyhow::Result<f64> {
    Ok(service.metrics().await?.get(name).copied().unwrap_or(0.0))
}

/// Would catch a processor that ends because no topic takes the dead letter, and one that keeps the
/// record in memory for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_too_large_for_any_topic_is_a_dead_letter_that_is_cut() -> anyhow::Result<()> {
    let _alone = heavy().await?;
    let space = stack().await?.space_of("poison", 1).await?;
    space.produce(vec![line("before")]).await?;
    let mut large_line = br#"{"message":"a long line "#.to_vec();
    large_line.resize(95_000_000, b'x');
    let letters = vec![vec![0xff; 20_000_000], large_line];
    send_packed(&space, &space.logs, letters).await?;
    space.produce(vec![line("after")]).await?;
    let processor = space.processor("processor")?;
    let counts = space.all_arrived(&processor).await?;
    assert_eq!((counts.rows, counts.dead_letters), (2, 2));
    assert_eq!(messages(&space).await?, ["before", "after"]);

    let mut letters = space.read(&space.dead_letter_topic()).await?;
    letters.sort_by_key(|letter| header(letter, SOURCE_OFFSET));
    let said = |name| {
        letters
            .iter()
            .map(|letter| header(letter, name))
            .collect::<Vec<_>>()
    };
    assert_eq!(said(REASON), ["not_utf8", "too_large"]);
    assert_eq!(said(VALUE_LENGTH), ["20000000", "95000000"]);
    // Of twenty million bytes 0xff.
    assert_eq!(header(&letters[0], VALUE_SHA256).len(), 64);
    let kept = letters[0].payload().unwrap();
    assert!(kept.len() > 1000 && kept.iter().all(|byte| *byte == 0xff));
    Ok(())
}

/// Would catch a partition, and a gateway, that stand still for ever and say that they are ready.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_cannot_be_decoded_is_passed_and_counted() -> anyhow::Result<()> {
    let _alone = heavy().await?;
    let space = stack().await?.space_of("undecodable", 1).await?;
    space.produce(vec![line("before")]).await?;
    send_packed(&space, &space.logs, vec![vec![b' '; 400_000_000]]).await?;
    space.produce(vec![line("between")]).await?;
    send_packed(&space, &space.anomalies, vec![vec![b' '; 400_000_000]]).await?;
    let processor = space.processor("processor")?;
    let (gateway, _) = space.gateway("gateway")?;
    wait::until("the gateway has passed it", wait::LONG, async || {
        Ok(gateway.ready().await.is_ok().then_some(()))
    })
    .await
    .map_err(|error| gateway.with_log(error))?;
    let passed = r#"barograph_gateway_anomalies_read_total{record="undecodable"}"#;
    assert_eq!(metric(&gateway, passed).await?, 1.0);

    space.produce(vec![line("after")]).await?;
    wait::until("the neighbours are there", wait::LONG, async || {
        let there = messages(&space).await?;
        Ok((there == ["before", "between", "after"]).then_some(()))
    })
    .await
    .map_err(|error| processor.with_log(error))?;
    let passed = r#"barograph_offsets_skipped_total{reason="unreadable"}"#;
    assert_eq!(metric(&processor, passed).await?, 1.0);
    assert_eq!(space.counts().await?.dead_letters, 0);
    Ok(())
}

/// Would catch a processor that ends, again and again, because one message is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_dead_letter_topic_refuses_waits_or_is_cut() -> anyhow::Result<()> {
    let space = stack().await?.space_of("refused", 1).await?;
    let admin: AdminClient<DefaultClientContext> = space.connection.config().create()?;
    let options = AdminOptions::new();
    let topic = space.dead_letter_topic();
    // Nothing compresses it.
    let mut state = 7_u64;
    let noise: Vec<u8> = (0..300_000)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            0x80 | (state >> 33) as u8
        })
        .collect();
    let setting =
        AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("max.message.bytes", "20000");
    for result in admin.alter_configs(&[setting], &options).await? {
        result.map_err(|(_, code)| anyhow::anyhow!("{code}"))?;
    }
    let processor = space.processor("processor")?;
    let letters = vec![
        Message::of("s", noise),
        Message::of("s", &b"{small"[..]),
        line("fine"),
    ];
    space.produce(letters).await?;
    let counts = space.all_arrived(&processor).await?;
    assert_eq!((counts.rows, counts.dead_letters), (1, 2));
    let letters = space.read(&topic).await?;
    let mut lengths: Vec<_> = letters
        .iter()
        .map(|letter| header(letter, VALUE_LENGTH))
        .collect();
    lengths.sort_unstable();
    assert_eq!(lengths, ["", "300000"]);

    for result in admin.delete_topics(&[&topic], &options).await? {
        result.map_err(|(_, code)| anyhow::anyhow!("{code}"))?;
    }
    space
        .produce(vec![Message::of("s", &b"{another"[..]), line("waits")])
        .await?;
    wait::until(
        "the processor says what it waits for",
        wait::LONG,
        async || {
            let (status, text) = processor.get("/ready").await?;
            Ok((status != 200 && text.contains(&topic)).then_some(()))
        },
    )
    .await
    .map_err(|error| processor.with_log(error))?;
    let layout = kafka_io::topics::layout(&space.logs, &space.anomalies, 1, 1);
    kafka_io::topics::ensure(&space.connection, &layout).await?;
    wait::until("the letter is there", wait::LONG, async || {
        let there = space.counts().await?;
        Ok(((there.rows, there.dead_letters) == (2, 1)).then_some(()))
    })
    .await
    .map_err(|error| processor.with_log(error))?;
    processor.ready().await
}
