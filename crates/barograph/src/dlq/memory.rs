//! Remembers which letters were sent again, so that a second replay does not send them twice.
//!
//! The memory is a compacted topic beside the dead letters. A committed offset of a consumer group
//! could not say which letters of a selection were sent, and Kafka forgets it (after a week without
//! a member, by default) before it forgets the letters; a mark in the dead-letter topic would be
//! counted as a letter. Each record of the memory is one of three notes:
//!
//! - `run`: a replay begins. Its offset is the run's number; the newest run is the only one that
//!   may send.
//! - `sending`, before a letter is sent, with the ends of the target's partitions: what a replay
//!   that was interrupted has sent stands behind them.
//! - `sent`, after the acknowledgement, with the place where it landed.
//!
//! Invariant: nothing is sent before its `sending` is acknowledged and read back, with no newer
//! `run` before it.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, bail};
use contracts::{Timestamp, dead_letter::replays_of};
use kafka_io::{Connection, reader, topics};
use rdkafka::{
    Message as _,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::Consumer as _,
    error::RDKafkaErrorCode,
    metadata::MetadataTopic,
};
use serde::{Deserialize, Serialize};

use super::{
    LIMIT, Queue,
    letter::{Identity, Spot},
    scan::Scan,
    send::{Outgoing, Sender},
};
use crate::moment::now;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub(super) enum Note {
    Run {
        at: Timestamp,
    },
    Sending {
        run: i64,
        /// The letter's position.
        letter: String,
        /// Next offset of each partition of the target when the run began.
        from: Vec<i64>,
    },
    Sent {
        letter: String,
        landed: Spot,
        at: Timestamp,
    },
}

/// The key of all notes `run`; those of letters are `identity target`.
const RUN: &str = "run";

/// A letter and where it goes: what a note is about.
pub(super) type About = (Identity, String);

/// A letter of which it is not known whether it was sent.
pub(super) struct Open {
    pub(super) identity: Identity,
    pub(super) letter: String,
    pub(super) from: Vec<i64>,
}

pub(super) struct Memory {
    connection: Connection,
    topic: String,
    /// By the letter's identity and the target.
    letters: HashMap<String, BTreeMap<String, Note>>,
    /// Where letters landed, with their positions.
    landed: HashMap<Spot, String>,
    newest_run: i64,
    /// Next offset to read.
    next: i64,
}

impl Memory {
    /// Empty if nothing was ever replayed.
    pub(super) async fn load(queue: &Queue) -> anyhow::Result<Self> {
        let topic = replays_of(&queue.topic);
        let mut memory = Self {
            connection: queue.connection.clone(),
            topic: topic.clone(),
            letters: HashMap::new(),
            landed: HashMap::new(),
            newest_run: -1,
            next: 0,
        };
        let connection = queue.connection.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let client = reader::client(&connection)?;
            anyhow::Ok(topics::watermarks(&client, &topic, LIMIT)?)
        });
        let Some(ranges) = asked.await?? else {
            return Ok(memory);
        };
        let mut scan = Scan::open(&queue.connection, &memory.topic, &ranges)?;
        while let Some(message) = scan.next().await? {
            memory.take(&message)?;
        }
        Ok(memory)
    }

    fn take(&mut self, message: &rdkafka::message::OwnedMessage) -> anyhow::Result<()> {
        let offset = message.offset();
        self.next = offset + 1;
        let read = || {
            let key = std::str::from_utf8(message.key()?).ok()?;
            let note: Note = serde_json::from_slice(message.payload()?).ok()?;
            Some((key, note))
        };
        let (key, note) = read().with_context(|| {
            format!(
                "record {offset} of {} is not a note of this version: what was replayed cannot be told",
                self.topic
            )
        })?;
        if let Note::Run { .. } = note {
            self.newest_run = offset;
            return Ok(());
        }
        let (identity, target) = key
            .rsplit_once(' ')
            .with_context(|| format!("record {offset} of {} has a wrong key", self.topic))?;
        if let Note::Sent { letter, landed, .. } = &note {
            self.landed.insert(landed.clone(), letter.clone());
        }
        self.letters
            .entry(identity.to_owned())
            .or_default()
            .insert(target.to_owned(), note);
        Ok(())
    }

    pub(super) fn of(&self, identity: &Identity, target: &str) -> Option<&Note> {
        self.letters.get(&identity.to_string())?.get(target)
    }

    pub(super) fn was_sent(&self, identity: &Identity, target: &str) -> bool {
        matches!(self.of(identity, target), Some(Note::Sent { .. }))
    }

    /// By target.
    pub(super) fn all_of(&self, identity: &Identity) -> impl Iterator<Item = (&str, &Note)> {
        self.letters
            .get(&identity.to_string())
            .into_iter()
            .flatten()
            .map(|(target, note)| (target.as_str(), note))
    }

    /// Letters that were noted as about to be sent to the target, and not as sent.
    pub(super) fn open_in(&self, target: &str) -> Vec<Open> {
        let open = self.letters.iter().filter_map(|(identity, notes)| {
            let Note::Sending { letter, from, .. } = notes.get(target)? else {
                return None;
            };
            Some(Open {
                identity: Identity::remembered(identity),
                letter: letter.clone(),
                from: from.clone(),
            })
        });
        open.collect()
    }

    /// The letter whose replay landed there.
    pub(super) fn came_from(&self, spot: &Spot) -> Option<&str> {
        self.landed.get(spot).map(String::as_str)
    }

    /// Begins a run: from here on no older one sends.
    pub(super) async fn begin(self, queue: &Queue) -> anyhow::Result<Run> {
        self.create(queue).await?;
        let sender = Sender::connect(&self.connection)?;
        let run = write(
            &sender,
            &self.topic,
            &[(RUN.to_owned(), Note::Run { at: now() })],
        )
        .await?;
        let tail = Scan::follow(&self.connection, &self.topic, self.next)?;
        let mut run = Run {
            memory: self,
            sender,
            tail,
            number: run,
        };
        run.catch_up(run.number).await?;
        Ok(run)
    }

    /// With as many replicas as the dead letters have.
    async fn create(&self, queue: &Queue) -> anyhow::Result<()> {
        let (connection, letters) = (self.connection.clone(), queue.topic.clone());
        let asked = tokio::task::spawn_blocking(move || {
            let client = reader::client(&connection)?;
            let metadata = client.fetch_metadata(Some(&letters), LIMIT)?;
            let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
            let replicas = partitions.map(|partition| partition.replicas().len());
            anyhow::Ok(replicas.max().unwrap_or(1) as i32)
        });
        let replicas = asked.await??;
        let admin: AdminClient<DefaultClientContext> = self.connection.config().create()?;
        let wanted = NewTopic::new(&self.topic, 1, TopicReplication::Fixed(replicas))
            .set("cleanup.policy", "compact");
        let options = AdminOptions::new().operation_timeout(Some(LIMIT));
        match admin.create_topics(&[wanted], &options).await?.pop() {
            Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
            Some(Err((topic, code))) => bail!(
                "topic {topic}, which remembers what was replayed, cannot be created: {code}; create \
                 it with one partition and cleanup.policy=compact"
            ),
            None => bail!("Kafka did not say whether it created topic {}", self.topic),
        }
    }
}

/// A replay that may send, until another one begins.
pub(super) struct Run {
    pub(super) memory: Memory,
    sender: Sender,
    tail: Scan,
    number: i64,
}

impl Run {
    pub(super) fn number(&self) -> i64 {
        self.number
    }

    pub(super) fn sender(&self) -> &Sender {
        &self.sender
    }

    /// Returns when the notes are acknowledged and read back, and this is still the newest run.
    pub(super) async fn remember(&mut self, notes: Vec<(About, Note)>) -> anyhow::Result<()> {
        if notes.is_empty() {
            return Ok(());
        }
        let notes: Vec<_> = notes
            .into_iter()
            .map(|((identity, target), note)| (format!("{identity} {target}"), note))
            .collect();
        let last = write(&self.sender, &self.memory.topic, &notes).await?;
        self.catch_up(last).await?;
        if self.memory.newest_run > self.number {
            bail!(
                "another replay of these letters has begun; this one ends here and leaves the rest to it"
            );
        }
        Ok(())
    }

    async fn catch_up(&mut self, last: i64) -> anyhow::Result<()> {
        self.tail.read_to(last + 1);
        while let Some(message) = self.tail.next().await? {
            self.memory.take(&message)?;
        }
        Ok(())
    }
}

/// Offset of the last of the notes.
async fn write(sender: &Sender, topic: &str, notes: &[(String, Note)]) -> anyhow::Result<i64> {
    let values: Vec<Vec<u8>> = notes
        .iter()
        .map(|(_, note)| serde_json::to_vec(note))
        .collect::<Result<_, _>>()?;
    let records: Vec<_> = notes
        .iter()
        .zip(&values)
        .map(|((key, _), value)| Outgoing {
            topic,
            partition: Some(0),
            key: Some(key.as_bytes()),
            payload: Some(value),
            headers: None,
        })
        .collect();
    let mut last = -1;
    for answer in sender.send(&records).await {
        let spot = answer.with_context(|| format!("cannot write to {topic}"))?;
        last = last.max(spot.offset);
    }
    Ok(last)
}
