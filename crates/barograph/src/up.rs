//! `barograph up`: everything on this machine, until Ctrl-C.
//!
//! Invariant: when the command has ended, for whatever reason, nothing of the stack runs any more.

use std::{io::IsTerminal as _, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use kafka_io::{Connection, topics};
use local_stack::{Child, LocalStack, Ports, Running, Service, ports::loopback};

use crate::{
    migrate,
    place::{self, Place, group_of_processor},
};
use command_kit::{display, http, interrupt::Interrupt, say, stores::Stores};

const PROCESSOR: &str = "anomaly-processor";
const GATEWAY: &str = "ws-gateway";
const GENERATOR: &str = "log-generator";
/// What a service may take to finish its work; the supervisor waits 8 s.
const SHUTDOWN_BUDGET: &str = "6s";
/// A service that is not ready by then is mentioned, and goes on trying.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// Run Kafka, ClickHouse and the services on this machine until Ctrl-C
///
/// No Docker needed. The first run fetches Kafka (54 MB, with Maven) and ClickHouse (178 MB, with
/// npm) into a cache; it needs a Java runtime, 17 or newer. Services that die are started again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  barograph up                         everything, on the usual ports
  barograph up --generate 500          and 500 simulated log lines a second
  barograph up --fresh                 forget what an earlier run stored
  barograph up --kafka-port 19092      another port
  barograph up --free-ports --data-dir second
                                       a second stack beside the first
  barograph up --without gateway       leave a service out, to run it from an editor")]
pub(crate) struct Args {
    /// Simulate that many log lines a second.
    #[arg(long, env = "BAROGRAPH_GENERATE", value_name = "RATE")]
    generate: Option<u32>,
    /// Forget what an earlier stack stored in the data directory.
    #[arg(long)]
    fresh: bool,
    /// Partitions of the topic of logs, when it is created.
    #[arg(long, env = "BAROGRAPH_PARTITIONS", value_name = "COUNT", default_value_t = 4,
          value_parser = clap::value_parser!(i32).range(1..=1000))]
    partitions: i32,
    /// Leave a service out; can be given several times.
    #[arg(long, value_name = "SERVICE", value_enum)]
    without: Vec<Left>,
    /// Largest heap of Kafka, MiB.
    #[arg(
        long,
        env = "BAROGRAPH_KAFKA_HEAP",
        value_name = "MIB",
        default_value_t = 512
    )]
    kafka_heap: u32,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Left {
    Processor,
    Gateway,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut interrupt = Interrupt::listen()?;
    let progress = display::progress();
    let mut config = args.place.stack_config()?;
    config.fresh = args.fresh;
    config.kafka.heap_mib = args.kafka_heap;
    config.claims = args.claims(&config.ports);
    config.programs = args.programs();

    // Dropping the start ends what has been started.
    let stack = tokio::select! {
        started = LocalStack::start(config, progress) => started?,
        () = interrupt.next() => return Ok(stopped()),
    };
    let served = tokio::select! {
        served = serve(&args, &stack) => served.map(|()| ExitCode::SUCCESS),
        () = interrupt.next() => Ok(ExitCode::SUCCESS),
    };

    say::note("stopping; once more Ctrl-C ends everything at once");
    let data_dir = stack.data_dir().to_owned();
    tokio::select! {
        () = stack.stop() => {}
        () = interrupt.next() => stack.kill().await,
    }
    Running::remove(&data_dir);
    served.map(|_| stopped())
}

fn stopped() -> ExitCode {
    say::note("stopped");
    ExitCode::SUCCESS
}

/// Prepares the stores, starts the services, and looks after all of it for ever.
async fn serve(args: &Args, stack: &LocalStack) -> anyhow::Result<()> {
    let ports = &stack.config().ports;
    let mut note = Running::of(stack);
    let stores = Stores::of(stack);
    create_topics(&stores, args.partitions).await?;
    migrate::apply(&stores.clickhouse()?).await?;

    let mut services = Vec::new();
    for service in args.services(ports) {
        let child = stack.spawn_service(service.service)?;
        note.admin.insert(
            child.name().to_owned(),
            format!("http://{}", loopback(service.admin_port)),
        );
        services.push(child);
    }
    if !args.without.contains(&Left::Gateway) {
        note.gateway = Some(format!("http://{}", loopback(ports.gateway)));
    }
    note.pids = stack.pids();
    note.write(stack.data_dir())?;

    let announced = async {
        announce_ready(&services, &note).await?;
        say::line(summary(stack, &note));
        anyhow::Ok(())
    };
    let (announced, ()) = tokio::join!(announced, stack.keep_running());
    announced
}

async fn create_topics(stores: &Stores, partitions: i32) -> anyhow::Result<()> {
    topics::ensure(
        &Connection::plain(&stores.brokers),
        &place::topics(partitions),
    )
    .await
    .context("cannot create the topics")?;
    Ok(())
}

/// Says of each service when it is ready, or that it is not.
async fn announce_ready(services: &[Arc<Child>], note: &Running) -> anyhow::Result<()> {
    let client = http::client()?;
    let each = services.iter().map(|child| {
        let client = client.clone();
        async move {
            let Some(admin) = note.admin.get(child.name()) else {
                return;
            };
            let url = format!("{admin}/ready");
            let ready = http::until_ok(&client, &url);
            match tokio::time::timeout(READY_DEADLINE, ready).await {
                Ok(()) => say::note(format_args!("{} is ready", child.name())),
                Err(_) => say::note(format_args!(
                    "{} is not ready after {} s: see {} and {url}",
                    child.name(),
                    READY_DEADLINE.as_secs(),
                    child.log().display()
                )),
            }
        }
    });
    futures::future::join_all(each).await;
    Ok(())
}

struct Planned {
    service: Service,
    admin_port: u16,
}

impl Args {
    fn services(&self, ports: &Ports) -> Vec<Planned> {
        let mut planned = Vec::new();
        if !self.without.contains(&Left::Processor) {
            let service = Service::new(PROCESSOR).env("KAFKA_GROUP_ID", group_of_processor());
            planned.push(plan(service, ports.processor_admin));
        }
        if !self.without.contains(&Left::Gateway) {
            let listen = loopback(ports.gateway).to_string();
            let service = Service::new(GATEWAY).env("GATEWAY_LISTEN", listen);
            planned.push(plan(service, ports.gateway_admin));
        }
        if let Some(rate) = self.generate {
            let service = Service::new(GENERATOR).env("GENERATOR_RATE", rate.to_string());
            planned.push(plan(service, ports.generator_admin));
        }
        planned
    }

    fn programs(&self) -> Vec<String> {
        let services = self.services(&Ports::default()).into_iter();
        services
            .map(|planned| planned.service.program().to_owned())
            .collect()
    }

    /// The ports of what will run, to be checked before anything starts.
    fn claims(&self, ports: &Ports) -> Vec<local_stack::ports::Claim> {
        let [gateway, processor_admin, gateway_admin, generator_admin] = ports.claims_of_services();
        let mut claims = Vec::new();
        if !self.without.contains(&Left::Processor) {
            claims.push(processor_admin);
        }
        if !self.without.contains(&Left::Gateway) {
            claims.extend([gateway, gateway_admin]);
        }
        if self.generate.is_some() {
            claims.push(generator_admin);
        }
        claims
    }
}

fn plan(service: Service, admin_port: u16) -> Planned {
    Planned {
        service: service
            .env("ADMIN_LISTEN", loopback(admin_port).to_string())
            .env("SHUTDOWN_BUDGET", SHUTDOWN_BUDGET),
        admin_port,
    }
}

/// On a terminal the password itself. What is piped or redirected ends in files and other people's
/// logs, so there it is the place where it lies.
fn shown_password(stack: &LocalStack, terminal: bool) -> String {
    if terminal {
        return stack.password().to_owned();
    }
    let kept = stack.data_dir().join("clickhouse-password");
    format!("\"$(cat {})\"", kept.display())
}

fn summary(stack: &LocalStack, note: &Running) -> String {
    let mut lines = vec![String::new(), "Barograph is up.".to_owned()];
    let mut line = |what: &str, value: &str| lines.push(format!("  {what:<11} {value}"));
    if let Some(gateway) = &note.gateway {
        let socket = gateway.replacen("http", "ws", 1);
        line("Dashboard", gateway);
        line("WebSocket", &format!("{socket}/ws/anomalies"));
    }
    line("Kafka", &stack.kafka.brokers());
    line("ClickHouse", &stack.clickhouse.url());
    line(
        "",
        &format!(
            "curl -u {}:{} '{}/?database={}' -d 'SELECT count() FROM logs'",
            stack.config().user,
            shown_password(stack, std::io::stdout().is_terminal()),
            stack.clickhouse.url(),
            stack.config().database
        ),
    );
    line("Logs", &stack.data_dir().join("logs").display().to_string());
    lines.push("Ctrl-C ends everything.".to_owned());
    lines.join("\n")
}
