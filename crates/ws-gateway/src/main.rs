//! `ws-gateway`: options, then the service until it is told to stop.

use std::process::ExitCode;

use service_kit::{Readiness, Registry, Service};
use ws_gateway::{Options, run};

fn main() -> ExitCode {
    if let Some(code) = service_kit::options::answer_help(
        "ws-gateway",
        "Anomalies over WebSocket, SSE and REST, and the dashboard.",
        &Options::variables(),
    ) {
        return code;
    }
    let options = match Options::from_env() {
        Ok(options) => options,
        Err(problems) => return problems.report("ws-gateway"),
    };
    let registry = Registry::new();
    let readiness = Readiness::new();
    let gateway = run::Gateway::new(options, &registry, &readiness);
    let service = Service::new("ws-gateway", &gateway.options.service)
        .registry(&registry)
        .readiness(&readiness);
    service_kit::run(service, |tasks| gateway.run(tasks))
}
