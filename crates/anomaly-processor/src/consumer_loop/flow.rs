//! One task's way to its writer.
//!
//! Invariant: what is closed is handed over in order, and while something waits nothing more is
//! closed: a partition holds one open batch, one that waits, and two with its writer.

use std::{collections::VecDeque, time::Instant};

use clickhouse_store::LogRows;
use pipeline::Work;
use tokio::sync::mpsc;

pub(super) struct Flow {
    /// `None`: everything is handed over, and the writer ends when it has finished.
    writer: Option<mpsc::Sender<Work<LogRows>>>,
    waiting: VecDeque<Work<LogRows>>,
    /// Of records in batches that are not finished.
    bytes: usize,
    /// Since the oldest of these batches was closed, or since the one before it was finished.
    under_way: Option<Instant>,
    draining: bool,
}

impl Flow {
    pub(super) fn into(writer: mpsc::Sender<Work<LogRows>>) -> Self {
        Self {
            writer: Some(writer),
            waiting: VecDeque::new(),
            bytes: 0,
            under_way: None,
            draining: false,
        }
    }

    pub(super) fn take_over(&mut self, work: VecDeque<Work<LogRows>>, now: Instant) {
        for work in work {
            if let Work::Batch(batch) = &work {
                self.bytes += batch.bytes;
                self.under_way.get_or_insert(now);
            }
            self.waiting.push_back(work);
        }
        self.hand_over();
    }

    pub(super) fn hand_over(&mut self) {
        let Some(writer) = &self.writer else { return };
        while let Some(work) = self.waiting.pop_front() {
            // Closed: the writer was fenced, and the change that fenced it takes this task away.
            if let Err(mpsc::error::TrySendError::Full(work)) = writer.try_send(work) {
                self.waiting.push_front(work);
                return;
            }
        }
    }

    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn finished(&mut self, bytes: usize, now: Instant) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.under_way = (self.bytes > 0).then_some(now);
    }

    pub(super) fn under_way_since(&self) -> Option<Instant> {
        self.under_way
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Nothing more is read into this task.
    pub(super) fn drain(&mut self) {
        self.draining = true;
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining
    }

    pub(super) fn close(&mut self) {
        self.writer = None;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.writer.is_none()
    }
}
