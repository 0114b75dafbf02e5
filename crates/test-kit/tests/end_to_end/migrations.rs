//! The schema: applied once, in order, whoever else applies it.

use clickhouse_store::{
    Client,
    migrate::{self, MigrateError, Migration},
};

use crate::stack;

/// An empty database.
async fn database(name: &str) -> anyhow::Result<Client> {
    let stack = stack().await?;
    let client = stack.client(name)?;
    let create = format!("CREATE DATABASE {name}");
    client.in_database("default").execute(&create, &[]).await?;
    Ok(client)
}

fn names(migrations: &[Migration]) -> Vec<&'static str> {
    migrations.iter().map(|migration| migration.name).collect()
}

async fn recorded(client: &Client) -> anyhow::Result<String> {
    let query = "SELECT name FROM schema_migrations ORDER BY version, applied_at";
    let answer = client.execute(query, &[]).await?;
    Ok(String::from_utf8(answer.to_vec())?
        .trim()
        .replace('\n', " "))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_time_there_is_nothing_to_apply() -> anyhow::Result<()> {
    let client = database("migrated_twice").await?;
    assert_eq!(
        migrate::apply(&client, migrate::ALL).await?,
        names(migrate::ALL)
    );
    let none: [&str; 0] = [];
    assert_eq!(migrate::apply(&client, migrate::ALL).await?, none);
    assert_eq!(recorded(&client).await?, names(migrate::ALL).join(" "));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runners_at_once_apply_each_migration_once() -> anyhow::Result<()> {
    let client = database("migrated_at_once").await?;
    let runners = (0..4).map(|_| migrate::apply(&client, migrate::ALL));
    let mut applied = Vec::new();
    for outcome in futures::future::join_all(runners).await {
        applied.extend(outcome?);
    }
    applied.sort_unstable();
    assert_eq!(applied, names(migrate::ALL), "by all runners together");
    assert_eq!(recorded(&client).await?, names(migrate::ALL).join(" "));
    let status = migrate::status(&client, migrate::ALL).await?;
    assert_eq!(status.pending.len(), 0);
    let locks = "SELECT count() FROM system.tables WHERE database = 'migrated_at_once' \
                 AND name = 'schema_migrations_lock'";
    assert_eq!(client.execute(locks, &[]).await?.as_ref(), b"0\n");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changed_after_it_was_applied_is_named() -> anyhow::Result<()> {
    let client = database("migrated_otherwise").await?;
    migrate::apply(&client, migrate::ALL).await?;
    let mut changed = migrate::ALL.to_vec();
    changed[1].sql = "SELECT 1;\n";
    let error = migrate::apply(&client, &changed).await;
    let Err(MigrateError::Changed { name, .. }) = error else {
        anyhow::bail!("{error:?}");
    };
    assert_eq!(name, migrate::ALL[1].name);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_pending_is_listed_and_applied_later() -> anyhow::Result<()> {
    let client = database("migrated_in_part").await?;
    let (first, rest) = migrate::ALL.split_at(2);
    let status = migrate::status(&client, migrate::ALL).await?;
    assert_eq!(status.pending, names(migrate::ALL));
    migrate::apply(&client, first).await?;
    let status = migrate::status(&client, migrate::ALL).await?;
    assert_eq!(
        (status.applied, status.pending),
        (names(first), names(rest))
    );
    assert_eq!(migrate::apply(&client, migrate::ALL).await?, names(rest));
    Ok(())
}

/// One that fails half-way is told with its statement, and does not count as applied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_fails_is_pending_still_and_holds_no_lock() -> anyhow::Result<()> {
    let client = database("migrated_wrongly").await?;
    let wrong = [Migration {
        version: 1,
        name: "0001_wrong",
        sql: "CREATE TABLE t (x UInt8) ENGINE = Memory;\nSELECT no_such_function();\n",
    }];
    let error = migrate::apply(&client, &wrong).await;
    let Err(MigrateError::Failed {
        name, statement, ..
    }) = error
    else {
        anyhow::bail!("{error:?}");
    };
    assert_eq!((name, statement), ("0001_wrong", 2));
    let status = migrate::status(&client, &wrong).await?;
    assert_eq!(status.pending, ["0001_wrong"]);
    let right = [Migration {
        sql: "SELECT 1;\n",
        ..wrong[0]
    }];
    assert_eq!(migrate::apply(&client, &right).await?, ["0001_wrong"]);
    Ok(())
}
