//! Who is woken for an entry.
//!
//! Listeners with equal filters form a group, whose filter is asked once for an entry. A group whose
//! filter names a few services is asked only for entries of these.
//!
//! Invariants: who listens is woken by the first entry that its filter matches, and by no other; no
//! group is empty. An waiter changes while the log is written to, or by its owner while the log is read.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;

use super::{Facts, Matcher};

/// A filter that names more services is asked for every entry: a client chooses how many, and the
/// others wait while it joins.
const A_FEW: usize = 32;

const LISTENING: u64 = u64::MAX;

/// What one listener heard.
#[derive(Debug, Default)]
pub(super) struct Waiter {
    /// Place of the first matching entry since it began to listen; [`LISTENING`]: none came yet.
    /// The lock of the log orders it.
    clear_until: AtomicU64,
    waker: AtomicWaker,
}

impl Waiter {
    /// Whether it listened until now.
    pub(super) fn hear(&self, place: u64) -> bool {
        self.clear_until
            .compare_exchange(LISTENING, place, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    pub(super) fn listen(&self) {
        self.clear_until.store(LISTENING, Ordering::Relaxed);
    }

    pub(super) fn stop_listening(&self) {
        self.clear_until.store(0, Ordering::Relaxed);
    }

    pub(super) fn clear_until(&self) -> u64 {
        self.clear_until.load(Ordering::Relaxed)
    }

    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    pub(super) fn poll_heard(&self, context: &Context<'_>) -> Poll<()> {
        // Registered first: what comes between is either seen here or wakes.
        self.waker.register(context.waker());
        if self.clear_until() == LISTENING {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Listeners {
    groups: HashMap<Arc<Matcher>, Vec<Arc<Waiter>>>,
    by_service: HashMap<String, Vec<Arc<Matcher>>>,
    /// Asked for every entry.
    others: Vec<Arc<Matcher>>,
}

impl Listeners {
    /// The group's filter.
    pub(super) fn join(&mut self, matcher: Matcher, waiter: Arc<Waiter>) -> Arc<Matcher> {
        match self.groups.entry(Arc::new(matcher)) {
            Slot::Occupied(mut group) => {
                group.get_mut().push(waiter);
                Arc::clone(group.key())
            }
            Slot::Vacant(place) => {
                let matcher = Arc::clone(place.key());
                place.insert(vec![waiter]);
                let Some(services) = few_services(&matcher) else {
                    self.others.push(Arc::clone(&matcher));
                    return matcher;
                };
                for service in services {
                    let named = self.by_service.entry(service.clone()).or_default();
                    named.push(Arc::clone(&matcher));
                }
                matcher
            }
        }
    }

    pub(super) fn leave(&mut self, matcher: &Arc<Matcher>, waiter: &Arc<Waiter>) {
        let Some(group) = self.groups.get_mut(matcher) else {
            return;
        };
        if let Some(at) = group.iter().position(|member| Arc::ptr_eq(member, waiter)) {
            group.swap_remove(at);
        }
        if !group.is_empty() {
            return;
        }
        self.groups.remove(matcher);
        let others = |one: &Arc<Matcher>| one != matcher;
        let Some(services) = few_services(matcher) else {
            self.others.retain(others);
            return;
        };
        for service in services {
            if let Slot::Occupied(mut named) = self.by_service.entry(service.clone()) {
                named.get_mut().retain(others);
                if named.get().is_empty() {
                    named.remove();
                }
            }
        }
    }

    /// Adds those who listen and want the entry at this place; they listen no more.
    pub(super) fn call(&self, place: u64, facts: &Facts, called: &mut Vec<Arc<Waiter>>) {
        let named = facts
            .all_services()
            .filter_map(|service| self.by_service.get(service))
            .flatten();
        for matcher in self.others.iter().chain(named) {
            // A filter that names two services of the entry is asked twice, and has heard by then.
            if matcher.matches(facts)
                && let Some(group) = self.groups.get(matcher)
            {
                called.extend(group.iter().filter(|waiter| waiter.hear(place)).cloned());
            }
        }
    }

    pub(super) fn call_everybody(&self, place: u64, called: &mut Vec<Arc<Waiter>>) {
        let ears = self.groups.values().flatten();
        called.extend(ears.filter(|waiter| waiter.hear(place)).cloned());
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.by_service.is_empty() && self.others.is_empty()
    }
}

fn few_services(matcher: &Matcher) -> Option<&[String]> {
    let services = matcher.services();
    (1..=A_FEW).contains(&services.len()).then_some(services)
}

#[cfg(test)]
mod tests;
