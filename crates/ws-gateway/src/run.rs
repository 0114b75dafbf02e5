//! Wires the gateway: options, Kafka, ClickHouse, log, server.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use clickhouse_store::{Client, Target};
use contracts::topics;
use kafka_io::{Connection, reader as kafka_reader};
use pipeline::ports::Kind;
use service_kit::http::{Hosts, Limits, Listener, Server, descriptors};
use service_kit::options::{Bounded, Name};
use service_kit::{Exit, HasExit, Latch, Readiness, Registry, Tasks, admin};
use tokio::net::TcpListener;

use crate::app::{App, Timing, router};
use crate::clients::Clients;
use crate::health::Health;
use crate::log::{Bounds, SharedLog};
use crate::metrics::Metrics;
use crate::options::Options;
use crate::reader::Reader;
use crate::server;
use crate::stored::{DeadLetters, Stored};

const PING_CLICKHOUSE_EVERY: Duration = Duration::from_secs(5);
const PING_WITHIN: Duration = Duration::from_secs(3);

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("GATEWAY_LISTEN: cannot listen on {address}: {source}; is another instance running?")]
    Listen {
        address: String,
        source: std::io::Error,
    },
    #[error(transparent)]
    Kafka(#[from] kafka_io::Error),
    #[error(transparent)]
    ClickHouse(#[from] clickhouse_store::Error),
}

impl HasExit for RunError {
    fn exit(&self) -> Exit {
        match self {
            Self::Listen { .. } => Exit::Unavailable,
            Self::Kafka(_) | Self::ClickHouse(_) => Exit::Fatal,
        }
    }
}

/// The gateway before it runs: nothing is connected yet.
pub struct Gateway {
    pub options: Options,
    metrics: Metrics,
    registry: Registry,
    readiness: Readiness,
    kafka: Latch,
    clickhouse: Latch,
}

impl Gateway {
    pub fn new(options: Options, registry: &Registry, readiness: &Readiness) -> Self {
        Self {
            options,
            metrics: Metrics::new(registry),
            registry: registry.clone(),
            readiness: readiness.clone(),
            kafka: readiness.latch("kafka"),
            clickhouse: readiness.latch("clickhouse"),
        }
    }

    pub async fn run(self, tasks: Tasks) -> Result<(), RunError> {
        let options = &self.options;
        let address = options.gateway_listen.get();
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| RunError::Listen {
                address: address.to_string(),
                source,
            })?;
        let connection = Connection::from(&options.kafka);
        let client = Arc::new(kafka_reader::client(&connection)?);
        let clickhouse = Client::new(Target::from(&options.clickhouse))?;
        let keep = options.gateway_keep.as_usize();
        let log = Arc::new(SharedLog::new(Bounds {
            entries: keep,
            bytes: options.gateway_keep_bytes.as_usize(),
        }));
        let reader = Reader {
            connection,
            client: Arc::clone(&client),
            topic: options.kafka_anomalies_topic.to_string(),
            keep,
            log: Arc::clone(&log),
            health: Health::new(self.kafka, "kafka"),
            metrics: self.metrics.clone(),
        };
        let configured = options.kafka_dead_letter_topic.as_ref();
        let dead_letters = topics::dead_letters(
            configured.map(Name::as_str),
            options.kafka.kafka_topic.as_str(),
        );
        let clients = Clients::new(options.gateway_max_clients.as_usize(), self.metrics.clone());
        let app = Arc::new(App {
            log,
            clients: clients.clone(),
            metrics: self.metrics,
            stored: Stored::new(
                &clickhouse,
                options.gateway_max_questions.as_usize(),
                DeadLetters::new(client, dead_letters),
            ),
            allowed_origins: options.gateway_allowed_origins.clone(),
            queue: options.gateway_client_queue.as_usize(),
            timing: Timing::default(),
            tasks: tasks.clone(),
        });
        let routes = router(app).merge(admin::router(self.readiness, self.registry.clone()));
        let server = Server::new(
            Listener::Clients,
            routes,
            Hosts::new(
                options.gateway_allowed_hosts.clone(),
                "GATEWAY_ALLOWED_HOSTS",
            ),
            limits(options),
            &self.registry,
        );

        match listener.local_addr() {
            Ok(address) => tracing::info!(%address, "the gateway is up"),
            Err(error) => tracing::warn!(%error, "the gateway is up"),
        }
        let health = Health::new(self.clickhouse, "clickhouse");
        tasks.spawn("reader", reader.run(tasks.clone()));
        tasks.spawn(
            "clickhouse",
            watch_clickhouse(clickhouse, health, tasks.clone()),
        );
        tasks.spawn(
            "server",
            server::serve(listener, server, clients, tasks.clone()),
        );
        tasks.stopping().await;
        Ok(())
    }
}

/// What strangers may take: as configured, and less where that would take the descriptors which
/// Kafka and ClickHouse need.
fn limits(options: &Options) -> Limits {
    let wanted = options.gateway_max_connections.as_usize();
    let possible = descriptors::for_clients(descriptors::limit());
    if possible < wanted {
        tracing::warn!(
            wanted,
            possible,
            "GATEWAY_MAX_CONNECTIONS: the limit of open files allows fewer (ulimit -n)"
        );
    }
    let connections = wanted.min(possible);
    let per_address = options.gateway_max_connections_per_address;
    Limits {
        connections,
        per_address: per_address.map_or(connections.div_ceil(2), Bounded::as_usize),
        unsent_bytes: options.gateway_unsent_bytes.as_usize(),
        within: options.gateway_client_timeout.get(),
    }
}

async fn watch_clickhouse(
    client: Client,
    mut health: Health,
    tasks: Tasks,
) -> Result<(), Infallible> {
    loop {
        match tokio::time::timeout(PING_WITHIN, client.ping()).await {
            Ok(Ok(())) => health.well(),
            // It answers, and time alone will not make it say yes.
            Ok(Err(error)) if error.kind() == Kind::Fatal => {
                health.unwell(
                    "clickhouse refuses us; see CLICKHOUSE_USER and CLICKHOUSE_PASSWORD",
                    &error,
                );
            }
            Ok(Err(error)) => health.unwell("clickhouse does not answer", &error),
            Err(late) => health.unwell("clickhouse does not answer", &late),
        }
        tokio::select! {
            () = tasks.stopping() => return Ok(()),
            () = tokio::time::sleep(PING_CLICKHOUSE_EVERY) => {}
        }
    }
}
