//! A topic, a gateway that may start again, and a client: the model that the session is held against.

use contracts::{Severity, websocket::Filter};
use futures::FutureExt;
use proptest::prelude::*;

use super::super::*;
use crate::anomalies::anomaly;
use crate::log::{Bounds, Plan, Record, SharedLog};

pub(super) const PARTITIONS: usize = 2;
pub(super) const KEEP: usize = 12;
pub(super) const QUEUE: usize = 4;
pub(super) const TOPIC: u64 = 0xabc;

#[derive(Debug, Clone)]
pub(super) enum Step {
    Publish {
        partition: usize,
        id: u8,
        version: u32,
        severity: usize,
    },
    Read(usize),
    Ping,
    Reconnect,
    /// The gateway starts again, and merges the partitions in another order.
    Restart(Vec<bool>),
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let publish = (0..PARTITIONS, 0_u8..12, 1_u32..5, 0_usize..4).prop_map(
        |(partition, id, version, severity)| Step::Publish {
            partition,
            id,
            version,
            severity,
        },
    );
    let step = prop_oneof![
        12 => publish,
        4 => (1_usize..8).prop_map(Step::Read),
        1 => Just(Step::Ping),
        1 => Just(Step::Reconnect),
        1 => prop::collection::vec(any::<bool>(), 1..8).prop_map(Step::Restart),
    ];
    prop::collection::vec(step, 0..120)
}

/// A topic, a gateway that reads it, and a client that wants all of it from its first subscription.
pub(super) struct World {
    pub(super) topic: Vec<Vec<(u8, u32, Severity)>>,
    pub(super) log: Arc<SharedLog>,
    pub(super) session: Follower,
    /// As a connection does: nothing is pulled until the session hears of something.
    is_idle: bool,
    pub(super) least: Severity,
    pub(super) cursor: Cursor,
    pub(super) began_at: Vec<i64>,
    pub(super) received: Vec<(usize, i64)>,
    /// Told to be missing: partition, from, to.
    pub(super) excused: Vec<(usize, i64, i64)>,
}

fn empty_log(keep_from: &[i64]) -> Arc<SharedLog> {
    let log = SharedLog::new(Bounds {
        entries: KEEP,
        bytes: usize::MAX,
    });
    log.change(|log| log.begin(TOPIC, keep_from));
    Arc::new(log)
}

impl World {
    pub(super) fn new(least: Severity, before: &[Step]) -> Self {
        let log = empty_log(&[0; PARTITIONS]);
        let mut world = Self {
            topic: vec![Vec::new(); PARTITIONS],
            session: Follower::new(Arc::clone(&log), QUEUE),
            is_idle: false,
            log,
            least,
            cursor: Cursor {
                topic: TOPIC,
                next: Vec::new(),
            },
            began_at: Vec::new(),
            received: Vec::new(),
            excused: Vec::new(),
        };
        for step in before
            .iter()
            .filter(|step| matches!(step, Step::Publish { .. }))
        {
            world.take(step);
        }
        world.subscribe(None);
        world.began_at.clone_from(&world.cursor.next);
        world
    }

    pub(super) fn feed(&mut self, partition: usize, offset: usize) {
        let (id, version, severity) = self.topic[partition][offset];
        let mut subject = anomaly((partition as u128) << 8 | u128::from(id), version);
        subject.severity = severity;
        let record = Record {
            partition,
            offset: offset as i64,
            anomaly: &subject,
            document: "{}",
            traceparent: None,
        };
        self.log.change(|log| log.append(&record));
    }

    pub(super) fn subscribe(&mut self, since: Option<Cursor>) {
        let filter = Filter {
            min_severity: self.least,
            ..Filter::default()
        };
        let had = since.clone();
        self.is_idle = false;
        for frame in self.session.subscribe(filter, since) {
            match frame {
                ServerFrame::Gone { missed } => {
                    let had = had.clone().unwrap();
                    let floor = self.log.read().floor().to_vec();
                    let gap = self.excuse(&had.next, &floor);
                    assert_eq!(missed, Some(gap), "gone says how many offsets");
                }
                ServerFrame::Subscribed { cursor } => self.cursor = cursor.parse().unwrap(),
                other => panic!("{other:?}"),
            }
        }
    }

    pub(super) fn excuse(&mut self, from: &[i64], to: &[i64]) -> u64 {
        let gaps = from.iter().zip(to).enumerate();
        let gaps: Vec<_> = gaps
            .filter(|(_, (from, to))| from < to)
            .map(|(partition, (from, to))| (partition, *from, *to))
            .collect();
        let count = gaps.iter().map(|(_, from, to)| (to - from) as u64).sum();
        self.excused.extend(gaps);
        count
    }

    pub(super) fn read_one(&mut self) -> bool {
        if self.is_idle && self.session.heard().now_or_never().is_none() {
            return false;
        }
        self.is_idle = false;
        match self.session.pull() {
            Next::Idle => {
                self.is_idle = true;
                return false;
            }
            Next::Busy => {}
            Next::Frame(Frame::Anomaly {
                entry,
                text,
                cursor,
                ..
            }) => {
                self.received.push((entry.partition, entry.offset));
                let everybodys = entry.cursor_text().parse().unwrap();
                let next = cursor.unwrap_or(everybodys);
                assert!(text.contains(&format!("\"{next}\"")));
                assert!(
                    covers(&next.next, &self.cursor.next),
                    "a cursor never goes back"
                );
                self.cursor = next;
            }
            Next::Frame(Frame::Other(ServerFrame::Lagged { missed, cursor })) => {
                let resume: Cursor = cursor.parse().unwrap();
                let log = self.log.read();
                let waiting = log.from(0).filter(|entry| {
                    entry.offset >= resume.next[entry.partition]
                        && entry.facts.severity >= self.least
                });
                let waiting = waiting.count() as u64;
                if covers(&self.cursor.next, log.floor()) {
                    assert_eq!(
                        missed, waiting,
                        "nothing was evicted: lagged says how many match"
                    );
                }
                drop(log);
                assert!(missed >= waiting);
                let had = self.cursor.next.clone();
                let floor = self.log.read().floor().to_vec();
                self.excuse(&had, &floor);
                self.subscribe(Some(resume));
            }
            Next::Frame(other) => panic!("{other:?}"),
        }
        true
    }

    pub(super) fn take(&mut self, step: &Step) {
        match step {
            Step::Publish {
                partition,
                id,
                version,
                severity,
            } => {
                self.topic[*partition].push((*id, *version, Severity::ALL[*severity]));
                self.feed(*partition, self.topic[*partition].len() - 1);
            }
            Step::Read(frames) => {
                for _ in 0..*frames {
                    if !self.read_one() {
                        break;
                    }
                }
            }
            Step::Ping => {
                if let ServerFrame::Ping {
                    cursor: Some(cursor),
                } = self.session.ping()
                {
                    let cursor: Cursor = cursor.parse().unwrap();
                    // What was evicted before it was read is told by the next frame.
                    if covers(&self.cursor.next, self.log.read().floor()) {
                        self.cursor = cursor;
                    }
                }
            }
            Step::Reconnect => self.reconnect(),
            Step::Restart(order) => {
                self.restart(order);
                self.reconnect();
            }
        }
    }

    pub(super) fn reconnect(&mut self) {
        self.session = Follower::new(Arc::clone(&self.log), QUEUE);
        self.subscribe(Some(self.cursor.clone()));
    }

    pub(super) fn restart(&mut self, order: &[bool]) {
        let plan = |records: &Vec<_>| Plan::of(0, records.len() as i64, KEEP);
        let plans: Vec<Plan> = self.topic.iter().map(plan).collect();
        let keep_from: Vec<i64> = plans.iter().map(|plan| plan.keep_from).collect();
        self.log = empty_log(&keep_from);
        let mut at: Vec<usize> = plans.iter().map(|plan| plan.read_from as usize).collect();
        for turn in order.iter().cycle() {
            let wanted = usize::from(*turn);
            let has_more = |partition: usize| at[partition] < self.topic[partition].len();
            let Some(partition) = [wanted, 1 - wanted].into_iter().find(|one| has_more(*one))
            else {
                break;
            };
            let offset = at[partition];
            at[partition] += 1;
            self.feed(partition, offset);
        }
    }

    /// Straight from the definition of a duplicate.
    pub(super) fn is_news(&self, partition: usize, offset: usize) -> bool {
        let records = &self.topic[partition];
        let (id, version, _) = records[offset];
        let window = &records[offset.saturating_sub(KEEP)..offset];
        !window
            .iter()
            .any(|(other, seen, _)| *other == id && *seen >= version)
    }

    pub(super) fn check(&mut self) {
        while self.read_one() {}
        for (partition, records) in self.topic.iter().enumerate() {
            for (offset, (_, _, severity)) in records.iter().enumerate() {
                let at = (partition, offset as i64);
                let times = self
                    .received
                    .iter()
                    .filter(|received| **received == at)
                    .count();
                let is_wanted = at.1 >= self.began_at[partition]
                    && *severity >= self.least
                    && self.is_news(partition, offset);
                let is_excused = self
                    .excused
                    .iter()
                    .any(|(of, from, to)| *of == partition && (*from..*to).contains(&at.1));
                match times {
                    0 => assert!(
                        !is_wanted || is_excused,
                        "{at:?} is missing and nobody said so"
                    ),
                    1 => assert!(is_wanted, "{at:?} was not asked for"),
                    _ => panic!("{at:?} came {times} times"),
                }
            }
        }
    }
}
