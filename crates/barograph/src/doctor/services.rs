//! Checks the services: do they say that they are ready, and if not, why.

use local_stack::Running;
use serde::Deserialize;

use super::finding::Finding;
use command_kit::http;

const AREA: &str = "services";

/// The part of a `/ready` answer that says why not.
#[derive(Debug, Default, Deserialize)]
struct Readiness {
    #[serde(default)]
    latches: Vec<Latch>,
    #[serde(default)]
    partitions: Vec<Partition>,
}

/// One partition of a processor.
#[derive(Debug, Deserialize)]
struct Partition {
    #[serde(rename = "partition")]
    number: i32,
    state: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    stalled_seconds: u64,
    lag: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Latch {
    name: String,
    ready: bool,
    #[serde(default)]
    reason: String,
}

pub(crate) async fn check(running: Option<&Running>) -> Vec<Finding> {
    let Some(running) = running else {
        return vec![Finding::note(
            AREA,
            "not looked at: no stack of this data directory runs",
            "ask each service at /ready of its admin port",
        )];
    };
    let client = match http::client() {
        Ok(client) => client,
        Err(error) => return vec![Finding::wrong(AREA, error.to_string(), "see above")],
    };
    let each = running
        .admin
        .iter()
        .map(|(service, admin)| ready(&client, service, admin));
    let each = futures::future::join_all(each).await;
    each.into_iter().flatten().collect()
}

async fn ready(client: &reqwest::Client, service: &str, admin: &str) -> Vec<Finding> {
    let url = format!("{admin}/ready");
    let logs = format!("read the end of its log; it is {service}.log in the data directory's logs");
    let answer = match client.get(&url).send().await {
        Ok(answer) => answer,
        Err(error) => {
            let what = format!("{service} does not answer at {url}: {error}");
            return vec![Finding::wrong(AREA, what, logs)];
        }
    };
    let is_ready = answer.status().is_success();
    let body = answer.text().await.unwrap_or_default();
    let readiness: Readiness = serde_json::from_str(&body).unwrap_or_default();
    let mut findings = vec![if is_ready {
        match undecodable(client, admin).await {
            Some(passed) => Finding::wrong(
                AREA,
                format!("{service} is ready, and has passed what cannot be decoded: {passed}"),
                "look for `cannot be decoded` in its log, which has the reason; find out which producer writes it",
            ),
            None => Finding::fine(AREA, format!("{service} is ready")),
        }
    } else {
        Finding::wrong(
            AREA,
            format!("{service} is not ready: {}", reasons(&readiness)),
            logs,
        )
    }];
    let stalled = readiness.partitions.iter();
    findings.extend(stalled.filter_map(|partition| judge_partition(service, partition)));
    findings
}

/// Batches that the client library cannot decode are passed; `None`: there were none.
async fn undecodable(client: &reqwest::Client, admin: &str) -> Option<String> {
    let answer = client.get(format!("{admin}/metrics")).send().await.ok()?;
    passed(&answer.text().await.ok()?)
}

fn passed(metrics: &str) -> Option<String> {
    let counted = [
        r#"barograph_offsets_skipped_total{reason="unreadable"} "#,
        r#"barograph_gateway_anomalies_read_total{record="undecodable"} "#,
    ];
    let counts = counted
        .iter()
        .filter_map(|name| metrics.lines().find_map(|line| line.strip_prefix(name)));
    let count = counts
        .filter_map(|count| count.parse::<f64>().ok())
        .sum::<f64>();
    if count == 0.0 {
        return None;
    }
    let places = metrics
        .lines()
        .filter_map(|line| {
            let place = line.strip_prefix("barograph_unreadable_offset{partition=\"")?;
            let (partition, offset) = place.split_once("\"} ")?;
            Some(format!(
                ", the last in partition {partition} at offset {offset}"
            ))
        })
        .collect::<String>();
    Some(format!("{count} offsets{places}"))
}

/// One that stands still, or does not read.
fn judge_partition(service: &str, partition: &Partition) -> Option<Finding> {
    let Partition {
        number,
        state,
        reason,
        stalled_seconds,
        lag,
    } = partition;
    if *stalled_seconds == 0 {
        return None;
    }
    let state = state.replace('_', " ");
    let why = if reason.is_empty() {
        String::new()
    } else {
        format!(" ({reason})")
    };
    let lag = lag.map_or_else(String::new, |lag| format!(", {lag} records behind"));
    let what = format!("{service}: partition {number} {state} for {stalled_seconds} s{why}{lag}");
    Some(Finding::warning(
        AREA,
        what,
        "the other partitions go on; what the reason names has to be mended for this one",
    ))
}

fn reasons(readiness: &Readiness) -> String {
    let closed: Vec<String> = readiness
        .latches
        .iter()
        .filter(|latch| !latch.ready)
        .map(|latch| format!("{} ({})", latch.name, latch.reason))
        .collect();
    if closed.is_empty() {
        return "it does not say why".to_owned();
    }
    closed.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Readiness {
        serde_json::from_str(body).unwrap_or_default()
    }

    #[test]
    fn what_was_passed_is_said_with_its_place() {
        let none = "barograph_offsets_skipped_total{reason=\"absent\"} 7\n\
                    barograph_offsets_skipped_total{reason=\"unreadable\"} 0\n";
        assert_eq!(passed(none), None);
        let some = "barograph_offsets_skipped_total{reason=\"unreadable\"} 3\n\
                    barograph_unreadable_offset{partition=\"2\"} 40\n";
        assert_eq!(
            passed(some).as_deref(),
            Some("3 offsets, the last in partition 2 at offset 40")
        );
    }

    #[test]
    fn only_what_is_not_ready_is_named() {
        let body = r#"{"ready":false,"stopping":false,"latches":[
            {"name":"kafka","ready":true,"reason":""},
            {"name":"clickhouse","ready":false,"reason":"connection refused"}]}"#;
        assert_eq!(reasons(&read(body)), "clickhouse (connection refused)");
    }

    #[test]
    fn an_answer_of_another_kind_gives_no_reason() {
        assert_eq!(reasons(&read("not found")), "it does not say why");
    }

    #[test]
    fn a_partition_that_stands_still_is_said_with_its_reason() {
        let body = r#"{"ready":true,"stopping":false,"latches":[],"partitions":[
            {"partition":0,"state":"flowing","reason":"","stalled_seconds":0,"lag":3},
            {"partition":4,"state":"no_leader","reason":"no broker leads it","stalled_seconds":41,"lag":70}]}"#;
        let found: Vec<_> = read(body)
            .partitions
            .iter()
            .filter_map(|partition| judge_partition("anomaly-processor", partition))
            .map(|finding| finding.what)
            .collect();
        assert_eq!(
            found,
            [
                "anomaly-processor: partition 4 no leader for 41 s (no broker leads it), 70 records behind"
            ]
        );
    }
}
