//! Templates on the real engine: their counts are the rows', wherever merges lead.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in tests a panic is the report"
)]

mod support;

use clickhouse_store::{
    Client, LogRow, LogRows, TemplateNews, log_rows::TimestampSource, logs::LogStore, migrate::ALL,
    templates::Text,
};
use contracts::Level;
use pipeline::{Batch, ports::RowStore as _};
use support::{DAYS, Engine, START, answer, batch, batch_of};

fn text(text: &str, open_places: u32) -> Text {
    Text {
        text: text.to_owned(),
        open_places,
        sample: format!("a line of {text}"),
        service: "cart".to_owned(),
        joins: Vec::new(),
    }
}

/// A row for each id; every third is an error, of two services.
fn mined(first: i64, ids: &[u64]) -> Batch<LogRows> {
    let mut rows = LogRows::default();
    for (offset, id) in (first..).zip(ids) {
        let row = LogRow {
            timestamp: START + offset * 60_000,
            timestamp_source: TimestampSource::Record,
            service: ["cart", "login"][(offset % 2) as usize],
            level: Level::Info,
            is_error: offset % 3 == 0,
            message: "m",
            template_id: *id,
            host: "",
            trace_id: "",
            span_id: "",
            latency_ms: None,
            status: 0,
            client_ip: "",
            user: "",
            late: false,
            kafka_timestamp: START,
            kafka_offset: offset,
        };
        rows.push(&row, []);
    }
    batch_of(0, first, first + ids.len() as i64, rows)
}

async fn store(client: &Client, batch: &Batch<LogRows>) {
    let store = LogStore::new(client.clone());
    store.prepare(batch).await.unwrap();
    store.insert(batch, DAYS).await.unwrap();
}

/// Counted line by line, and twice by the projection: an empty table has none.
async fn sums(client: &Client) -> [u64; 3] {
    let lines = "SELECT count() FROM logs SETTINGS optimize_use_projections = 0";
    let mut sums = [number(client, lines).await, 0, 0];
    if sums[0] > 0 {
        let sum = |what: &str| format!("SELECT sum({what} SETTINGS force_optimize_projection = 1");
        sums[1] = number(client, &sum("count) FROM templates")).await;
        sums[2] = number(client, &sum("records) FROM template_hours")).await;
    }
    sums
}

async fn number(client: &Client, query: &str) -> u64 {
    answer(client, query).await.parse().unwrap()
}

#[tokio::test]
async fn counts_are_the_rows_and_ids_lead_to_what_they_became_part_of() {
    let engine = Engine::start();
    let client = engine.database("templates", ALL).await;
    let mut first = mined(0, &[10, 11, 12, 50, 50, 20, 20, 20]);
    let news = &mut first.rows.templates;
    for id in [10, 11, 12] {
        news.describe(id, text(&format!("form {id}"), 0));
    }
    news.describe(50, text("form <*>", 1));
    news.describe(20, text("other", 0));
    for id in [10, 11] {
        news.merge(id, 50);
    }
    store(&client, &first).await;
    // Another partition saw other lines of it: 12, which the pattern takes in, and which is part of
    // an older one there; and more of the text differs.
    let mut second = mined(100, &[12, 40, 30, 60]);
    let news = &mut second.rows.templates;
    // It has seen a form of which it knows no more, but which 30 would take in.
    let mut form = text("form 60", 0);
    form.joins = vec![30, 31];
    news.describe(60, form);
    news.describe(40, text("<*> <*>", 2));
    news.describe(30, text("<*> <*>", 2));
    for (from, into) in [(12, 40), (11, 40), (40, 30)] {
        news.merge(from, into);
    }
    store(&client, &second).await;
    // Whatever is stored again changes nothing.
    store(&client, &first).await;
    for merged in [false, true] {
        if merged {
            for table in ["template_texts", "template_merges", "logs"] {
                answer(&client, &format!("OPTIMIZE TABLE {table} FINAL")).await;
            }
        }
        let led = "SELECT template_id, current_id FROM template_ids ORDER BY template_id";
        assert_eq!(
            answer(&client, led).await,
            "10\t30\n11\t30\n12\t30\n40\t30\n50\t30\n60\t30"
        );
        let templates = "SELECT id, text, count, errors, services, sample, merged_ids, \
             dateDiff('minute', first_seen, last_seen) FROM templates ORDER BY id";
        assert_eq!(
            answer(&client, templates).await,
            "20\tother\t3\t1\t['cart','login']\ta line of other\t[]\t2\n\
             30\t<*> <*>\t9\t3\t['cart','login']\ta line of <*> <*>\t[10,11,12,40,50,60]\t103"
        );
        assert_eq!(sums(&client).await, [12; 3]);
    }
}

/// Merges can be told in a circle where one partition found out what another had known all along.
#[tokio::test]
async fn merges_in_a_circle_and_in_a_chain_lead_to_one() {
    let engine = Engine::start();
    let client = engine.database("circle", ALL).await;
    let mut batch = mined(0, &[7, 9, 105, 104, 103, 102, 101]);
    for id in [7, 9, 101, 102, 103, 104, 105] {
        batch.rows.templates.describe(id, text("t", 0));
    }
    for (from, into) in [(9, 7), (7, 9)] {
        batch.rows.templates.merge(from, into);
    }
    for from in 102..=105 {
        batch.rows.templates.merge(from, from - 1);
    }
    store(&client, &batch).await;
    assert_eq!(
        answer(&client, "SELECT id, count FROM templates ORDER BY id").await,
        "7\t2\n101\t5"
    );
}

#[tokio::test]
async fn counts_go_with_the_rows_through_losses_and_repairs() {
    let engine = Engine::start();
    let client = engine.database("losses", ALL).await;
    let ids: Vec<u64> = (0..1000).map(|at| 1 + at % 7).collect();
    let mut batch = mined(0, &ids);
    for id in 1..=7 {
        batch.rows.templates.describe(id, text("t", 0));
    }
    store(&client, &batch).await;
    assert_eq!(sums(&client).await, [1000; 3]);
    for loss in [
        "DELETE FROM logs WHERE kafka_offset % 7 = 0",
        "ALTER TABLE logs DELETE WHERE kafka_offset % 3 = 0",
        "ALTER TABLE logs DROP PARTITION '2099-12-31'",
    ] {
        answer(&client, loss).await;
        let left = sums(&client).await;
        assert_eq!(left, [left[0]; 3], "{loss}");
        let store = LogStore::new(client.clone());
        assert!(store.repair(&batch, DAYS, 0).await.unwrap() > 0, "{loss}");
        assert_eq!(sums(&client).await, [1000; 3], "{loss}");
    }
}

/// Lines of before have no template, and are counted as such.
#[tokio::test]
async fn lines_of_before_are_shown_as_not_mined() {
    let engine = Engine::start();
    let old = engine.database("before", &ALL[..7]).await;
    let columns = "timestamp, service, level, is_error, message, kafka_offset, block_day";
    let values = "'2026-11-21 07:00:00', 'cart', 'INFO', false, 'm', number, '2099-12-31'";
    answer(
        &old,
        &format!("INSERT INTO logs ({columns}) SELECT {values} FROM numbers(3000)"),
    )
    .await;
    let client = engine.database("before", ALL).await;
    let mut new = mined(5000, &[1, 1]);
    new.rows.templates.describe(1, text("", 0));
    store(&client, &new).await;
    let templates = "SELECT id, text, count FROM templates ORDER BY id";
    let expected = "0\t(stored before templates were mined)\t3000\n1\t\t2";
    assert_eq!(answer(&client, templates).await, expected);
    answer(&client, "ALTER TABLE logs MATERIALIZE PROJECTION templates").await;
    let by_projection = format!("{templates} SETTINGS force_optimize_projection = 1");
    assert_eq!(answer(&client, &by_projection).await, expected);
}

#[tokio::test]
async fn a_block_without_news_asks_nothing() {
    let engine = Engine::start();
    // No such tables: whoever asked would be told.
    let client = engine.database("unasked", &ALL[..7]).await;
    let store = LogStore::new(client);
    store.prepare(&batch(0, 0, 10)).await.unwrap();
    let mut with_news = batch(0, 0, 10);
    let mut news = TemplateNews::default();
    news.describe(1, text("t", 0));
    with_news.rows.templates.append(news);
    store.prepare(&with_news).await.unwrap_err();
}
