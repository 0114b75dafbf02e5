//! Runs tasks in an order that a seed decides, in a time of its own.
//!
//! Invariant: the same seed gives the same order of polls, and time moves only when no task can.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tasks of one process share a group; those of the network and the stores have group 0.
pub(crate) type Group = u32;

#[derive(Default)]
struct Shared {
    now: Duration,
    timers: BTreeMap<(Duration, u64), Waker>,
    spawned: Vec<(Group, Job)>,
    last: u64,
}

/// Time and new tasks, for whoever runs in the executor.
#[derive(Clone, Default)]
pub(crate) struct Handle(Arc<Mutex<Shared>>);

impl Handle {
    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Duration {
        self.lock().now
    }

    pub(crate) fn spawn(&self, group: Group, job: impl Future<Output = ()> + Send + 'static) {
        self.lock().spawned.push((group, Box::pin(job)));
    }

    pub(crate) fn sleep(&self, how_long: Duration) -> Sleep {
        Sleep {
            until: self.now() + how_long,
            handle: self.clone(),
        }
    }
}

pub(crate) struct Sleep {
    until: Duration,
    handle: Handle,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut shared = self.handle.lock();
        if shared.now >= self.until {
            return Poll::Ready(());
        }
        shared.last += 1;
        let key = (self.until, shared.last);
        shared.timers.insert(key, context.waker().clone());
        Poll::Pending
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Task {
    group: Group,
    job: Job,
    woken: Arc<Flag>,
}

pub(crate) struct Executor {
    pub(crate) handle: Handle,
    pub(crate) rng: StdRng,
    tasks: Vec<Task>,
    /// Groups whose process is stopped.
    stopped: BTreeSet<Group>,
}

impl Executor {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            handle: Handle::default(),
            rng: StdRng::seed_from_u64(seed),
            tasks: Vec::new(),
            stopped: BTreeSet::new(),
        }
    }

    /// `kill -9`: everything of the group is dropped where it stands.
    pub(crate) fn kill(&mut self, group: Group) {
        self.adopt();
        self.tasks.retain(|task| task.group != group);
        self.stopped.remove(&group);
    }

    pub(crate) fn stop(&mut self, group: Group) {
        self.stopped.insert(group);
    }

    pub(crate) fn go_on(&mut self, group: Group) {
        self.stopped.remove(&group);
    }

    fn adopt(&mut self) {
        let spawned = std::mem::take(&mut self.handle.lock().spawned);
        for (group, job) in spawned {
            let woken = Arc::new(Flag(AtomicBool::new(true)));
            self.tasks.push(Task { group, job, woken });
        }
    }

    /// Runs until the time is `until`.
    pub(crate) fn run_until(&mut self, until: Duration) {
        loop {
            self.adopt();
            let able: Vec<usize> = (0..self.tasks.len())
                .filter(|at| {
                    let task = &self.tasks[*at];
                    task.woken.0.load(Ordering::Relaxed) && !self.stopped.contains(&task.group)
                })
                .collect();
            if able.is_empty() {
                if !self.advance(until) {
                    return;
                }
                continue;
            }
            let at = able[self.rng.random_range(0..able.len())];
            let task = &mut self.tasks[at];
            task.woken.0.store(false, Ordering::Relaxed);
            let waker = Waker::from(Arc::clone(&task.woken));
            if task
                .job
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_ready()
            {
                drop(self.tasks.swap_remove(at));
            }
        }
    }

    /// To the next timer; `false` once `until` is reached.
    fn advance(&mut self, until: Duration) -> bool {
        let mut shared = self.handle.lock();
        let next = shared.timers.first_key_value().map(|((at, _), _)| *at);
        let Some(next) = next.filter(|next| *next <= until) else {
            shared.now = until;
            return false;
        };
        shared.now = shared.now.max(next);
        let mut due = Vec::new();
        while let Some(entry) = shared.timers.first_entry()
            && entry.key().0 <= next
        {
            due.push(entry.remove());
        }
        drop(shared);
        due.into_iter().for_each(Waker::wake);
        true
    }
}
