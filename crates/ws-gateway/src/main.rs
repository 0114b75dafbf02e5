//! `ws-gateway`: options, then the service until it is told to stop.

use std::process::ExitCode;

use service_kit::{Readiness, Registry, Service};
use ws_gateway::{Options, options, run};

fn main() -> ExitCode {
    if std::env::args()
        .skip(1)
        .any(|word| word == "--help" || word == "-h")
    {
        return options::print_help();
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
