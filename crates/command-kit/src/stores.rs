//! Which Kafka and which ClickHouse a command speaks to.

use clickhouse_store::{Client, Target};

/// Where Kafka and ClickHouse are: named by the environment, else the stack of the data directory,
/// else the usual ports.
#[derive(Clone)]
pub struct Stores {
    pub brokers: String,
    pub clickhouse_url: String,
    pub clickhouse_user: String,
    pub clickhouse_password: String,
    pub clickhouse_database: String,
}

impl Stores {
    pub fn of(stack: &local_stack::LocalStack) -> Self {
        let config = stack.config();
        Self {
            brokers: stack.kafka.brokers(),
            clickhouse_url: stack.clickhouse.url(),
            clickhouse_user: config.user.clone(),
            clickhouse_password: stack.password().to_owned(),
            clickhouse_database: config.database.clone(),
        }
    }

    /// Connects to nothing yet.
    pub fn clickhouse(&self) -> Result<Client, clickhouse_store::Error> {
        Client::new(Target {
            url: self.clickhouse_url.clone(),
            database: self.clickhouse_database.clone(),
            user: self.clickhouse_user.clone(),
            password: self.clickhouse_password.clone(),
        })
    }

    /// Whether the environment names them: then they are not necessarily on this machine.
    pub fn are_named() -> bool {
        ["KAFKA_BROKERS", "KAFKA_BROKER", "CLICKHOUSE_URL"]
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
    }

    pub fn find(running: Option<&local_stack::Running>) -> Self {
        let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let noted = |name: &str| running.and_then(|note| note.env.get(name).cloned());
        let value = |name: &str, default: &str| {
            named(name)
                .or_else(|| noted(name))
                .unwrap_or_else(|| default.to_owned())
        };
        Self {
            brokers: named("KAFKA_BROKER")
                .unwrap_or_else(|| value("KAFKA_BROKERS", "127.0.0.1:9092")),
            clickhouse_url: value("CLICKHOUSE_URL", "http://127.0.0.1:8123"),
            clickhouse_user: value("CLICKHOUSE_USER", "barograph"),
            clickhouse_password: value("CLICKHOUSE_PASSWORD", ""),
            clickhouse_database: value("CLICKHOUSE_DATABASE", "barograph"),
        }
    }
}
