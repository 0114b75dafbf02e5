//! Clients that have never heard of this server use it unchanged.

#![allow(clippy::expect_used, reason = "in tests a panic is the report")]

mod support;

use std::{path::PathBuf, process::Command};

use clickhouse::{Client, Compression, Row};
use serde::{Deserialize, Serialize};
use support::Server;

#[derive(Debug, Clone, PartialEq, Row, Serialize, Deserialize)]
struct Line {
    id: u64,
    service: String,
    latency: Option<f64>,
    tags: Vec<String>,
}

fn line(id: u64) -> Line {
    Line {
        id,
        service: format!("service-{}", id % 5),
        latency: id.is_multiple_of(3).then_some(0.5),
        tags: vec!["a".to_owned(); (id % 3) as usize],
    }
}

#[tokio::test]
async fn the_rust_client_with_each_compression() {
    let server = Server::with(&["--password", "secret"]);
    let plain = Client::default()
        .with_url(server.url())
        .with_user("default")
        .with_password("secret");
    plain
        .query("CREATE TABLE lines (id UInt64, service String, latency Nullable(Float64), tags Array(String)) ENGINE = MergeTree ORDER BY id")
        .execute()
        .await
        .expect("creates");
    for (round, compression) in [Compression::None, Compression::Lz4]
        .into_iter()
        .enumerate()
    {
        let client = plain.clone().with_compression(compression);
        let mut insert = client.insert::<Line>("lines").await.expect("begins");
        let from = round as u64 * 100_000;
        for id in from..from + 100_000 {
            insert.write(&line(id)).await.expect("writes");
        }
        insert.end().await.expect("ends");
        let found = client
            .query("SELECT ?fields FROM lines WHERE id >= ? AND service = ? ORDER BY id")
            .bind(from)
            .bind("service-3")
            .fetch_all::<Line>()
            .await
            .expect("fetches");
        assert_eq!(found.len(), 20_000);
        assert_eq!(found[7], line(from + 38));
    }
    let count: u64 = plain
        .query("SELECT count() FROM lines")
        .fetch_one()
        .await
        .expect("counts");
    assert_eq!(count, 200_000);
    let parameter: String = plain
        .query("SELECT {x:String}")
        .param("x", "it's\t;")
        .fetch_one()
        .await
        .expect("binds");
    assert_eq!(parameter, "it's\t;");
    let setting: u64 = plain
        .query("SELECT toUInt64(getSetting('max_threads'))")
        .with_setting("max_threads", "3")
        .fetch_one()
        .await
        .expect("sets");
    assert_eq!(setting, 3);
}

#[tokio::test]
async fn the_rust_client_sees_errors_early_and_late() {
    let server = Server::start();
    for compression in [Compression::None, Compression::Lz4] {
        let client = Client::default()
            .with_url(server.url())
            .with_compression(compression);
        let error = client
            .query("SELECT * FROM nosuch")
            .execute()
            .await
            .expect_err("fails")
            .to_string();
        assert!(error.contains("Code: 60. DB::Exception"), "{error}");
        let query = "SELECT number, throwIf(number = 5000000) AS t FROM numbers(10000000) SETTINGS max_block_size = 65536";
        let mut cursor = client.query(query).fetch::<(u64, u8)>().expect("begins");
        let error = loop {
            match cursor.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("ended like a complete result"),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("Code: 395."), "{error}");
    }
}

#[derive(Row, Serialize)]
struct Id {
    id: u64,
}

#[tokio::test]
async fn an_insert_that_is_dropped_inserts_nothing() {
    let server = Server::start();
    let client = Client::default().with_url(server.url());
    client
        .query("CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id")
        .execute()
        .await
        .expect("creates");
    let mut insert = client.insert::<Id>("t").await.expect("begins");
    for id in 0..100_000 {
        insert.write(&Id { id }).await.expect("writes");
    }
    drop(insert);
    let count: u64 = client
        .query("SELECT count() FROM t")
        .fetch_one()
        .await
        .expect("counts");
    assert_eq!(count, 0);
}

/// The version that the script was written for.
const CLIENT: &str = "1.12.0";

#[test]
fn the_python_client() {
    let python = environment().join("bin").join("python");
    let server = Server::with(&["--password", "it's \\ secret"]);
    let (host, port) = server.address.split_once(':').expect("host and port");
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join("interop_clickhouse_connect.py");
    let output = Command::new(python)
        .arg(script)
        .args([host, port])
        .output()
        .expect("python runs");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}");
}

/// A Python environment with the client, made once and kept beside the engine.
fn environment() -> PathBuf {
    let library = clickhouse_embedded::default_library_path().expect("a cache directory");
    let cache = library
        .parent()
        .and_then(|version| version.parent())
        .expect("the cache");
    let environment = cache.join(format!("clickhouse-connect-{CLIENT}"));
    let finished = environment.join("finished");
    if !finished.exists() {
        std::fs::create_dir_all(cache).expect("the cache can be written");
        let run = |command: &mut Command, hint: &str| {
            let output = command
                .output()
                .unwrap_or_else(|error| panic!("{hint}: {error}"));
            assert!(
                output.status.success(),
                "{hint}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        };
        let hint = "this test needs python3 with the venv module";
        run(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&environment),
            hint,
        );
        let pip = environment.join("bin").join("pip");
        let hint = "this test needs PyPI once, for clickhouse-connect";
        run(
            Command::new(pip).args([
                "install",
                "--quiet",
                &format!("clickhouse-connect=={CLIENT}"),
            ]),
            hint,
        );
        std::fs::write(&finished, "").expect("the cache can be written");
    }
    environment
}
