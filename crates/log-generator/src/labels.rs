//! Turns injections into truth labels, at the moment they take effect.
//! Invariant: one label per injection, and none for one that changed nothing.

use std::{collections::BTreeMap, sync::Arc};

use contracts::{Timestamp, truth::Truth};

use crate::{batch::Record, fleet::Fleet, injection::Injection, tick::Tick};

const SCHEMA_VERSION: u32 = 1;

/// Injections that wait for their first effect.
#[derive(Debug, Default)]
pub struct Labels {
    waiting: BTreeMap<u32, Arc<Injection>>,
    without_effect: Vec<Arc<Injection>>,
}

impl Labels {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes up the injections of a tick; `now` is the wall clock. Returns labels of those whose
    /// effect is that records are missing.
    pub fn tick(
        &mut self,
        fleet: &Fleet,
        tick: Tick,
        injections: &[Arc<Injection>],
        now: impl Fn() -> Timestamp,
    ) -> Vec<Truth> {
        let mut labels = Vec::new();
        // Begins in this tick: seen for the first time.
        for injection in injections.iter().filter(|it| it.start == tick.start()) {
            if injection.shows_in_records() {
                self.waiting
                    .insert(injection.ordinal, Arc::clone(injection));
            } else {
                labels.push(truth(fleet, injection, injection.start, now()));
            }
        }
        let over: Vec<u32> = self
            .waiting
            .values()
            .filter(|injection| injection.end <= tick.start())
            .map(|injection| injection.ordinal)
            .collect();
        for ordinal in over {
            self.without_effect.extend(self.waiting.remove(&ordinal));
        }
        labels
    }

    /// A record is about to be handed over; returns the label if it is the first of its injection.
    pub fn record(
        &mut self,
        fleet: &Fleet,
        record: &Record<'_>,
        now: impl Fn() -> Timestamp,
    ) -> Option<Truth> {
        let injection = self.waiting.remove(&record.altered?)?;
        Some(truth(fleet, &injection, record.event_time, now()))
    }

    /// Injections that were over before they changed anything, since the last call.
    pub fn take_without_effect(&mut self) -> Vec<Arc<Injection>> {
        std::mem::take(&mut self.without_effect)
    }
}

fn truth(fleet: &Fleet, injection: &Injection, start: Timestamp, now: Timestamp) -> Truth {
    let name = |service: usize| fleet.services()[service].name.clone();
    Truth {
        schema_version: SCHEMA_VERSION,
        ordinal: injection.ordinal,
        kind: injection.kind,
        service: name(injection.service),
        affected: injection
            .upstream
            .iter()
            .map(|(service, _)| name(*service))
            .collect(),
        start,
        end: injection.end,
        magnitude: injection.magnitude,
        injected_at: now,
    }
}
