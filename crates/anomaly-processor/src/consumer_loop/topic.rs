//! What the brokers say of the topic and of its partitions' ends, and what follows from it.
//!
//! Invariants: however many errors a changed topic gives, it is looked at once a second at the most, and
//! only what is found there begins anything anew; what one partition's broker does not say is not held
//! against the others.

use std::{collections::BTreeSet, time::Duration, time::Instant};

use pipeline::{Incarnation, Partition, ports::RecordSource};

use super::{
    ConsumerLoop, ConsumerLoopError, Ends, Request, condition::PATIENCE, running::Running,
};
use crate::partition_task::Sinks;

/// How often the ends of all partitions are asked for.
const ENDS_EVERY: Duration = Duration::from_secs(3);
/// How often it is said that there is something to look at.
const SAY_EVERY: Duration = Duration::from_secs(30);

impl<S: RecordSource, O: Sinks> ConsumerLoop<S, O> {
    pub(super) fn topic_is(
        &mut self,
        incarnation: Incarnation,
        count: i32,
        leaderless: BTreeSet<Partition>,
        now: Instant,
    ) -> Result<(), ConsumerLoopError> {
        self.somebody_answers();
        self.state.partitions = count;
        for running in self.state.tasks.values_mut() {
            running.task.partitions_are(count, &mut self.sinks)?;
        }
        self.state
            .leaderless
            .retain(|partition, _| leaderless.contains(partition));
        for partition in leaderless {
            self.state.leaderless.entry(partition).or_insert(now);
        }
        let is_another = self
            .state
            .incarnation
            .is_some_and(|before| before != incarnation);
        self.state.incarnation = Some(incarnation);
        if self.state.stopping {
            return Ok(());
        }
        self.part_with_what_is_gone(count);
        let others = |running: &Running| {
            running.task.id().incarnation.of_topic() != incarnation && !running.flow.is_draining()
        };
        let mut anew = self.partitions_where(others);
        let has_come_back = |partition: &&Partition| partition.0 < count;
        anew.extend(self.state.gone.iter().filter(has_come_back));
        if is_another {
            // What a start has found out so far may be about the topic as it was.
            anew.extend(self.state.starting.keys());
        }
        if !anew.is_empty() {
            tracing::warn!(%incarnation, partitions = anew.len(), "the topic is not what it was; beginning anew");
            self.begin_anew(&anew, now);
        }
        Ok(())
    }

    /// Partitions that the topic has no more. The group takes them away when it notices.
    fn part_with_what_is_gone(&mut self, count: i32) {
        let is_gone = |partition: &&Partition| partition.0 >= count;
        let tasks = self.state.tasks.iter();
        let gone: Vec<Partition> = tasks
            .filter(|(_, running)| !running.flow.is_draining())
            .map(|(partition, _)| partition)
            .chain(self.state.starting.keys())
            .filter(is_gone)
            .copied()
            .collect();
        if gone.is_empty() {
            return;
        }
        tracing::warn!(partitions = ?gone, count, "the topic has no such partitions any more");
        // What their writers have under way is fenced; nothing begins.
        let _fenced = self.source.begin_anew(&gone, &self.others(&gone));
        for partition in gone {
            self.forget(partition);
            self.state.starting.remove(&partition);
            self.state.gone.insert(partition);
        }
    }

    pub(super) fn topic_is_missing(&mut self) {
        self.state.unanswered = false;
        self.latch.set_unready("the topic does not exist");
    }

    pub(super) fn nobody_answers(&mut self, reason: &str) {
        if !self.state.unanswered {
            self.state.unanswered = true;
            tracing::warn!(reason, "kafka does not answer; waiting for it");
            self.latch.set_unready("no broker answers");
        }
    }

    /// As if nobody answered, with a reason that somebody can mend.
    pub(super) fn is_refused(&mut self, reason: &str) {
        self.nobody_answers(reason);
        self.latch.set_unready(reason);
    }

    fn somebody_answers(&mut self) {
        if std::mem::take(&mut self.state.unanswered) {
            tracing::info!("kafka answers again");
        }
        if self.state.joined {
            self.latch.set_ready();
        }
    }

    /// Once a second: what is worth knowing now.
    pub(super) fn ask_the_brokers(&mut self, now: Instant) {
        let doubt = self.state.doubt.take();
        if let Some(reason) = &doubt {
            let said = self.state.said_doubt;
            if said.is_none_or(|said| now.duration_since(said) >= SAY_EVERY) {
                self.state.said_doubt = Some(now);
                tracing::warn!(reason, "the topic may not be what it was; looking at it");
            }
            self.ask(Request::Look);
        }
        let everything = doubt.is_some()
            || self.state.unanswered
            || self.state.next_ends.is_none_or(|at| now >= at);
        if everything {
            self.state.next_ends = Some(now + ENDS_EVERY);
        }
        let wanted = |running: &Running| everything || running.is_silent(now, &self.settings);
        let mut partitions = self.partitions_where(wanted);
        let unread: Vec<Partition> = if everything {
            self.state.starting.keys().copied().collect()
        } else {
            Vec::new()
        };
        partitions.extend(&unread);
        // Without a leader there is nobody to ask.
        partitions.retain(|partition| !self.state.leaderless.contains_key(partition));
        if partitions.is_empty() {
            return;
        }
        let tasks = self.state.tasks.iter();
        self.state.asked = tasks
            .map(|(partition, running)| {
                let next = running.task.builder().next().raw();
                (*partition, (running.task.id(), next))
            })
            .collect();
        self.ask(Request::Ends {
            partitions,
            unread,
            asked_at: now,
        });
    }

    pub(super) fn ends_are(&mut self, ends: &Ends, now: Instant) -> Result<(), ConsumerLoopError> {
        if !ends.ends.is_empty() {
            self.somebody_answers();
        }
        self.state.committed.extend(&ends.committed);
        let mut anew = Vec::new();
        for (partition, (low, high)) in &ends.ends {
            self.state.ends.insert(*partition, (*low, *high));
            let Some(running) = self.state.tasks.get_mut(partition) else {
                continue;
            };
            let next = running.task.builder().next().raw();
            if running.is_silent(now, &self.settings) && next >= *high {
                let idle_for = ends.asked_at.saturating_duration_since(running.last_record);
                running.task.idle(idle_for, &mut self.sinks)?;
            }
            if running.flow.is_draining() {
                continue;
            }
            running.ends_at(*high, now);
            // What had been read before the question was asked was there.
            let asked = self.state.asked.get(partition);
            let before = asked.filter(|(id, _)| *id == running.task.id());
            let is_past_the_end = before.is_some_and(|(_, next)| next > high);
            // Unless it flows: what was fetched already may still come.
            let is_before_the_first = next < *low && before.is_some_and(|(_, then)| *then == next);
            if running.paused.is_some() {
                continue;
            }
            if is_past_the_end || is_before_the_first {
                tracing::warn!(%partition, next, low, high, "what is to be read next is not there; beginning anew");
                anew.push(*partition);
            } else if running
                .withheld_since()
                .is_some_and(|since| now.duration_since(since) >= PATIENCE)
            {
                tracing::warn!(%partition, next, high, "it has records, and the broker gives none; beginning anew");
                anew.push(*partition);
            }
        }
        self.begin_anew(&anew, now);
        Ok(())
    }
}
