//! Kafka or ClickHouse is not there yet when a service starts.

use clickhouse_store::{Client, Target, migrate};
use kafka_io::{Connection, topics};
use local_stack::{
    LocalClickHouse, LocalKafka, Ports, Service, StackConfig, ports::loopback, progress,
};
use test_kit::{Running, wait};

use crate::stack;

/// Alive, not ready, and `/ready` says that it waits for each of `missing`.
async fn waits_for(service: &Running, missing: &[&str]) -> anyhow::Result<()> {
    let what = format!("{} waits for {missing:?}", service.child.name());
    let mut last = String::new();
    let waited = wait::until(&what, wait::LONG, async || {
        let Ok((live, ready, report)) = service.health().await else {
            return Ok(None);
        };
        last = format!("{live} {ready} {report}");
        let report: serde_json::Value = serde_json::from_str(&report)?;
        let waiting: Vec<_> = report["latches"]
            .as_array()
            .into_iter()
            .flatten()
            // What has not been looked at yet waits for those that are named.
            .filter(|latch| latch["ready"] == false && latch["reason"] != "starting")
            .collect();
        let named: Vec<_> = waiting
            .iter()
            .filter_map(|latch| latch["name"].as_str())
            .collect();
        let reasons = waiting.iter().all(|latch| {
            latch["reason"]
                .as_str()
                .is_some_and(|reason| !reason.is_empty())
        });
        Ok((live == 200 && ready == 503 && named == missing && reasons).then_some(()))
    })
    .await;
    waited.map_err(|error| service.with_log(error.context(last)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_start_first_wait_and_recover() -> anyhow::Result<()> {
    let starter = stack().await?;
    let (kafka_dir, clickhouse_dir) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let ports = Ports::free()?;
    let config = |dir: &tempfile::TempDir| StackConfig {
        data_dir: dir.path().to_owned(),
        ports: ports.clone(),
        password: Some("absent".to_owned()),
        ..StackConfig::default()
    };
    let target = Target {
        url: format!("http://{}", loopback(ports.clickhouse)),
        database: config(&clickhouse_dir).database,
        user: config(&clickhouse_dir).user,
        password: "absent".to_owned(),
    };
    let service = |program: &str| {
        Service::new(program)
            .named(&format!("early-{program}"))
            .env("KAFKA_BROKERS", loopback(ports.kafka).to_string())
            .env("CLICKHOUSE_URL", &target.url)
            .env("CLICKHOUSE_USER", &target.user)
            .env("CLICKHOUSE_PASSWORD", &target.password)
            .env("CLICKHOUSE_DATABASE", &target.database)
            .env("GATEWAY_LISTEN", loopback(ports.gateway).to_string())
    };
    let processor = starter.spawn(service("anomaly-processor"))?;
    let gateway = starter.spawn(service("ws-gateway"))?;
    let generator = starter.spawn(service("log-generator").arg("--rate").arg("50"))?;
    tokio::try_join!(
        waits_for(&processor, &["kafka", "clickhouse"]),
        waits_for(&gateway, &["kafka", "clickhouse"]),
        waits_for(&generator, &["kafka"]),
    )?;

    let clickhouse = LocalClickHouse::start(config(&clickhouse_dir), progress::silent()).await?;
    // It answers, and lacks the schema: the processor says so.
    waits_for(&gateway, &["kafka"]).await?;
    let client = Client::new(target.clone())?;
    migrate::apply(&client, migrate::ALL).await?;
    waits_for(&processor, &["kafka"]).await?;

    let kafka = LocalKafka::start(config(&kafka_dir), progress::silent()).await?;
    let connection = Connection::plain(kafka.kafka.brokers());
    topics::ensure(&connection, &topics::layout("app-logs", "anomalies", 2, 1)).await?;
    tokio::try_join!(processor.ready(), gateway.ready(), generator.ready())?;
    let flows = wait::until("records flow into the store", wait::LONG, async || {
        let answer = client.execute("SELECT count() FROM logs", &[]).await?;
        Ok((answer.as_ref() != b"0\n").then_some(()))
    });
    flows.await.map_err(|error| processor.with_log(error))?;
    for service in [&processor, &gateway, &generator] {
        assert_eq!(service.child.state().run, 1, "{}", service.child.name());
        assert!(service.child.is_running());
    }

    // And away again in the middle.
    clickhouse.clickhouse.child().kill9().await;
    waits_for(&processor, &["clickhouse"]).await?;
    clickhouse.clickhouse.start_again().await?;
    tokio::try_join!(processor.ready(), gateway.ready())?;
    Ok(())
}

/// What somebody has to mend is said as it is, and not as a broker that is away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_lets_nobody_in_is_not_one_that_is_away() -> anyhow::Result<()> {
    let space = crate::space("refused").await?;
    let listen = loopback(Ports::free()?.gateway).to_string();
    for (program, protocol, said) in [
        ("anomaly-processor", "ssl", "SSL handshake failed"),
        ("anomaly-processor", "sasl_plaintext", "SASL"),
        ("ws-gateway", "ssl", "SSL handshake failed"),
    ] {
        let mut service = space
            .service(program, protocol)
            .env("KAFKA_SECURITY_PROTOCOL", protocol)
            .env("GATEWAY_LISTEN", &listen);
        if protocol == "sasl_plaintext" {
            service = service
                .env("KAFKA_SASL_MECHANISM", "PLAIN")
                .env("KAFKA_SASL_USERNAME", "somebody")
                .env("KAFKA_SASL_PASSWORD", "something");
        }
        let running = space.stack.spawn(service)?;
        let what = format!("{program} says why {protocol} does not do");
        let mut last = String::new();
        let said = wait::until(&what, wait::LONG, async || {
            let Ok((live, ready, report)) = running.health().await else {
                return Ok(None);
            };
            let is_said = report.contains("lets this client in") && report.contains(said);
            last = report;
            Ok((live == 200 && ready == 503 && is_said).then_some(()))
        });
        said.await
            .map_err(|error| running.with_log(error.context(last)))?;
    }
    Ok(())
}
