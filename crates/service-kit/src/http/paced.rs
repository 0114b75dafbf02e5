//! A connection whose other side has to take what waits for it.
//!
//! Invariants: while bytes wait, some are taken within the time given, or the connection ends; over
//! all connections of a server, no more than about twice the bound waits. What waits counts as long
//! as whoever writes holds it: it is what a write was offered and did not take.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::metrics::{Dropped, Metrics};
use super::places::Place;

/// What waits for the other sides of all connections of a server.
pub(super) struct Unsent {
    most: usize,
    bytes: AtomicUsize,
    /// Connections for which something waits.
    waiting: AtomicUsize,
    within: Duration,
    metrics: Metrics,
}

impl Unsent {
    pub(super) fn new(most: usize, within: Duration, metrics: Metrics) -> Self {
        Self {
            most,
            bytes: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            within,
            metrics,
        }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

pub(super) struct Paced {
    stream: TcpStream,
    unsent: Arc<Unsent>,
    /// This connection's part of [`Unsent::bytes`].
    waits: usize,
    /// Set while nothing of it is taken.
    until: Option<Pin<Box<Sleep>>>,
    /// Taken for as long as the connection lives, also when it speaks WebSocket by now.
    _place: Place,
}

impl Paced {
    pub(super) fn new(stream: TcpStream, unsent: Arc<Unsent>, place: Place) -> Self {
        Self {
            stream,
            unsent,
            waits: 0,
            until: None,
            _place: place,
        }
    }

    fn set_waits(&mut self, waits: usize) {
        let unsent = &self.unsent;
        match (self.waits > 0, waits > 0) {
            (false, true) => _ = unsent.waiting.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = unsent.waiting.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
        if waits >= self.waits {
            let more = waits - self.waits;
            unsent.bytes.fetch_add(more, Ordering::Relaxed);
        } else {
            let less = self.waits - waits;
            unsent.bytes.fetch_sub(less, Ordering::Relaxed);
        }
        self.waits = waits;
    }

    /// Past the bound, those go for whom more waits than each one's part of it.
    fn is_too_much(&self) -> bool {
        let unsent = &self.unsent;
        let waiting = unsent.waiting.load(Ordering::Relaxed).max(1);
        unsent.bytes.load(Ordering::Relaxed) > unsent.most && self.waits > unsent.most / waiting
    }

    fn after_write(
        &mut self,
        context: &mut Context<'_>,
        offered: usize,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(taken)) => {
                self.until = None;
                if self.waits > 0 {
                    self.set_waits(offered.saturating_sub(*taken));
                }
                return written;
            }
            Poll::Ready(Err(_)) => return written,
            Poll::Pending => {}
        }
        self.set_waits(offered);
        if self.is_too_much() {
            return Poll::Ready(Err(self.drop_because(Dropped::Unsent)));
        }
        let within = self.unsent.within;
        let until = self
            .until
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(within)));
        if until.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(self.drop_because(Dropped::Stalled)));
        }
        Poll::Pending
    }

    fn drop_because(&mut self, why: Dropped) -> io::Error {
        self.unsent.metrics.dropped.at(why).inc();
        self.until = None;
        self.set_waits(0);
        // What the kernel holds for it is worth nothing any more. If it does not take the setting, it
        // lets go of it by itself, later.
        let _ = self.stream.set_zero_linger();
        let message = match why {
            Dropped::Stalled => "the other side takes nothing",
            Dropped::Unsent => "too many bytes wait for the other side",
        };
        io::Error::new(io::ErrorKind::TimedOut, message)
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        self.set_waits(0);
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Paced {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.after_write(context, bytes.len(), written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        let offered = slices.iter().map(|slice| slice.len()).sum();
        this.after_write(context, offered, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
