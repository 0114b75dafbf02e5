//! Starting, stopping, being killed, and starting again on the same data.

#![allow(clippy::expect_used, reason = "in tests a panic is the report")]

mod support;

use std::io::{Read, Write};

use support::{Server, command, eventually};

#[test]
fn data_survives_kill_and_restart() {
    let server = Server::start();
    server
        .post("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
        .ok();
    server.post("CREATE DATABASE d").ok();
    server.post("CREATE TABLE d.u (a UInt64, INDEX i a TYPE minmax) ENGINE = ReplacingMergeTree ORDER BY a").ok();
    for _ in 0..5 {
        server
            .post("INSERT INTO t SELECT number FROM numbers(1000)")
            .ok();
    }
    server.post("INSERT INTO d.u VALUES (1), (2)").ok();
    server.signal("-KILL");
    let (status, directory) = server.wait();
    assert!(!status.success());
    let server = Server::on(directory, &[]);
    assert_eq!(server.value("SELECT count() FROM t"), "5000");
    assert_eq!(server.value("SELECT count() FROM d.u"), "2");
    server.post("INSERT INTO t VALUES (1)").ok();
    assert_eq!(server.value("SELECT count() FROM t"), "5001");
}

#[test]
fn a_directory_has_one_server() {
    let server = Server::start();
    let output = command(&server.directory)
        .stderr(std::process::Stdio::piped())
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(69));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("another process already serves the data directory"),
        "{said}"
    );
    assert_eq!(server.value("SELECT 1"), "1");
}

#[test]
fn signals_end_an_idle_server_cleanly() {
    for name in ["-TERM", "-INT"] {
        let server = Server::start();
        server
            .post_to("/?session_id=s", "CREATE TEMPORARY TABLE t (a Int8)")
            .ok();
        server.signal(name);
        assert_eq!(server.wait().0.code(), Some(0), "{name}");
    }
}

#[test]
fn a_signal_ends_running_queries_and_data_stays() {
    let server = Server::start();
    server
        .post("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
        .ok();
    server.post("INSERT INTO t VALUES (1)").ok();
    let mut streams = Vec::new();
    for query in [
        "SELECT number FROM numbers(1000000000000)",
        "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(sipHash64(number))",
        "INSERT INTO t SELECT number FROM numbers(1000000000000) WHERE sipHash64(number) = 1",
    ] {
        let mut stream = server.connect();
        let head = format!(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{query}",
            query.len()
        );
        stream.write_all(head.as_bytes()).expect("sends");
        streams.push(stream);
    }
    eventually("all run", || {
        (server.value("SELECT count() FROM system.processes") == "4").then_some(())
    });
    let address = server.address.clone();
    server.signal("-TERM");
    eventually("nothing is accepted any more", || {
        std::net::TcpStream::connect(&address)
            .is_err()
            .then_some(())
    });
    let (status, directory) = server.wait();
    assert_eq!(status.code(), Some(0));
    for stream in &mut streams {
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(
        Server::on(directory, &[]).value("SELECT count() FROM t WHERE a = 1"),
        "1"
    );
}

#[test]
fn bad_options_are_all_reported() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let output = command(&directory)
        .args(["--connections", "0", "--user", "", "--password", "hunter2"])
        .stderr(std::process::Stdio::piped())
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{said}");
    for name in ["--connections", "--user"] {
        assert!(said.contains(name), "{name} in {said}");
    }
    assert!(!said.contains("hunter2"));
    let unknown = command(&directory)
        .arg("--nonsense")
        .stderr(std::process::Stdio::null())
        .status()
        .expect("runs");
    assert_eq!(unknown.code(), Some(64));
}

#[test]
fn another_default_database_is_created_and_used() {
    let server = Server::with(&["--database", "logs"]);
    assert_eq!(server.value("SELECT currentDatabase()"), "logs");
    server.post("CREATE TABLE t (a Int8) ENGINE = Memory").ok();
    assert_eq!(server.value("SELECT count() FROM logs.t"), "0");
}
