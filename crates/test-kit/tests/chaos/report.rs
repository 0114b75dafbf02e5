//! What was done, what came of it, and whether it was hard enough.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use crate::faults::Fault;

/// Of one case, or of all of them.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) faults: BTreeMap<&'static str, u64>,
    pub(crate) records: u64,
    pub(crate) rows: u64,
    pub(crate) lost: u64,
    pub(crate) duplicates: u64,
    pub(crate) dead_letters: u64,
    /// Positions that a processor said it passes, because nobody can read what lies there.
    pub(crate) passed: BTreeSet<(i32, i64)>,
    pub(crate) holes: u64,
    /// Offsets (partition, from, to) that did not come to a partition task.
    pub(crate) absent: BTreeSet<(i32, i64, i64)>,
    /// Pieces of which it is known what they had to become.
    pub(crate) odd_pieces: u64,
    /// Records by wrong clocks.
    pub(crate) wrong_clocks: u64,
    /// Services that went to another partition while they wrote.
    pub(crate) moved: u64,
    /// Records that were said to have gone with a partition's log.
    pub(crate) lost_with_a_log: u64,
    /// Distinct ids by kind.
    pub(crate) anomalies: BTreeMap<String, u64>,
    /// Distinct versions of these, and how often one was published again.
    pub(crate) versions: u64,
    pub(crate) published_again: u64,
    /// Frames that clients received, and how often a client came back.
    pub(crate) frames: u64,
    pub(crate) comebacks: u64,
    /// Inserts that the proxies played a trick on.
    pub(crate) tricks: BTreeMap<&'static str, u64>,
    /// Where the detectors' memory came from when a partition began.
    pub(crate) memories: BTreeMap<String, u64>,
    /// Batches announced by an earlier owner and found on assignment.
    pub(crate) intents_found: u64,
    /// Inserts of unknown outcome settled by a count: all rows there, or not.
    pub(crate) settled_there: u64,
    pub(crate) settled_missing: u64,
    /// Offsets that others had set and that did not count.
    pub(crate) foreign_offsets: u64,
    /// Bytes that a wire took and did not pass.
    pub(crate) bytes_lost: u64,
    /// How often `/ready` of a part that needs what does not answer said so.
    pub(crate) reasons_said: u64,
    /// Endings nobody asked for.
    pub(crate) ended_by_themselves: Vec<String>,
    /// What must not be.
    pub(crate) violations: Vec<String>,
}

/// What one run must have brought about at the least.
pub(crate) struct Minima {
    pub(crate) intents_found: u64,
    pub(crate) settled: u64,
    pub(crate) of_every_kind: u64,
    /// Offsets of others that the processors passed over.
    pub(crate) foreign_offsets: u64,
    pub(crate) bytes_lost: u64,
    pub(crate) reasons_said: u64,
    pub(crate) holes: u64,
    pub(crate) odd_pieces: u64,
    pub(crate) wrong_clocks: u64,
    pub(crate) moved: u64,
    /// How often each fault has to have happened.
    pub(crate) faults: &'static [(&'static str, u64)],
}

pub(crate) const FULL: Minima = Minima {
    intents_found: 20,
    settled: 20,
    of_every_kind: 100,
    foreign_offsets: 10,
    bytes_lost: 10_000,
    reasons_said: 15,
    holes: 1,
    odd_pieces: 12,
    wrong_clocks: 5000,
    moved: 30,
    faults: &[
        (Fault::Kill.text(), 5),
        (Fault::KillAll.text(), 5),
        (Fault::Stall.text(), 5),
        (Fault::Join.text(), 3),
        (Fault::Leave.text(), 3),
        (Fault::KafkaKilled.text(), 2),
        (Fault::KafkaRestarted.text(), 2),
        (Fault::ClickHouseKilled.text(), 2),
        (Fault::ConnectionsRefused.text(), 1),
        (Fault::RequestsCut.text(), 2),
        (Fault::AnswersSwallowed.text(), 4),
        (Fault::GatewayKilled.text(), 4),
        (Fault::OffsetsDeleted.text(), 1),
        (Fault::OffsetsToEarliest.text(), 1),
        (Fault::OffsetsBack.text(), 1),
        (Fault::OffsetsForth.text(), 1),
        (Fault::OffsetsPastTheEnd.text(), 1),
        (Fault::Stranger.text(), 2),
        (Fault::KafkaStopped.text(), 1),
        (Fault::ClickHouseStopped.text(), 1),
        (Fault::GatewayStopped.text(), 1),
        (Fault::LoadStopped.text(), 1),
        (Fault::KafkaUnreached.text(), 1),
        (Fault::KafkaUnheard.text(), 1),
        (Fault::ClickHouseUnreached.text(), 1),
        (Fault::ClickHouseUnheard.text(), 1),
        (Fault::Odd.text(), 1),
        (Fault::Undecodable.text(), 1),
        (Fault::Recreated.text(), 1),
        (Fault::RecreatedLarger.text(), 1),
        (Fault::RecreatedSmaller.text(), 1),
        (Fault::PartitionsAdded.text(), 2),
        (Fault::DiskFull.text(), 1),
        (Fault::DiskLost.text(), 1),
    ],
};
pub(crate) const SHORT: Minima = Minima {
    intents_found: 1,
    settled: 1,
    of_every_kind: 1,
    foreign_offsets: 1,
    bytes_lost: 0,
    reasons_said: 0,
    holes: 0,
    odd_pieces: 11,
    wrong_clocks: 0,
    moved: 0,
    faults: &[
        (Fault::Kill.text(), 2),
        (Fault::KillAll.text(), 1),
        (Fault::Stall.text(), 1),
        (Fault::Join.text(), 1),
        (Fault::Leave.text(), 1),
        (Fault::KafkaKilled.text(), 1),
        (Fault::KafkaRestarted.text(), 1),
        (Fault::ClickHouseKilled.text(), 1),
        (Fault::ConnectionsRefused.text(), 1),
        (Fault::RequestsCut.text(), 1),
        (Fault::AnswersSwallowed.text(), 1),
        (Fault::GatewayKilled.text(), 1),
        (Fault::OffsetsBack.text(), 1),
        (Fault::Odd.text(), 1),
        (Fault::Recreated.text(), 1),
    ],
};

const KINDS: [&str; 4] = ["error_burst", "error_rate_spike", "rate_spike", "rate_drop"];

/// Value of a field of a log line, which has no space in it.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = line.split_once(name)?;
    value.split(' ').next().map(|value| value.trim_matches('"'))
}

impl Tally {
    /// Reads the log of a processor's lives. Metrics would not do: `kill -9` takes them along.
    pub(crate) fn hear(&mut self, log: &Path) -> anyhow::Result<()> {
        // A log that has grown too large was moved aside once.
        let older = log.with_extension("log.old");
        let older = if older.is_file() {
            std::fs::read_to_string(older)?
        } else {
            String::new()
        };
        let newer = std::fs::read_to_string(log)?;
        for line in older.lines().chain(newer.lines()) {
            let number = |name| field(line, name).and_then(|value| value.parse::<i64>().ok());
            let partition = number("partition=").unwrap_or(-1) as i32;
            if line.contains("offsets did not come") {
                let to = number(" offset=").unwrap_or(-1);
                let from = to - number("absent=").unwrap_or(0);
                self.absent.insert((partition, from, to));
            }
            if line.contains("kafka lost the partition's log") {
                self.lost_with_a_log += number(" offsets=").unwrap_or(0).cast_unsigned();
            }
            if line.contains("cannot be decoded and is passed") {
                let first = number("first=").unwrap_or(-1);
                let end = number("end=").unwrap_or(-1);
                self.passed.extend((first..end).map(|at| (partition, at)));
            }
            if line.contains("partition begins") {
                self.intents_found += u64::from(line.contains("announced=true"));
                if let Some(memory) = field(line, "memory=") {
                    *self.memories.entry(memory.to_owned()).or_default() += 1;
                }
            }
            if line.contains("batch settled by count") {
                if line.contains("already_there=true") {
                    self.settled_there += 1;
                } else {
                    self.settled_missing += 1;
                }
            }
            self.foreign_offsets +=
                u64::from(line.contains("somebody else set the group's offset"));
            // Nobody takes rows away here, and nobody takes ClickHouse's tables away.
            let of_audit = [
                "clickhouse does not have what was stored",
                "the audit cannot",
            ];
            if of_audit.iter().any(|said| line.contains(said)) {
                self.violations.push(format!("the audit says: {line}"));
            }
            if line.contains("panicked at") {
                self.violations
                    .push(format!("a processor panicked: {line}"));
            }
        }
        Ok(())
    }

    /// A topic that is not compacted has no holes but those that were said to be passed.
    pub(crate) fn absent_and_not_passed(&self) -> Vec<String> {
        let unsaid = |(partition, from, to): &&(i32, i64, i64)| {
            (*from..*to).any(|at| !self.passed.contains(&(*partition, at)))
        };
        let ranges = self.absent.iter().filter(unsaid);
        ranges
            .map(|range| format!("offsets (partition, from, to) did not come: {range:?}"))
            .collect()
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (fault, times) in other.faults {
            *self.faults.entry(fault).or_default() += times;
        }
        for (trick, times) in other.tricks {
            *self.tricks.entry(trick).or_default() += times;
        }
        for (memory, times) in other.memories {
            *self.memories.entry(memory).or_default() += times;
        }
        for (kind, count) in other.anomalies {
            *self.anomalies.entry(kind).or_default() += count;
        }
        self.records += other.records;
        self.rows += other.rows;
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.dead_letters += other.dead_letters;
        self.holes += other.holes;
        self.odd_pieces += other.odd_pieces;
        self.wrong_clocks += other.wrong_clocks;
        self.moved += other.moved;
        self.lost_with_a_log += other.lost_with_a_log;
        self.versions += other.versions;
        self.published_again += other.published_again;
        self.frames += other.frames;
        self.comebacks += other.comebacks;
        self.intents_found += other.intents_found;
        self.settled_there += other.settled_there;
        self.settled_missing += other.settled_missing;
        self.foreign_offsets += other.foreign_offsets;
        self.bytes_lost += other.bytes_lost;
        self.reasons_said += other.reasons_said;
        self.ended_by_themselves.extend(other.ended_by_themselves);
        self.violations.extend(other.violations);
    }

    pub(crate) fn print(&self, title: &str) {
        println!("\n{title}");
        for (fault, times) in &self.faults {
            println!("  {times:>9}  {fault}");
        }
        for (trick, times) in &self.tricks {
            println!("  {times:>9}  {trick}");
        }
        for (what, count) in [
            ("records produced", self.records),
            ("rows", self.rows),
            ("records dead-lettered", self.dead_letters),
            ("records passed, and said so", self.holes),
            (
                "odd records of which each became what it had to",
                self.odd_pieces,
            ),
            ("records by wrong clocks", self.wrong_clocks),
            ("services that moved to another partition", self.moved),
            ("records said to be lost with a log", self.lost_with_a_log),
            ("records lost", self.lost),
            ("rows too many", self.duplicates),
            ("versions of anomalies", self.versions),
            ("versions published again", self.published_again),
            ("frames at WebSocket clients", self.frames),
            ("times a client came back", self.comebacks),
            ("open intents found on assignment", self.intents_found),
            ("inserts settled by count, all there", self.settled_there),
            ("inserts settled by count, not there", self.settled_missing),
            ("offsets of others passed over", self.foreign_offsets),
            ("bytes that a wire lost", self.bytes_lost),
            ("times a part said what does not answer", self.reasons_said),
            (
                "processors that ended by themselves",
                self.ended_by_themselves.len() as u64,
            ),
        ] {
            println!("  {count:>9}  {what}");
        }
        for (memory, times) in &self.memories {
            println!("  {times:>9}  partitions begun with memory {memory}");
        }
        for (kind, count) in &self.anomalies {
            println!("  {count:>9}  anomalies {kind}");
        }
        for ending in &self.ended_by_themselves {
            println!("  ended by itself: {ending}");
        }
        for violation in &self.violations {
            println!("  VIOLATION: {violation}");
        }
    }

    /// What is missing for the run to have been hard enough.
    pub(crate) fn below(&self, minima: &Minima) -> Vec<String> {
        let mut asked = vec![
            (
                "open intents found",
                self.intents_found,
                minima.intents_found,
            ),
            (
                "inserts settled by count",
                self.settled_there + self.settled_missing,
                minima.settled,
            ),
            (
                "offsets of others passed over",
                self.foreign_offsets,
                minima.foreign_offsets,
            ),
            ("bytes that a wire lost", self.bytes_lost, minima.bytes_lost),
            (
                "times a part said what does not answer",
                self.reasons_said,
                minima.reasons_said,
            ),
        ];
        asked.push(("records passed, and said so", self.holes, minima.holes));
        asked.push((
            "records by wrong clocks",
            self.wrong_clocks,
            minima.wrong_clocks,
        ));
        asked.push(("services that moved", self.moved, minima.moved));
        asked.push(("odd records", self.odd_pieces, minima.odd_pieces));
        for kind in KINDS {
            let count = self.anomalies.get(kind).copied().unwrap_or_default();
            asked.push((kind, count, minima.of_every_kind));
        }
        for (fault, least) in minima.faults {
            let times = self.faults.get(fault).copied().unwrap_or_default();
            asked.push((*fault, times, *least));
        }
        asked
            .into_iter()
            .filter(|(_, count, least)| count < least)
            .map(|(what, count, least)| format!("{what}: {count}, wanted {least}"))
            .collect()
    }
}

#[test]
fn every_fault_has_to_have_happened_in_the_full_form() {
    let asked = |fault: &Fault| {
        let mut faults = FULL.faults.iter();
        faults.any(|(text, least)| *text == fault.text() && *least > 0)
    };
    let forgotten: Vec<_> = Fault::ALL.iter().filter(|fault| !asked(fault)).collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
    let nothing = Tally::default().below(&FULL);
    assert!(nothing.len() > Fault::ALL.len(), "{nothing:#?}");
}
