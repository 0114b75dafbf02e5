//! Options that several services share.
//! Invariant: plain values; nothing here connects to what it describes.

use std::path::PathBuf;

use crate::http::AllowedHosts;

use super::{BrokerList, HttpUrl, ListenAddress, LogFilter, Name, Period, Problems, Secret};

crate::choice! {
    /// How log lines are written.
    pub enum LogFormat {
        /// For people; coloured on a terminal.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

crate::choice! {
    /// How a connection to a broker is secured.
    pub enum SecurityProtocol {
        Plaintext = "plaintext",
        Ssl = "ssl",
        SaslPlaintext = "sasl_plaintext",
        SaslSsl = "sasl_ssl",
    }
}

impl SecurityProtocol {
    pub fn needs_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

crate::choice! {
    /// How a user proves who they are.
    pub enum SaslMechanism {
        Plain = "PLAIN",
        ScramSha256 = "SCRAM-SHA-256",
        ScramSha512 = "SCRAM-SHA-512",
    }
}

crate::options! {
    /// What every service has: admin endpoints, logs, traces, a time to stop.
    pub struct ServiceOptions {
        /// Where /live, /ready and /metrics are served. Port 0 takes a free one, which is logged.
        admin_listen: ListenAddress = "127.0.0.1:9100",
        /// Names and addresses beside localhost and the address that a connection came to, under which /live, /ready and /metrics may be asked, or *.
        admin_allowed_hosts: Option<AllowedHosts>,
        /// Which log lines are written. What the Kafka client says of connections is left out: readiness says it.
        log_level | rust_log: LogFilter = "info,librdkafka=off,rdkafka=off",
        /// How log lines are written.
        log_format: LogFormat = "text",
        /// OTLP gRPC receiver of traces, such as http://localhost:4317. Absent: no traces are sent.
        otel_exporter_otlp_endpoint: Option<HttpUrl>,
        /// How long a service may take to finish its work once it was told to stop.
        shutdown_budget: Period<100, 600_000> = "8s",
    }
}

crate::options! {
    /// How to reach Kafka.
    pub struct KafkaOptions {
        /// Brokers to start from.
        kafka_brokers | kafka_broker: BrokerList = "localhost:9092",
        /// Topic of the log records.
        kafka_topic: Name = "app-logs",
        /// Consumer group. Instances that share the work share the group.
        kafka_group_id: Name = "barograph",
        /// How the connection is secured.
        kafka_security_protocol: SecurityProtocol = "plaintext",
        /// How the user is proven; needed by sasl_plaintext and sasl_ssl.
        kafka_sasl_mechanism: Option<SaslMechanism>,
        /// User; needed by sasl_plaintext and sasl_ssl.
        kafka_sasl_username: Option<String>,
        /// Password of the user; needed by sasl_plaintext and sasl_ssl.
        kafka_sasl_password: Option<Secret>,
        /// File with the certificates to trust instead of the system's.
        kafka_ssl_ca_location: Option<PathBuf>,
    }
    check sasl_is_complete;
}

crate::options! {
    /// How to reach ClickHouse.
    pub struct ClickHouseOptions {
        /// Address of the HTTP interface.
        clickhouse_url: HttpUrl = "http://localhost:8123",
        /// Database of the tables.
        clickhouse_database: Name = "barograph",
        /// User.
        clickhouse_user: String = "default",
        /// Password of the user.
        clickhouse_password: Secret = "",
    }
}

fn sasl_is_complete(options: &KafkaOptions, problems: &mut Problems) {
    let protocol = options.kafka_security_protocol;
    if !protocol.needs_sasl() {
        return;
    }
    let needed = [
        (
            "KAFKA_SASL_MECHANISM",
            options.kafka_sasl_mechanism.is_some(),
        ),
        ("KAFKA_SASL_USERNAME", options.kafka_sasl_username.is_some()),
        ("KAFKA_SASL_PASSWORD", options.kafka_sasl_password.is_some()),
    ];
    for (name, _) in needed.iter().filter(|(_, is_set)| !is_set) {
        let protocol = protocol.text();
        problems.push(format!(
            "{name}: not set, but KAFKA_SECURITY_PROTOCOL is {protocol}"
        ));
    }
}
