//! What the poll loop and the outside tell each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use clickhouse_store::LogRows;
use pipeline::{
    Assignment, Incarnation, NextOffset, Partition, TaskId, Work,
    writer::{self, Ledger},
};
use tokio::sync::{mpsc, oneshot};

use crate::startup::Started;

/// What the loop asks of the outside.
pub enum Request {
    /// Find out where this partition begins, after a while, and for as long as somebody waits for it:
    /// until the other end of `wanted` is dropped.
    Start {
        assignment: Assignment,
        after: Duration,
        wanted: oneshot::Receiver<()>,
    },
    /// Run a writer for this task.
    Write {
        id: TaskId,
        ledger: Box<Ledger>,
        work: mpsc::Receiver<Work<LogRows>>,
    },
    /// Ask the brokers for the ends of these partitions, and what the group has committed of those
    /// that are not read yet.
    Ends {
        partitions: Vec<Partition>,
        unread: Vec<Partition>,
        asked_at: Instant,
    },
    /// Find out whether what is next in these tasks can be read at all.
    Examine(Vec<(TaskId, NextOffset)>),
    /// Ask the brokers what the topic is now; that is done every few seconds anyway.
    Look,
}

/// What the outside tells the loop.
pub enum Answer {
    Started(Box<Started>),
    /// Not yet, for this reason; it is tried again.
    CannotBegin(Assignment, String),
    Finished(writer::Finished),
    WriterEnded(TaskId),
    /// A writer ended in a way that nothing here can mend.
    Broken(String),
    Ends(Ends),
    /// What is next in this task, at `first`, cannot be decoded, up to `end`.
    Unreadable {
        id: TaskId,
        first: NextOffset,
        end: NextOffset,
        reason: String,
    },
    /// All tasks that were to be examined have been.
    Examined,
    /// The topic as it is now.
    Topic {
        incarnation: Incarnation,
        partitions: i32,
        /// Those that no broker leads.
        leaderless: BTreeSet<Partition>,
    },
    /// There is no such topic.
    NoTopic,
    /// No broker answers.
    NoAnswer(String),
}

/// What the brokers say of the partitions, as far as they answer.
#[derive(Debug)]
pub struct Ends {
    /// When the question was asked: until then, at the least, no more had come.
    pub asked_at: Instant,
    /// First and next offset.
    pub ends: BTreeMap<Partition, (i64, i64)>,
    /// Committed offsets of those that are not read yet.
    pub committed: BTreeMap<Partition, i64>,
}
