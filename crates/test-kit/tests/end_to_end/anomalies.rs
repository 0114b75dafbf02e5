//! What is found, and what arrives of it.

use contracts::{Anomaly, Level, State, topics::TRACEPARENT};
use rdkafka::Message as _;
use test_kit::{
    Message, Space, header,
    lines::{line, now},
    wait,
};

use crate::{heavy, stack};

const LOUD: &str = "loud";
const QUIET: &str = "quiet";
const NOVEL: &str = "never-seen-before";
const ERRORS_OF_THE_BURST: i64 = 30;

/// Forty minutes as usual, a spike of both services, then a burst of a service that is new. In event
/// time, all of it in the past; every record has a trace of its own.
fn story() -> Vec<Message> {
    let start = now() - 45 * 60_000;
    let mut messages = Vec::new();
    let mut put = |second: i64, milli: i64, service: &str, level: Level, text: &str| {
        let mut message = line(service, start + second * 1000 + milli, level, text);
        let number = messages.len() + 1;
        let trace = format!("00-{number:032x}-{number:016x}-01");
        message
            .headers
            .push((TRACEPARENT.into(), Some(trace.into_bytes())));
        messages.push(message);
    };
    for second in 0..2600 {
        let factor = if (2400..2440).contains(&second) { 4 } else { 1 };
        for n in 0..20 * factor {
            // One line in a hundred is an error, as always.
            let level = match (second * 20 + n) % 100 {
                0 => Level::Error,
                _ => Level::Info,
            };
            put(second, n * 1000 / (20 * factor), LOUD, level, "GET /cart");
        }
        for n in 0..factor {
            put(second, n * 1000 / factor, QUIET, Level::Info, "tick");
        }
        if (2450..2456).contains(&second) {
            let per_second = ERRORS_OF_THE_BURST / 6;
            for n in 0..per_second {
                let text = format!("payment {} declined", (second - 2450) * per_second + n);
                put(second, n * 100, NOVEL, Level::Error, &text);
            }
            put(second, 900, NOVEL, Level::Info, "still here");
        }
        if second > 2456 && second % 10 == 0 {
            put(second, 0, NOVEL, Level::Info, "fine again");
        }
        if second == 2585 {
            put(second, 0, NOVEL, Level::Error, "an error long after");
        }
    }
    messages
}

/// The evidence names rows of the anomaly's service, and begins and ends with one.
async fn evidence_holds(space: &Space, anomaly: &Anomaly) -> anyhow::Result<()> {
    let evidence = &anomaly.evidence;
    assert_eq!(evidence.topic, space.logs);
    let query = format!(
        "SELECT countIf(kafka_offset = {first}), countIf(kafka_offset = {last}) FROM logs \
         WHERE service = '{}' AND incarnation = '{}' AND kafka_partition = {} \
         AND kafka_offset BETWEEN {first} AND {last}",
        anomaly.service,
        evidence.incarnation,
        evidence.partition,
        first = evidence.first_offset,
        last = evidence.last_offset
    );
    assert_eq!(space.rows(&query).await?, ["1\t1"], "{}", anomaly.title);
    Ok(())
}

/// Sample lines are rows, word for word.
async fn samples_are_rows(space: &Space, anomaly: &Anomaly) -> anyhow::Result<()> {
    assert!(!anomaly.samples.is_empty(), "{}", anomaly.title);
    for sample in &anomaly.samples {
        let query = format!(
            "SELECT message, toString(level), toUnixTimestamp64Milli(timestamp), service FROM logs \
             WHERE kafka_partition = {} AND kafka_offset = {}",
            sample.partition, sample.offset
        );
        let expected = format!(
            "{}\t{}\t{}\t{}",
            sample.message,
            sample.level.as_str(),
            sample.timestamp.as_millis(),
            anomaly.service
        );
        assert_eq!(space.rows(&query).await?, [expected]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bursts_and_spikes_arrive_with_the_lines_they_speak_of() -> anyhow::Result<()> {
    let _alone = heavy().await?;
    let space = stack().await?.space("anomalies").await?;
    let processor = space.processor("processor")?;
    let (gateway, address) = space.gateway("gateway")?;
    processor.ready().await?;
    gateway.ready().await?;
    let watcher = space.watch(&address).await?;
    space.produce(story()).await?;
    space.all_arrived(&processor).await?;

    let opened = |service: &'static str, kind: &'static str| {
        move |anomaly: &Anomaly| {
            anomaly.service == service && anomaly.kind == kind && anomaly.state == State::Opened
        }
    };
    let records = space.read(&space.logs).await?;
    for (service, kind) in [
        (NOVEL, "error_burst"),
        (QUIET, "rate_spike"),
        (LOUD, "rate_spike"),
    ] {
        let what = format!("{kind} of {service}");
        let anomaly = watcher.find(&what, opened(service, kind)).await?;
        evidence_holds(&space, &anomaly).await?;
        samples_are_rows(&space, &anomaly).await?;
        let evidence = &anomaly.evidence;
        let trigger = records.iter().find(|record| {
            record.partition() == evidence.partition && record.offset() == evidence.last_offset
        });
        assert_eq!(
            anomaly.traceparent,
            trigger.map(|record| header(record, TRACEPARENT)),
            "{what}: not the trace of the record that crossed the line"
        );
    }

    watcher
        .find("the burst is over", |anomaly| {
            anomaly.service == NOVEL && anomaly.state == State::Closed
        })
        .await?;
    let query = format!(
        "SELECT message FROM anomalous_logs WHERE service = '{NOVEL}' \
         AND anomaly_kind = 'error_burst' ORDER BY kafka_offset"
    );
    let expected: Vec<_> = (0..ERRORS_OF_THE_BURST)
        .map(|n| format!("payment {n} declined"))
        .collect();
    wait::until("the closed burst is stored", wait::LONG, async || {
        let closed = format!(
            "SELECT count() FROM anomalies FINAL WHERE service = '{NOVEL}' AND state = 'closed'"
        );
        Ok((space.number(&closed).await? == 1).then_some(()))
    })
    .await?;
    assert_eq!(space.rows(&query).await?, expected);

    let surprises: Vec<_> = watcher
        .frames()
        .into_iter()
        .filter(|frame| {
            frame.anomaly.state == State::Opened
                && !matches!(frame.anomaly.kind.as_str(), "rate_drop" | "rate_spike")
                && frame.anomaly.service != NOVEL
        })
        .map(|frame| frame.anomaly.title)
        .collect();
    assert!(surprises.is_empty(), "{surprises:?}");
    assert!(watcher.trouble().is_empty(), "{:?}", watcher.trouble());
    Ok(())
}

/// A record may carry anything, and what is made of it goes through Kafka too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enormous_trace_fields_do_not_stop_the_processor() -> anyhow::Result<()> {
    let space = stack().await?.space_of("enormous", 1).await?;
    let processor = space.processor("processor")?;
    let start = now() - 60_000;
    let enormous = "7".repeat(4_000_000);
    let messages = (0..10).map(|n| {
        let payload = format!(
            r#"{{"timestamp":{},"service":"s","level":"ERROR","message":"m","trace_id":"{enormous}"}}"#,
            start + n
        );
        let mut message = Message::of("s", payload);
        message
            .headers
            .push((TRACEPARENT.into(), Some(enormous.clone().into_bytes())));
        message
    });
    space.produce(messages.collect()).await?;
    let counts = space.all_arrived(&processor).await?;
    assert_eq!((counts.rows, counts.dead_letters), (10, 0));
    assert!(processor.child.is_running());
    assert_eq!(processor.child.state().run, 1);
    let found = wait::until("the burst is published", wait::LONG, async || {
        let published = space.published().await?;
        Ok(published.into_iter().next())
    });
    assert_eq!(found.await?.kind, "error_burst");
    Ok(())
}
