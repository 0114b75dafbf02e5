//! Without a receiver nothing is started. One test: logs are global to a process.

use service_kit::Telemetry;
use service_kit::options::ServiceOptions;
use service_kit::telemetry::{add_link, current_traceparent, link_parent};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn without_a_receiver_there_is_no_exporter_no_thread_and_no_trace() {
    let telemetry = Telemetry::start("barograph-test", &ServiceOptions::from_pairs([]).unwrap());
    assert!(!telemetry.exports());
    let span = tracing::info_span!("handle record");
    link_parent(&span, TRACEPARENT);
    add_link(&span, TRACEPARENT);
    assert_eq!(span.in_scope(current_traceparent), None);
    assert_eq!(threads_named("telemetry").unwrap(), 0);
    telemetry.shutdown();
}

fn threads_named(name: &str) -> std::io::Result<usize> {
    let mut count = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        // A thread may end between the listing and the reading.
        let comm = std::fs::read_to_string(task?.path().join("comm")).unwrap_or_default();
        count += usize::from(comm.trim() == name);
    }
    Ok(count)
}
