//! What a service sees of its options: every problem at once, no secrets, one declaration.

use std::time::Duration;

use service_kit::options::{
    Bounded, ByteSize, ClickHouseOptions, Environment, KafkaOptions, Name, Period, Problems,
    Secret, ServiceOptions, Variable,
};

service_kit::options! {
    /// Options of a made-up service.
    pub struct Options {
        groups {
            service: ServiceOptions { admin_listen = "127.0.0.1:9101" },
            kafka: KafkaOptions { kafka_group_id = "barograph-test" },
            clickhouse: ClickHouseOptions,
        }
        /// Rows after which a batch is closed.
        batch_rows: Bounded<1, 1_000_000> = "50000",
        /// Age after which a batch is closed,
        /// counted from its first row.
        batch_age: Period<1, 60_000> = "500ms",
        /// Bytes after which a batch is closed.
        batch_bytes: ByteSize<1024, 1_073_741_824> = "16MiB",
        /// Topic for what could not be read.
        dead_letter_topic | dlq_topic | dlq: Name = "app-logs.dlq",
        /// Signs cursors.
        signing_key: Secret,
        /// Numbers a shard.
        secret_number: Option<SecretNumber>,
        /// Where this runs.
        region: Option<Name>,
    }
    check rows_and_bytes_fit;
}

service_kit::options! {
    struct Lonely {
        /// Absent wherever the tests run.
        nobody_sets_this_variable: Option<Name>,
    }
}

service_kit::options! {
    /// Nothing of its own.
    pub struct OnlyGroups {
        groups { clickhouse: ClickHouseOptions { clickhouse_database = "other" } }
    }
}

#[derive(Debug, Clone)]
pub struct SecretNumber(#[expect(dead_code, reason = "only its reading matters here")] u32);

impl service_kit::options::FromText for SecretNumber {
    const SECRET: bool = true;

    fn expected() -> String {
        "a number".to_owned()
    }

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

fn rows_and_bytes_fit(options: &Options, problems: &mut Problems) {
    if options.batch_rows.as_u64() > options.batch_bytes.get() {
        problems.push("BATCH_ROWS: more rows than BATCH_BYTES");
    }
}

fn read(pairs: &[(&str, &str)]) -> Result<Options, Problems> {
    let key = ("SIGNING_KEY", "k");
    let pairs = std::iter::once(&key).chain(pairs);
    Options::from_pairs(pairs.map(|(name, text)| ((*name).to_owned(), (*text).to_owned())))
}

#[test]
fn every_default_is_right_and_a_service_may_give_its_own() {
    let options = read(&[]).unwrap();
    assert_eq!(options.service.admin_listen.to_string(), "127.0.0.1:9101");
    assert_eq!(
        options.service.shutdown_budget.get(),
        Duration::from_secs(8)
    );
    assert!(options.service.otel_exporter_otlp_endpoint.is_none());
    assert_eq!(options.kafka.kafka_brokers.as_str(), "localhost:9092");
    assert_eq!(options.kafka.kafka_group_id.as_str(), "barograph-test");
    assert_eq!(
        options.clickhouse.clickhouse_url.as_str(),
        "http://localhost:8123"
    );
    assert!(options.clickhouse.clickhouse_password.is_empty());
    assert_eq!(options.batch_age.get(), Duration::from_millis(500));
    assert_eq!(options.batch_bytes.get(), 16 << 20);
    assert!(options.region.is_none());
}

#[test]
fn all_problems_are_reported_at_once_and_secrets_are_not_shown() {
    let pairs = [
        ("KAFKA_BROKERS", "foo"),
        ("LOG_FORMAT", "xml"),
        ("BATCH_ROWS", "0"),
        ("BATCH_AGE", "500"),
        ("SECRET_NUMBER", "hunter2"),
    ];
    let pairs = pairs.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let problems = Options::from_pairs(pairs).unwrap_err();
    assert_eq!(
        problems.lines(),
        [
            r#"LOG_FORMAT: expected text or json, got "xml""#,
            r#"KAFKA_BROKERS: expected host:port[,host:port...], got "foo""#,
            r#"BATCH_ROWS: expected a whole number from 1 to 1000000, got "0""#,
            r#"BATCH_AGE: expected a duration from 1ms to 1m with its unit (500ms, 10s, 5m, 2h, 7d), got "500""#,
            "SIGNING_KEY: not set, expected a secret text",
            "SECRET_NUMBER: expected a number, got something else (not shown)",
        ]
    );
}

#[test]
fn the_report_ends_with_the_exit_code_of_options() {
    let problems = read(&[("BATCH_ROWS", "many")]).unwrap_err();
    let code = format!("{:?}", problems.report("test"));
    assert_eq!(code, format!("{:?}", std::process::ExitCode::from(64)));
}

#[test]
fn an_alias_stands_in_and_the_real_name_wins() {
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[("KAFKA_BROKER", "a:1")], "a:1"),
        (&[("KAFKA_BROKERS", "b:2")], "b:2"),
        (
            &[("KAFKA_BROKER", "a:1"), ("KAFKA_BROKERS", "b:2, c:3")],
            "b:2,c:3",
        ),
        (&[("KAFKA_BROKER", "a:1"), ("KAFKA_BROKERS", "")], "a:1"),
        // Environment names have capitals; a different spelling is a different variable.
        (&[("kafka_brokers", "d:4"), ("KAFKA_BROKERS", "b:2")], "b:2"),
    ];
    for (pairs, brokers) in cases {
        let options = read(pairs).unwrap();
        assert_eq!(options.kafka.kafka_brokers.as_str(), brokers, "{pairs:?}");
    }
    let options = read(&[("DLQ", "one"), ("DLQ_TOPIC", "two")]).unwrap();
    assert_eq!(options.dead_letter_topic.as_str(), "two");
}

#[test]
fn an_empty_value_is_an_absent_one() {
    let options = read(&[("BATCH_ROWS", ""), ("REGION", "")]).unwrap();
    assert_eq!(options.batch_rows.get(), 50_000);
    assert!(options.region.is_none());
    let problems = read(&[("SIGNING_KEY", "")]).unwrap_err();
    assert_eq!(
        problems.lines(),
        ["SIGNING_KEY: not set, expected a secret text"]
    );
}

#[test]
fn options_that_do_not_fit_together_are_a_problem() {
    let problems = read(&[("BATCH_ROWS", "2000"), ("BATCH_BYTES", "1KiB")]).unwrap_err();
    assert_eq!(problems.lines(), ["BATCH_ROWS: more rows than BATCH_BYTES"]);
    let problems = read(&[
        ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
        ("KAFKA_SASL_USERNAME", "u"),
    ]);
    assert_eq!(
        problems.unwrap_err().lines(),
        [
            "KAFKA_SASL_MECHANISM: not set, but KAFKA_SECURITY_PROTOCOL is sasl_ssl",
            "KAFKA_SASL_PASSWORD: not set, but KAFKA_SECURITY_PROTOCOL is sasl_ssl",
        ]
    );
}

#[test]
fn what_is_read_is_what_is_documented() {
    let variables = Options::variables();
    let of = |name: &str| {
        variables
            .iter()
            .find(|variable| variable.name == name)
            .unwrap()
            .clone()
    };
    assert_eq!(
        of("BATCH_AGE"),
        Variable {
            name: "BATCH_AGE".to_owned(),
            aliases: vec![],
            default: Some("500ms".to_owned()),
            expected: "a duration from 1ms to 1m with its unit (500ms, 10s, 5m, 2h, 7d)".to_owned(),
            about: "Age after which a batch is closed,\n counted from its first row.",
            secret: false,
            required: false,
        }
    );
    assert_eq!(
        of("ADMIN_LISTEN").default.as_deref(),
        Some("127.0.0.1:9101")
    );
    assert_eq!(of("LOG_LEVEL").aliases, ["RUST_LOG"]);
    assert!(of("SIGNING_KEY").secret && of("SIGNING_KEY").required);
    assert!(!of("REGION").required && of("REGION").default.is_none());
    assert!(of("CLICKHOUSE_PASSWORD").secret);

    let mut names: Vec<&str> = variables
        .iter()
        .map(|variable| variable.name.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(
        names.len(),
        variables.len(),
        "a variable belongs to one group"
    );
}

#[test]
fn debugging_output_shows_no_secret() {
    let options = read(&[
        ("SIGNING_KEY", "hunter2"),
        ("CLICKHOUSE_PASSWORD", "hunter3"),
    ])
    .unwrap();
    let shown = format!("{options:?} {}", options.signing_key);
    assert!(!shown.contains("hunter"), "{shown}");
    assert_eq!(options.clickhouse.clickhouse_password.expose(), "hunter3");
}

#[test]
fn groups_alone_are_options_too() {
    let options = OnlyGroups::from_pairs([]).unwrap();
    assert_eq!(options.clickhouse.clickhouse_database.as_str(), "other");
    assert_eq!(
        OnlyGroups::variables().len(),
        ClickHouseOptions::variables().len()
    );
}

#[test]
fn other_variables_of_the_process_do_no_harm() {
    let options: Lonely = Environment::of_process().read().unwrap();
    assert!(options.nobody_sets_this_variable.is_none());
}
