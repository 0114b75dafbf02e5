//! The stage before all others: a member of a group reads a topic, as the service does.
//!
//! Invariant: CPU time is taken from the assignment until the last record, of all threads.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use kafka_io::{
    Connection,
    consumer::{GroupConsumer, Membership},
};
use pipeline::{
    NextOffset, Offset,
    ports::{Change, Polled, RecordSource as _, Trouble},
};

use crate::{Failure, cpu_ns};

/// As the poll loop has it.
const LONGEST_POLL: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(120);

/// Nanoseconds per record.
pub(crate) fn per_record(brokers: &str, topic: &str, records: u64) -> Result<f64, Failure> {
    let membership = Membership {
        topic: topic.to_owned(),
        group: format!("processor-stages-{}", std::process::id()),
        session_timeout: Duration::from_secs(10),
        assignor: "cooperative-sticky".to_owned(),
        protocol: "classic".to_owned(),
        members: 1,
    };
    let consumer = GroupConsumer::join(&Connection::plain(brokers), &membership)?;
    let begun = Instant::now();
    let (mut assigned, mut taken) = (None, 0);
    let mut starting = Vec::new();
    while taken < records {
        if begun.elapsed() > LONGEST {
            return Err(Failure::Consume(format!(
                "{taken} of {records} records of {topic} have come after {LONGEST:?}"
            )));
        }
        for change in consumer.changes() {
            if let Change::Assigned(assignments) = change {
                assigned.get_or_insert_with(cpu_ns);
                starting.extend(assignments);
            }
        }
        // Right after an assignment it may be too soon.
        starting.retain(|assignment| {
            let resume = NextOffset::resume_at(Offset::new(0));
            let epoch = pipeline::LeaderEpoch::UNKNOWN;
            let started = consumer.start_at(assignment.partition, resume, epoch);
            started.is_err()
        });
        let mut failed = None;
        consumer.poll(LONGEST_POLL, &mut |polled| match polled {
            Polled::Record(_, record) => {
                taken += 1;
                black_box(record.payload());
            }
            Polled::End(_) | Polled::Trouble(Trouble::Away(_) | Trouble::Warned(_)) => {}
            Polled::Trouble(
                Trouble::Refused(why)
                | Trouble::Unreadable(why)
                | Trouble::Changed(why)
                | Trouble::Failed(why),
            ) => failed = Some(why),
        });
        if let Some(why) = failed {
            return Err(Failure::Consume(why));
        }
    }
    let used = cpu_ns() - assigned.unwrap_or_default();
    consumer.leave();
    Ok(used as f64 / taken as f64)
}
