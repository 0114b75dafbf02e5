//! Batches of lines on the real engine: what goes in comes out, and the windows count it exactly.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in tests a panic is the report"
)]

mod support;

use clickhouse_store::{
    DedupWindow, LogRow, LogRows, dedup_window, log_rows::TimestampSource, logs::LogStore,
    migrate::ALL,
};
use contracts::Level;
use pipeline::{
    Day, Days,
    ports::{Kind, RowStore as _},
};
use support::{DAY, DAYS, Engine, START, answer, batch, batch_of};

/// Counted line by line and by the projection, and whether they say the same.
const SUMS: &str = "SELECT (SELECT count(), countIf(is_error), countIf(late) FROM logs SETTINGS optimize_use_projections = 0), \
    (SELECT sum(records), sum(errors), sum(late) FROM log_windows SETTINGS force_optimize_projection = 1)";

#[tokio::test]
async fn every_column_is_sent_in_the_type_of_the_table() {
    let engine = Engine::start();
    let client = engine.database("types", ALL).await;
    let sent = batch(0, 0, 1).rows.encode("0123456789abcdef", 0, DAY);
    let columns = answer(
        &client,
        "SELECT name, type FROM system.columns WHERE database = 'types' AND table = 'logs' AND default_kind != 'MATERIALIZED' FORMAT TSVRaw",
    )
    .await;
    for line in columns.lines() {
        let mut begins = Vec::new();
        for text in line.split('\t') {
            begins.push(text.len() as u8);
            begins.extend_from_slice(text.as_bytes());
        }
        assert!(
            sent.windows(begins.len()).any(|bytes| bytes == begins),
            "not sent like this: {line}"
        );
    }
    assert_eq!(usize::from(sent[0]), columns.lines().count());
}

#[tokio::test]
async fn what_goes_in_comes_out() {
    let engine = Engine::start();
    let client = engine.database("round", ALL).await;
    let store = LogStore::new(client.clone());
    store.insert(&batch(3, 10, 20), DAYS).await.unwrap();
    let row = "SELECT toUnixTimestamp64Milli(timestamp), service, level, is_error, message, host, trace_id, span_id, latency_ms, \
               status, client_ip, user, attributes, timestamp_source, late, toUnixTimestamp64Milli(kafka_timestamp), \
               length(incarnation), kafka_partition, block_day FROM logs WHERE kafka_offset = ";
    assert_eq!(
        answer(&client, &format!("{row} 10")).await,
        "1795244401000\tbúsqueda\tWARN\tfalse\tline 10\thost-10\t0000000000000000000000000000000a\t\t10\t10\t203.0.113.9\t\t\
         {'region':'eu-0'}\tclamped\ttrue\t1795244400000\t16\t3\t2099-12-31"
    );
    assert_eq!(
        answer(&client, &format!("{row} 11")).await,
        "1795244401100\t\tERROR\ttrue\tline 11\thost-11\t0000000000000000000000000000000b\t\t\\N\t11\t203.0.113.9\t\t\
         {'region':'eu-1','größe':'1\\n2'}\tclamped\tfalse\t1795244400000\t16\t3\t2099-12-31"
    );
    // None of its rows has an attribute.
    store.insert(&batch(3, 0, 1), DAYS).await.unwrap();
    assert_eq!(store.count(&batch(3, 0, 20), DAYS).await.unwrap(), 11);
}

/// Batches of days that no clock wrote, of long ago and of days to come.
#[tokio::test]
async fn no_time_of_a_producer_decides_how_long_rows_live() {
    const DAY: i64 = 86_400_000;
    let engine = Engine::start();
    let client = engine.database("lifetime", ALL).await;
    let store = LogStore::new(client.clone());
    let now = i64::try_from(
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_millis(),
    )
    .unwrap();
    // An intent of an old version may carry any of these.
    let days = [-1, now / 1000, now - 40 * DAY, now, now + 400 * DAY].map(Day::of_millis);
    for (partition, own) in (0..).zip(days) {
        let days = Days { own, since: own };
        let batch = batch(partition, 0, 50);
        store.insert(&batch, days).await.unwrap();
        // Again, as after a lost answer.
        store.insert(&batch, days).await.unwrap();
        assert_eq!(store.count(&batch, days).await.unwrap(), 50, "{own}");
    }
    answer(&client, "OPTIMIZE TABLE logs FINAL").await;
    answer(
        &client,
        "ALTER TABLE logs MATERIALIZE TTL SETTINGS mutations_sync = 2",
    )
    .await;
    let counts = "SELECT kafka_partition, count() FROM logs GROUP BY 1 ORDER BY 1 FORMAT TSVRaw";
    assert_eq!(
        answer(&client, counts).await,
        "0\t50\n1\t50\n2\t50\n3\t50\n4\t50"
    );
}

/// More different values than two bytes count, in every column that is sent by values.
#[tokio::test]
async fn any_number_of_different_services_hosts_and_keys_is_stored() {
    const ROWS: i64 = 70_000;
    let engine = Engine::start();
    let client = engine.database("many", ALL).await;
    let mut rows = LogRows::default();
    for offset in 0..ROWS {
        let (service, host, key) = (
            format!("s{offset}"),
            format!("h{offset}"),
            format!("k{offset}"),
        );
        let row = LogRow {
            timestamp: START,
            timestamp_source: TimestampSource::Record,
            service: &service,
            level: Level::Info,
            is_error: false,
            message: "m",
            template_id: 0,
            host: &host,
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
        rows.push(&row, [(key.as_str(), host.as_str())]);
    }
    let store = LogStore::new(client.clone());
    store
        .insert(&batch_of(0, 0, ROWS, rows), DAYS)
        .await
        .unwrap();
    let right = "SELECT count() FROM logs WHERE service = concat('s', toString(kafka_offset)) \
                 AND host = concat('h', toString(kafka_offset)) AND attributes[concat('k', toString(kafka_offset))] = host";
    assert_eq!(answer(&client, right).await, ROWS.to_string());
    assert_eq!(answer(&client, SUMS).await, "(70000,0,0)\t(70000,0,0)");
}

#[tokio::test]
async fn halves_of_a_block_are_the_block() {
    let engine = Engine::start();
    let client = engine.database("halves", ALL).await;
    let store = LogStore::new(client.clone());
    let (first, second) = batch(0, 0, 101).halve();
    store.insert(&first, DAYS).await.unwrap();
    store.insert(&second, DAYS).await.unwrap();
    let contents = "SELECT count(), sum(cityHash64(* EXCEPT (kafka_partition))) FROM logs WHERE kafka_partition = ";
    store.insert(&batch(1, 0, 101), DAYS).await.unwrap();
    assert_eq!(
        answer(&client, &format!("{contents} 0")).await,
        answer(&client, &format!("{contents} 1")).await
    );
}

/// Would catch sums that lie anywhere but in the part of the rows: there a repair counts twice.
#[tokio::test]
async fn windows_count_what_is_stored_through_repeats_losses_and_repairs() {
    let engine = Engine::start();
    let client = engine.database("windows", ALL).await;
    let store = LogStore::new(client.clone());
    let batch = batch(0, 0, 1000);
    for _ in 0..3 {
        store.insert(&batch, DAYS).await.unwrap();
    }
    let whole = "(1000,333,100)\t(1000,333,100)";
    assert_eq!(answer(&client, SUMS).await, whole);
    for loss in [
        "DELETE FROM logs WHERE kafka_offset % 7 = 0",
        "ALTER TABLE logs DELETE WHERE kafka_offset % 3 = 0",
        "ALTER TABLE logs DROP PARTITION '2099-12-31'",
    ] {
        answer(&client, loss).await;
        let left = answer(&client, SUMS).await;
        let (lines, windows) = left.split_once('\t').unwrap();
        assert_eq!(lines, windows, "{loss}");
        assert!(store.repair(&batch, DAYS, 0).await.unwrap() > 0, "{loss}");
        assert_eq!(answer(&client, SUMS).await, whole, "{loss}");
    }
    answer(&client, "OPTIMIZE TABLE logs FINAL").await;
    assert_eq!(answer(&client, SUMS).await, whole);
    let one = "SELECT records, errors, levels, late, finalizeAggregation(latency)[1] FROM log_windows \
               WHERE service = 'cart' AND window_start = toDateTime('2026-11-21 07:00:10', 'UTC')";
    // Offsets 102, 105 … 198; every second of them has a latency, its offset.
    assert_eq!(answer(&client, one).await, "33\t0\t{3:33}\t3\t150");
}

/// The schema as it was released first, with lines in it, brought up to date.
#[tokio::test]
async fn a_database_with_lines_is_brought_up_to_date_with_them() {
    let engine = Engine::start();
    let old = engine.database("upgraded", &ALL[..4]).await;
    let store = LogStore::new(old.clone());
    for partition in 0..3 {
        store
            .insert(&batch(partition, 0, 5000), DAYS)
            .await
            .unwrap();
    }
    let windows = "SELECT service, window_start, sum(log_windows.records), sum(log_windows.errors), sumMap(log_windows.levels), sum(log_windows.late), \
                   quantilesTDigestMerge(0.5, 0.9, 0.99)(latency) FROM log_windows GROUP BY service, window_start \
                   ORDER BY service, window_start FORMAT TSV";
    let before = answer(&old, windows).await;
    assert_eq!(before.lines().count(), 150);
    let new = engine.database("upgraded", ALL).await;
    assert_eq!(answer(&new, windows).await, before);
    // What is filled in behind is seen to be there: an OPTIMIZE waits for it.
    answer(&new, "ALTER TABLE logs MATERIALIZE PROJECTION windows").await;
    let by_projection = windows.replace(
        "FORMAT TSV",
        "SETTINGS force_optimize_projection = 1 FORMAT TSV",
    );
    assert_eq!(answer(&new, &by_projection).await, before);
    LogStore::new(new.clone())
        .insert(&batch(0, 5000, 6000), DAYS)
        .await
        .unwrap();
    assert_eq!(
        answer(&new, "SELECT sum(records) FROM log_windows").await,
        "16000"
    );
}

/// Somebody's own constraint refuses a row: the data is at fault, and none of the batch is there.
#[tokio::test]
async fn a_violated_constraint_is_the_datas_fault() {
    let engine = Engine::start();
    let client = engine.database("refused", ALL).await;
    answer(
        &client,
        "ALTER TABLE logs ADD CONSTRAINT no_seven CHECK kafka_offset != 7",
    )
    .await;
    let store = LogStore::new(client.clone());
    let batch = batch(0, 0, 10);
    let error = store.insert(&batch, DAYS).await.unwrap_err();
    assert_eq!(
        (error.kind, error.uncertain),
        (Kind::Rejected, false),
        "{error}"
    );
    assert_eq!(store.count(&batch, DAYS).await.unwrap(), 0);
}

#[tokio::test]
async fn the_deduplication_window_is_the_tables_own_or_the_servers() {
    let engine = Engine::start();
    let client = engine.database("window", ALL).await;
    let of = |tokens| DedupWindow {
        engine: "MergeTree".to_owned(),
        tokens,
        age: None,
    };
    assert_eq!(dedup_window(&client).await.unwrap(), of(10_000));
    answer(
        &client,
        "ALTER TABLE logs MODIFY SETTING non_replicated_deduplication_window = 77",
    )
    .await;
    assert_eq!(dedup_window(&client).await.unwrap(), of(77));
    answer(
        &client,
        "ALTER TABLE logs RESET SETTING non_replicated_deduplication_window",
    )
    .await;
    assert_eq!(dedup_window(&client).await.unwrap(), of(0));
    let missing = dedup_window(&client.in_database("nowhere"))
        .await
        .unwrap_err();
    assert!(missing.to_string().contains("nowhere.logs"), "{missing}");
}

/// Numbers are what an answer has, and names what people read.
#[tokio::test]
async fn errors_have_the_numbers_that_clickhouse_gives_them() {
    use clickhouse_store::error::{FATAL, REJECTED, TRANSIENT};
    let engine = Engine::start();
    let client = engine.database("codes", &[]).await;
    let all: Vec<_> = [REJECTED, FATAL, TRANSIENT].concat();
    let numbers: Vec<u32> = all.iter().map(|(number, _)| *number).collect();
    let question = format!("SELECT errorCodeToName(arrayJoin({numbers:?}))");
    let names = answer(&client, &question).await;
    for ((number, ours), theirs) in all.iter().zip(names.lines()) {
        assert_eq!(*ours, theirs, "{number}");
    }
    assert_eq!(names.lines().count(), all.len());
}
