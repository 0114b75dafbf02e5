//! What a measurement runs on: a stack of its own, in a temporary directory, on free ports.
//!
//! Invariant: when the work has ended, by whatever way, the stack is gone and so is its directory.

use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clickhouse_store::{Client, migrate};
use kafka_io::{Connection, topics};
use local_stack::{Child, LocalStack, Ports, Service, StackConfig, ports::loopback};

use super::process;
use command_kit::{display, http, interrupt::Interrupt, say, stores::Stores};

pub(super) struct Bed {
    // Before the directory: what runs in it ends first.
    pub(super) stack: LocalStack,
    pub(super) connection: Connection,
    pub(super) dir: tempfile::TempDir,
    http: reqwest::Client,
}

/// Names of what one run uses.
#[derive(Debug, Clone)]
pub(super) struct Space {
    pub(super) logs: String,
    pub(super) anomalies: String,
    /// Also the consumer group, and the services' names.
    pub(super) database: String,
}

/// A service that runs.
pub(super) struct Running {
    pub(super) child: Arc<Child>,
    admin: u16,
    http: reqwest::Client,
}

const LOOK_AT_MACHINE: Duration = Duration::from_secs(1);
const MOST_BUSY: f64 = 0.1;
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Does the work on a new stack and takes it down.
pub(super) async fn on<T>(
    cache_dir: Option<&Path>,
    work: impl AsyncFnOnce(&Bed) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut interrupt = Interrupt::listen()?;
    let busy = process::machine_busy(LOOK_AT_MACHINE).await?;
    if busy > MOST_BUSY {
        say::note(format_args!(
            "this machine is {:.0} % busy with something else: times will be worse than they could be",
            busy * 100.0
        ));
    }
    let dir = tempfile::tempdir().context("no room for temporary files")?;
    let mut config = StackConfig::on_free_ports(dir.path())?;
    if let Some(cache) = cache_dir {
        cache.clone_into(&mut config.cache_dir);
    }
    config.programs = ["anomaly-processor", "ws-gateway", "log-generator"]
        .map(str::to_owned)
        .to_vec();
    let stack = tokio::select! {
        started = LocalStack::start(config, display::progress()) => started?,
        () = interrupt.next() => bail!("interrupted"),
    };
    let bed = Bed {
        connection: Connection::plain(stack.kafka.brokers()),
        stack,
        dir,
        http: http::client()?,
    };
    let outcome = tokio::select! {
        outcome = work(&bed) => outcome,
        () = interrupt.next() => Err(anyhow::anyhow!("interrupted")),
    };
    bed.stack.stop().await;
    outcome
}

impl Bed {
    pub(super) fn stores(&self) -> Stores {
        Stores::of(&self.stack)
    }

    /// The topics of a space.
    pub(super) async fn topics(&self, space: &Space, partitions: i32) -> anyhow::Result<()> {
        let layout = topics::layout(&space.logs, &space.anomalies, partitions, 1);
        topics::ensure(&self.connection, &layout).await?;
        Ok(())
    }

    pub(super) fn client(&self, database: &str) -> anyhow::Result<Client> {
        Ok(self.stores().clickhouse()?.in_database(database))
    }

    /// A database with the schema of this version.
    pub(super) async fn database(&self, name: &str) -> anyhow::Result<Client> {
        let client = self.client(name)?;
        migrate::apply(&client, migrate::ALL).await?;
        Ok(client)
    }

    /// Returns when its data are gone.
    pub(super) async fn drop_database(&self, name: &str) -> anyhow::Result<()> {
        let statement = format!("DROP DATABASE IF EXISTS `{name}` SYNC");
        self.client("default")?.execute(&statement, &[]).await?;
        Ok(())
    }

    pub(super) async fn records_in(&self, topic: &str) -> anyhow::Result<u64> {
        let (connection, topic) = (self.connection.clone(), topic.to_owned());
        let limit = Duration::from_secs(10);
        let asked =
            tokio::task::spawn_blocking(move || topics::offsets(&connection, &topic, limit));
        let length = |(low, high): &(i64, i64)| (high - low).cast_unsigned();
        Ok(asked.await??.iter().map(length).sum())
    }

    /// The processor of a space, with the detectors as shipped. A topic that was filled beforehand
    /// ends at once, which is no silence of its services: that is not judged.
    pub(super) fn processor(&self, space: &Space) -> anyhow::Result<Running> {
        self.processor_of(space, 0, None)
    }

    /// One that has its partitions and has stored nothing yet, so that all it does is measured from now
    /// on. It has one member of the group: of several, the first reads before the last has joined.
    pub(super) async fn fresh_processor(&self, space: &Space) -> anyhow::Result<Running> {
        let processor = self.processor_of(space, 0, Some(1))?;
        processor.ready().await?;
        let stored = processor.stored().await?;
        if stored > 0 {
            bail!("{stored} records were stored before the measurement could begin");
        }
        Ok(processor)
    }

    /// One of several, with so many members of the group, or as many as there are cores.
    pub(super) fn processor_of(
        &self,
        space: &Space,
        number: u32,
        members: Option<u32>,
    ) -> anyhow::Result<Running> {
        let mut service = Service::new("anomaly-processor");
        if let Some(members) = members {
            service = service.env("PROCESSOR_THREADS", members.to_string());
        }
        let service = service
            .named(&format!("processor-{}-{number}", space.database))
            .env("KAFKA_TOPIC", &space.logs)
            .env("KAFKA_ANOMALIES_TOPIC", &space.anomalies)
            .env("KAFKA_GROUP_ID", &space.database)
            .env("CLICKHOUSE_DATABASE", &space.database)
            .env("DETECTION_IDLE_TIMEOUT", "1h");
        self.spawn(service)
    }

    /// The gateway of a space.
    pub(super) fn gateway(&self, space: &Space, listen: SocketAddr) -> anyhow::Result<Running> {
        let service = Service::new("ws-gateway")
            .env("GATEWAY_LISTEN", listen.to_string())
            .env("KAFKA_TOPIC", &space.logs)
            .env("KAFKA_ANOMALIES_TOPIC", &space.anomalies)
            .env("CLICKHOUSE_DATABASE", &space.database);
        self.spawn(service)
    }

    pub(super) fn spawn(&self, service: Service) -> anyhow::Result<Running> {
        let admin = Ports::free()?.processor_admin;
        let service = service.env("ADMIN_LISTEN", loopback(admin).to_string());
        Ok(Running {
            child: self.stack.spawn_service(service)?,
            admin,
            http: self.http.clone(),
        })
    }
}

impl Running {
    pub(super) fn pid(&self) -> anyhow::Result<u32> {
        self.child.pid().with_context(|| self.has_ended())
    }

    /// Looks every ten milliseconds, so that a measurement can begin then.
    pub(super) async fn ready(&self) -> anyhow::Result<Instant> {
        let url = format!("http://{}/ready", loopback(self.admin));
        let begun = Instant::now();
        while begun.elapsed() < READY_WITHIN {
            if !self.child.is_running() {
                bail!("{}", self.has_ended());
            }
            let answer = self.http.get(&url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!(
            "{} is not ready after {READY_WITHIN:?}:\n{}",
            self.child.name(),
            self.child.last_lines(20).join("\n")
        )
    }

    /// A number of the service's metrics, 0 as long as it is not there; `series` with its labels as
    /// they are written.
    pub(super) async fn metric(&self, series: &str) -> anyhow::Result<f64> {
        if !self.child.is_running() {
            bail!("{}", self.has_ended());
        }
        let url = format!("http://{}/metrics", loopback(self.admin));
        let text = self.http.get(&url).send().await?.text().await?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
        Ok(value.unwrap_or(0.0))
    }

    /// Rows that the processor says are stored.
    pub(super) async fn stored(&self) -> anyhow::Result<u64> {
        let stored = self.metric(r#"barograph_records_total{ending="stored"}"#);
        Ok(stored.await? as u64)
    }

    /// Waits until so many rows are stored.
    pub(super) async fn stored_all(&self, records: u64) -> anyhow::Result<Instant> {
        let within = patience(records);
        let begun = Instant::now();
        loop {
            let stored = self.stored().await?;
            if stored >= records {
                return Ok(Instant::now());
            }
            if begun.elapsed() > within {
                bail!(
                    "{stored} of {records} records are stored after {within:?}; {}",
                    self.last_lines()
                );
            }
            // The answer costs the one that is measured something.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) async fn stop(&self) -> anyhow::Result<()> {
        let ending = self.child.stop().await;
        if !ending.is_success() {
            bail!("{} {ending}; {}", self.child.name(), self.last_lines());
        }
        Ok(())
    }

    fn has_ended(&self) -> String {
        format!("{} has ended; {}", self.child.name(), self.last_lines())
    }

    fn last_lines(&self) -> String {
        format!(
            "the end of its log:\n{}",
            self.child.last_lines(20).join("\n")
        )
    }
}

/// For so many records to be stored: many times what that should take.
pub(super) fn patience(records: u64) -> Duration {
    Duration::from_secs(60 + records / 10_000)
}

/// Runs what blocks in a thread of its own, which an interrupt does not wait for.
pub(super) async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let (done, outcome) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("bench".to_owned())
        .spawn(move || {
            // Nobody waits any more when it was interrupted.
            let _ = done.send(work());
        })?;
    outcome.await.context("the thread of the bench panicked")?
}

/// An error unless the query answers so.
pub(super) async fn exactly(client: &Client, query: &str, expected: u64) -> anyhow::Result<()> {
    let counted = client
        .typed()
        .query(query)
        .fetch_one::<u64>()
        .await
        .with_context(|| query.to_owned())?;
    if counted != expected {
        bail!("the sum is not exact: {query} answers {counted} instead of {expected}");
    }
    Ok(())
}
