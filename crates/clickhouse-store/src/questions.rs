//! What the API and the operator's command ask.

use clickhouse::Row;
use contracts::{
    Timestamp,
    rest::{Summary, VolumePoint},
};
use serde::Deserialize;

use crate::{Client, Error};

#[derive(Row, Deserialize)]
struct Bucket {
    t: u32,
    records: u64,
    errors: u64,
}

/// Records and errors per bucket over the last `minutes`, of one service or of all.
pub async fn volume(
    client: &Client,
    minutes: u32,
    bucket_seconds: u32,
    service: Option<&str>,
) -> Result<Vec<VolumePoint>, Error> {
    let filter = if service.is_some() {
        "AND service = ?"
    } else {
        ""
    };
    let sql = format!(
        "SELECT toUnixTimestamp(toStartOfInterval(window_start, INTERVAL {bucket_seconds} SECOND)) AS t, \
         sum(log_windows.records) AS records, sum(log_windows.errors) AS errors FROM log_windows \
         WHERE window_start >= now() - INTERVAL {minutes} MINUTE AND window_start <= now() + INTERVAL 5 MINUTE {filter} \
         GROUP BY t ORDER BY t"
    );
    let mut question = client.question(&sql);
    if let Some(service) = service {
        question = question.bind(service);
    }
    let buckets = question.all::<Bucket>().await?;
    let point = |bucket: Bucket| VolumePoint {
        t: Timestamp::from_millis(i64::from(bucket.t) * 1000),
        records: bucket.records,
        errors: bucket.errors,
    };
    Ok(buckets.into_iter().map(point).collect())
}

/// Those with most records over the last `minutes`: enough for a menu; who has more types a name.
pub async fn services(client: &Client, minutes: u32) -> Result<Vec<String>, Error> {
    client
        .question("SELECT service FROM log_windows WHERE window_start >= now() - INTERVAL ? MINUTE GROUP BY service ORDER BY sum(records) DESC LIMIT 500")
        .bind(minutes)
        .all::<String>()
        .await
}

#[derive(Row, Deserialize)]
struct Totals {
    records: u64,
    errors: u64,
    services: u64,
}

/// Everything that is stored. Dead letters are Kafka's to count.
pub async fn summary(client: &Client) -> Result<Summary, Error> {
    let totals = client
        .question("SELECT sum(log_windows.records) AS records, sum(log_windows.errors) AS errors, uniqExact(service) AS services FROM log_windows")
        .one::<Totals>()
        .await?;
    let open_anomalies = client
        .question("SELECT count() FROM (SELECT argMax(state, version) AS newest FROM anomalies GROUP BY id) WHERE newest != 'closed'")
        .one::<u64>()
        .await?;
    Ok(Summary {
        records: totals.records,
        errors: totals.errors,
        services: totals.services,
        open_anomalies,
        dead_lettered: 0,
    })
}
