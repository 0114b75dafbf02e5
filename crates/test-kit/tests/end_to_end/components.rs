//! Each part that touches the outside, by what it says of itself: when all is well, and when it is
//! refused something. Its metrics grow by what happened, its log says it once in these words and nothing
//! else, and whoever asked it gets an error that says why.

use local_stack::{Ports, ports::loopback};
use rdkafka::{
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
};
use test_kit::{
    Expected,
    Growth::{AtLeast, Exactly},
    Message, Running, Signals, Space,
};

use crate::{space, stack};

const LINES: usize = 200;

fn lines() -> Vec<Message> {
    (0..LINES)
        .map(|n| Message::of("checkout", format!(r#"{{"message":"line {n}"}}"#)))
        .collect()
}

async fn processor(space: &Space) -> anyhow::Result<Running> {
    let service = space
        .service("anomaly-processor", "processor")
        .env("LOG_FORMAT", "json")
        .env("SNAPSHOT_INTERVAL", "1s");
    let processor = space.stack.spawn(service)?;
    processor.ready().await?;
    // Ready is who waits for the group too; what is looked at begins when the partition flows.
    space
        .produce(vec![Message::of("checkout", "first")])
        .await?;
    space.all_arrived(&processor).await?;
    Ok(processor)
}

/// What a topic takes at most, in bytes of a batch.
async fn takes_at_most(space: &Space, topic: &str, bytes: u32) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> = space.connection.config().create()?;
    let bytes = bytes.to_string();
    let setting =
        AlterConfig::new(ResourceSpecifier::Topic(topic)).set("max.message.bytes", &bytes);
    for result in admin
        .alter_configs(&[setting], &AdminOptions::new())
        .await?
    {
        result.map_err(|(_, code)| anyhow::anyhow!("{code}"))?;
    }
    Ok(())
}

/// The consumer, and the sinks of rows and dead letters.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_come_are_counted_by_what_became_of_them() -> anyhow::Result<()> {
    let space = stack().await?.space_of("component-records", 1).await?;
    let processor = processor(&space).await?;
    let signals = Signals::of(&processor).await?;
    let mut messages = lines();
    for unreadable in [&b"{\"message\":"[..], b"\xff\xfe", b""] {
        messages.push(Message::of("checkout", unreadable));
    }
    space.produce(messages).await?;
    let letters = |reason| format!("barograph_dead_letters_total{{reason=\"{reason}\"}}");
    signals
        .come_to(Expected {
            grown: &[
                (
                    r#"barograph_records_total{ending="stored"}"#,
                    Exactly(LINES as f64),
                ),
                (
                    r#"barograph_records_total{ending="dead_lettered"}"#,
                    Exactly(3.0),
                ),
                (&letters("broken_json"), Exactly(1.0)),
                (&letters("not_utf8"), Exactly(1.0)),
                (&letters("empty"), Exactly(1.0)),
                (r#"barograph_lag_records{partition="0"}"#, Exactly(0.0)),
                ("barograph_in_flight_bytes", Exactly(0.0)),
                ("barograph_insert_retries_total", Exactly(0.0)),
                ("barograph_commit_retries_total", Exactly(0.0)),
            ],
            said: &[],
        })
        .await
}

/// The sink of rows, where ClickHouse rejects some of them for what is in them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_rejected_are_said() -> anyhow::Result<()> {
    let space = stack().await?.space_of("component-rows", 1).await?;
    let constraint = "ALTER TABLE logs ADD CONSTRAINT tasty CHECK position(message, 'line 7') = 0";
    space.client.execute(constraint, &[]).await?;
    let processor = processor(&space).await?;
    let signals = Signals::of(&processor).await?;
    space.produce(lines()).await?;
    // 7 and 70 to 79.
    signals
        .come_to(Expected {
            grown: &[
                (
                    r#"barograph_records_total{ending="stored"}"#,
                    Exactly(189.0),
                ),
                (
                    r#"barograph_records_total{ending="dead_lettered"}"#,
                    Exactly(11.0),
                ),
                (
                    r#"barograph_dead_letters_total{reason="rejected_row"}"#,
                    Exactly(11.0),
                ),
                ("barograph_blocks_rejected_total", AtLeast(12.0)),
                ("barograph_insert_retries_total", Exactly(0.0)),
            ],
            said: &[("WARN", "the store rejects rows")],
        })
        .await
}

/// The sink of dead letters, where its topic takes none of their size.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_that_are_cut_are_said() -> anyhow::Result<()> {
    let space = stack().await?.space_of("component-letters", 1).await?;
    takes_at_most(&space, &space.dead_letters, 20_000).await?;
    let processor = processor(&space).await?;
    let signals = Signals::of(&processor).await?;
    // Nothing that a compressor could make small.
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        0x80 | (state >> 33) as u8
    })
    .take(100_000)
    .collect();
    space.produce(vec![Message::of("checkout", noise)]).await?;
    signals
        .come_to(Expected {
            grown: &[
                (
                    r#"barograph_dead_letters_total{reason="not_utf8"}"#,
                    Exactly(1.0),
                ),
                ("barograph_messages_cut_total", AtLeast(1.0)),
                ("barograph_messages_refused", Exactly(0.0)),
            ],
            said: &[(
                "WARN",
                "a message was cut: the topic takes none of its size",
            )],
        })
        .await
}

/// Where what the detectors know is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_cannot_be_kept_is_said() -> anyhow::Result<()> {
    let space = stack().await?.space_of("component-snapshots", 1).await?;
    let processor = processor(&space).await?;
    for table in ["detector_snapshots", "detector_changes"] {
        space
            .rows(&format!("RENAME TABLE {table} TO gone_{table}"))
            .await?;
    }
    let kept = r#"barograph_snapshots_total{outcome="kept"}"#;
    let signals = Signals::of(&processor).await?;
    let expected = Expected {
        grown: &[
            (
                r#"barograph_snapshots_total{outcome="failed"}"#,
                AtLeast(1.0),
            ),
            (kept, Exactly(0.0)),
        ],
        said: &[(
            "WARN",
            "the detectors' state was not kept; the next one will be tried",
        )],
    };
    while_lines_come(&space, signals.come_to(expected)).await?;
    space.all_arrived(&processor).await?;
    for table in ["detector_snapshots", "detector_changes"] {
        space
            .rows(&format!("RENAME TABLE gone_{table} TO {table}"))
            .await?;
    }
    let signals = Signals::of(&processor).await?;
    let grown = &[(kept, AtLeast(1.0))];
    let expected = Expected { grown, said: &[] };
    while_lines_come(&space, signals.come_to(expected)).await
}

/// A snapshot goes with a batch.
async fn while_lines_come(
    space: &Space,
    wanted: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let producing = async {
        loop {
            space.produce(lines()).await?;
        }
    };
    tokio::select! {
        met = wanted => met,
        failed = producing => failed,
    }
}

/// The gateway's reader of anomalies, and what asks ClickHouse.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_gateway_cannot_read_or_answer_is_said() -> anyhow::Result<()> {
    let mut space = space("component-gateway").await?;
    let listen = loopback(Ports::free()?.gateway);
    let service = space
        .service("ws-gateway", "gateway")
        .env("LOG_FORMAT", "json")
        .env("GATEWAY_LISTEN", listen.to_string());
    let gateway = space.stack.spawn(service)?;
    gateway.ready().await?;
    let signals = Signals::of(&gateway).await?;
    // Its producer writes where `logs` says.
    let logs = std::mem::replace(&mut space.logs, space.anomalies.clone());
    space
        .produce(vec![
            Message::of("checkout", "not an anomaly"),
            Message::of("s", "{}"),
        ])
        .await?;
    space.logs = logs;
    let unreadable = r#"barograph_gateway_anomalies_read_total{record="unreadable"}"#;
    signals
        .come_to(Expected {
            grown: &[
                (unreadable, Exactly(2.0)),
                ("barograph_gateway_kept_anomalies", Exactly(0.0)),
            ],
            said: &[("WARN", "not an anomaly, left out")],
        })
        .await?;

    let signals = Signals::of(&gateway).await?;
    space.rows("RENAME TABLE log_windows TO elsewhere").await?;
    let (status, body) = test_kit::get(listen, "/api/v1/volume").await?;
    let error: serde_json::Value = serde_json::from_str(&body)?;
    assert_eq!(
        (status, error["code"].as_str()),
        (500, Some("internal")),
        "{body}"
    );
    let said = &[("ERROR", "a question was refused")];
    signals.come_to(Expected { grown: &[], said }).await
}

/// The generator's producer, where the topic takes no record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_the_generator_that_are_refused_are_said() -> anyhow::Result<()> {
    let space = space("component-generator").await?;
    takes_at_most(&space, &space.logs, 100).await?;
    let service = space
        .service("log-generator", "generator")
        .env("LOG_FORMAT", "json")
        .arg("--rate")
        .arg("20");
    let generator = space.stack.spawn(service)?;
    generator.ready().await?;
    let signals = Signals::of(&generator).await?;
    signals
        .come_to(Expected {
            grown: &[
                (
                    r#"barograph_generator_records_total{ending="failed"}"#,
                    AtLeast(40.0),
                ),
                (
                    r#"barograph_generator_records_total{ending="acknowledged"}"#,
                    Exactly(0.0),
                ),
            ],
            said: &[("ERROR", "kafka refused a record")],
        })
        .await
}
