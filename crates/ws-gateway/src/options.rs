//! What the gateway reads from its environment.

use service_kit::http::AllowedHosts;
use service_kit::options::{
    Bounded, ByteSize, ClickHouseOptions, KafkaOptions, ListenAddress, Name, Period, ServiceOptions,
};

use crate::origin::AllowedOrigins;

service_kit::options! {
    /// What the gateway reads from its environment.
    pub struct Options {
        groups {
            service: ServiceOptions { admin_listen = "127.0.0.1:9102" },
            kafka: KafkaOptions,
            clickhouse: ClickHouseOptions,
        }
        /// Where WebSocket, SSE, REST and the dashboard are served. Port 0 takes a free one, which is logged.
        gateway_listen: ListenAddress = "127.0.0.1:8080",
        /// Topic of the anomalies.
        kafka_anomalies_topic: Name = "anomalies",
        /// Topic of what could not be read, which is counted. Absent: the topic of the log records with `.dlq`.
        kafka_dead_letter_topic: Option<Name>,
        /// Versions of anomalies that are kept in memory for clients that come back.
        gateway_keep: Bounded<1, 10_000_000> = "100000",
        /// Bytes that these may take.
        gateway_keep_bytes: ByteSize<65_536, 68_719_476_736> = "256MiB",
        /// Matching frames a client may be behind before it is told that it lags.
        gateway_client_queue: Bounded<1, 1_000_000> = "1024",
        /// WebSocket and SSE clients at a time; one more is answered 503.
        gateway_max_clients: Bounded<1, 1_000_000> = "20000",
        /// Connections at a time, those of clients among them; fewer where the limit of open files is lower.
        gateway_max_connections: Bounded<1, 1_000_000> = "21000",
        /// Connections at a time from one address, or from one IPv6 /64. Absent: half of all.
        gateway_max_connections_per_address: Option<Bounded<1, 1_000_000>>,
        /// A connection is closed that takes longer to send the head of a request, or takes nothing for so long of what waits for it.
        gateway_client_timeout: Period<1_000, 600_000> = "30s",
        /// Bytes that may wait for clients which do not take them, over all connections; past it those with most of them are closed.
        gateway_unsent_bytes: ByteSize<1_048_576, 68_719_476_736> = "128MiB",
        /// Questions that ClickHouse answers at a time; a few more wait, and further ones are answered 503.
        gateway_max_questions: Bounded<1, 1000> = "4",
        /// Names and addresses beside localhost and the address that a connection came to, under which the gateway may be asked: barograph.example,10.0.0.5, or *.
        gateway_allowed_hosts: Option<AllowedHosts>,
        /// Origins beside our own whose pages may use the API and open a WebSocket: https://a.example,https://b.example, or *.
        gateway_allowed_origins: Option<AllowedOrigins>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_a_default_and_is_described() {
        let options = Options::from_pairs([]).unwrap();
        assert_eq!(options.gateway_listen.to_string(), "127.0.0.1:8080");
        let variables = Options::variables();
        for (name, default) in [
            ("GATEWAY_KEEP", Some("100000")),
            ("ADMIN_LISTEN", Some("127.0.0.1:9102")),
            ("KAFKA_BROKERS", Some("localhost:9092")),
        ] {
            let variable = variables.iter().find(|variable| variable.name == name);
            let found = variable.unwrap_or_else(|| panic!("{name} is missing"));
            assert_eq!(found.default.as_deref(), default, "{name}");
        }
    }
}
