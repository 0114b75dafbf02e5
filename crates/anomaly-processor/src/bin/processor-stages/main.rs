//! What one stage of the processor costs, alone: `barograph-bench stages` runs it, and the test that
//! holds the stages to their budgets of instructions.
//!
//! ```text
//! processor-stages times STAGE FILE ROUNDS       nanoseconds of CPU per record, of every round
//! processor-stages rounds STAGE FILE ROUNDS      the same without a clock, for callgrind to watch
//! processor-stages instructions STAGE FILE       instructions per record, counted by callgrind
//! processor-stages consume BROKERS TOPIC RECORDS nanoseconds of CPU per record of a group's member
//! processor-stages native FILE OUT               the file's records as one encoded batch
//! processor-stages json FILE OUT                 the same rows as lines of JSONEachRow
//! ```
//!
//! FILE holds one record per line. The answer is one line of JSON.
//!
//! Invariants: a stage's input is made before its time is taken; the allocator is the service's.

mod callgrind;
mod consume;
mod stage;

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use stage::{Inputs, Stage};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(
        "expected `times STAGE FILE ROUNDS`, `rounds STAGE FILE ROUNDS`, `instructions STAGE FILE`, \
         `consume BROKERS TOPIC RECORDS`, `native FILE OUT` or `json FILE OUT`; STAGE is one of {}",
        Stage::names()
    )]
    Usage,
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },
    #[error("{path}: line {line} is no record with a time: {why}")]
    Record {
        path: String,
        line: usize,
        why: String,
    },
    #[error("cannot run valgrind ({0}): install valgrind (scripts/install-deps.sh)")]
    NoValgrind(io::Error),
    #[error("valgrind gave no count of instructions; it said:\n{0}")]
    NoCount(String),
    #[error(transparent)]
    Kafka(#[from] kafka_io::Error),
    #[error("{0}")]
    Consume(String),
    #[error("cannot write the answer: {0}")]
    Answer(io::Error),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match answer(&arguments).and_then(|answer| tell(&answer)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing is left to do where even that cannot be said.
            let _ = writeln!(io::stderr(), "processor-stages: {failure}");
            ExitCode::from(match failure {
                Failure::Usage => 64,
                _ => 70,
            })
        }
    }
}

fn answer(arguments: &[&str]) -> Result<serde_json::Value, Failure> {
    match *arguments {
        [how @ ("times" | "rounds"), stage, path, rounds] => {
            let stage = Stage::named(stage).ok_or(Failure::Usage)?;
            let rounds = rounds.parse().map_err(|_| Failure::Usage)?;
            let text = read(path)?;
            let inputs = Inputs::of(path, &text)?;
            // Where the kernel's clock is mapped, valgrind has nothing: no clock is asked then.
            let clock = if how == "times" { cpu_ns } else { || 0 };
            let ns = stage.run(&inputs, rounds, clock);
            Ok(json!({ "stage": stage.name(), "records": inputs.len(), "ns": ns }))
        }
        ["instructions", stage, path] => {
            let stage = Stage::named(stage).ok_or(Failure::Usage)?;
            let records = Inputs::of(path, &read(path)?)?.len();
            let instructions = callgrind::per_record(stage, path, records)?;
            Ok(json!({ "stage": stage.name(), "records": records, "instructions": instructions }))
        }
        ["consume", brokers, topic, records] => {
            let records = records.parse().map_err(|_| Failure::Usage)?;
            let ns = consume::per_record(brokers, topic, records)?;
            Ok(json!({ "stage": "consume", "records": records, "ns": [ns] }))
        }
        [format @ ("native" | "json"), path, out] => {
            let text = read(path)?;
            let inputs = Inputs::of(path, &text)?;
            let rows = if format == "native" {
                inputs
                    .batched()
                    .encode(stage::INCARNATION, 0, pipeline::Day::new(20_000))
            } else {
                inputs.json_each_row()
            };
            fs::write(out, &rows).map_err(|source| Failure::file(out, source))?;
            Ok(json!({ "stage": format, "records": inputs.len(), "bytes": rows.len() }))
        }
        _ => Err(Failure::Usage),
    }
}

fn read(path: &str) -> Result<String, Failure> {
    fs::read_to_string(Path::new(path)).map_err(|source| Failure::file(path, source))
}

fn tell(answer: &serde_json::Value) -> Result<(), Failure> {
    writeln!(io::stdout(), "{answer}").map_err(Failure::Answer)
}

impl Failure {
    fn file(path: &str, source: io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            source,
        }
    }
}

/// CPU time of this process so far, all threads, ns: what others do on the machine is not in it.
fn cpu_ns() -> u64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}
