//! Runners of migrations that are killed or stopped at every point, on the real engine: who comes next
//! ends with the schema of an undisturbed run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in tests a panic is the report"
)]

mod support;

use std::{future::pending, time::Duration};

use clickhouse_store::{
    Client,
    migrate::{self, ALL, MigrateError, Migration, Timing, apply_with},
};
use support::{Engine, answer};
use tokio::sync::Notify;

/// So short that a test can wait for a dead runner's lock to expire.
const SHORT: Timing = Timing {
    beat: Duration::from_millis(50),
    expiry: Duration::from_millis(500),
    patience: Duration::from_secs(60),
};

/// Everything that stands in the database, whatever its name.
async fn schema(client: &Client) -> String {
    let query = "SELECT name, replaceAll(create_table_query, currentDatabase(), 'db') FROM system.tables \
                 WHERE database = currentDatabase() ORDER BY name FORMAT TSVRaw";
    answer(client, query).await
}

async fn recorded(client: &Client) -> String {
    answer(
        client,
        "SELECT name FROM schema_migrations ORDER BY version, applied_at FORMAT TSVRaw",
    )
    .await
}

fn names() -> String {
    let names: Vec<&str> = ALL.iter().map(|migration| migration.name).collect();
    names.join("\n")
}

/// How the schema is when nothing disturbs, and in how many statements it comes about.
async fn undisturbed(engine: &Engine) -> (String, usize) {
    let client = engine.database("undisturbed", &[]).await;
    let sent = std::cell::Cell::new(0);
    let count = async |_| sent.set(sent.get() + 1);
    apply_with(&client, ALL, SHORT, count).await.unwrap();
    assert_eq!(recorded(&client).await, names());
    (schema(&client).await, sent.get())
}

async fn is_as(client: &Client, expected: &str, what: &str) {
    assert_eq!(schema(client).await, expected, "{what}");
    let status = migrate::status(client, ALL).await.unwrap();
    assert!(status.pending.is_empty(), "{what}: {status:?}");
}

/// Would catch "already exists" for good, and a lock that nobody takes away.
#[tokio::test]
async fn a_runner_may_be_killed_before_any_statement() {
    let engine = Engine::start();
    let (expected, statements) = undisturbed(&engine).await;
    for last in 0..statements {
        let client = engine.database(&format!("killed_{last}"), &[]).await;
        let reached = Notify::new();
        let dies = async |sent| {
            if sent == last {
                reached.notify_one();
                pending::<()>().await;
            }
        };
        tokio::select! {
            outcome = apply_with(&client, ALL, SHORT, dies) => panic!("{last}: {outcome:?}"),
            // Dropped here, it does nothing any more: nothing is undone, and the lock stays.
            () = reached.notified() => {}
        }
        apply_with(&client, ALL, SHORT, async |_| {}).await.unwrap();
        is_as(
            &client,
            &expected,
            &format!("killed before statement {last}"),
        )
        .await;
        assert_eq!(recorded(&client).await, names(), "{last}");
    }
}

#[tokio::test]
async fn a_runner_may_be_killed_before_it_notes_what_it_has_applied() {
    let engine = Engine::start();
    let (expected, _) = undisturbed(&engine).await;
    for last in 1..=ALL.len() {
        let client = engine
            .database(&format!("unnoted_{last}"), &ALL[..last])
            .await;
        let forget = format!("ALTER TABLE schema_migrations DELETE WHERE version = {last}");
        answer(&client, &forget).await;
        apply_with(&client, ALL, SHORT, async |_| {}).await.unwrap();
        is_as(&client, &expected, &format!("{last} was not noted")).await;
    }
}

/// Would catch a runner that goes on with an old statement where everything is done already: a view of
/// before inserts made anew, a table of now dropped.
#[tokio::test]
async fn a_runner_that_was_stopped_past_its_lock_and_goes_on_changes_nothing() {
    let engine = Engine::start();
    let (expected, statements) = undisturbed(&engine).await;
    for last in 0..statements {
        let client = engine.database(&format!("stopped_{last}"), &[]).await;
        let (reached, goes_on) = (Notify::new(), Notify::new());
        let stopped = async |sent| {
            if sent == last {
                reached.notify_one();
                goes_on.notified().await;
            }
        };
        let first = apply_with(&client, ALL, SHORT, stopped);
        let second = async {
            reached.notified().await;
            let outcome = apply_with(&client, ALL, SHORT, async |_| {}).await;
            goes_on.notify_one();
            outcome
        };
        let (first, second) = tokio::join!(first, second);
        let mut applied = first.unwrap();
        applied.extend(second.unwrap());
        is_as(
            &client,
            &expected,
            &format!("stopped before statement {last}"),
        )
        .await;
        assert_eq!(applied.len(), ALL.len(), "{last}: {applied:?}");
    }
}

/// Would catch a lock that expires under a runner that only waits for ClickHouse.
#[tokio::test]
async fn a_runner_that_lives_keeps_its_lock_and_the_others_wait() {
    const SLOW: [Migration; 1] = [Migration {
        version: 1,
        name: "0001_slow",
        sql: "SELECT sleep(2);\nCREATE TABLE once (x UInt8) ENGINE = Memory;\n",
    }];
    let engine = Engine::start();
    let client = engine.database("lives", &[]).await;
    let runner = || apply_with(&client, &SLOW, SHORT, async |_| {});
    let (one, other) = tokio::join!(runner(), runner());
    let mut applied = one.unwrap();
    applied.extend(other.unwrap());
    assert_eq!(applied, ["0001_slow"]);

    let client = engine.database("impatient", &[]).await;
    let impatient = Timing {
        patience: Duration::from_millis(100),
        ..SHORT
    };
    let begun = Notify::new();
    let first = apply_with(&client, &SLOW, SHORT, async |_| begun.notify_one());
    let second = async {
        begun.notified().await;
        apply_with(&client, &SLOW, impatient, async |_| {}).await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.unwrap(), ["0001_slow"]);
    assert!(matches!(second, Err(MigrateError::Locked(_))), "{second:?}");
}

#[tokio::test]
async fn a_lock_that_an_earlier_version_left_behind_expires() {
    let engine = Engine::start();
    let client = engine.database("left_behind", &[]).await;
    answer(
        &client,
        "CREATE TABLE schema_migrations_lock (held UInt8) ENGINE = Memory",
    )
    .await;
    apply_with(&client, ALL, SHORT, async |_| {}).await.unwrap();
    let locks = "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name LIKE 'schema_migrations_%'";
    assert_eq!(answer(&client, locks).await, "0");
}
