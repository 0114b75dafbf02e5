//! Request bodies: received, unpacked, and bounded in memory.
//! Invariant: a body counts as complete only if its length or its last chunk said so.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::{
    encoding::Decoder,
    exception::{Exception, Own},
};

/// Up to this size a body is gathered before anything runs, so that it is one block of the insert
/// and an aborted one leaves nothing. Beyond it an insert streams, as in ClickHouse itself.
pub(crate) const GATHER_LIMIT: usize = 64 << 20;

/// What all bodies together may hold.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    limit: usize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicUsize::new(0),
            limit,
        })
    }
}

/// A share of the budget, given back on drop.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    held: usize,
}

impl Share {
    pub(crate) fn new(budget: &Arc<Budget>) -> Self {
        Self {
            budget: Arc::clone(budget),
            held: 0,
        }
    }

    fn grow(&mut self, to: usize) -> Result<(), Exception> {
        let more = to.saturating_sub(self.held);
        let used = self.budget.used.fetch_add(more, Ordering::Relaxed) + more;
        self.held += more;
        if used <= self.budget.limit {
            return Ok(());
        }
        let message = format!(
            "Memory limit exceeded: request bodies would hold {used} bytes, maximum: {}",
            self.budget.limit
        );
        Err(Exception::own(Own::MemoryLimitExceeded, message))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.held, Ordering::Relaxed);
    }
}

/// A body on its way in.
pub(crate) struct Body {
    incoming: Incoming,
    decoder: Option<Decoder>,
    /// Between two pieces.
    patience: Duration,
}

fn too_slow(patience: Duration) -> Exception {
    let message = format!(
        "Unexpected end of the request body: nothing came for {} s",
        patience.as_secs()
    );
    Exception::own(Own::UnexpectedEndOfFile, message)
}

impl Body {
    pub(crate) fn new(incoming: Incoming, decoder: Decoder, patience: Duration) -> Self {
        Self {
            incoming,
            decoder: Some(decoder),
            patience,
        }
    }

    /// The next unpacked piece, or `None` after a complete body. Fails if the body breaks off.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, Exception> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(None);
        };
        let mut piece = Vec::new();
        while let Some(frame) = timeout(self.patience, self.incoming.frame())
            .await
            .map_err(|_| too_slow(self.patience))?
        {
            let frame = frame.map_err(|error| {
                let message = format!("Unexpected end of the request body: {error}");
                Exception::own(Own::UnexpectedEndOfFile, message)
            })?;
            if let Ok(data) = frame.into_data() {
                decoder.push(&data, &mut piece)?;
            }
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
        if let Some(decoder) = self.decoder.take() {
            decoder.finish(&mut piece)?;
        }
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }

    /// Gathers up to the limit. `true` says that the body is complete.
    pub(crate) async fn gather(&mut self, share: &mut Share) -> Result<(Vec<u8>, bool), Exception> {
        let mut gathered = Vec::new();
        while let Some(piece) = self.next().await? {
            share.grow(gathered.len() + piece.len())?;
            gathered.extend_from_slice(&piece);
            if gathered.len() > GATHER_LIMIT {
                return Ok((gathered, false));
            }
        }
        Ok((gathered, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_share_one_budget() {
        let budget = Budget::new(100);
        let mut first = Share::new(&budget);
        first.grow(60).expect("fits");
        let mut second = Share::new(&budget);
        assert_eq!(second.grow(60).expect_err("is too much").code, 241);
        drop(second);
        first.grow(100).expect("fits again");
        drop(first);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }
}
