//! Checks the services: do they say that they are ready, and if not, why.

use local_stack::Running;
use serde::Deserialize;

use super::finding::Finding;
use crate::http;

const AREA: &str = "services";

/// The part of a `/ready` answer that says why not.
#[derive(Debug, Default, Deserialize)]
struct Readiness {
    #[serde(default)]
    latches: Vec<Latch>,
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
    futures::future::join_all(each).await
}

async fn ready(client: &reqwest::Client, service: &str, admin: &str) -> Finding {
    let url = format!("{admin}/ready");
    let logs = format!("read the end of its log; it is {service}.log in the data directory's logs");
    let answer = match client.get(&url).send().await {
        Ok(answer) => answer,
        Err(error) => {
            let what = format!("{service} does not answer at {url}: {error}");
            return Finding::wrong(AREA, what, logs);
        }
    };
    if answer.status().is_success() {
        if let Some(passed) = undecodable(client, admin).await {
            return Finding::wrong(
                AREA,
                format!("{service} is ready, and has passed what cannot be decoded: {passed}"),
                "look for `cannot be decoded` in its log, which has the reason; find out which producer writes it",
            );
        }
        return Finding::fine(AREA, format!("{service} is ready"));
    }
    let body = answer.text().await.unwrap_or_default();
    Finding::wrong(
        AREA,
        format!("{service} is not ready: {}", reasons(&body)),
        logs,
    )
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

fn reasons(body: &str) -> String {
    let readiness: Readiness = serde_json::from_str(body).unwrap_or_default();
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
    use super::{passed, reasons};

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
        assert_eq!(reasons(body), "clickhouse (connection refused)");
    }

    #[test]
    fn an_answer_of_another_kind_gives_no_reason() {
        assert_eq!(reasons("not found"), "it does not say why");
    }
}
