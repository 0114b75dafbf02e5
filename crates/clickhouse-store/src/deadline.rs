//! How long a request to ClickHouse may take.
//!
//! By progress, not by size alone: a part that accepts and never answers (stopped, or behind a cable that
//! is cut) is noticed within seconds wherever it stops, and a large block on a slow machine has the time
//! that it needs. What was sent when a deadline passes may have taken effect.
//!
//! Invariant: no request waits for ever.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::stream;

/// The deadlines of every request. The simulation's client has the same.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Until there is a connection.
    pub connect: Duration,
    /// In which a piece of what is sent, or of what is answered, has to move.
    pub progress: Duration,
    /// From the last byte sent to the first one of the answer.
    pub answer: Duration,
    /// More of it for each MiB that was sent: ClickHouse answers once a block is written.
    pub answer_per_mib: Duration,
    /// For `SELECT 1`, from beginning to end.
    pub ping: Duration,
}

/// What everybody uses.
pub const DEADLINES: Deadlines = Deadlines {
    connect: Duration::from_secs(3),
    progress: Duration::from_secs(10),
    answer: Duration::from_secs(30),
    answer_per_mib: Duration::from_secs(1),
    ping: Duration::from_secs(3),
};

/// Bytes between two looks at how far a body has got.
const PIECE: usize = 256 * 1024;

/// It has waited for longer than a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) what: &'static str,
    pub(crate) limit: Duration,
}

impl std::fmt::Display for Passed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} within {} s", self.what, self.limit.as_secs())
    }
}

impl Deadlines {
    /// All of them in a world whose time goes faster, as a simulation's does.
    #[must_use]
    pub fn scaled(self, by: f64) -> Self {
        Self {
            connect: self.connect.mul_f64(by),
            progress: self.progress.mul_f64(by),
            answer: self.answer.mul_f64(by),
            answer_per_mib: self.answer_per_mib.mul_f64(by),
            ping: self.ping.mul_f64(by),
        }
    }

    /// For the answer to a body of this many bytes.
    pub fn answer_to(&self, bytes: usize) -> Duration {
        self.answer
            + self
                .answer_per_mib
                .mul_f64(bytes as f64 / f64::from(1 << 20))
    }
}

/// A body that is told apart into pieces, and how much of it has been taken to be sent.
pub(crate) struct Upload {
    pieces: Vec<Bytes>,
    taken: Arc<AtomicUsize>,
}

/// How far an [`Upload`] is.
pub(crate) struct Sent {
    taken: Arc<AtomicUsize>,
    pieces: usize,
    bytes: usize,
}

impl Upload {
    pub(crate) fn of(mut body: Bytes) -> Self {
        let mut pieces = Vec::with_capacity(body.len() / PIECE + 1);
        while !body.is_empty() {
            pieces.push(body.split_to(body.len().min(PIECE)));
        }
        Self {
            pieces,
            taken: Arc::default(),
        }
    }

    pub(crate) fn begin(self) -> (reqwest::Body, Sent) {
        let Self { pieces, taken } = self;
        let sent = Sent {
            taken: Arc::clone(&taken),
            pieces: pieces.len(),
            bytes: pieces.iter().map(Bytes::len).sum(),
        };
        let stream = stream::iter(pieces.into_iter().map(move |piece| {
            taken.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::convert::Infallible>(piece)
        }));
        (reqwest::Body::wrap_stream(stream), sent)
    }
}

impl Sent {
    /// What `answering` gives, as long as the body moves on, and then the answer begins in time.
    pub(crate) async fn answered<T>(
        &self,
        deadlines: &Deadlines,
        answering: impl Future<Output = T>,
    ) -> Result<T, Passed> {
        tokio::select! {
            answer = answering => Ok(answer),
            passed = self.passes(deadlines) => Err(passed),
        }
    }

    async fn passes(&self, deadlines: &Deadlines) -> Passed {
        let mut before = 0;
        // Until there is a connection nothing is taken.
        let mut limit = deadlines.connect + deadlines.progress;
        loop {
            tokio::time::sleep(limit).await;
            let now = self.taken.load(Ordering::Relaxed);
            if now >= self.pieces {
                break;
            }
            if now == before {
                return Passed {
                    what: "nothing more of what is sent was taken",
                    limit,
                };
            }
            before = now;
            limit = deadlines.progress;
        }
        let limit = deadlines.answer_to(self.bytes);
        // What was waited for already counts: it is at most one look.
        tokio::time::sleep(limit.saturating_sub(deadlines.progress)).await;
        Passed {
            what: "no answer",
            limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_move_and_an_answer_that_does_not_come_have_an_end() {
        let begun = tokio::time::Instant::now();
        let (_body, sent) = Upload::of(vec![0; 40 << 20].into()).begin();
        let never = std::future::pending::<()>();
        let passed = sent.answered(&DEADLINES, never).await.unwrap_err();
        assert!(begun.elapsed() <= DEADLINES.connect + DEADLINES.progress);
        assert!(passed.to_string().contains("nothing more"), "{passed}");

        // All of it is taken, and then nothing.
        sent.taken.store(sent.pieces, Ordering::Relaxed);
        let begun = tokio::time::Instant::now();
        let never = std::future::pending::<()>();
        let passed = sent.answered(&DEADLINES, never).await.unwrap_err();
        assert_eq!(passed.limit, Duration::from_secs(70));
        let took = begun.elapsed();
        assert!(
            took >= passed.limit && took < Duration::from_secs(85),
            "{took:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_moves_has_time() {
        let (_body, sent) = Upload::of(vec![0; 40 << 20].into()).begin();
        let taken = Arc::clone(&sent.taken);
        let slowly = async {
            for _ in 0..60 {
                tokio::time::sleep(Duration::from_secs(8)).await;
                taken.fetch_add(1, Ordering::Relaxed);
            }
            "answer"
        };
        assert_eq!(sent.answered(&DEADLINES, slowly).await, Ok("answer"));
    }
}
