//! Kafka, ClickHouse and the services on top, started and stopped together.
//!
//! Invariant: services end before the stores they write to, however the stack ends. (If its owner
//! is killed, all end at once.)

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    StackError,
    child::Child,
    clickhouse::ClickHouse,
    config::StackConfig,
    ground::{Ground, Needs},
    kafka::Kafka,
    keeper::keep,
    progress::{Event, Progress},
    service::Service,
};

/// The whole of it.
pub struct LocalStack {
    services: Mutex<Vec<Arc<Child>>>,
    pub kafka: Kafka,
    pub clickhouse: ClickHouse,
    ground: Ground,
}

impl LocalStack {
    /// Fetches what is missing, then starts both stores at the same time and waits until they
    /// answer. Dropping the future ends what was started.
    pub async fn start(config: StackConfig, progress: Progress) -> Result<Self, StackError> {
        let needs = Needs {
            kafka: true,
            clickhouse: true,
        };
        let ground = Ground::prepare(config, needs, progress).await?;
        let (kafka, clickhouse) =
            tokio::try_join!(Kafka::start(&ground), ClickHouse::start(&ground))?;
        Ok(Self {
            services: Mutex::default(),
            kafka,
            clickhouse,
            ground,
        })
    }

    /// Starts a program of the product. It knows where Kafka and ClickHouse are.
    pub fn spawn_service(&self, service: Service) -> Result<Arc<Child>, StackError> {
        let program = self.ground.binaries.sibling(&service.program)?;
        (self.ground.progress)(Event::Starting {
            part: service.name.clone(),
        });
        let mut part = self
            .ground
            .part(&service.name, program, service.args, service.grace);
        part.env = self.env_for_services();
        part.env.extend(service.env);
        let child = Arc::new(Child::start(part)?);
        self.services().push(child.clone());
        Ok(child)
    }

    /// Where the stores are, in the variables that every service reads.
    pub fn env_for_services(&self) -> Vec<(String, String)> {
        [
            ("KAFKA_BROKERS", self.kafka.brokers()),
            ("CLICKHOUSE_URL", self.clickhouse.url()),
            ("CLICKHOUSE_USER", self.ground.config.user.clone()),
            ("CLICKHOUSE_PASSWORD", self.ground.password.clone()),
            ("CLICKHOUSE_DATABASE", self.ground.config.database.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    pub fn config(&self) -> &StackConfig {
        &self.ground.config
    }

    pub fn password(&self) -> &str {
        &self.ground.password
    }

    pub fn data_dir(&self) -> &Path {
        &self.ground.data_dir
    }

    /// Process ids of all parts and their supervisors, as far as they run.
    pub fn pids(&self) -> Vec<u32> {
        let services = self.services().clone();
        let mut pids = Vec::new();
        for child in [self.kafka.child(), self.clickhouse.child()]
            .into_iter()
            .chain(services.iter().map(AsRef::as_ref))
        {
            pids.extend(child.pid());
            pids.extend(child.supervisor_pid());
        }
        pids
    }

    /// Starts again whatever dies, for ever. Services spawned later are not looked after.
    pub async fn keep_running(&self) {
        let services = self.services().clone();
        let progress = &self.ground.progress;
        let kept = services
            .iter()
            .map(|child| keep(child, async || child.start_again(), progress));
        tokio::join!(
            keep(
                self.kafka.child(),
                async || self.kafka.start_again().await,
                progress
            ),
            keep(
                self.clickhouse.child(),
                async || self.clickhouse.start_again().await,
                progress
            ),
            futures::future::join_all(kept),
        );
    }

    /// Ends everything: services first, then both stores.
    pub async fn stop(&self) {
        let services = self.services().clone();
        for service in &services {
            service.ask_to_stop();
        }
        for service in &services {
            service.ended().await;
        }
        tokio::join!(self.clickhouse.child().stop(), self.kafka.child().stop());
    }

    /// Ends everything now, without grace.
    pub async fn kill(&self) {
        let services = self.services().clone();
        for service in services {
            service.kill9().await;
        }
        self.clickhouse.child().kill9().await;
        self.kafka.child().kill9().await;
    }

    fn services(&self) -> MutexGuard<'_, Vec<Arc<Child>>> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LocalStack {
    /// As [`LocalStack::stop`], blocking; nothing is left to do after it.
    fn drop(&mut self) {
        let services = std::mem::take(&mut *self.services());
        for service in &services {
            service.ask_to_stop();
        }
        for service in &services {
            service.stop_blocking();
        }
        self.clickhouse.child().ask_to_stop();
        self.kafka.child().ask_to_stop();
        self.clickhouse.child().stop_blocking();
        self.kafka.child().stop_blocking();
    }
}

/// Kafka without the rest, for tests of what speaks to Kafka only.
pub struct LocalKafka {
    pub kafka: Kafka,
    _ground: Ground,
}

impl LocalKafka {
    pub async fn start(config: StackConfig, progress: Progress) -> Result<Self, StackError> {
        let needs = Needs {
            kafka: true,
            clickhouse: false,
        };
        let ground = Ground::prepare(config, needs, progress).await?;
        Ok(Self {
            kafka: Kafka::start(&ground).await?,
            _ground: ground,
        })
    }
}

/// ClickHouse without the rest, for tests of what speaks to ClickHouse only.
pub struct LocalClickHouse {
    pub clickhouse: ClickHouse,
    ground: Ground,
}

impl LocalClickHouse {
    pub async fn start(config: StackConfig, progress: Progress) -> Result<Self, StackError> {
        let needs = Needs {
            kafka: false,
            clickhouse: true,
        };
        let ground = Ground::prepare(config, needs, progress).await?;
        Ok(Self {
            clickhouse: ClickHouse::start(&ground).await?,
            ground,
        })
    }

    pub fn user(&self) -> &str {
        &self.ground.config.user
    }

    pub fn password(&self) -> &str {
        &self.ground.password
    }
}
