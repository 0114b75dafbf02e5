//! `anomaly-processor`: see the library's documentation.

use std::process::ExitCode;

use anomaly_processor::{
    metrics::Metrics,
    options::Options,
    run::{Latches, run},
};
use service_kit::{
    lifecycle::{Readiness, Service},
    metrics::Registry,
};

/// Batches of tens of megabytes come and go, on several threads: the C library's allocator gives their
/// pages back and takes them again, zeroed, each time.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    if let Some(code) = service_kit::options::answer_help(
        "anomaly-processor",
        "Consumes log records from Kafka, finds anomalies, stores both in ClickHouse and publishes the anomalies.",
        &Options::variables(),
    ) {
        return code;
    }
    let options = match Options::from_env() {
        Ok(options) => options,
        Err(problems) => return problems.report("anomaly-processor"),
    };
    let registry = Registry::new();
    let metrics = Metrics::new(&registry);
    let readiness = Readiness::new();
    let latches = Latches {
        kafka: readiness.latch("kafka"),
        clickhouse: readiness.latch("clickhouse"),
        sinks: readiness.latch("sinks"),
        partitions: readiness.partitions(),
        audit: readiness.latch("audit"),
    };
    let service = Service::new("anomaly-processor", &options.service)
        .registry(&registry)
        .readiness(&readiness);
    service_kit::run(service, |tasks| {
        run(options.clone(), metrics, latches, tasks)
    })
}
