//! The records of one tick, in one buffer.
//! Invariant: once sorted, records come in the order in which they are due, and those of one
//! service in the order in which it wrote them.

use contracts::{Timestamp, TraceParent};

/// One record, ready to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// When it is handed over, in event time; microseconds after the tick's start.
    pub due_us: u32,
    pub event_time: Timestamp,
    /// Index into the fleet's services; the service's name is the key.
    pub service: usize,
    /// JSON.
    pub value: &'a [u8],
    /// Says the same as the value.
    pub trace: TraceParent,
    /// The injection that made it different, by ordinal.
    pub altered: Option<u32>,
}

/// Where a record lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) due_us: u32,
    pub(crate) service: u32,
    pub(crate) event_time: Timestamp,
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) trace_id: u128,
    pub(crate) span_id: u64,
    pub(crate) altered: Option<u32>,
}

/// Some services' records of one tick. Reused from tick to tick.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) entries: Vec<Entry>,
}

impl Batch {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// Generated service by service; a stable sort keeps each service's own order.
    pub(crate) fn sort(&mut self) {
        self.entries.sort_by_key(|entry| entry.due_us);
    }

    fn record(&self, entry: &Entry) -> Record<'_> {
        Record {
            due_us: entry.due_us,
            event_time: entry.event_time,
            service: entry.service as usize,
            value: &self.bytes[entry.start..entry.end],
            trace: TraceParent {
                trace_id: entry.trace_id,
                span_id: entry.span_id,
                sampled: true,
            },
            altered: entry.altered,
        }
    }
}

/// All records of one tick, whoever generated them.
#[derive(Debug)]
pub struct TickRecords<'a> {
    pub(crate) batches: &'a [Batch],
}

impl<'a> TickRecords<'a> {
    pub fn len(&self) -> usize {
        self.batches.iter().map(|batch| batch.entries.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In the order in which they are due. The same for any number of batches, because a service
    /// is in one batch only and ties go by service.
    pub fn iter(&self) -> Merged<'a> {
        Merged {
            batches: self.batches,
            next: vec![0; self.batches.len()],
        }
    }
}

impl<'a> IntoIterator for &TickRecords<'a> {
    type Item = Record<'a>;
    type IntoIter = Merged<'a>;
    fn into_iter(self) -> Merged<'a> {
        self.iter()
    }
}

/// Records of several batches, merged. There are as many batches as threads: few.
#[derive(Debug)]
pub struct Merged<'a> {
    batches: &'a [Batch],
    next: Vec<usize>,
}

impl<'a> Iterator for Merged<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let fronts = self.batches.iter().zip(&self.next).enumerate();
        let (index, entry) = fronts
            .filter_map(|(index, (batch, &at))| Some((index, batch.entries.get(at)?)))
            .min_by_key(|(_, entry)| (entry.due_us, entry.service))?;
        self.next[index] += 1;
        Some(self.batches[index].record(entry))
    }
}
