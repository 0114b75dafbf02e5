//! What a process has used, as the kernel counts it.
//!
//! Invariant: nothing is sampled; the kernel's own sums are read, of all threads, ended ones too.

use std::{fs, time::Duration};

use anyhow::Context as _;

/// The kernel tells user space its times in hundredths of a second, whatever its own tick is
/// (`USER_HZ` in proc_pid_stat(5), 100 on every architecture Linux has in 64 bits).
const TICKS_PER_SECOND: u64 = 100;

/// Of one process: state, and CPU time of itself and of its children that have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) has_ended: bool,
    /// Microseconds, in steps of ten thousand.
    pub(super) cpu_us: u64,
}

/// Also of one that has ended and was not waited for yet.
pub(super) fn stat(pid: u32) -> anyhow::Result<Stat> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    parse_stat(&text).with_context(|| format!("{path} is not as expected: {text}"))
}

/// CPU time so far, µs.
pub(super) fn cpu_us(pid: u32) -> anyhow::Result<u64> {
    Ok(stat(pid)?.cpu_us)
}

/// Largest resident size so far, bytes.
pub(super) fn peak_memory(pid: u32) -> anyhow::Result<u64> {
    memory(pid, "VmHWM:")
}

/// Resident size now, bytes.
pub(super) fn resident_memory(pid: u32) -> anyhow::Result<u64> {
    memory(pid, "VmRSS:")
}

fn memory(pid: u32, field: &str) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.with_context(|| format!("{path} has no {field}"))? * 1024)
}

/// Share of all processors' time that was used while it looked, from 0 to 1.
pub(super) async fn machine_busy(look: Duration) -> anyhow::Result<f64> {
    let before = machine_ticks()?;
    tokio::time::sleep(look).await;
    let after = machine_ticks()?;
    let (used, all) = (after.0 - before.0, after.1 - before.1);
    Ok(used as f64 / all.max(1) as f64)
}

/// Ticks used, and ticks in all, of all processors since the start.
fn machine_ticks() -> anyhow::Result<(u64, u64)> {
    let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let line = text.lines().next().unwrap_or_default();
    // Guests' time, the last two of ten, stands in the first two already.
    let ticks: Vec<u64> = line
        .split_whitespace()
        .skip(1)
        .take(8)
        .map_while(|field| field.parse().ok())
        .collect();
    let all: u64 = ticks.iter().sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    anyhow::ensure!(ticks.len() == 8, "/proc/stat is not as expected: {line}");
    Ok((all - idle, all))
}

/// The name in parentheses may hold anything, also spaces and parentheses.
fn parse_stat(text: &str) -> Option<Stat> {
    let mut fields = text[text.rfind(')')? + 1..].split_whitespace();
    let has_ended = matches!(fields.next()?, "Z" | "X");
    // Fields 14 to 17 of the manual page: utime, stime, cutime, cstime; the state is field 3.
    let times: Vec<u64> = fields
        .skip(10)
        .take(4)
        .map_while(|field| field.parse().ok())
        .collect();
    let ticks: u64 = times.iter().sum();
    (times.len() == 4).then(|| Stat {
        has_ended,
        cpu_us: ticks * 1_000_000 / TICKS_PER_SECOND,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let text = "42 (a) b (c) Z 1 42 42 0 -1 4194304 9 0 0 0 150 25 3 2 20 0 7 0 99";
        let expected = Stat {
            has_ended: true,
            cpu_us: 1_800_000,
        };
        assert_eq!(parse_stat(text), Some(expected));
        assert_eq!(parse_stat("42 (cut) S 1 2"), None);
    }

    #[test]
    fn this_process_has_memory_and_runs() {
        let own = std::process::id();
        assert!(!stat(own).unwrap().has_ended);
        assert!(peak_memory(own).unwrap() >= resident_memory(own).unwrap() / 2);
    }
}
