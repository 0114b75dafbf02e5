//! `barograph demo`: the whole thing on this machine, with injected anomalies, and an honest
//! account at the end.
//!
//! Invariants: what it says was counted where it happened (Kafka's offsets, ClickHouse's rows, the
//! frames of a WebSocket client of its own); when it has ended, nothing of it is left.

mod account;
mod plan;
mod report;
mod watch;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use clickhouse_store::{Client, migrate as store_migrate};
use contracts::topics::{ANOMALIES, APP_LOGS, dead_letters_of};
use kafka_io::{
    Connection,
    producer::{Outgoing, Producer},
    topics,
};
use local_stack::{Child, LocalStack, Ports, Service, StackConfig, ports::loopback};

use self::{account::Account, plan::Plan, watch::Watch};
use command_kit::{display, http, interrupt::Interrupt, say, stores::Stores};

/// See it work: a simulated fleet, injected anomalies, and the account of what was found
///
/// Starts Kafka, ClickHouse and the services on free ports, writes up to three hours of simulated
/// history so that baselines exist, goes on live with injected anomalies, and ends with a summary.
/// Exit code 0: the sums are exact, every injected anomaly was found, every anomaly was received.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  barograph demo
  barograph demo --duration 20s
  barograph demo --duration 60s --rate 20000
  barograph demo --duration 10m --calm       no anomalies injected: it should stay quiet
  barograph demo --json | jq .latency_ms")]
pub(crate) struct Args {
    /// How long the live part lasts; 20 s at the least.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = plan::duration)]
    duration: Duration,
    /// Log lines per second.
    #[arg(long, value_name = "RATE", default_value_t = 300, value_parser = clap::value_parser!(u32).range(10..=500_000))]
    rate: u32,
    /// Same seed, same fleet.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// Inject nothing: whatever is found is a false alert.
    #[arg(long)]
    calm: bool,
    /// One JSON object on standard output instead of the summary.
    #[arg(long)]
    json: bool,
    /// Where Kafka and ClickHouse are kept once fetched [default: ~/.cache/barograph].
    #[arg(long, env = "BAROGRAPH_CACHE_DIR", value_name = "DIR")]
    cache_dir: Option<std::path::PathBuf>,
}

/// How long stores and services get to catch up after the last line was written.
const SETTLE: Duration = Duration::from_secs(60);

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut interrupt = Interrupt::listen()?;
    let plan = Plan::of(args.duration, args.rate, args.seed, args.calm);
    // Goes with everything in it when the demo ends.
    let folder = tempfile::tempdir().context("no room for temporary files")?;
    let mut config = StackConfig::on_free_ports(folder.path())?;
    if let Some(cache) = &args.cache_dir {
        config.cache_dir.clone_from(cache);
    }
    config.programs = ["anomaly-processor", "ws-gateway", "log-generator"]
        .map(str::to_owned)
        .to_vec();
    let stack = tokio::select! {
        started = LocalStack::start(config, display::progress()) => started?,
        () = interrupt.next() => return Ok(ExitCode::from(1)),
    };
    let outcome = tokio::select! {
        outcome = perform(&stack, &plan) => outcome,
        () = interrupt.next() => Err(anyhow::anyhow!("interrupted")),
    };
    say::note("stopping");
    stack.stop().await;
    let account = outcome?;
    if args.json {
        say::json(&serde_json::to_string(&account)?);
    } else {
        say::line(report::summary(&account, &plan));
    }
    Ok(ExitCode::from(u8::from(!account.is_good())))
}

async fn perform(stack: &LocalStack, plan: &Plan) -> anyhow::Result<Account> {
    let stores = Stores::of(stack);
    let connection = Connection::plain(&stores.brokers);
    let client = stores.clickhouse()?;
    topics::ensure(&connection, &topics::layout(APP_LOGS, ANOMALIES, 4, 1)).await?;
    store_migrate::apply(&client, store_migrate::ALL).await?;

    let ports = stack.config().ports.clone();
    let gateway_url = format!("http://{}", loopback(ports.gateway));
    let services = start_services(stack, &ports, plan)?;
    for (child, admin) in &services {
        wait_ready(child, *admin).await?;
    }
    say::note(format_args!("watch it at {gateway_url}"));
    let watch = Watch::start(&gateway_url).await?;
    let generator =
        stack.spawn_service(plan.generator(loopback(ports.generator_admin).to_string()))?;
    say::note(format_args!(
        "writing {} of history at {} lines/s, then live for {}",
        plan::spoken(plan.history),
        plan.rate,
        plan::spoken(plan.live)
    ));
    let unreadable = write_unreadable(&connection)?;
    let generated = live(&generator, &client, &connection, &watch, plan).await?;
    if generated.produced + unreadable == 0 {
        bail!(
            "the generator wrote nothing; the end of its log:\n{}",
            generator.last_lines(20).join("\n")
        );
    }
    account::settle(
        &client,
        &connection,
        &watch,
        &services,
        generated,
        unreadable,
        plan,
        SETTLE,
    )
    .await
}

fn start_services(
    stack: &LocalStack,
    ports: &Ports,
    plan: &Plan,
) -> anyhow::Result<Vec<(Arc<Child>, u16)>> {
    let processor = Service::new("anomaly-processor")
        .env("ADMIN_LISTEN", loopback(ports.processor_admin).to_string());
    let processor = plan
        .detection()
        .into_iter()
        .fold(processor, |service, (name, value)| service.env(name, value));
    let gateway = Service::new("ws-gateway")
        .env("ADMIN_LISTEN", loopback(ports.gateway_admin).to_string())
        .env("GATEWAY_LISTEN", loopback(ports.gateway).to_string());
    Ok(vec![
        (stack.spawn_service(processor)?, ports.processor_admin),
        (stack.spawn_service(gateway)?, ports.gateway_admin),
    ])
}

async fn wait_ready(child: &Child, admin: u16) -> anyhow::Result<()> {
    let url = format!("http://{}/ready", loopback(admin));
    let client = http::client()?;
    tokio::select! {
        ready = tokio::time::timeout(Duration::from_secs(60), http::until_ok(&client, &url)) => {
            ready.with_context(|| format!("{} is not ready after 60 s:\n{}", child.name(), child.last_lines(20).join("\n")))
        }
        ending = child.ended() => bail!("{} {ending}:\n{}", child.name(), child.last_lines(20).join("\n")),
    }
}

/// A few lines that nobody can read, so that the dead letters are part of the sum.
fn write_unreadable(connection: &Connection) -> anyhow::Result<u64> {
    let lines: [&[u8]; 3] = [b"{\"message\":\"cut off he", b"\xff\xfe not text", b""];
    let producer = Producer::connect(connection)?;
    for payload in lines {
        // The answer is in the offsets, which are counted at the end.
        let _acknowledgement = producer.send(Outgoing {
            topic: APP_LOGS,
            key: Some(b"checkout"),
            payload: Some(payload),
            headers: &[],
        })?;
    }
    producer.flush(Duration::from_secs(10))?;
    Ok(lines.len() as u64)
}

/// Shows how it goes until the generator has ended; answers with its report.
async fn live(
    generator: &Child,
    client: &Client,
    connection: &Connection,
    watch: &Watch,
    plan: &Plan,
) -> anyhow::Result<account::Generated> {
    let screen = report::Progress::start();
    let mut every = tokio::time::interval(Duration::from_secs(1));
    let deadline = tokio::time::Instant::now() + plan.live + Duration::from_secs(300);
    let ending = loop {
        tokio::select! {
            ending = generator.ended() => break ending,
            _ = every.tick() => {
                let counted = account::counts(client, connection).await.unwrap_or_default();
                screen.show(&counted, watch.received());
            }
            () = tokio::time::sleep_until(deadline) => bail!("the generator has not ended {} after it should have", plan::spoken(Duration::from_secs(300))),
        }
    };
    screen.end();
    if !ending.is_success() {
        bail!(
            "the generator {ending}:\n{}",
            generator.last_lines(20).join("\n")
        );
    }
    account::generated(generator)
}

/// The dead-letter topic of the demo.
fn dead_letters() -> String {
    dead_letters_of(APP_LOGS)
}
