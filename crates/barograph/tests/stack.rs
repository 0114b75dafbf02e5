//! The real Kafka and the real ClickHouse together. The first run fetches both.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use clickhouse_store::{Client, Target};
use local_stack::{LocalStack, StackConfig, progress};

mod processes;
use processes::{all_gone, exists};

fn client(stack: &LocalStack) -> Client {
    Client::new(Target {
        url: stack.clickhouse.url(),
        database: stack.config().database.clone(),
        user: stack.config().user.clone(),
        password: stack.password().to_owned(),
    })
    .unwrap()
}

async fn answer(client: &Client, question: &str) -> String {
    let answer = client.execute(question, &[]).await.unwrap();
    String::from_utf8_lossy(&answer).trim().to_owned()
}

#[tokio::test]
async fn rows_survive_kill_9_and_nothing_survives_the_stack() {
    let dir = tempfile::tempdir().unwrap();
    let config = StackConfig::on_free_ports(dir.path()).unwrap();
    let stack = LocalStack::start(config, progress::silent()).await.unwrap();
    let client = client(&stack);
    for statement in [
        "CREATE TABLE kept (value String) ENGINE = MergeTree ORDER BY value",
        "INSERT INTO kept VALUES ('before')",
    ] {
        client.execute(statement, &[]).await.unwrap();
    }
    stack.clickhouse.child().kill9().await;
    stack.clickhouse.start_again().await.unwrap();
    assert_eq!(answer(&client, "SELECT value FROM kept").await, "before");

    let pids = stack.pids();
    assert_eq!(pids.len(), 4, "two parts, each with a supervisor");
    assert!(pids.iter().copied().all(exists));
    stack.stop().await;
    all_gone(&pids).await;
}

#[tokio::test]
async fn without_the_password_nobody_gets_in() {
    let dir = tempfile::tempdir().unwrap();
    let config = StackConfig::on_free_ports(dir.path()).unwrap();
    let stack = local_stack::LocalClickHouse::start(config, progress::silent())
        .await
        .unwrap();
    let stranger = Client::new(Target {
        url: stack.clickhouse.url(),
        database: "default".to_owned(),
        user: stack.user().to_owned(),
        password: "guessed".to_owned(),
    })
    .unwrap();
    assert!(stranger.execute("SELECT 1", &[]).await.is_err());
}
