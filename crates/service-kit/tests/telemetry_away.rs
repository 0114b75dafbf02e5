//! A receiver that never answers costs spans, not the shutdown. One test: logs are global to a process.

use std::net::TcpListener;

use service_kit::Telemetry;
use service_kit::options::ServiceOptions;

#[test]
fn a_receiver_that_never_answers_does_not_hold_the_shutdown() {
    // Connections are accepted by the system and then left alone.
    let receiver = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = receiver.local_addr().unwrap();
    let endpoint = (
        "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(),
        format!("http://{address}"),
    );
    let telemetry = Telemetry::start("test", &ServiceOptions::from_pairs([endpoint]).unwrap());
    tracing::info_span!("lost").in_scope(|| {});
    // The runner's limit is the deadline.
    telemetry.shutdown();
}
