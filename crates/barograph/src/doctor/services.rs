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
        return Finding::fine(AREA, format!("{service} is ready"));
    }
    let body = answer.text().await.unwrap_or_default();
    Finding::wrong(
        AREA,
        format!("{service} is not ready: {}", reasons(&body)),
        logs,
    )
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
    use super::reasons;

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
