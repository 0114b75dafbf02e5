//! What every stage of the hot path may cost, in instructions per record, counted by callgrind.
//!
//! Instructions do not depend on how busy the machine is, so that a change that makes a stage dearer
//! is seen wherever the tests run. Nothing but valgrind has to be there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use contracts::Timestamp;

// The records that the benchmarks are about. It also has what only they call.
#[allow(dead_code, reason = "a part of it is enough here")]
#[path = "../../barograph-bench/src/lines.rs"]
mod lines;

/// Stage, and the most it may cost: what was measured on x86-64 when the budget was set, and a tenth.
/// Detection tells near lines from far ones and takes the partition's pace (docs/adr/012): 486 instead of
/// 355; mining looks for colours, IPv6, base64 and words behind digits: 3,050 instead of 2,867; gathering keeps
/// holes and how a row came by its time: 1,164 instead of 1,045. The task has all of it: 10,019 instead of 9,030.
/// Detection looks for logins in every message (some 200), and every fourteenth of these lines tells of one,
/// one in twenty-five of a failed one (8,000 each); it counts templates (some 110): 1,550, and the task 10,770. It counts answers by their class and
/// knows who wrote in a window (some 190): 1,745, and the task 11,280.
const BUDGETS: [(&str, u32); 6] = [
    ("decode", 4_700),
    ("mine", 3_360),
    ("detect", 1_920),
    ("batch", 1_280),
    ("encode", 940),
    ("task", 12_400),
];

const RECORDS: usize = 4_000;
/// One partition's services and records per second of event time: ten seconds, a window, a round.
const SERVICES: usize = 12;
const RATE: u64 = 400;

#[test]
fn no_stage_costs_more_instructions_than_its_budget() {
    let records = write_records();
    let mut over = Vec::new();
    for (stage, budget) in BUDGETS {
        let reached = instructions(stage, &records);
        if reached > f64::from(budget) {
            over.push(format!(
                "{stage} costs {reached:.0} instructions per record, and its budget is {budget}"
            ));
        }
    }
    assert!(
        over.is_empty(),
        "{}\nif that is worth it, set the budget in BUDGETS to what was measured and a tenth, and say why \
         (they are budgets of `cargo test --release`)",
        over.join("\n")
    );
}

fn instructions(stage: &str, records: &Path) -> f64 {
    let output = Command::new(env!("CARGO_BIN_EXE_processor-stages"))
        .args(["instructions", stage])
        .arg(records)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stage}: {said}");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    answer["instructions"].as_f64().unwrap()
}

fn write_records() -> PathBuf {
    let begin = Timestamp::parse("2026-11-20T12:00:00Z").unwrap();
    let mut lines = lines::Lines::new(1, SERVICES, begin, RATE);
    let (mut line, mut all) = (String::new(), String::new());
    for _ in 0..RECORDS {
        lines.write(&mut line);
        all.push_str(&line);
        all.push('\n');
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("budgets.jsonl");
    fs::write(&path, all).unwrap();
    path
}
