//! `barograph-bench fanout`: many clients of one gateway.
//!
//! The clients live in processes of their own, on several loopback addresses. All of them stay for
//! the whole measurement: most in groups of 500, a few idle, one in a hundred that does not read.
//!
//! Invariant: every frame that was due came exactly once to every client that reads, or it is an
//! error.

pub(super) mod clients;
mod crowd;
mod plan;
mod source;
mod tally;

use std::time::Duration;

use anyhow::bail;
use local_stack::{Ports, ports::loopback};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use self::{crowd::Crowd, plan::Plan, source::Source, tally::Phase, tally::Tally};
use super::{
    bed::{self, Bed, Space},
    count,
    output::{self, Common},
    process,
};
use command_kit::{
    figures::{Figure, MIB, grouped, table, tenths},
    say,
};

/// Many WebSocket clients of one gateway: memory for each, deliveries per second, slow ones
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// WebSocket connections.
    #[arg(long, value_name = "NUMBER", default_value = "18k", value_parser = count::parse)]
    pub(super) connections: u64,
    /// Seconds of a steady 50 anomalies per second.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(super) seconds: u32,
    #[command(flatten)]
    pub(super) common: Common,
}

const ANOMALIES_PER_SECOND: u32 = 50;
/// To every client that reads, at once.
const BROADCASTS: u64 = 50;
/// More than the kernel's buffers and the gateway's allowance for a client that does not read.
const FLOOD: u64 = 6_000;
const ARRIVED_WITHIN: Duration = Duration::from_secs(60);
const TARGET_BYTES: f64 = 8.0;
const TARGET_MS: f64 = 100.0;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) connections: u64,
    idle: u64,
    not_reading: u64,
    /// Growth of the gateway's resident memory, over the connections.
    pub(super) bytes_per_connection: f64,
    gateway_bytes_before: u64,
    gateway_bytes_connected: u64,
    gateway_bytes_at_the_end: u64,
    anomalies_per_second: u32,
    clients_per_anomaly: u64,
    deliveries: u64,
    deliveries_per_second: f64,
    gateway_cpu_us_per_delivery: f64,
    p50_ms: f64,
    pub(super) p99_ms: f64,
    max_ms: f64,
    broadcasts: u64,
    broadcast_deliveries: u64,
    /// From the first broadcast's sending to the last frame's arrival.
    broadcast_seconds: f64,
    broadcast_deliveries_per_second: f64,
    not_reading_told_lagged: u64,
    not_reading_dropped: u64,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let report = measure(&args).await?;
    args.common.tell(&report)
}

pub(super) async fn measure(args: &Args) -> anyhow::Result<Report> {
    as_many_files_as_allowed()?;
    bed::on(args.common.cache_dir(), async |bed| on_bed(bed, args).await).await
}

/// The gateway and the clients inherit it.
fn as_many_files_as_allowed() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: limit.maximum,
        ..limit
    };
    Ok(setrlimit(Resource::Nofile, all)?)
}

async fn on_bed(bed: &Bed, args: &Args) -> anyhow::Result<Report> {
    let plan = Plan {
        clients: args.connections,
    };
    let space = Space {
        logs: "fanout-logs".to_owned(),
        anomalies: "fanout-anomalies".to_owned(),
        database: "fanout".to_owned(),
    };
    bed.topics(&space, 1).await?;
    bed.database(&space.database).await?;
    let listen = loopback(Ports::free()?.gateway);
    let gateway = bed.gateway(&space, listen)?;
    gateway.ready().await?;
    let pid = gateway.pid()?;
    let before = process::resident_memory(pid)?;
    say::note(format_args!("connecting {} clients", plan.clients));
    let mut crowd = Crowd::connect(listen, plan).await?;
    let connected = process::resident_memory(pid)?;

    let mut source = Source::connect(&bed.connection, &space.anomalies)?;
    say::note(format_args!("{FLOOD} anomalies for those that do not read"));
    source
        .send(Phase::Flood, FLOOD, None, |_| plan::FLOOD.to_owned())
        .await?;
    // What is steady is measured on its own: the topic is one line, and the flood stands before it.
    source
        .send(Phase::Begin, 1, None, |_| plan::EVERYONE.to_owned())
        .await?;
    let tally = crowd
        .until(ARRIVED_WITHIN, |tally| tally.begun >= plan.reading())
        .await?;
    undisturbed(&tally, tally.begun, plan.reading())?;

    say::note(format_args!(
        "{ANOMALIES_PER_SECOND} anomalies a second for {} clients each, {} s",
        plan.group_size(),
        args.seconds
    ));
    let anomalies = u64::from(ANOMALIES_PER_SECOND) * u64::from(args.seconds);
    let cpu_before = process::cpu_us(pid)?;
    source
        .send(
            Phase::Group,
            anomalies,
            Some(ANOMALIES_PER_SECOND),
            |number| plan::service_of(number % plan.groups()),
        )
        .await?;
    let due = anomalies * plan.group_size();
    let tally = crowd
        .until(ARRIVED_WITHIN, |tally| tally.group.count() >= due)
        .await?;
    undisturbed(&tally, tally.group.count(), due)?;
    let cpu = process::cpu_us(pid)? - cpu_before;
    let group = tally.group;

    say::note(format_args!(
        "{BROADCASTS} anomalies for all {} that read",
        plan.reading()
    ));
    let begun = tally::now();
    source
        .send(Phase::Broadcast, BROADCASTS, None, |_| {
            plan::EVERYONE.to_owned()
        })
        .await?;
    let due_to_all = BROADCASTS * plan.reading();
    let tally = crowd
        .until(ARRIVED_WITHIN, |tally| {
            tally.broadcast.count() >= due_to_all
        })
        .await?;
    undisturbed(&tally, tally.broadcast.count(), due_to_all)?;
    let broadcast_seconds = tally.last_broadcast.saturating_sub(begun) as f64 / 1e6;

    crowd.resume().await?;
    let tally = crowd
        .until(ARRIVED_WITHIN, |tally| {
            tally.stuck_settled() >= plan.stuck()
        })
        .await?;
    if tally.stuck_told + tally.stuck_dropped != plan.stuck() {
        bail!(
            "of {} clients that did not read, {} were told that they lag and {} were dropped",
            plan.stuck(),
            tally.stuck_told,
            tally.stuck_dropped
        );
    }
    let at_the_end = process::resident_memory(pid)?;
    drop(crowd);
    gateway.stop().await?;
    Ok(Report {
        connections: plan.clients,
        idle: plan.idle(),
        not_reading: plan.stuck(),
        bytes_per_connection: connected.saturating_sub(before) as f64 / plan.clients as f64,
        gateway_bytes_before: before,
        gateway_bytes_connected: connected,
        gateway_bytes_at_the_end: at_the_end,
        anomalies_per_second: ANOMALIES_PER_SECOND,
        clients_per_anomaly: plan.group_size(),
        deliveries: due,
        deliveries_per_second: due as f64 / f64::from(args.seconds),
        gateway_cpu_us_per_delivery: cpu as f64 / due as f64,
        p50_ms: group.quantile_ms(0.5),
        p99_ms: group.quantile_ms(0.99),
        max_ms: group.quantile_ms(1.0),
        broadcasts: BROADCASTS,
        broadcast_deliveries: due_to_all,
        broadcast_seconds,
        broadcast_deliveries_per_second: due_to_all as f64 / broadcast_seconds,
        not_reading_told_lagged: tally.stuck_told,
        not_reading_dropped: tally.stuck_dropped,
    })
}

fn undisturbed(tally: &Tally, came: u64, due: u64) -> anyhow::Result<()> {
    if came != due || tally.disturbed > 0 {
        bail!(
            "{came} of {due} frames came to clients that read, and {} times one of them was told \
             something else or lost its connection",
            tally.disturbed
        );
    }
    Ok(())
}

impl output::Report for Report {
    fn text(&self) -> String {
        let mib = |bytes: u64| tenths(bytes as f64 / MIB);
        let rows = [
            (
                "connections".to_owned(),
                format!(
                    "{}, of these {} idle and {} that do not read",
                    grouped(self.connections as f64),
                    self.idle,
                    self.not_reading
                ),
            ),
            (
                "gateway's memory, MiB".to_owned(),
                format!(
                    "{} before, {} connected, {} at the end",
                    mib(self.gateway_bytes_before),
                    mib(self.gateway_bytes_connected),
                    mib(self.gateway_bytes_at_the_end)
                ),
            ),
            (
                "  growth per connection, KiB".to_owned(),
                tenths(self.bytes_per_connection / 1024.0),
            ),
            (
                format!(
                    "{} anomalies/s to {} each",
                    self.anomalies_per_second, self.clients_per_anomaly
                ),
                format!(
                    "{} deliveries/s, {} µs of the gateway's CPU each",
                    grouped(self.deliveries_per_second),
                    tenths(self.gateway_cpu_us_per_delivery)
                ),
            ),
            (
                "  sending to arrival, ms".to_owned(),
                format!(
                    "p50 {}, p99 {}, most {}",
                    tenths(self.p50_ms),
                    tenths(self.p99_ms),
                    tenths(self.max_ms)
                ),
            ),
            (
                format!("{} anomalies to all that read, at once", self.broadcasts),
                format!(
                    "{} frames in {} s, {}/s",
                    grouped(self.broadcast_deliveries as f64),
                    tenths(self.broadcast_seconds),
                    grouped(self.broadcast_deliveries_per_second)
                ),
            ),
            (
                "clients that did not read".to_owned(),
                format!(
                    "{} told that they lag, {} dropped; all others got everything",
                    self.not_reading_told_lagged, self.not_reading_dropped
                ),
            ),
        ];
        let rows = rows.map(|(name, text)| [name, text]);
        format!("\nFan-out\n\n{}", table(&[], rows))
    }

    fn figures(&self) -> Vec<Figure> {
        vec![
            Figure::above(
                "WebSocket connections",
                self.connections as f64,
                18_000.0,
                grouped,
            ),
            Figure::below(
                "gateway's memory per connection, KiB",
                self.bytes_per_connection / 1024.0,
                TARGET_BYTES,
                tenths,
            ),
            Figure::below(
                "fan-out at 50 anomalies/s to 500 each, p99 ms",
                self.p99_ms,
                TARGET_MS,
                tenths,
            ),
        ]
    }
}
