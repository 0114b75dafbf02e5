//! The real Kafka, on free ports. The first run fetches it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use std::{path::Path, time::Duration};

use kafka_io::{Connection, topics};
use local_stack::{LocalKafka, StackConfig, progress};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
    consumer::{Consumer as _, StreamConsumer},
    producer::{FutureProducer, FutureRecord},
};

mod processes;
use processes::all_gone;

async fn start(dir: &Path) -> LocalKafka {
    let config = StackConfig::on_free_ports(dir).unwrap();
    let kafka = LocalKafka::start(config, progress::silent()).await.unwrap();
    let layout = topics::layout("app-logs", "anomalies", 1, 1);
    topics::ensure(&Connection::plain(kafka.kafka.brokers()), &layout)
        .await
        .unwrap();
    kafka
}

async fn produce(brokers: &str, value: &str) {
    let producer: FutureProducer = Connection::plain(brokers).config().create().unwrap();
    let record = FutureRecord::to("app-logs").key("checkout").payload(value);
    producer
        .send(record, Duration::from_secs(30))
        .await
        .unwrap();
}

async fn first_record(brokers: &str) -> String {
    let consumer: StreamConsumer = Connection::plain(brokers)
        .config()
        .set("group.id", "test")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    assignment
        .add_partition_offset("app-logs", 0, Offset::Beginning)
        .unwrap();
    consumer.assign(&assignment).unwrap();
    let record = tokio::time::timeout(Duration::from_secs(60), consumer.recv())
        .await
        .unwrap()
        .unwrap();
    String::from_utf8(record.payload().unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn a_record_survives_kill_9_and_restart() {
    let dir = tempfile::tempdir().unwrap();
    let stack = start(dir.path()).await;
    let kafka = &stack.kafka;
    produce(&kafka.brokers(), "before").await;
    kafka.child().kill9().await;
    kafka.start_again().await.unwrap();
    assert_eq!(first_record(&kafka.brokers()).await, "before");
    kafka.restart().await.unwrap();
    assert_eq!(first_record(&kafka.brokers()).await, "before");
}

#[tokio::test]
async fn two_run_side_by_side_and_know_nothing_of_each_other() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, other) = tokio::join!(start(one.path()), start(other.path()));
    produce(&one.kafka.brokers(), "one").await;
    produce(&other.kafka.brokers(), "other").await;
    assert_eq!(first_record(&one.kafka.brokers()).await, "one");
    assert_eq!(first_record(&other.kafka.brokers()).await, "other");
}

#[tokio::test]
async fn the_largest_record_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let stack = start(dir.path()).await;
    let record = "x".repeat(contracts::topics::MAX_RECORD_BYTES);
    produce(&stack.kafka.brokers(), &record).await;
    assert_eq!(
        first_record(&stack.kafka.brokers()).await.len(),
        record.len()
    );
}

#[tokio::test]
async fn a_directory_in_use_is_refused_and_free_again_after_the_stack() {
    let dir = tempfile::tempdir().unwrap();
    let stack = start(dir.path()).await;
    let pids: Vec<u32> = stack
        .kafka
        .child()
        .pid()
        .into_iter()
        .chain(stack.kafka.child().supervisor_pid())
        .collect();
    let config = StackConfig::on_free_ports(dir.path()).unwrap();
    let refused = LocalKafka::start(config.clone(), progress::silent()).await;
    let sentence = refused.err().unwrap().to_string();
    assert!(
        sentence.contains("is in use by another stack"),
        "{sentence}"
    );
    drop(stack);
    all_gone(&pids).await;
    LocalKafka::start(config, progress::silent()).await.unwrap();
}

/// Would catch a sample that reads from the wrong end, and policies that are not looked at.
#[tokio::test]
async fn the_doctor_sees_records_without_keys_and_a_compacted_topic() {
    let dir = tempfile::tempdir().unwrap();
    let stack = start(dir.path()).await;
    let brokers = stack.kafka.brokers();
    let producer: FutureProducer = Connection::plain(&brokers).config().create().unwrap();
    for _ in 0..3 {
        let record = FutureRecord::<(), _>::to("app-logs").payload("no key");
        producer
            .send(record, Duration::from_secs(30))
            .await
            .unwrap();
    }
    produce(&brokers, "with a key").await;
    compact(&brokers, "anomalies").await;

    let output = std::process::Command::new(env!("CARGO_BIN_EXE_barograph"))
        .args(["doctor", "--data-dir"])
        .arg(dir.path())
        .env("KAFKA_BROKERS", &brokers)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    for expected in [
        "75% of the newest 4 records of app-logs have no key",
        "topic anomalies has cleanup.policy=compact",
        "group anomaly-processor has never committed, and app-logs has 4 records",
    ] {
        assert!(said.contains(expected), "{expected} is not in {said}");
    }
    assert_eq!(output.status.code(), Some(1), "{said}");
}

async fn compact(brokers: &str, topic: &str) {
    let admin: AdminClient<DefaultClientContext> =
        Connection::plain(brokers).config().create().unwrap();
    let setting =
        AlterConfig::new(ResourceSpecifier::Topic(topic)).set("cleanup.policy", "compact");
    let results = admin.alter_configs(&[setting], &AdminOptions::new()).await;
    for result in results.unwrap() {
        result.unwrap();
    }
}
