//! Which service is forgotten when there are too many: the one seen longest ago, one in the middle
//! of an anomaly only if all are.
//!
//! Invariant: the answer depends on the services as they are, not on the history of this order, so
//! that it need not be kept. An entry may be older than its service; it is put right when it comes
//! up, so that a record costs nothing here and a forgotten service O(log n).

use std::collections::BTreeSet;

use crate::service::Service;

#[derive(Debug, Clone, Default)]
pub(crate) struct Eviction {
    /// By the offset of the newest record when it was entered, and slot.
    calm: BTreeSet<(i64, u32)>,
    /// Those that came up while they had an anomaly open.
    troubled: BTreeSet<(i64, u32)>,
    /// The offset under which a slot is entered in `troubled`.
    in_trouble_since: Vec<Option<i64>>,
}

impl Eviction {
    pub(crate) fn of(services: &[Service]) -> Self {
        let entries = services.iter().zip(0..);
        Self {
            calm: entries
                .map(|(service, slot)| (service.newest_offset(), slot))
                .collect(),
            troubled: BTreeSet::new(),
            in_trouble_since: vec![None; services.len()],
        }
    }

    pub(crate) fn enter(&mut self, slot: u32, service: &Service) {
        self.calm.insert((service.newest_offset(), slot));
    }

    /// An anomaly of the service ended.
    pub(crate) fn calmed_down(&mut self, slot: u32, service: &Service) {
        let Some(since) = self.in_trouble_since.get_mut(slot as usize) else {
            return;
        };
        if !service.is_anomalous()
            && let Some(since) = since.take()
        {
            self.troubled.remove(&(since, slot));
            self.calm.insert((service.newest_offset(), slot));
        }
    }

    /// Takes out the slot that goes first.
    pub(crate) fn take_oldest(&mut self, services: &[Service]) -> Option<u32> {
        while let Some((entered, slot)) = self.calm.pop_first() {
            let service = services.get(slot as usize)?;
            if service.newest_offset() != entered {
                self.calm.insert((service.newest_offset(), slot));
            } else if service.is_anomalous() {
                self.troubled.insert((entered, slot));
                *self.in_trouble_since.get_mut(slot as usize)? = Some(entered);
            } else {
                return Some(slot);
            }
        }
        while let Some((entered, slot)) = self.troubled.pop_first() {
            let now = services.get(slot as usize)?.newest_offset();
            let since = self.in_trouble_since.get_mut(slot as usize)?;
            if now == entered {
                *since = None;
                return Some(slot);
            }
            self.troubled.insert((now, slot));
            *since = Some(now);
        }
        None
    }
}
