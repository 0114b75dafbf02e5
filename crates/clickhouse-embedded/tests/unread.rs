//! Clients that ask and do not read, and others that come and say nothing.

#![allow(clippy::expect_used, reason = "in tests a panic is the report")]

mod support;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use support::{Server, eventually};

/// More than any buffer between the two takes.
const ENDLESS: &str = "SELECT number, repeat('x', 1000) FROM numbers(1000000000)";

/// Asks for a result that has no end, and reads nothing of it.
fn ask(server: &Server, query_id: &str) -> TcpStream {
    let mut stream = server.connect();
    let head = format!(
        "POST /?query_id={query_id} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{ENDLESS}",
        ENDLESS.len()
    );
    stream.write_all(head.as_bytes()).expect("sends");
    stream
}

/// As many as there are places for reading, all under way, and as many again that wait.
fn fill(server: &Server, places: usize) -> Vec<TcpStream> {
    let mut clients = Vec::new();
    for at in 0..places {
        let mut client = ask(server, &format!("unread-{at}"));
        let mut begun = [0; 12];
        client.read_exact(&mut begun).expect("it begins");
        assert_eq!(&begun, b"HTTP/1.1 200");
        clients.push(client);
    }
    clients.extend((0..places).map(|at| ask(server, &format!("waits-{at}"))));
    clients
}

#[test]
fn unread_results_stop_neither_inserts_nor_ping() {
    let server = Server::with(&["--connections", "3", "--patience", "600"]);
    server
        .post("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
        .ok();
    let clients = fill(&server, 3);
    server.post("INSERT INTO t VALUES (1)").ok();
    server.post("INSERT INTO t SELECT 2").ok();
    server.request("GET", "/ping", &[], b"").ok();
    drop(clients);
    assert_eq!(server.value("SELECT count() FROM t"), "2");
}

#[test]
fn a_client_that_does_not_read_is_given_up() {
    let server = Server::with(&["--connections", "3", "--patience", "1"]);
    let clients = fill(&server, 3);
    // Each of those that waited gets its turn, and is given up in its turn.
    assert_eq!(server.value("SELECT 1"), "1");
    eventually("nothing runs for them any more", || {
        let left =
            "SELECT count() FROM system.processes WHERE Settings['log_comment'] LIKE 'unread-%'";
        (server.value(left) == "0").then_some(())
    });
    drop(clients);
}

#[test]
fn kill_frees_the_place_of_an_unread_result() {
    let server = Server::with(&["--connections", "3", "--patience", "600"]);
    let clients = fill(&server, 3);
    for at in 0..3 {
        server
            .post(&format!("KILL QUERY WHERE query_id = 'waits-{at}'"))
            .ok();
    }
    server
        .post("KILL QUERY WHERE query_id = 'unread-0' TEST")
        .ok();
    server
        .post("KILL QUERY WHERE query_id LIKE 'unread-%' SYNC")
        .ok();
    for at in 0..3 {
        eventually("those that waited have begun", || {
            let killed = server
                .post(&format!("KILL QUERY WHERE query_id = 'waits-{at}' SYNC"))
                .ok();
            (!killed.is_empty()).then_some(())
        });
    }
    assert_eq!(server.value("SELECT 1"), "1");
    drop(clients);
}

#[test]
fn a_client_that_goes_away_leaves_nothing() {
    let server = Server::with(&["--connections", "3", "--patience", "600"]);
    drop(fill(&server, 3));
    eventually("nothing runs for them any more", || {
        let left = "SELECT count() FROM system.processes WHERE Settings['log_comment'] LIKE '%-%'";
        let others = format!(
            "{left} AND query LIKE '%numbers(1000000000)%' AND query NOT LIKE '%processes%'"
        );
        (server.value(&others) == "0").then_some(())
    });
}

#[test]
fn stopping_waits_for_nobody_who_does_not_read() {
    let server = Server::with(&["--connections", "3", "--patience", "600"]);
    let clients = fill(&server, 3);
    server.signal("-TERM");
    let (status, _) = server.wait();
    assert_eq!(status.code(), Some(0));
    drop(clients);
}

/// A head that never ends, a body that stops, and a connection on which nothing comes.
#[test]
fn who_says_nothing_is_sent_away() {
    let server = Server::with(&["--patience", "1"]);
    for sent in [
        "",
        "POST / HTT",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nSELECT",
    ] {
        let mut stream = server.connect();
        stream.write_all(sent.as_bytes()).expect("sends");
        let mut reply = Vec::new();
        let ended = stream.read_to_end(&mut reply);
        assert!(ended.is_ok(), "{sent:?} is not answered: {ended:?}");
    }
}

#[test]
fn one_client_too_many_is_told_so() {
    let server = Server::with(&["--max-clients", "3", "--patience", "600"]);
    let held: Vec<TcpStream> = (0..3).map(|_| server.connect()).collect();
    let refused = server.request("GET", "/ping", &[], b"");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(
        refused.text().contains("Too many clients"),
        "{}",
        refused.text()
    );
    drop(held);
    eventually("there is room again", || {
        (server.request("GET", "/ping", &[], b"").status == 200).then_some(())
    });
}
