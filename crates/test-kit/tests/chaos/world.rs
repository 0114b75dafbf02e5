//! Processors, gateways and clients of one case, and how one sees that they get on.
//!
//! Invariant: a processor that ends without having been told to is noticed, noted and started again,
//! as whatever runs it in production would do.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use kafka_io::{reader, topic_id, topics};
use pipeline::Incarnation;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use test_kit::{Running, Space, Watcher, wait};
use tokio::sync::watch;

use crate::{
    poison::Placed,
    proxy::{Proxy, Trick},
    report::Tally,
    wire::Wire,
};

const ASK: Duration = Duration::from_secs(10);
/// Records of a partition whose rows may be missing when it counts as caught up: the last ones may
/// be dead letters.
const NEARLY: i64 = 10;

pub(crate) struct Member {
    pub(crate) running: Running,
    /// Its own way to ClickHouse: the wire leads to the proxy.
    pub(crate) wire: Wire,
    pub(crate) proxy: Proxy,
}

pub(crate) struct World {
    pub(crate) space: Space,
    pub(crate) members: Vec<Member>,
    pub(crate) gateways: Vec<Running>,
    pub(crate) watchers: Vec<Watcher>,
    pub(crate) tally: Tally,
    pub(crate) rng: StdRng,
    /// The services' way to Kafka, where it is not everybody's.
    pub(crate) to_kafka: Option<Arc<Wire>>,
    /// Whether the load is written.
    pub(crate) load_flows: watch::Sender<bool>,
    /// What was put among the load, and what has to become of it.
    pub(crate) placed: Placed,
    settings: Vec<(&'static str, &'static str)>,
    upstream: SocketAddr,
    started: usize,
}

/// How a case differs from the others.
pub(crate) struct Shape {
    pub(crate) seed: u64,
    pub(crate) processors: usize,
    pub(crate) gateways: usize,
    pub(crate) clients: usize,
    /// Variables of the processors.
    pub(crate) settings: Vec<(&'static str, &'static str)>,
    pub(crate) to_kafka: Option<Arc<Wire>>,
}

impl Shape {
    /// Two processors, and one of everything else.
    pub(crate) fn usual(seed: u64) -> Self {
        Self {
            seed,
            processors: 2,
            gateways: 1,
            clients: 1,
            settings: Vec::new(),
            to_kafka: None,
        }
    }
}

/// Whether every partition is stored, or nearly, up to these ends.
pub(crate) async fn is_caught_up(
    space: &Space,
    incarnation: Incarnation,
    ends: &[(i64, i64)],
) -> anyhow::Result<bool> {
    let query = format!(
        "SELECT kafka_partition, max(kafka_offset) FROM logs WHERE incarnation = '{incarnation}' \
         GROUP BY kafka_partition"
    );
    let mut stored = BTreeMap::new();
    for row in space.rows(&query).await? {
        let (partition, newest) = row.split_once('\t').context("two columns")?;
        stored.insert(partition.parse::<usize>()?, newest.parse::<i64>()?);
    }
    Ok(ends.iter().enumerate().all(|(partition, (_, end))| {
        stored.get(&partition).copied().unwrap_or(-1) + NEARLY >= *end
    }))
}

/// First and next offset of every partition. Kafka may be on its way back.
pub(crate) async fn ends_of(space: &Space) -> anyhow::Result<Vec<(i64, i64)>> {
    let asked = async || {
        let (connection, topic) = (space.connection.clone(), space.logs.clone());
        tokio::task::spawn_blocking(move || topics::offsets(&connection, &topic, ASK)).await
    };
    wait::until("Kafka tells the offsets", wait::LONG, async || {
        Ok(asked().await?.ok())
    })
    .await
}

/// Of the topic as it is now. Kafka may be on its way back.
pub(crate) async fn incarnation_of(space: &Space) -> anyhow::Result<Incarnation> {
    let asked = async || {
        let (connection, topic) = (space.connection.clone(), space.logs.clone());
        tokio::task::spawn_blocking(move || {
            topic_id::fetch(&reader::client(&connection)?, &topic, ASK)
        })
        .await
    };
    let id = wait::until("Kafka tells the topic's id", wait::LONG, async || {
        Ok(asked().await?.ok())
    });
    Ok(Incarnation::of(id.await?, &space.group))
}

impl World {
    pub(crate) async fn start(mut space: Space, shape: Shape) -> anyhow::Result<Self> {
        let upstream = space.stack.local().clickhouse.url();
        let upstream = upstream.trim_start_matches("http://").parse()?;
        let entrance = shape.to_kafka.as_ref();
        space.entrance = entrance.map(|wire| wire.address().to_string());
        let mut world = Self {
            space,
            members: Vec::new(),
            gateways: Vec::new(),
            watchers: Vec::new(),
            tally: Tally::default(),
            rng: StdRng::seed_from_u64(shape.seed),
            to_kafka: shape.to_kafka,
            load_flows: watch::channel(true).0,
            placed: Placed::new(),
            settings: shape.settings,
            upstream,
            started: 0,
        };
        for _ in 0..shape.processors {
            world.join().await?;
        }
        for number in 0..shape.gateways {
            let (gateway, address) = world.space.gateway(&format!("gateway-{number}"))?;
            gateway.ready().await?;
            for _ in 0..shape.clients {
                world.watchers.push(world.space.watch(&address).await?);
            }
            world.gateways.push(gateway);
        }
        Ok(world)
    }

    /// One more processor.
    pub(crate) async fn join(&mut self) -> anyhow::Result<()> {
        let proxy = Proxy::start(self.upstream).await?;
        let wire = Wire::start(proxy.address()).await?;
        let name = format!("processor-{}", self.started);
        self.started += 1;
        let service = self
            .space
            .service("anomaly-processor", &name)
            .env("CLICKHOUSE_URL", format!("http://{}", wire.address()))
            // As many members on every machine.
            .env("PROCESSOR_THREADS", "2")
            // Small batches, so that there is always one on its way.
            .env("BATCH_ROWS", "200")
            .env("BATCH_AGE", "100ms")
            // A restart in the middle has a state to come back to.
            .env("SNAPSHOT_INTERVAL", "2s")
            .env(
                "LOG_LEVEL",
                "info,anomaly_processor::partition_task=debug,librdkafka=off,rdkafka=off",
            )
            // Simulated time must not be overtaken by the clock.
            .env("DETECTION_IDLE_TIMEOUT", "1h");
        let service = self
            .settings
            .iter()
            .fold(service, |service, (name, value)| service.env(name, *value));
        let running = self.space.stack.spawn(service)?;
        self.members.push(Member {
            running,
            wire,
            proxy,
        });
        Ok(())
    }

    /// One of the processors.
    pub(crate) fn victim(&mut self) -> usize {
        self.rng.random_range(0..self.members.len())
    }

    /// Starts again what ended by itself.
    pub(crate) fn revive(&mut self) -> anyhow::Result<()> {
        for member in &self.members {
            let child = &member.running.child;
            if child.is_running() || child.state().stop_asked {
                continue;
            }
            let lines = child.last_lines(12).join("\n");
            let ending = format!("{}: {:?}\n{lines}", child.name(), child.state().phase);
            self.tally.ended_by_themselves.push(ending);
            child.start_again()?;
        }
        Ok(())
    }

    /// Waits until everything that stands in the topic now is stored, nearly.
    pub(crate) async fn caught_up(&mut self, after: &str) -> anyhow::Result<()> {
        let incarnation = incarnation_of(&self.space).await?;
        let ends = ends_of(&self.space).await?;
        let what = format!("the processors have caught up after: {after}");
        wait::until(&what, wait::LONG, async || {
            self.revive()?;
            // An error: ClickHouse is not back yet.
            let caught_up = is_caught_up(&self.space, incarnation, &ends).await;
            Ok(caught_up.unwrap_or(false).then_some(()))
        })
        .await
        .map_err(|error| self.with_logs(error))
    }

    /// The error with what every processor said last.
    pub(crate) fn with_logs(&self, error: anyhow::Error) -> anyhow::Error {
        let with_log = |error, member: &Member| member.running.with_log(error);
        self.members.iter().fold(error, with_log)
    }

    /// Orderly ends of all processors, which may be started again.
    pub(crate) async fn all_leave(&mut self) {
        let stops = self.members.iter().map(|member| member.running.stop());
        let endings = futures::future::join_all(stops).await;
        for (member, ending) in self.members.iter().zip(endings) {
            if !ending.is_success() {
                let name = member.running.child.name();
                self.tally.ended_by_themselves.push(format!(
                    "{name}, told to stop, {ending}:\n{}",
                    member.running.child.last_lines(5).join("\n")
                ));
            }
        }
    }

    /// Orderly ends for good; what the processors said in all their lives goes into the tally.
    pub(crate) async fn stop_processors(&mut self) -> anyhow::Result<()> {
        self.all_leave().await;
        for member in std::mem::take(&mut self.members) {
            self.remember(&member)?;
        }
        Ok(())
    }

    /// Waits until every part says that it is ready.
    pub(crate) async fn all_ready(&self) -> anyhow::Result<()> {
        let members = self.members.iter().map(|member| &member.running);
        let parts = members.chain(&self.gateways).map(Running::ready);
        futures::future::try_join_all(parts).await?;
        Ok(())
    }

    /// How members of the group share partitions.
    pub(crate) fn assignor(&self) -> &'static str {
        let set = self.settings.iter();
        set.filter(|(name, _)| *name == "KAFKA_ASSIGNOR")
            .map(|(_, assignor)| *assignor)
            .next_back()
            .unwrap_or("cooperative-sticky")
    }

    /// What a processor that is gone for good went through.
    pub(crate) fn remember(&mut self, member: &Member) -> anyhow::Result<()> {
        for trick in Trick::ALL {
            *self.tally.tricks.entry(trick.text()).or_default() += member.proxy.played(trick);
        }
        self.tally.hear(member.running.child.log())
    }
}
