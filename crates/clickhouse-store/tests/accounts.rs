//! What is asked of the account and of the audit, on the real engine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in tests a panic is the report"
)]

mod support;

use clickhouse_store::{
    accounts::{self, Life},
    audit::{self, Kept},
    logs::LogStore,
    migrate::ALL,
};
use pipeline::{
    Day, Days, Incarnation, LeaderEpoch, Line, NextOffset, Offset, batch::Last,
    ports::RowStore as _,
};
use support::{Engine, answer, batch};

fn line(first: i64, end: i64, rows: u64) -> Line {
    Line {
        first: Offset::new(first),
        end: NextOffset::resume_at(Offset::new(end)),
        day: Day::new(20_783),
        rows,
        dead_letters: 1,
        holes: [0; 3],
        last: Some(Last {
            offset: Offset::new(end - 1),
            epoch: LeaderEpoch(3),
        }),
    }
}

#[tokio::test]
async fn what_is_kept_of_an_account_is_given_back() {
    let engine = Engine::start();
    let client = engine.database("accounts", ALL).await;
    let found = accounts::accounted(&client, "life", 0).await.unwrap();
    assert!(found.is_none());
    // The longer line is the later one.
    let lines = [line(0, 5, 4), line(0, 10, 9), line(10, 20, 8)];
    accounts::keep(&client, "life", 0, &lines).await.unwrap();
    let found = accounts::accounted(&client, "life", 0).await.unwrap();
    let found = found.unwrap();
    assert_eq!((found.end.raw(), found.day), (20, Day::new(20_783)));
    assert_eq!(found.last, lines[2].last);
    let range = (0, 10);
    let stored = accounts::stored(&client, "life", 0, range, Day::new(0));
    assert_eq!(stored.await.unwrap(), (None, 0));
    let unexplained = audit::unexplained(&client, Day::new(20_784)).await.unwrap();
    assert_eq!(unexplained.len(), 1);
    assert_eq!(unexplained[0].offsets, 1);
    let days = audit::days(&client, Day::new(20_000)).await.unwrap();
    let days: Vec<_> = days
        .iter()
        .map(|day| (day.day, day.there, day.accounted))
        .collect();
    assert_eq!(days, [(20_783, 0, 17)]);
    let lives = ["life".to_owned()];
    let found = audit::differences(&client, Day::new(20_783), Some(&lives)).await;
    let found: Vec<_> = found
        .unwrap()
        .iter()
        .map(|found| (found.first, found.there, found.accounted))
        .collect();
    assert_eq!(found, [(0, 0, 17)]);
    audit::changes(&client).await.unwrap();
    assert_eq!(audit::kept_for(&client).await.unwrap(), Kept::Days(30));
}

/// Days ago, of the wall clock: rows of longer ago would be gone.
fn days_ago(days: u64) -> Day {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Day::new((now.unwrap().as_secs() / 86_400 - days) as u16)
}

#[tokio::test]
async fn a_row_that_is_gone_from_an_old_day_is_found_and_can_be_accepted() {
    let engine = Engine::start();
    for (name, delete) in [
        ("light", "DELETE FROM logs WHERE kafka_offset IN (7, 9)"),
        (
            "mutated",
            "ALTER TABLE logs DELETE WHERE kafka_offset IN (7, 9)",
        ),
    ] {
        let client = engine.database(name, ALL).await;
        let store = LogStore::new(client.clone());
        let (old, today) = (days_ago(9), days_ago(0));
        let batches = [(old, batch(1, 0, 100)), (today, batch(1, 100, 150))];
        let life = batches[0].1.id.incarnation.to_string();
        for (own, batch) in &batches {
            let days = Days {
                own: *own,
                since: *own,
            };
            store.insert(batch, days).await.unwrap();
            let mut line = line(batch.first.raw(), batch.end.raw(), batch.row_count());
            line.dead_letters = 0;
            line.day = *own;
            accounts::keep(&client, &life, 1, &[line]).await.unwrap();
        }
        // What another group has stored, from before there were accounts.
        let mut other = batch(2, 0, 100);
        other.id.incarnation = Incarnation::of(uuid::Uuid::from_u128(9), "other");
        store
            .insert(
                &other,
                Days {
                    own: old,
                    since: old,
                },
            )
            .await
            .unwrap();
        let short = async || {
            let days = audit::days(&client, old).await.unwrap();
            let short = days.iter().map(|day| (day.day(), day.there));
            short.collect::<Vec<_>>()
        };
        let found = async || audit::differences(&client, old, None).await.unwrap();
        assert_eq!(short().await, [(old, 200), (today, 50)], "{name}");
        assert_eq!(found().await, [], "{name}");
        let before = audit::changes(&client).await.unwrap();
        answer(&client, delete).await;
        assert_ne!(audit::changes(&client).await.unwrap(), before, "{name}");
        assert_eq!(short().await[0], (old, 196), "{name}");
        let missing = found().await;
        let counts: Vec<_> = missing
            .iter()
            .map(|one| (one.partition, one.there, one.accounted))
            .collect();
        assert_eq!(counts, [(1, 98, 100)], "{name}");
        audit::accept(&client, &missing, "by hand").await.unwrap();
        assert_eq!(found().await, [], "{name}");
        // One more, and all of it is accepted anew.
        answer(
            &client,
            "DELETE FROM logs WHERE kafka_partition = 1 AND kafka_offset = 8",
        )
        .await;
        let missing = found().await;
        assert_eq!(
            (missing[0].erased, missing[0].missing_of(100)),
            (2, 1),
            "{name}"
        );
        audit::accept(&client, &missing, "by hand").await.unwrap();
        assert_eq!(found().await, [], "{name}");
        let explained = audit::unexplained(&client, today).await.unwrap();
        assert_eq!(explained, [], "{name}");
    }
}

#[tokio::test]
async fn rows_of_another_day_than_their_line_are_no_difference_of_their_stretch() {
    let engine = Engine::start();
    let client = engine.database("otherwise", ALL).await;
    let store = LogStore::new(client.clone());
    let (since, own) = (days_ago(3), days_ago(0));
    let batch = batch(1, 0, 50);
    let life = batch.id.incarnation.to_string();
    store.insert(&batch, Days { own, since }).await.unwrap();
    let mut line = line(0, 50, 50);
    line.dead_letters = 0;
    line.day = since;
    accounts::keep(&client, &life, 1, &[line]).await.unwrap();
    let of_day = audit::differences(&client, since, None).await.unwrap();
    assert_eq!(of_day[0].missing_of(of_day[0].accounted), 50);
    let all = audit::of_all_days(&client, &of_day).await.unwrap();
    assert_eq!((all[0].there, all[0].accounted), (50, 50));
    answer(&client, "DELETE FROM logs WHERE kafka_offset = 7").await;
    let all = audit::of_all_days(&client, &of_day).await.unwrap();
    assert_eq!(all[0].missing_of(all[0].accounted), 1);
}

#[tokio::test]
async fn the_newest_life_of_a_partition_is_found_and_told() {
    let engine = Engine::start();
    let client = engine.database("lives", ALL).await;
    assert_eq!(accounts::life(&client, "topic", 1).await.unwrap(), None);
    for life in [1, 2] {
        let life = Life {
            life,
            begins_at: 7,
            stored_to: 100,
        };
        accounts::begin_life(&client, "topic", 1, life)
            .await
            .unwrap();
    }
    let found = accounts::life(&client, "topic", 1).await.unwrap();
    assert_eq!(found.map(|life| life.life), Some(2));
    assert_eq!(accounts::lost(&client, 7).await.unwrap().len(), 2);
}
