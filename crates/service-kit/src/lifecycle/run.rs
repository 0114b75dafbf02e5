//! Runs a service from its options to its exit code.
//! Invariant: admin endpoints and signals have a thread of their own, so that a body which blocks
//! neither hides the process from its supervisor nor keeps it from being stopped.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::pin::pin;
use std::process::ExitCode;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::exit::{Exit, HasExit};
use super::guard::catch_panic;
use super::readiness::Readiness;
use super::tasks::Tasks;
use crate::admin;
use crate::http::{self, Hosts, Limits, Listener, Server, descriptors};
use crate::metrics::Registry;
use crate::options::ServiceOptions;
use crate::telemetry::Telemetry;

/// Past the budget, the time after which a body that does not even yield is given up.
const GRACE_FOR_A_BLOCKED_BODY: Duration = Duration::from_millis(500);

/// Answers of the admin endpoints that wait for their readers.
const UNSENT_BYTES_OF_ADMIN: usize = 8 << 20;

/// What `run` needs to know of a service.
#[derive(Clone)]
pub struct Service {
    name: &'static str,
    options: ServiceOptions,
    registry: Registry,
    readiness: Readiness,
    worker_threads: Option<usize>,
}

impl Service {
    pub fn new(name: &'static str, options: &ServiceOptions) -> Self {
        Self {
            name,
            options: options.clone(),
            registry: Registry::new(),
            readiness: Readiness::new(),
            worker_threads: None,
        }
    }

    /// The registry that `/metrics` shows.
    pub fn registry(self, registry: &Registry) -> Self {
        Self {
            registry: registry.clone(),
            ..self
        }
    }

    /// The latches that `/ready` asks.
    pub fn readiness(self, readiness: &Readiness) -> Self {
        Self {
            readiness: readiness.clone(),
            ..self
        }
    }

    /// Threads that run tasks; as many as there are cores unless said otherwise.
    pub fn worker_threads(self, threads: usize) -> Self {
        Self {
            worker_threads: Some(threads.max(1)),
            ..self
        }
    }
}

/// Runs the body until it ends or a signal comes, then drains within the budget.
///
/// The body ends by itself when `tasks.stopping()` does. Its error decides the exit code.
/// Past the budget at most 1.6 s go by (a body that blocks, then the last spans): with the default
/// budget of 8 s that is within the 10 s after which Docker kills.
#[expect(clippy::needless_pass_by_value, reason = "a service runs once")]
pub fn run<F, Fut, E>(service: Service, body: F) -> ExitCode
where
    F: FnOnce(Tasks) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Error + HasExit,
{
    let telemetry = Telemetry::start(service.name, &service.options);
    let exit = run_to_exit(&service, body);
    telemetry.shutdown();
    exit.into()
}

pub(super) fn run_to_exit<F, Fut, E>(service: &Service, body: F) -> Exit
where
    F: FnOnce(Tasks) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Error + HasExit,
{
    let tasks = Tasks::new(service.readiness.clone(), &service.registry);
    let problems = service.registry.problems();
    if !problems.is_empty() {
        tracing::error!(?problems, "the metrics contradict each other");
        return Exit::Fatal;
    }
    let budget = service.options.shutdown_budget.get();
    let admin = match Admin::start(service, &tasks) {
        Ok(admin) => admin,
        Err(AdminError::Port(error)) => {
            let address = service.options.admin_listen;
            tracing::error!(%address, %error, "ADMIN_LISTEN: cannot listen on this address; is another instance running?");
            return Exit::Unavailable;
        }
        Err(AdminError::Start(error)) => {
            tracing::error!(%error, "the admin thread cannot start");
            return Exit::Fatal;
        }
    };
    let exit = match runtime(service) {
        Ok(runtime) => {
            let exit = runtime.block_on(supervise(&tasks, body, budget));
            // What was not a watched task may still run; it is not waited for.
            runtime.shutdown_timeout(Duration::from_millis(100));
            exit
        }
        Err(error) => {
            tracing::error!(%error, "the runtime cannot start");
            Exit::Fatal
        }
    };
    admin.stop();
    tracing::info!(exit = exit.code(), "stopped");
    exit
}

fn runtime(service: &Service) -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if let Some(threads) = service.worker_threads {
        builder.worker_threads(threads);
    }
    builder.enable_all().thread_name(service.name).build()
}

async fn supervise<F, Fut, E>(tasks: &Tasks, body: F, budget: Duration) -> Exit
where
    F: FnOnce(Tasks) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Error + HasExit,
{
    let running = tasks.track("body");
    let mut work = pin!(async {
        let outcome = catch_panic(async { body(tasks.clone()).await }).await;
        tasks.settle("body", outcome);
        drop(running);
    });
    let ended = tokio::select! {
        biased;
        () = &mut work => true,
        () = tasks.stopping() => false,
    };
    tasks.shutdown_because("the work is done");
    let drain = async {
        if !ended {
            work.await;
        }
        tasks.idle().await;
    };
    let drained = tokio::time::timeout(budget, drain).await.is_ok();
    if drained {
        tasks.completed();
        return tasks.failure().unwrap_or(Exit::Clean);
    }
    let left = tasks.running();
    tracing::error!(
        ?left,
        ?budget,
        "SHUTDOWN_BUDGET ended before these tasks did"
    );
    tasks.failure().unwrap_or(Exit::DrainBudget)
}

enum AdminError {
    Port(io::Error),
    Start(io::Error),
}

/// Few who ask, and little that they get.
fn admin_server(service: &Service) -> Server {
    let connections = descriptors::for_admin(descriptors::limit());
    let limits = Limits {
        connections,
        per_address: connections.div_ceil(2),
        unsent_bytes: UNSENT_BYTES_OF_ADMIN,
        within: http::WITHIN,
    };
    let router = admin::router(service.readiness.clone(), service.registry.clone());
    let hosts = Hosts::new(
        service.options.admin_allowed_hosts.clone(),
        "ADMIN_ALLOWED_HOSTS",
    );
    Server::new(Listener::Admin, router, hosts, limits, &service.registry)
}

/// The thread that serves the admin endpoints and hears signals.
struct Admin {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Admin {
    /// Listens and hears signals from when this returns, before any of the work begins.
    fn start(service: &Service, tasks: &Tasks) -> Result<Self, AdminError> {
        let listener =
            TcpListener::bind(service.options.admin_listen.get()).map_err(AdminError::Port)?;
        listener.set_nonblocking(true).map_err(AdminError::Start)?;
        let address = listener.local_addr().map_err(AdminError::Start)?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(AdminError::Start)?;
        let (listener, signals) = {
            let _entered = runtime.enter();
            let listener =
                tokio::net::TcpListener::from_std(listener).map_err(AdminError::Start)?;
            (listener, Signals::hear().map_err(AdminError::Start)?)
        };
        let server = admin_server(service);
        let (stop, stopped) = oneshot::channel();
        let tasks = tasks.clone();
        let longest = service.options.shutdown_budget.get() + GRACE_FOR_A_BLOCKED_BODY;
        let body = async move {
            tokio::select! {
                () = server.serve(listener, None) => {}
                () = signals.rule(&tasks) => {}
                () = give_up_after(longest, &tasks) => {}
                // Also when the sender was dropped: the service has ended either way.
                _ = stopped => {}
            }
        };
        let thread = std::thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || runtime.block_on(body))
            .map_err(AdminError::Start)?;
        tracing::info!(%address, "admin endpoints are up");
        Ok(Self { stop, thread })
    }

    fn stop(self) {
        // The thread may have ended by itself; a panic in it was printed then.
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn hear() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The first signal begins the shutdown; the second ends the process.
    async fn rule(mut self, tasks: &Tasks) {
        let name = self.next().await;
        tasks.shutdown_because(name);
        let name = self.next().await;
        tracing::error!(signal = name, left = ?tasks.running(), "second signal, ending at once");
        std::process::exit(Exit::DrainBudget.code().into());
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// The budget's last word, for a body that blocks its thread and so cannot hear of it.
async fn give_up_after(longest: Duration, tasks: &Tasks) {
    tasks.stopping().await;
    tokio::time::sleep(longest).await;
    tracing::error!(left = ?tasks.running(), "SHUTDOWN_BUDGET ended and the work does not yield");
    let exit = tasks.failure().unwrap_or(Exit::DrainBudget);
    std::process::exit(exit.code().into());
}
