//! `barograph dlq replay`: sends letters again, each record once.
//!
//! Invariants: a letter is noted before it is sent, and noted as sent only after the broker's
//! acknowledgement, so an interruption loses none; what an interrupted replay may have sent is looked
//! for in the target before anything is sent again.

mod confirm;
mod plan;

use std::{
    collections::{BTreeMap, HashMap},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use contracts::dead_letter::{REPLAYED_FROM, REPLAYED_TIMESTAMP};
use kafka_io::headers;
use plan::Plan;
use rdkafka::{Message as _, message::OwnedHeaders};

use super::{
    Queue, Where,
    letter::{Letter, Position, Spot},
    memory::{About, Memory, Note, Run},
    offsets,
    pick::Pick,
    scan::Scan,
    send::Outgoing,
};
use crate::moment::now;
use command_kit::{interrupt::Interrupt, say};

/// Letters of one batch; what is sent and not yet noted as sent is at most this.
const BATCH_LETTERS: usize = 500;
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// Send dead letters back to where they came from
///
/// The original value, key and headers go to the partition they were in, each record once however
/// many letters it has, with two headers behind the record's own: `replayed-timestamp`, by which the
/// processor dates it as when it first came, and `replayed-from`. What was replayed is remembered in
/// Kafka (topic `<dead letters>.replays`), and not sent a second time; after an interruption, run it
/// again. The letters stay in their topic; those that were cut are not sent. The bytes are the same as
/// before: the processor takes them only if what refused them has been changed, else they become dead
/// letters again.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("selection").args(["reason", "since", "position", "all"]).required(true).multiple(true),
    after_help = "\
Examples:
  barograph dlq replay --reason rejected_row --dry-run   what would be sent
  barograph dlq replay --reason rejected_row --since 2h
  barograph dlq replay --position 0:17 --position 0:21
  barograph dlq replay --all --yes                       everything, without asking
  barograph dlq replay --all --to app-logs.test          into another topic"
)]
pub(super) struct Args {
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    pick: Pick,
    /// Only this letter, partition:offset; can be given several times.
    #[arg(long, value_name = "P:O")]
    position: Vec<Position>,
    /// All of them.
    #[arg(long, conflicts_with_all = ["reason", "since", "position"])]
    all: bool,
    /// Send to this topic instead of each letter's own.
    #[arg(long, value_name = "TOPIC")]
    to: Option<String>,
    /// Also what was replayed before.
    #[arg(long)]
    again: bool,
    /// Say what would be sent, and send nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

impl Args {
    fn takes(&self, letter: &Letter) -> bool {
        let named = self.position.is_empty() || self.position.contains(&letter.position);
        named && self.pick.takes(letter)
    }

    fn target<'a>(&'a self, letter: &'a Letter) -> Option<&'a str> {
        let own = || letter.source.as_ref().map(|source| source.topic.as_str());
        self.to.as_deref().or_else(own)
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if !args.dry_run && !args.yes && !confirm::can_ask() {
        say::problem(&anyhow::anyhow!(
            "replay asks before it sends, and there is no terminal to ask on; add --yes, or --dry-run"
        ));
        return Ok(ExitCode::from(command_kit::WRONG_COMMAND_LINE));
    }
    let queue = args.place.open().await?;
    let memory = Memory::load(&queue).await?;
    let plan = Plan::make(&queue, &args, &memory).await?;
    plan.print(&queue.topic);
    if plan.chosen.is_empty() {
        say::line("Nothing to send.");
        return Ok(ExitCode::SUCCESS);
    }
    if args.dry_run {
        plan.print_letters();
        say::line("Nothing was sent (--dry-run).");
        return Ok(ExitCode::SUCCESS);
    }
    if !args.yes && !confirm::ask(&plan.question()).await? {
        say::line("Nothing was sent.");
        return Ok(ExitCode::FAILURE);
    }
    let interrupt = Interrupt::listen()?;
    let run = memory.begin(&queue).await?;
    let mut replay = Replay {
        ends: plan.ends(),
        queue,
        run,
        again: args.again,
        sent: 0,
    };
    let done = replay.go(&plan, interrupt).await;
    let sent = replay.sent;
    match done {
        Ok(true) => {
            say::line(format_args!("{sent} sent and acknowledged."));
            Ok(ExitCode::SUCCESS)
        }
        Ok(false) => {
            say::line(format_args!(
                "Interrupted: {sent} sent and acknowledged. The same command sends the rest."
            ));
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error.context(format!(
            "the replay has stopped: {sent} sent and acknowledged; the same command sends the rest"
        ))),
    }
}

struct Replay {
    queue: Queue,
    run: Run,
    /// Next offset of each partition of each target, before anything was sent.
    ends: BTreeMap<String, Vec<i64>>,
    again: bool,
    sent: usize,
}

impl Replay {
    /// `false`: somebody asked to end.
    async fn go(&mut self, plan: &Plan, mut interrupt: Interrupt) -> anyhow::Result<bool> {
        for target in self.ends.keys().cloned().collect::<Vec<_>>() {
            if !self.settle(&target, plan, &mut interrupt).await? {
                return Ok(false);
            }
        }
        let mut scan = Scan::open(&self.queue.connection, &self.queue.topic, &plan.span())?;
        let mut batch: Vec<(Letter, String)> = Vec::new();
        let mut bytes = 0;
        loop {
            let message = tokio::select! {
                biased;
                () = interrupt.next() => return Ok(false),
                message = scan.next() => message?,
            };
            let Some(message) = message else { break };
            let letter = Letter::of(&message);
            let Some(target) = plan.chosen.get(&letter.position) else {
                continue;
            };
            bytes += letter.bytes().len();
            batch.push((letter, target.clone()));
            if batch.len() >= BATCH_LETTERS || bytes >= BATCH_BYTES {
                self.send(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
        }
        self.send(batch).await?;
        Ok(true)
    }

    /// Finds out which of the letters an interrupted run has sent. `false`: somebody asked to end.
    async fn settle(
        &mut self,
        target: &str,
        plan: &Plan,
        interrupt: &mut Interrupt,
    ) -> anyhow::Result<bool> {
        let mut open = self.run.memory.open_in(target);
        open.retain(|it| {
            let about = (it.identity.clone(), target.to_owned());
            plan.records.contains(&about)
        });
        if open.is_empty() {
            return Ok(true);
        }
        let ranges = offsets(&self.queue.connection, target).await?;
        let behind: Vec<(i64, i64)> = (0..)
            .zip(&ranges)
            .map(|(partition, (low, high))| {
                let from = open
                    .iter()
                    .map(|it| it.from.get(partition).copied().unwrap_or(0));
                (from.min().unwrap_or(0).max(*low), *high)
            })
            .collect();
        let records: i64 = behind.iter().map(|(from, to)| (to - from).max(0)).sum();
        say::note(format_args!(
            "an earlier replay was interrupted; looking through {records} records of {target} for the \
             {} letters that it may have sent",
            open.len()
        ));
        let mut by_header: HashMap<String, _> = open
            .into_iter()
            .map(|it| (self.header(&it.letter), it))
            .collect();
        let mut found = Vec::new();
        let mut scan = Scan::open(&self.queue.connection, target, &behind)?;
        loop {
            let message = tokio::select! {
                biased;
                () = interrupt.next() => return Ok(false),
                message = scan.next() => message?,
            };
            let Some(message) = message else { break };
            let Some(from) = replayed_from(&message) else {
                continue;
            };
            let Some(it) = by_header.remove(&from) else {
                continue;
            };
            let landed = Spot {
                topic: target.to_owned(),
                partition: message.partition(),
                offset: message.offset(),
            };
            found.push(((it.identity, target.to_owned()), sent(it.letter, landed)));
        }
        say::note(format_args!("{} of them had been sent", found.len()));
        self.run.remember(found).await?;
        Ok(true)
    }

    async fn send(&mut self, mut batch: Vec<(Letter, String)>) -> anyhow::Result<()> {
        // Another run may have been at work between the plan and this one's beginning.
        let (memory, again) = (&self.run.memory, self.again);
        batch.retain(|(letter, target)| again || !memory.was_sent(&letter.identity(), target));
        let about =
            |letter: &Letter, target: &str| -> About { (letter.identity(), target.to_owned()) };
        let number = self.run.number();
        let sending = batch.iter().map(|(letter, target)| {
            let note = Note::Sending {
                run: number,
                letter: letter.position.to_string(),
                from: self.ends.get(target).cloned().unwrap_or_default(),
            };
            (about(letter, target), note)
        });
        let sending = sending.collect();
        self.run.remember(sending).await?;

        let headers: Vec<_> = batch
            .iter()
            .map(|(letter, _)| with_stamps(letter, &self.header(&letter.position.to_string())))
            .collect();
        let records: Vec<_> = batch
            .iter()
            .zip(&headers)
            .map(|((letter, target), headers)| Outgoing {
                topic: target,
                partition: self.partition(letter, target),
                key: letter.key.as_deref(),
                payload: letter.payload.as_deref(),
                headers: Some(headers),
            })
            .collect();
        let answers = self.run.sender().send(&records).await;

        let mut notes = Vec::new();
        let mut failures = Vec::new();
        for ((letter, target), answer) in batch.iter().zip(answers) {
            match answer {
                Ok(landed) => notes.push((
                    about(letter, target),
                    sent(letter.position.to_string(), landed),
                )),
                Err(error) => failures.push((letter.position, target, error)),
            }
        }
        self.sent += notes.len();
        self.run.remember(notes).await?;
        if let Some((position, target, error)) = failures.first() {
            bail!(
                "{} could not be sent; letter {position} to {target}: {error}",
                failures.len()
            );
        }
        Ok(())
    }

    /// The one it was in, so that a service's lines stay together; by key where there is none.
    fn partition(&self, letter: &Letter, target: &str) -> Option<i32> {
        let partitions = self.ends.get(target).map_or(0, Vec::len) as i32;
        let source = letter.source.as_ref()?;
        let its_own = source.topic == target && (0..partitions).contains(&source.partition);
        its_own.then_some(source.partition)
    }

    /// Value of the header that says which letter a record was.
    fn header(&self, letter: &str) -> String {
        format!("{}/{}", self.queue.topic, letter.replace(':', "/"))
    }
}

fn sent(letter: String, landed: Spot) -> Note {
    Note::Sent {
        letter,
        landed,
        at: now(),
    }
}

/// The record's own headers as they were, and two behind them: Kafka's time of the record when it
/// first came, and the letter that it was.
fn with_stamps(letter: &Letter, from: &str) -> OwnedHeaders {
    let time = letter.record_time.map(|time| time.as_millis().to_string());
    let own = letter.headers_before_replay().iter();
    let own = own.map(|(name, value)| (name.as_slice(), value.as_deref()));
    let time = time
        .iter()
        .map(|time| (REPLAYED_TIMESTAMP.as_bytes(), Some(time.as_bytes())));
    let from = (REPLAYED_FROM.as_bytes(), Some(from.as_bytes()));
    headers::list(own.chain(time).chain([from]))
}

/// By its last header: one before it may be the record's own.
fn replayed_from(message: &rdkafka::message::OwnedMessage) -> Option<String> {
    let (name, value) = headers::all(message.headers()?.as_borrowed()).next_back()?;
    if name != REPLAYED_FROM.as_bytes() {
        return None;
    }
    String::from_utf8(value?.to_vec()).ok()
}

/// First and next offset of each partition of the target.
async fn target_ranges(queue: &Queue, target: &str) -> anyhow::Result<Vec<(i64, i64)>> {
    offsets(&queue.connection, target)
        .await
        .with_context(|| format!("letters cannot be sent to {target}; --to names another topic"))
}
