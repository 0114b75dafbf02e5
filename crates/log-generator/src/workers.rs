//! Threads that write batches ahead of the one that sends them.
//! Invariant: a service belongs to one worker, and a worker does ticks in order; so the number of
//! workers changes nothing but the speed.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
};

use crate::{batch::Batch, fleet::Fleet, injection::Injection, shard::Shard, tick::Tick, traffic};

/// Why workers could not be started, or stopped working.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("cannot start a generator thread: {0}")]
    Start(#[from] std::io::Error),
    #[error(transparent)]
    Traffic(#[from] traffic::BadDispersion),
    #[error("a generator thread ended unexpectedly")]
    Gone,
}

struct Job {
    tick: Tick,
    injections: Arc<[Arc<Injection>]>,
    batch: Batch,
}

struct Worker {
    /// `None` once it shall end.
    jobs: Option<Sender<Job>>,
    done: Receiver<Batch>,
    spare: Vec<Batch>,
    thread: Option<JoinHandle<()>>,
}

/// All workers of a simulation.
pub(crate) struct Workers {
    workers: Vec<Worker>,
    received: Vec<Batch>,
}

impl Workers {
    pub(crate) fn start(fleet: &Arc<Fleet>, threads: usize) -> Result<Self, WorkerError> {
        let mut workers = Vec::new();
        for members in split(fleet, threads) {
            let mut shard = Shard::new(fleet, members)?;
            let (jobs, to_do) = channel::<Job>();
            let (finished, done) = channel();
            let thread = std::thread::Builder::new()
                .name(format!("generate-{}", workers.len()))
                .spawn(move || {
                    for mut job in to_do {
                        shard.write(job.tick, &job.injections, &mut job.batch);
                        if finished.send(job.batch).is_err() {
                            break;
                        }
                    }
                })?;
            workers.push(Worker {
                jobs: Some(jobs),
                done,
                spare: Vec::new(),
                thread: Some(thread),
            });
        }
        Ok(Self {
            workers,
            received: Vec::new(),
        })
    }

    /// Asks for the records of `tick`.
    pub(crate) fn request(
        &mut self,
        tick: Tick,
        injections: &[Arc<Injection>],
    ) -> Result<(), WorkerError> {
        let injections: Arc<[_]> = injections.into();
        for worker in &mut self.workers {
            let job = Job {
                tick,
                injections: Arc::clone(&injections),
                batch: worker.spare.pop().unwrap_or_default(),
            };
            let jobs = worker.jobs.as_ref().ok_or(WorkerError::Gone)?;
            jobs.send(job).map_err(|_| WorkerError::Gone)?;
        }
        Ok(())
    }

    /// The records of the oldest tick that was asked for and not received.
    pub(crate) fn receive(&mut self) -> Result<&[Batch], WorkerError> {
        for (worker, batch) in self.workers.iter_mut().zip(self.received.drain(..)) {
            worker.spare.push(batch);
        }
        for worker in &self.workers {
            self.received
                .push(worker.done.recv().map_err(|_| WorkerError::Gone)?);
        }
        Ok(&self.received)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            worker.jobs = None;
            if let Some(thread) = worker.thread.take() {
                // Its panic was printed by the thread itself.
                let _ = thread.join();
            }
        }
    }
}

/// Services by worker, so that each has about the same work.
fn split(fleet: &Fleet, threads: usize) -> Vec<Vec<usize>> {
    let services = fleet.services();
    let rate = |service: usize| fleet.expected_rate(service, fleet.settings.anchor);
    let mut loudest_first: Vec<usize> = (0..services.len()).collect();
    loudest_first.sort_by(|&one, &other| rate(other).total_cmp(&rate(one)));
    let mut parts = vec![(0.0_f64, Vec::new()); threads.clamp(1, services.len())];
    for service in loudest_first {
        let lightest = parts
            .iter_mut()
            .min_by(|one, other| one.0.total_cmp(&other.0));
        if let Some((load, members)) = lightest {
            *load += rate(service);
            members.push(service);
        }
    }
    let sorted = |(_, mut members): (f64, Vec<usize>)| {
        members.sort_unstable();
        members
    };
    parts.into_iter().map(sorted).collect()
}
