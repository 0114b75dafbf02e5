//! A ClickHouse of one's own: the embedded engine on a free port, with its data in a directory that
//! goes with it.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use clickhouse_store::{
    Client, LogRow, LogRows, Target, log_rows::TimestampSource, migrate, migrate::Migration,
};
use contracts::Level;
use pipeline::{
    Assignment, Batch, Day, DayOf, Days, Epoch, Incarnation, NextOffset, Offset, Partition, TaskId,
};

pub struct Engine {
    process: Child,
    url: String,
    _data: tempfile::TempDir,
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It is ours, and there is nobody left to tell.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("clickhouse-embedded");
    assert!(
        program.is_file(),
        "{} is missing: `cargo build --release -p clickhouse-embedded`",
        program.display()
    );
    program
}

fn address(ready: &Path) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match std::fs::read_to_string(ready) {
            Ok(address) if !address.is_empty() => return address.trim().to_owned(),
            _ => assert!(Instant::now() < deadline, "ClickHouse did not start"),
        }
        std::thread::yield_now();
    }
}

impl Engine {
    pub fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let ready = data.path().join("ready");
        let process = Command::new(program())
            .args(["--listen", "127.0.0.1:0", "--path"])
            .arg(data.path().join("data"))
            .arg("--ready-file")
            .arg(&ready)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            url: format!("http://{}", address(&ready)),
            process,
            _data: data,
        }
    }

    /// A database of this name, brought up to date with `migrations`.
    pub async fn database(&self, name: &str, migrations: &[Migration]) -> Client {
        let client = Client::new(Target {
            url: self.url.clone(),
            database: name.to_owned(),
            user: "default".to_owned(),
            password: String::new(),
        })
        .unwrap();
        migrate::apply(&client, migrations).await.unwrap();
        client
    }
}

/// An answer as text, without its last line's end.
pub async fn answer(client: &Client, query: &str) -> String {
    let settings = [("mutations_sync", "2"), ("lightweight_deletes_sync", "2")];
    let answer = client.execute(query, &settings).await.unwrap();
    String::from_utf8(answer.to_vec())
        .unwrap()
        .trim_end()
        .to_owned()
}

/// 2026-11-21T07:00:00Z
pub const START: i64 = 1_795_244_400_000;

/// 2099-12-31: its rows do not expire while anybody runs these tests.
pub const DAY: Day = Day::new(47_481);
pub const DAYS: Days = Days {
    own: DAY,
    since: DAY,
};

/// A line of its own for each offset: 100 ms apart, three services, all that a line can have.
pub fn push(rows: &mut LogRows, offset: i64) {
    let level = [Level::Info, Level::Warn, Level::Error][(offset % 3) as usize];
    let region = format!("eu-{}", offset % 2);
    let attributes = [("region", region.as_str()), ("größe", "1\n2")];
    rows.push(
        &LogRow {
            timestamp: START + offset * 100,
            timestamp_source: TimestampSource::Clamped,
            service: ["cart", "búsqueda", ""][(offset % 3) as usize],
            level,
            is_error: level == Level::Error,
            message: &format!("line {offset}"),
            template_id: 0,
            host: &format!("host-{offset}"),
            trace_id: &format!("{offset:032x}"),
            span_id: "",
            latency_ms: (offset % 2 == 0).then_some(offset as f64),
            status: (offset % 600) as u16,
            client_ip: "203.0.113.9",
            user: "",
            late: offset % 10 == 0,
            kafka_timestamp: START,
            kafka_offset: offset,
        },
        attributes.into_iter().take((offset % 3) as usize),
    );
}

/// Offsets `[first, end)` of a partition.
pub fn batch(partition: i32, first: i64, end: i64) -> Batch<LogRows> {
    let mut rows = LogRows::default();
    for offset in first..end {
        push(&mut rows, offset);
    }
    batch_of(partition, first, end, rows)
}

pub fn batch_of(partition: i32, first: i64, end: i64, rows: LogRows) -> Batch<LogRows> {
    Batch {
        id: TaskId {
            assignment: Assignment {
                partition: Partition(partition),
                epoch: Epoch(1),
            },
            incarnation: Incarnation::of(uuid::Uuid::from_u128(7), "group"),
        },
        first: Offset::new(first),
        end: NextOffset::resume_at(Offset::new(end)),
        bytes: rows.size(),
        rows,
        letters: Vec::new(),
        holes: Vec::new(),
        last: None,
        day: DayOf::Nobody,
        since: None,
        acknowledgements: Vec::new(),
        uncertain: false,
    }
}
