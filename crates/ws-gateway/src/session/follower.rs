//! A session and the log that it follows: it looks at the log only when something came that it wants.
//! Invariant: a session that hears nothing has, as far as anybody can tell, looked at every entry.

use std::sync::{Arc, RwLockReadGuard};
use std::task::{Context, Poll};

use contracts::{
    Cursor,
    websocket::{Filter, ServerFrame},
};

use super::{Next, Session};
use crate::log::{Listener, Log, SharedLog};

pub struct Follower {
    log: Arc<SharedLog>,
    session: Session,
    listener: Listener,
}

impl Follower {
    /// `queue`: matching entries that may wait before the client is told that it lags.
    pub fn new(log: Arc<SharedLog>, queue: usize) -> Self {
        Self {
            session: Session::new(queue),
            listener: Listener::new(Arc::clone(&log)),
            log,
        }
    }

    pub fn hello(&self) -> ServerFrame {
        Session::hello(&self.log.read())
    }

    /// See [`Session::subscribe`].
    pub fn subscribe(&mut self, filter: Filter, since: Option<Cursor>) -> Vec<ServerFrame> {
        let log = self.log.read();
        let matcher = self.listener.join(filter, &log);
        self.session.subscribe(matcher, since, &log)
    }

    /// What comes next; after [`Next::Idle`], nothing does until [`Self::heard`] ends.
    pub fn pull(&mut self) -> Next {
        let log = self.log.read();
        pass(&mut self.session, &self.listener, &log);
        let next = self.session.pull(&log);
        if matches!(next, Next::Idle) {
            self.listener.listen(&log);
            if self.session.is_in_doubt() {
                self.listener.doubt(&log);
            }
        }
        next
    }

    /// See [`Session::cursor`].
    pub fn cursor(&mut self) -> Option<Cursor> {
        let log = self.log.read();
        pass(&mut self.session, &self.listener, &log);
        self.session.cursor(&log)
    }

    pub fn ping(&mut self) -> ServerFrame {
        let log = self.log.read();
        pass(&mut self.session, &self.listener, &log);
        self.session.ping(&log)
    }

    pub fn poll_heard(&self, context: &Context<'_>) -> Poll<()> {
        self.listener.poll_heard(context)
    }

    /// Ends when there may be something to pull.
    pub async fn heard(&self) {
        self.listener.heard().await;
    }
}

fn pass(session: &mut Session, listener: &Listener, log: &RwLockReadGuard<'_, Log>) {
    session.pass(listener.clear_until(log), log);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use contracts::Severity;
    use tokio::sync::mpsc;
    use tokio::task::JoinSet;

    use super::*;
    use crate::anomalies::anomaly;
    use crate::log::{Bounds, Record};
    use crate::session::Frame;

    const FOLLOWERS: usize = 8;
    const ENTRIES: i64 = 2000;
    const DEADLINE: Duration = Duration::from_secs(60);

    /// Would catch a wake that is lost between looking at the log and waiting for it: each entry
    /// comes while those who got the one before are about to wait.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_entry_that_comes_while_a_follower_falls_asleep_wakes_it() {
        let log = Arc::new(SharedLog::new(Bounds {
            entries: 100,
            bytes: usize::MAX,
        }));
        log.change(|log| log.begin(1, &[0]));
        let (got, mut all_got) = mpsc::unbounded_channel();
        let mut followers = JoinSet::new();
        for least in Severity::ALL.into_iter().cycle().take(FOLLOWERS) {
            let mut follower = Follower::new(Arc::clone(&log), 100);
            let filter = Filter {
                min_severity: least,
                ..Filter::default()
            };
            follower.subscribe(filter, None);
            let got = got.clone();
            followers.spawn(async move {
                loop {
                    match follower.pull() {
                        Next::Frame(Frame::Anomaly { entry, .. }) => {
                            got.send(entry.offset).unwrap();
                        }
                        Next::Idle => follower.heard().await,
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
        for offset in 0..ENTRIES {
            let rank = offset as usize % Severity::ALL.len();
            let mut subject = anomaly(offset as u128, 1);
            subject.severity = Severity::ALL[rank];
            log.change(|log| {
                log.append(&Record {
                    partition: 0,
                    offset,
                    anomaly: &subject,
                    document: "{}",
                    traceparent: None,
                })
            });
            for _ in 0..(rank + 1) * FOLLOWERS / Severity::ALL.len() {
                let received = tokio::time::timeout(DEADLINE, all_got.recv()).await;
                assert_eq!(received.unwrap(), Some(offset));
            }
        }
    }
}
