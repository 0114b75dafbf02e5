//! The last windows, held back before they are learned.
//!
//! Invariant: a window is learned when the longest span has passed it, so that what begins slowly, or a
//! silence, is judged by what was known before it.

use std::collections::VecDeque;

use crate::{
    codec::{Loaded, Reader, Writer},
    stat::{CountBaseline, LONGER_SPANS, LONGEST_SPAN},
    window::MOST_QUIET,
};

#[derive(Debug, Clone, Default)]
pub(super) struct HeldBack {
    /// The last windows, newest last, anomalous ones included.
    last: VecDeque<Counted>,
    /// How many of them, the newest, are not learned yet.
    waiting: usize,
    /// Empty windows in a row, to the newest; and how many of them wait to be learned, beyond those
    /// above: silence is learned when it is over, if it was none that was told.
    quiet: u32,
    quiet_waiting: u32,
}

/// A window that was judged.
#[derive(Debug, Clone, Copy)]
struct Counted {
    records: u64,
    /// Of them, those that no burst of errors accounts for.
    unexplained: u64,
    /// Whether it is one to learn from.
    is_usual: bool,
    /// By how much the sums of the longer spans that end with it are off what was expected.
    off: [f32; 2],
}

impl HeldBack {
    /// A window closed. What it ends, a silence that was none to tell, is learned.
    pub(super) fn count(
        &mut self,
        (records, unexplained): (u64, u64),
        is_dropping: bool,
        baseline: &mut CountBaseline,
    ) {
        if records == 0 {
            self.quiet = (self.quiet + 1).min(MOST_QUIET);
        } else {
            self.quiet = 0;
            let waiting = std::mem::take(&mut self.quiet_waiting);
            if !is_dropping {
                (0..waiting).for_each(|_| baseline.learn(0));
            }
        }
        let mut off = [0.0; 2];
        for (off, span) in off.iter_mut().zip(LONGER_SPANS) {
            *off = baseline.off(self.sum(span - 1) + records, span);
        }
        self.last.push_back(Counted {
            records,
            unexplained,
            is_usual: true,
            off,
        });
        self.waiting += 1;
    }

    /// The newest window is nothing to learn from, or is again.
    pub(super) fn newest_is_usual(&mut self, is_usual: bool) {
        if let Some(newest) = self.last.back_mut() {
            newest.is_usual = is_usual;
        }
    }

    /// The newest `span` windows are nothing to learn from.
    pub(super) fn are_unusual(&mut self, span: usize) {
        for counted in self.last.iter_mut().rev().take(span) {
            counted.is_usual = false;
        }
    }

    /// Learns what the longest span has passed; of a baseline that is young, sooner.
    pub(super) fn learn(&mut self, baseline: &mut CountBaseline) {
        loop {
            let beyond = baseline.learned_beyond_warm_up() as usize;
            if self.waiting <= beyond.min(LONGEST_SPAN) {
                break;
            }
            let at = self.last.len() - self.waiting;
            self.waiting -= 1;
            if baseline.is_warm() && self.quiet as usize > self.waiting {
                self.quiet_waiting = (self.quiet_waiting + 1).min(MOST_QUIET);
                continue;
            }
            if let Some(counted) = self.last.get(at).filter(|counted| counted.is_usual) {
                baseline.learn_spans(counted.off);
                baseline.learn(counted.records);
            }
        }
        while self.last.len() > LONGEST_SPAN {
            self.last.pop_front();
        }
    }

    pub(super) fn sum(&self, span: usize) -> u64 {
        let newest = self.last.iter().rev().take(span);
        newest.map(|counted| counted.records).sum()
    }

    /// The same without what bursts of errors account for.
    pub(super) fn unexplained(&self, span: usize) -> u64 {
        let newest = self.last.iter().rev().take(span);
        newest.map(|counted| counted.unexplained).sum()
    }

    /// Windows that sums can be made of: those kept, or longer a silence.
    pub(super) fn known(&self) -> usize {
        self.last.len().max(self.quiet as usize)
    }

    /// Empty windows in a row, to the newest.
    pub(super) fn quiet(&self) -> usize {
        self.quiet as usize
    }

    pub(super) fn save(&self, to: &mut Writer) {
        to.u64(self.last.len() as u64);
        for counted in &self.last {
            to.u64(counted.records);
            to.u64(counted.records - counted.unexplained);
            to.flag(counted.is_usual);
            for off in counted.off {
                to.f32(off);
            }
        }
        to.u64(self.waiting as u64);
        to.u32(self.quiet);
        to.u32(self.quiet_waiting);
    }

    pub(super) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let count = from.length(LONGEST_SPAN, 1)?;
        let last = (0..count).map(|_| {
            let records = from.count()?;
            let explained = from.count()?;
            if explained > records {
                return Err("more lines of a burst than lines");
            }
            Ok(Counted {
                records,
                unexplained: records - explained,
                is_usual: from.flag()?,
                off: [from.f32()?, from.f32()?],
            })
        });
        let last = last.collect::<Loaded<_>>()?;
        let waiting = from.count()? as usize;
        if waiting > count {
            return Err("more windows wait than there are");
        }
        Ok(Self {
            last,
            waiting,
            quiet: from.u32()?.min(MOST_QUIET),
            quiet_waiting: from.u32()?.min(MOST_QUIET),
        })
    }
}
