//! A fleet, its plan of injections, and event time moving on: what a caller holds.
//! Invariant: no clock is read here. Time moves only by `tick` (or `advance_to`), and the records
//! of a tick are the same whenever it is asked for.

use std::{collections::VecDeque, sync::Arc};

use contracts::Timestamp;

use crate::{
    batch::{Record, TickRecords},
    fleet::Fleet,
    injection::Injection,
    schedule::{Refused, Schedule},
    spec::Spec,
    tick::Tick,
    workers::{WorkerError, Workers},
};

/// Ticks that are written while another is sent.
const AHEAD: usize = 2;

/// What one tick brought.
pub struct Ticked<'a> {
    pub tick: Tick,
    /// In their span at some time of this tick, or just over.
    pub injections: Arc<[Arc<Injection>]>,
    pub records: TickRecords<'a>,
}

/// A simulation in progress.
pub struct Simulation {
    fleet: Arc<Fleet>,
    schedule: Schedule,
    workers: Workers,
    /// Asked for, not yet handed out.
    requested: VecDeque<(Tick, Arc<[Arc<Injection>]>)>,
    next: Tick,
}

impl Simulation {
    /// Begins with the tick that `start` falls into.
    pub fn new(
        fleet: Fleet,
        schedule: Schedule,
        start: Timestamp,
        threads: usize,
    ) -> Result<Self, WorkerError> {
        let fleet = Arc::new(fleet);
        Ok(Self {
            workers: Workers::start(&fleet, threads)?,
            fleet,
            schedule,
            requested: VecDeque::new(),
            next: Tick::containing(start),
        })
    }

    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    pub(crate) fn fleet_shared(&self) -> Arc<Fleet> {
        Arc::clone(&self.fleet)
    }

    /// The tick that `tick` hands out next.
    pub fn upcoming(&self) -> Tick {
        self.requested.front().map_or(self.next, |(tick, _)| *tick)
    }

    /// The earliest moment at which a new injection can begin.
    pub fn open_from(&self) -> Timestamp {
        self.next.start()
    }

    /// Plans an injection. Its offset counts from `base`, or from the earliest moment that is
    /// still open if that is later.
    pub fn inject(&mut self, spec: &Spec, base: Timestamp) -> Result<Arc<Injection>, Refused> {
        let base = base.max(self.open_from());
        self.schedule.inject(&self.fleet, spec, base)
    }

    /// From `begin` on, injects something every `every_ms` on average.
    pub fn inject_every(&mut self, every_ms: i64, begin: Timestamp) {
        self.schedule.every(every_ms, begin.max(self.open_from()));
    }

    /// The next tick.
    pub fn tick(&mut self) -> Result<Ticked<'_>, WorkerError> {
        while self.requested.len() <= AHEAD {
            let injections: Arc<[_]> = self.schedule.at(&self.fleet, self.next).into();
            self.workers.request(self.next, &injections)?;
            self.requested.push_back((self.next, injections));
            self.next = self.next.next();
        }
        let (tick, injections) = self.requested.pop_front().ok_or(WorkerError::Gone)?;
        Ok(Ticked {
            tick,
            injections,
            records: TickRecords {
                batches: self.workers.receive()?,
            },
        })
    }

    /// Every tick that ends by `until`, record by record.
    pub fn advance_to(
        &mut self,
        until: Timestamp,
        mut each: impl FnMut(&Fleet, Record<'_>),
    ) -> Result<(), WorkerError> {
        while self.upcoming().end() <= until {
            let fleet = Arc::clone(&self.fleet);
            for record in &self.tick()?.records {
                each(&fleet, record);
            }
        }
        Ok(())
    }
}
