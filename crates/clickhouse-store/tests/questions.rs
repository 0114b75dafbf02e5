//! Questions on the real engine: how they are asked, and how they end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in tests a panic is the report"
)]

mod support;

use std::time::Duration;

use clickhouse_store::{Client, questions};
use support::{Engine, answer};

const DEADLINE: Duration = Duration::from_secs(60);
/// A table that has no end.
const ENDLESS: &str = "CREATE VIEW log_windows AS SELECT now() AS window_start, 'a' AS service, \
    number AS records, number AS errors FROM numbers(1000000000000000)";
const RUNNING: &str = "SELECT concat(Settings['priority'], ' ', Settings['max_threads'], ' ', \
    Settings['readonly'], ' ', Settings['max_execution_time']) FROM system.processes \
    WHERE query LIKE '%toStartOfInterval%' AND query NOT LIKE '%processes%' FORMAT TSVRaw";

async fn until_it_answers(client: &Client, expected: &str) {
    let wait = async {
        while answer(client, RUNNING).await != expected {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(DEADLINE, wait).await;
    assert!(waited.is_ok(), "{:?} runs", answer(client, RUNNING).await);
}

/// Would catch questions that take all threads, run before inserts, or outlive who asked.
#[tokio::test]
async fn a_question_takes_little_and_ends_with_who_asked() {
    let engine = Engine::start();
    let client = engine.database("endless", &[]).await;
    client.execute(ENDLESS, &[]).await.unwrap();
    let asking = client.for_questions(DEADLINE * 2);
    let asked = tokio::spawn(async move { questions::volume(&asking, 5, 10, None).await });
    until_it_answers(&client, "10 2 2 120").await;
    asked.abort();
    until_it_answers(&client, "").await;
}

#[tokio::test]
async fn a_question_has_its_time_and_no_more() {
    let engine = Engine::start();
    let client = engine.database("endless", &[]).await;
    client.execute(ENDLESS, &[]).await.unwrap();
    let asking = client.for_questions(Duration::from_secs(1));
    let asked = questions::volume(&asking, 5, 10, None);
    let refused = tokio::time::timeout(DEADLINE, asked).await.unwrap();
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("TIMEOUT_EXCEEDED"), "{error}");
}
