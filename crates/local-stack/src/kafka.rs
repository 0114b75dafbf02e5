//! One Apache Kafka: broker and controller in one process, in KRaft mode.
//!
//! Invariant: it is said to be ready only after it answered a client's metadata request. Its data
//! survive every restart; its ports may be others the next time.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use contracts::topics::MAX_DEAD_LETTER_BYTES;
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};
use tokio::net::TcpStream;

use crate::{
    StackError, cache,
    child::{Child, Ending, Part},
    ground::Ground,
    ports::{loopback, random_bytes},
    progress::{Event, Progress},
    ready::await_ready,
};

const NAME: &str = "kafka";
const LOG4J: &str = include_str!("kafka/log4j2.properties");
/// After `kill -9` it reads its logs again before it answers.
const START_DEADLINE: Duration = Duration::from_secs(90);
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct KafkaSettings {
    /// Largest heap, MiB.
    pub heap_mib: u32,
    /// Lines for `server.properties`; they win over the ones written here.
    pub properties: Vec<(String, String)>,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            heap_mib: 512,
            properties: Vec::new(),
        }
    }
}

pub struct Kafka {
    child: Child,
    port: u16,
    progress: Progress,
}

impl Kafka {
    pub(crate) async fn start(ground: &Ground) -> Result<Self, StackError> {
        let jars = ground.fetcher.kafka(&ground.progress).await?;
        ground.progress.as_ref()(Event::Starting {
            part: NAME.to_owned(),
        });
        let home = Home::prepare(ground, &jars)?;
        home.format(ground).await?;
        let ports = &ground.config.ports;
        let child =
            Child::start(ground.part(NAME, ground.java.clone(), home.broker_args(), GRACE))?;
        let kafka = Self {
            child,
            port: ports.kafka,
            progress: ground.progress.clone(),
        };
        kafka.ready().await?;
        Ok(kafka)
    }

    /// For `bootstrap.servers`.
    pub fn brokers(&self) -> String {
        loopback(self.port).to_string()
    }

    pub fn child(&self) -> &Child {
        &self.child
    }

    /// Ends the broker in an orderly way and brings it back with its data.
    pub async fn restart(&self) -> Result<(), StackError> {
        self.child.stop().await;
        self.start_again().await
    }

    /// Brings the broker back after it ended.
    pub async fn start_again(&self) -> Result<(), StackError> {
        self.child.start_again()?;
        self.ready().await
    }

    async fn ready(&self) -> Result<(), StackError> {
        await_ready(&self.child, START_DEADLINE, &self.progress, || {
            answers(self.port)
        })
        .await
    }
}

/// Whether a broker answers there. A client comes into being only once the port is open, because
/// it would wait between its attempts.
async fn answers(port: u16) -> Result<(), String> {
    let address = loopback(port);
    TcpStream::connect(address)
        .await
        .map_err(|error| format!("{address}: {error}"))?;
    tokio::task::spawn_blocking(move || brokers_at(&address.to_string()))
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())
        .and_then(|brokers| match brokers {
            0 => Err("no broker is registered yet".to_owned()),
            _ => Ok(()),
        })
}

fn brokers_at(address: &str) -> Result<usize, KafkaError> {
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("reconnect.backoff.max.ms", "100")
        .create()?;
    let metadata = client.fetch_metadata(None, Duration::from_secs(2))?;
    Ok(metadata.brokers().len())
}

/// Its directory: settings, and under `data` what it stores.
struct Home {
    dir: PathBuf,
    class_path: OsString,
    heap: String,
}

impl Home {
    fn prepare(ground: &Ground, jars: &Path) -> Result<Self, StackError> {
        let dir = ground.data_dir.join(NAME);
        cache::create_private_dir(&dir)?;
        let mut class_path = OsString::from(jars);
        class_path.push("/*");
        let home = Self {
            dir,
            class_path,
            heap: format!("-Xmx{}m", ground.config.kafka.heap_mib),
        };
        cache::remove_dir(&home.tmp())?;
        cache::create_dir(&home.tmp())?;
        home.write("server.properties", &home.properties(ground))?;
        home.write("log4j2.properties", LOG4J)?;
        Ok(home)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), StackError> {
        let path = self.dir.join(name);
        fs::write(&path, text)
            .map_err(|source| StackError::io(format!("write {}", path.display()), source))
    }

    fn properties(&self, ground: &Ground) -> String {
        let ports = &ground.config.ports;
        let (broker, controller) = (ports.kafka, ports.kafka_controller);
        // A batch carries some bytes beside its largest record. After `kill -9` a broker is let in
        // again only when its earlier session has timed out: 9 s, unless told otherwise.
        let largest_batch = MAX_DEAD_LETTER_BYTES + 1024 * 1024;
        let mut text = format!(
            "\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
message.max.bytes={largest_batch}
replica.fetch.max.bytes={largest_batch}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
log.cleaner.dedupe.buffer.size=16777216
",
            data = escaped(&self.data()),
        );
        // Of two lines for one key the later one counts.
        for (key, value) in &ground.config.kafka.properties {
            text.extend([key.as_str(), "=", value.as_str(), "\n"]);
        }
        text
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn tmp(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    /// Gives the data directory its identity, once.
    async fn format(&self, ground: &Ground) -> Result<(), StackError> {
        let formatted = self.dir.join("formatted");
        if formatted.is_file() {
            return Ok(());
        }
        cache::remove_dir(&self.data())?; // of an attempt that did not finish
        let mut args = self.java_args();
        args.extend(["kafka.tools.StorageTool", "format", "-t"].map(OsString::from));
        args.push(cluster_id()?.into());
        args.push("-c".into());
        args.push(self.dir.join("server.properties").into());
        let part: Part = ground.part(NAME, ground.java.clone(), args, GRACE);
        let tool = Child::start(part)?;
        match tool.ended().await {
            Ending::Exited(0) => self.write("formatted", ""),
            ending => Err(StackError::EndedEarly {
                part: "Kafka's storage tool".to_owned(),
                ending,
                reason: tool.reason(),
                log: tool.log().to_owned(),
                lines: tool.last_lines(15),
            }),
        }
    }

    fn broker_args(&self) -> Vec<OsString> {
        let mut args = self.java_args();
        args.push("kafka.Kafka".into());
        args.push(self.dir.join("server.properties").into());
        args
    }

    /// The serial collector and the first compiler only: measured on two cores, a start takes 1.7 s
    /// instead of 2.4 s, and three million records are taken in faster, not slower.
    fn java_args(&self) -> Vec<OsString> {
        let mut log4j = OsString::from("-Dlog4j2.configurationFile=");
        log4j.push(self.dir.join("log4j2.properties"));
        // Where native libraries are unpacked; after `kill -9` nothing may stay elsewhere.
        let mut tmp = OsString::from("-Djava.io.tmpdir=");
        tmp.push(self.tmp());
        vec![
            self.heap.clone().into(),
            "-XX:+UseSerialGC".into(),
            "-XX:TieredStopAtLevel=1".into(),
            "-XX:-UsePerfData".into(),
            "-XX:+ExitOnOutOfMemoryError".into(),
            tmp,
            log4j,
            "-cp".into(),
            self.class_path.clone(),
        ]
    }
}

/// 16 random bytes as Kafka writes ids. A leading dash would look like a flag.
fn cluster_id() -> Result<String, StackError> {
    let mut bytes = [0; 16];
    loop {
        random_bytes(&mut bytes)?;
        let id = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        if !id.starts_with('-') {
            return Ok(id);
        }
    }
}

/// In a properties file a backslash escapes.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "\\\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_id_has_the_form_of_kafkas_ids() {
        let id = cluster_id().unwrap();
        assert_eq!(id.len(), 22);
        assert!(!id.starts_with('-'));
    }
}
