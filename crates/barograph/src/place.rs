//! Flags that say where a stack keeps its things and which ports it uses.
//!
//! Invariant: every flag has a variable, named after it with `BAROGRAPH_` before it.

use std::path::PathBuf;

use local_stack::{Ports, StackConfig, cache};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DataDir {
    /// Where the stack keeps what it stores, and its logs.
    #[arg(
        long,
        env = "BAROGRAPH_STACK_DIR",
        value_name = "DIR",
        default_value = ".barograph"
    )]
    pub(crate) data_dir: PathBuf,
}

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Ports and places")]
pub(crate) struct Place {
    #[command(flatten)]
    pub(crate) data: DataDir,
    /// Where Kafka and ClickHouse are kept once fetched [default: ~/.cache/barograph].
    #[arg(long, env = "BAROGRAPH_CACHE_DIR", value_name = "DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Kafka.
    #[arg(long, env = "BAROGRAPH_KAFKA_PORT", value_name = "PORT", default_value_t = Ports::default().kafka)]
    kafka_port: u16,
    /// Kafka's controller.
    #[arg(long, env = "BAROGRAPH_KAFKA_CONTROLLER_PORT", value_name = "PORT", default_value_t = Ports::default().kafka_controller)]
    kafka_controller_port: u16,
    /// ClickHouse.
    #[arg(long, env = "BAROGRAPH_CLICKHOUSE_PORT", value_name = "PORT", default_value_t = Ports::default().clickhouse)]
    clickhouse_port: u16,
    /// Dashboard, WebSocket and REST.
    #[arg(long, env = "BAROGRAPH_GATEWAY_PORT", value_name = "PORT", default_value_t = Ports::default().gateway)]
    gateway_port: u16,
    /// The processor's /ready and /metrics.
    #[arg(long, env = "BAROGRAPH_PROCESSOR_ADMIN_PORT", value_name = "PORT", default_value_t = Ports::default().processor_admin)]
    processor_admin_port: u16,
    /// The gateway's /ready and /metrics.
    #[arg(long, env = "BAROGRAPH_GATEWAY_ADMIN_PORT", value_name = "PORT", default_value_t = Ports::default().gateway_admin)]
    gateway_admin_port: u16,
    /// The generator's /ready and /metrics.
    #[arg(long, env = "BAROGRAPH_GENERATOR_ADMIN_PORT", value_name = "PORT", default_value_t = Ports::default().generator_admin)]
    generator_admin_port: u16,
    /// Any free ports instead of the ones above.
    #[arg(long, env = "BAROGRAPH_FREE_PORTS")]
    free_ports: bool,
}

impl Place {
    pub(crate) fn ports(&self) -> Result<Ports, local_stack::StackError> {
        if self.free_ports {
            return Ports::free();
        }
        Ok(Ports {
            kafka: self.kafka_port,
            kafka_controller: self.kafka_controller_port,
            clickhouse: self.clickhouse_port,
            gateway: self.gateway_port,
            processor_admin: self.processor_admin_port,
            gateway_admin: self.gateway_admin_port,
            generator_admin: self.generator_admin_port,
        })
    }

    pub(crate) fn cache_dir(&self) -> PathBuf {
        self.cache_dir.clone().unwrap_or_else(cache::default_dir)
    }

    pub(crate) fn stack_config(&self) -> Result<StackConfig, local_stack::StackError> {
        Ok(StackConfig {
            data_dir: self.data.data_dir.clone(),
            cache_dir: self.cache_dir(),
            ports: self.ports()?,
            ..StackConfig::default()
        })
    }
}

/// Name of the topic of logs.
pub(crate) fn topic_of_logs() -> String {
    env_or("KAFKA_TOPIC", contracts::topics::APP_LOGS)
}

/// Topic of what could not be read, as the services have it.
pub(crate) fn topic_of_dead_letters() -> String {
    let of_logs = contracts::topics::dead_letters_of(&topic_of_logs());
    env_or("KAFKA_DEAD_LETTER_TOPIC", &of_logs)
}

/// Topic of the anomalies.
pub(crate) fn topic_of_anomalies() -> String {
    env_or("KAFKA_ANOMALIES_TOPIC", contracts::topics::ANOMALIES)
}

/// The topics of the stack that the environment describes.
pub(crate) fn topics(partitions: i32) -> Vec<kafka_io::topics::TopicSpec> {
    let (logs, dead_letters) = (topic_of_logs(), topic_of_dead_letters());
    kafka_io::topics::layout_with(&logs, &dead_letters, &topic_of_anomalies(), partitions, 1)
}

/// Consumer group of the processor.
pub(crate) fn group_of_processor() -> String {
    env_or("KAFKA_GROUP_ID", "anomaly-processor")
}

fn env_or(name: &str, default: &str) -> String {
    std::env::var(name)
        .ok()
        .filter(|value| !value.is_empty())
        .unwrap_or_else(|| default.to_owned())
}
