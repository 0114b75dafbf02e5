//! The generator as a service: options, pacing, Kafka, labels, and what it reports.
//! Invariant: this is the only part of the crate that reads clocks and does I/O.

mod cli;
mod control;
mod kafka;
pub mod metrics;
pub mod options;
mod pace;
mod plan;
mod report;
mod run;
mod sink;
mod truth_file;

use std::process::ExitCode;

use service_kit::{
    lifecycle::{Exit, Readiness, Tasks},
    metrics::Registry,
};

use self::{cli::Asked, options::Options, plan::Plan};

const NAME: &str = "log-generator";

/// From the command line to the exit code.
pub fn main() -> ExitCode {
    let asked = match Asked::from_command_line() {
        Ok(asked) => asked,
        Err(answer) => return answer,
    };
    let made = options::read(asked.pairs).and_then(|options| {
        let plan = Plan::make(&options, run::wall_clock())?;
        Ok((options, plan))
    });
    let (options, plan) = match made {
        Ok(made) => made,
        Err(problems) => return problems.report(NAME),
    };
    if plan.dry_run {
        return dry_run(&options, plan);
    }
    let registry = Registry::new();
    let readiness = Readiness::new();
    let latch = readiness.latch("kafka");
    let metrics = metrics::Metrics::new(&registry);
    let service = service_kit::lifecycle::Service::new(NAME, &options.service)
        .registry(&registry)
        .readiness(&readiness);
    service_kit::run(service, |tasks| async move {
        let kafka = kafka::Kafka::new(&options, &metrics, latch)?;
        in_own_thread(tasks, move |stop| run::run(plan, kafka, &metrics, &stop)).await
    })
}

/// Generating blocks, so it has a thread of its own.
async fn in_own_thread<F>(tasks: Tasks, work: F) -> Result<(), run::RunError>
where
    F: FnOnce(Box<dyn Fn() -> bool>) -> Result<(), run::RunError> + Send + 'static,
{
    let joined = tokio::task::spawn_blocking(move || work(Box::new(move || tasks.is_stopping())));
    joined.await.map_err(|_| run::RunError::Crashed)?
}

/// Only generates; needs no Kafka and serves nothing.
fn dry_run(options: &Options, plan: Plan) -> ExitCode {
    let telemetry = service_kit::telemetry::Telemetry::start(NAME, &options.service);
    let metrics = metrics::Metrics::new(&Registry::new());
    let ended = run::run(plan, sink::Nowhere::default(), &metrics, &|| false);
    telemetry.shutdown();
    match ended {
        Ok(()) => Exit::Clean.into(),
        Err(error) => {
            eprintln!("{NAME}: {error}");
            service_kit::lifecycle::HasExit::exit(&error).into()
        }
    }
}
