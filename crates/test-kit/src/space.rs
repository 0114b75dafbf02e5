//! A test's own topics, group and database on a stack, and what stands in them.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use clickhouse_store::{Client, migrate};
use contracts::{Anomaly, topics::dead_letters_of};
use kafka_io::{
    Connection, headers,
    producer::{Outgoing, Producer},
    reader, topics,
};
use local_stack::{Ports, Service, ports::loopback};
use rdkafka::{Message as _, message::OwnedMessage};

use crate::{Running, Stack, Watcher, wait};

const ASK: Duration = Duration::from_secs(10);

pub struct Space {
    pub stack: Arc<Stack>,
    pub logs: String,
    pub anomalies: String,
    pub dead_letters: String,
    pub group: String,
    pub client: Client,
    pub connection: Connection,
    /// Where services reach Kafka, if they do not go where everybody else does.
    pub entrance: Option<String>,
    producer: Arc<Producer>,
}

/// One record to produce; Kafka gives it its time.
#[derive(Debug, Clone, Default)]
pub struct Message {
    pub key: Option<Vec<u8>>,
    /// `None`: a tombstone.
    pub payload: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// What stands where, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub produced: u64,
    pub rows: u64,
    pub dead_letters: u64,
    /// Sum of the counts by window.
    pub in_windows: u64,
}

impl Counts {
    pub fn is_complete(&self) -> bool {
        // A view is written after its table.
        self.produced == self.rows + self.dead_letters && self.in_windows == self.rows
    }
}

impl Message {
    pub fn of(key: &str, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            key: Some(key.into()),
            payload: Some(payload.into()),
            headers: Vec::new(),
        }
    }

    pub fn with_header(mut self, name: impl Into<Vec<u8>>, value: Option<&[u8]>) -> Self {
        self.headers.push((name.into(), value.map(<[u8]>::to_vec)));
        self
    }
}

impl Space {
    pub(crate) async fn make(
        stack: Arc<Stack>,
        name: &str,
        partitions: i32,
    ) -> anyhow::Result<Self> {
        let connection = Connection::plain(stack.local().kafka.brokers());
        let logs = format!("{name}-logs");
        let client = database(&stack, name).await?;
        let space = Self {
            anomalies: format!("{name}-anomalies"),
            dead_letters: dead_letters_of(&logs),
            logs,
            group: format!("{name}-group"),
            producer: Arc::new(Producer::connect(&connection)?),
            client,
            connection,
            entrance: None,
            stack,
        };
        let layout = topics::layout(&space.logs, &space.anomalies, partitions, 1);
        topics::ensure(&space.connection, &layout).await?;
        Ok(space)
    }

    /// Another room for what comes out: the same records and the same group, a database, a topic of
    /// anomalies and one of dead letters of its own.
    pub async fn beside(&self, name: &str) -> anyhow::Result<Self> {
        let outlets = format!("{name}-out");
        let space = Self {
            anomalies: format!("{name}-anomalies"),
            dead_letters: dead_letters_of(&outlets),
            logs: self.logs.clone(),
            group: self.group.clone(),
            producer: Arc::clone(&self.producer),
            client: database(&self.stack, name).await?,
            connection: self.connection.clone(),
            entrance: None,
            stack: Arc::clone(&self.stack),
        };
        let layout = topics::layout(&outlets, &space.anomalies, 1, 1);
        topics::ensure(&space.connection, &layout).await?;
        Ok(space)
    }

    /// A service that works in this space.
    pub fn service(&self, program: &str, name: &str) -> Service {
        let database = self.client.database();
        let service = Service::new(program)
            .named(&format!("{database}-{name}"))
            .env("KAFKA_TOPIC", &self.logs)
            .env("KAFKA_ANOMALIES_TOPIC", &self.anomalies)
            .env("KAFKA_DEAD_LETTER_TOPIC", &self.dead_letters)
            .env("KAFKA_GROUP_ID", &self.group)
            // A member that was killed is missed soon.
            .env("KAFKA_SESSION_TIMEOUT", "6s")
            .env("CLICKHOUSE_DATABASE", database);
        match &self.entrance {
            Some(brokers) => service.env("KAFKA_BROKERS", brokers),
            None => service,
        }
    }

    pub fn processor(&self, name: &str) -> anyhow::Result<Running> {
        self.stack.spawn(self.service("anomaly-processor", name))
    }

    /// The gateway, and its address.
    pub fn gateway(&self, name: &str) -> anyhow::Result<(Running, String)> {
        let listen = loopback(Ports::free()?.gateway);
        let service = self
            .service("ws-gateway", name)
            .env("GATEWAY_LISTEN", listen.to_string());
        Ok((self.stack.spawn(service)?, format!("ws://{listen}")))
    }

    /// A producer that knows nothing of the topic's earlier life.
    pub fn forget_the_topic(&mut self) -> anyhow::Result<()> {
        self.producer = Arc::new(Producer::connect(&self.connection)?);
        Ok(())
    }

    /// Produces all of them, and returns when Kafka has them.
    pub async fn produce(&self, messages: Vec<Message>) -> anyhow::Result<()> {
        let producer = Arc::clone(&self.producer);
        let topic = self.logs.clone();
        // Handing over batches while the producer's queue is full.
        let handed_over = tokio::task::spawn_blocking(move || {
            let send = |message: &Message| {
                let headers: Vec<_> = message
                    .headers
                    .iter()
                    .map(|(name, value)| (name.as_slice(), value.as_deref()))
                    .collect();
                producer.send(Outgoing {
                    topic: &topic,
                    key: message.key.as_deref(),
                    payload: message.payload.as_deref(),
                    headers: &headers,
                })
            };
            messages.iter().map(send).collect::<Result<Vec<_>, _>>()
        });
        for acknowledgement in handed_over.await?? {
            acknowledgement.await??;
        }
        Ok(())
    }

    /// How many partitions the topic of log records has now.
    pub async fn partitions(&self) -> anyhow::Result<i32> {
        let (connection, topic) = (self.connection.clone(), self.logs.clone());
        let offsets =
            tokio::task::spawn_blocking(move || topics::offsets(&connection, &topic, ASK));
        Ok(offsets.await??.len() as i32)
    }

    /// Records of a topic, from its first to its last.
    pub async fn records_in(&self, topic: &str) -> anyhow::Result<u64> {
        let (connection, topic) = (self.connection.clone(), topic.to_owned());
        let offsets =
            tokio::task::spawn_blocking(move || topics::offsets(&connection, &topic, ASK));
        let length = |(low, high): &(i64, i64)| (high - low).cast_unsigned();
        Ok(offsets.await??.iter().map(length).sum())
    }

    pub fn dead_letter_topic(&self) -> String {
        self.dead_letters.clone()
    }

    pub async fn counts(&self) -> anyhow::Result<Counts> {
        // Kafka last: what is counted as stored must not be newer than what is counted as produced.
        let rows = self.number("SELECT count() FROM logs").await?;
        let in_windows = self.number("SELECT sum(records) FROM log_windows").await?;
        Ok(Counts {
            rows,
            in_windows,
            dead_letters: self.records_in(&self.dead_letter_topic()).await?,
            produced: self.records_in(&self.logs).await?,
        })
    }

    /// Waits until every record is a row or a dead letter; `processor` is quoted if it does not come
    /// to that.
    pub async fn all_arrived(&self, processor: &Running) -> anyhow::Result<Counts> {
        let mut last = None;
        let arrived = wait::until("every record has arrived", wait::LONG, async || {
            let counts = self.counts().await?;
            last = Some(counts);
            Ok(counts.is_complete().then_some(counts))
        })
        .await;
        arrived.map_err(|error| processor.with_log(error.context(format!("{last:?}"))))
    }

    /// The first number of an answer.
    pub async fn number(&self, query: &str) -> anyhow::Result<u64> {
        let text = self.client.execute(query, &[]).await?;
        let text = String::from_utf8_lossy(&text);
        text.trim()
            .parse()
            .with_context(|| format!("{query} answers {text:?}"))
    }

    /// Lines of an answer in `TabSeparated`.
    pub async fn rows(&self, query: &str) -> anyhow::Result<Vec<String>> {
        let text = self.client.execute(query, &[]).await?;
        let text = String::from_utf8(text.to_vec())?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Everything that stands in a topic now.
    pub async fn read(&self, topic: &str) -> anyhow::Result<Vec<OwnedMessage>> {
        let (connection, name) = (self.connection.clone(), topic.to_owned());
        let offsets =
            tokio::task::spawn_blocking(move || topics::offsets(&connection, &name, ASK)).await??;
        let from: Vec<i64> = offsets.iter().map(|(low, _)| *low).collect();
        let wanted: i64 = offsets.iter().map(|(low, high)| high - low).sum();
        let consumer = reader::open(&self.connection, topic, &from)?;
        let mut read = Vec::new();
        while (read.len() as i64) < wanted {
            match tokio::time::timeout(wait::LONG, consumer.recv()).await {
                Ok(message) => read.push(message?.detach()),
                Err(_) => bail!("only {} of {wanted} records of {topic} came", read.len()),
            }
        }
        Ok(read)
    }

    /// Every version of an anomaly that was published, as often as it was.
    pub async fn published(&self) -> anyhow::Result<Vec<Anomaly>> {
        let messages = self.read(&self.anomalies).await?;
        let read = |message: &OwnedMessage| {
            Ok(serde_json::from_slice(
                message.payload().unwrap_or_default(),
            )?)
        };
        messages.iter().map(read).collect()
    }

    pub async fn watch(&self, gateway: &str) -> anyhow::Result<Watcher> {
        Watcher::connect(gateway).await
    }
}

/// A database with the schema, for the test of this name.
async fn database(stack: &Stack, name: &str) -> anyhow::Result<Client> {
    let client = stack.client(&format!("test_{}", name.replace('-', "_")))?;
    let create = format!("CREATE DATABASE IF NOT EXISTS {}", client.database());
    client.in_database("default").execute(&create, &[]).await?;
    migrate::apply(&client, migrate::ALL).await?;
    Ok(client)
}

/// Name and value of every header, in order.
pub fn all_headers(message: &OwnedMessage) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let list = message
        .headers()
        .map(|list| headers::all(list.as_borrowed()));
    let owned = |(name, value): headers::Header<'_>| (name.to_vec(), value.map(<[u8]>::to_vec));
    list.into_iter().flatten().map(owned).collect()
}

/// Value of a header as text; empty if it is not there.
pub fn header(message: &OwnedMessage, name: &str) -> String {
    let found = message
        .headers()
        .and_then(|list| headers::first(list.as_borrowed(), name));
    String::from_utf8_lossy(found.unwrap_or_default()).into_owned()
}
