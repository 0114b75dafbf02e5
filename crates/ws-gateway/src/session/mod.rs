//! One client's way through the log: what it is sent next.
//!
//! A session holds no frames, only its place in the log; how fast a client reads shows in how far its
//! place is behind. Pure: the caller gives it the log, and takes frames out one by one.
//!
//! Invariants: every matching entry from the subscription on is handed out exactly once and in order,
//! or counted by `lagged` or `gone`; the cursor never passes an entry that was not.

mod follower;
pub mod request;

use std::collections::VecDeque;
use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use contracts::{Cursor, websocket::ServerFrame};

use crate::log::{Entry, Log, Matcher, covers, union};

pub use follower::Follower;
pub use request::{BadRequest, Request};

/// Entries looked at in one go, so that nobody holds the log for long.
const SCAN: usize = 256;

/// What to send.
#[derive(Debug)]
pub enum Frame {
    Anomaly {
        entry: Arc<Entry>,
        text: Utf8Bytes,
        /// Set where this client knows more than everybody's cursor at this entry says.
        cursor: Option<Cursor>,
        /// It came while the client was listening, not before.
        is_live: bool,
    },
    Other(ServerFrame),
}

#[derive(Debug)]
pub enum Next {
    Frame(Frame),
    /// Nothing until the log changes.
    Idle,
    /// Nothing yet; ask again.
    Busy,
}

#[derive(Debug)]
pub struct Session {
    /// Matching entries that may wait before the client is told that it lags.
    queue: usize,
    place: Option<Place>,
    doubt: Option<Doubt>,
    /// What a doubt that was settled came to.
    answer: VecDeque<ServerFrame>,
}

/// A subscription from a place that the log has not reached. Another gateway may be further by a
/// moment; or the place is none of this topic, and waiting for it would never end. A look at the
/// topic that begins later tells.
#[derive(Debug)]
struct Doubt {
    matcher: Arc<Matcher>,
    cursor: Cursor,
    looks: u64,
}

#[derive(Debug)]
struct Place {
    matcher: Arc<Matcher>,
    /// Of the log, when this place was taken.
    generation: u64,
    /// Everything before it was handed out, or is covered by the cursor, or does not match.
    index: u64,
    /// What the client has beyond `index`. Another gateway, or this one before it was restarted,
    /// merged the partitions in another order.
    ahead: Option<Vec<i64>>,
    /// What came from here on is live.
    live_from: u64,
    pace: Pace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    Live,
    /// Reads what was there at `until`, and may be as far behind as that is long.
    CatchingUp {
        until: u64,
        distance: u64,
    },
}

impl Session {
    pub fn new(queue: usize) -> Self {
        Self {
            queue,
            place: None,
            doubt: None,
            answer: VecDeque::new(),
        }
    }

    pub fn hello(log: &Log) -> ServerFrame {
        ServerFrame::Hello {
            cursor: log.cursor().to_string(),
            server: "barograph".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Begins, or begins anew. The answer: `gone` if there is a gap, then `subscribed`. In doubt there
    /// is none yet: it is pulled.
    pub fn subscribe(
        &mut self,
        matcher: Arc<Matcher>,
        since: Option<Cursor>,
        log: &Log,
    ) -> Vec<ServerFrame> {
        self.doubt = None;
        self.answer.clear();
        match since {
            Some(cursor)
                if cursor.topic == log.topic() && !covers(log.next_offsets(), &cursor.next) =>
            {
                self.place = None;
                self.doubt = Some(Doubt {
                    matcher,
                    cursor,
                    looks: log.looks_begun(),
                });
                Vec::new()
            }
            since => self.begin(matcher, since, log),
        }
    }

    pub fn is_in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    /// Begins if the log has reached the place by now, or a look has told whether it ever will.
    fn settle_doubt(&mut self, log: &Log) {
        let is_settled = |doubt: &mut Doubt| {
            doubt.cursor.topic != log.topic()
                || covers(log.next_offsets(), &doubt.cursor.next)
                || log.looks_ended() > doubt.looks
        };
        if let Some(doubt) = self.doubt.take_if(is_settled) {
            let Doubt {
                matcher, cursor, ..
            } = doubt;
            self.answer = self.begin(matcher, Some(cursor), log).into();
        }
    }

    fn begin(
        &mut self,
        matcher: Arc<Matcher>,
        since: Option<Cursor>,
        log: &Log,
    ) -> Vec<ServerFrame> {
        let mut answer = Vec::new();
        let (index, ahead) = match since {
            None => (log.end(), None),
            Some(cursor) if cursor.topic != log.topic() || !log.may_hold(&cursor.next) => {
                answer.push(ServerFrame::Gone { missed: None });
                (log.base(), None)
            }
            Some(Cursor { next, .. }) => {
                let missed = missing(&next, log.floor());
                if missed > 0 {
                    answer.push(ServerFrame::Gone {
                        missed: Some(missed),
                    });
                }
                // What is gone was told, and is not waited for.
                let next = union(&next, log.floor());
                let index = log.place_of(&next);
                let is_ahead = !covers(log.next_at(index), &next);
                (index, is_ahead.then_some(next))
            }
        };
        let end = log.end();
        self.place = Some(Place {
            matcher,
            generation: log.generation(),
            index,
            ahead,
            live_from: end,
            pace: Pace::CatchingUp {
                until: end,
                distance: end - index,
            },
        });
        let cursor = self.cursor(log).unwrap_or_else(|| log.cursor()).to_string();
        answer.push(ServerFrame::Subscribed { cursor });
        answer
    }

    /// Where the client is: everything before was sent, or did not match. `None`: not subscribed.
    pub fn cursor(&self, log: &Log) -> Option<Cursor> {
        let place = self
            .place
            .as_ref()
            .filter(|place| place.generation == log.generation())?;
        Some(place.cursor(log))
    }

    pub fn ping(&self, log: &Log) -> ServerFrame {
        let cursor = self.cursor(log).map(|cursor| cursor.to_string());
        ServerFrame::Ping { cursor }
    }

    /// Goes on to this place: somebody else has looked at what lies before, and nothing matches.
    pub fn pass(&mut self, index: u64, log: &Log) {
        if let Some(place) = &mut self.place
            && place.generation == log.generation()
            && place.index < index
        {
            place.index = index;
            // Of what was evicted it is not known how far it reached.
            if index >= log.base() {
                place.reach(log.next_at(index));
            }
        }
    }

    /// What comes next. Call it when the client can be written to, not before.
    pub fn pull(&mut self, log: &Log) -> Next {
        self.settle_doubt(log);
        if let Some(frame) = self.answer.pop_front() {
            return Next::Frame(Frame::Other(frame));
        }
        let Some(place) = &mut self.place else {
            return Next::Idle;
        };
        let may_come = |ahead| log.may_hold(ahead);
        let waits_in_vain = !place.ahead.as_deref().is_none_or(may_come);
        if place.generation != log.generation() || waits_in_vain {
            place.start_over(log);
            return Next::Frame(Frame::Other(ServerFrame::Gone { missed: None }));
        }
        if let Some(lagged) = place.check_pace(log, self.queue) {
            return Next::Frame(Frame::Other(lagged));
        }
        place.scan(log)
    }
}

impl Place {
    fn cursor(&self, log: &Log) -> Cursor {
        let reached = log.next_at(self.index);
        let next = match &self.ahead {
            Some(ahead) => union(ahead, reached),
            None => reached.to_vec(),
        };
        Cursor {
            topic: log.topic(),
            next,
        }
    }

    /// Another topic: its entries are all new.
    fn start_over(&mut self, log: &Log) {
        self.generation = log.generation();
        self.index = log.base();
        self.ahead = None;
        self.live_from = log.base();
        let (until, distance) = (log.end(), log.end() - log.base());
        self.pace = Pace::CatchingUp { until, distance };
    }

    /// Tells the client that it lags, and goes on from the newest, if it is too far behind.
    fn check_pace(&mut self, log: &Log, queue: usize) -> Option<ServerFrame> {
        let (base, end) = (log.base(), log.end());
        let mut evicted = base.saturating_sub(self.index);
        if let Some(ahead) = &self.ahead {
            // Some of what was evicted is nothing that this client lacks.
            evicted = evicted.min(missing(ahead, log.floor()));
        }
        if evicted == 0 {
            self.index = self.index.max(base);
        }
        let behind = end - self.index;
        let is_too_far = match self.pace {
            Pace::Live => behind > queue as u64,
            // Gaining on the log: as long as each round is at most half as long as the one before.
            Pace::CatchingUp { until, distance } if self.index >= until => {
                self.pace = Pace::Live;
                if behind > queue as u64 && behind <= distance / 2 {
                    self.pace = Pace::CatchingUp {
                        until: end,
                        distance: behind,
                    };
                }
                self.pace == Pace::Live && behind > queue as u64
            }
            Pace::CatchingUp { .. } => false,
        };
        if evicted == 0 && !is_too_far {
            return None;
        }
        let waiting = log
            .from(self.index)
            .filter(|entry| self.wants(entry))
            .count();
        if evicted == 0 && waiting <= queue {
            // Most of it does not match; what does would have fit.
            self.pace = Pace::CatchingUp {
                until: end,
                distance: behind,
            };
            return None;
        }
        // Resuming there brings what is still kept of it.
        let cursor = self.cursor(log);
        self.index = end;
        self.pace = Pace::Live;
        Some(ServerFrame::Lagged {
            missed: evicted + waiting as u64,
            cursor: cursor.to_string(),
        })
    }

    fn wants(&self, entry: &Entry) -> bool {
        !self.has(entry) && self.matcher.matches(&entry.facts)
    }

    fn has(&self, entry: &Entry) -> bool {
        self.ahead
            .as_ref()
            .and_then(|ahead| ahead.get(entry.partition))
            .is_some_and(|next| entry.offset < *next)
    }

    /// Keeps the client's whole cursor, until everybody's says as much.
    fn reach(&mut self, next: &[i64]) {
        self.ahead = self
            .ahead
            .take()
            .filter(|ahead| !covers(next, ahead))
            .map(|ahead| union(&ahead, next));
    }

    fn scan(&mut self, log: &Log) -> Next {
        for entry in log.from(self.index).take(SCAN) {
            self.index += 1;
            let has = self.has(entry);
            self.reach(&entry.next);
            if has || !self.matcher.matches(&entry.facts) {
                continue;
            }
            let cursor = self.ahead.clone().map(|next| Cursor {
                topic: log.topic(),
                next,
            });
            return Next::Frame(Frame::Anomaly {
                text: cursor
                    .as_ref()
                    .map_or_else(|| entry.frame(), |own| entry.frame_with(own)),
                cursor,
                is_live: self.index > self.live_from,
                entry: Arc::clone(entry),
            });
        }
        if self.index < log.end() {
            Next::Busy
        } else {
            Next::Idle
        }
    }
}

/// Offsets between a cursor and the oldest that is kept.
fn missing(next: &[i64], floor: &[i64]) -> u64 {
    floor
        .iter()
        .enumerate()
        .map(|(partition, floor)| {
            let next = next.get(partition).copied().unwrap_or(0);
            u64::try_from(floor - next).unwrap_or(0)
        })
        .sum()
}

#[cfg(test)]
mod tests;
